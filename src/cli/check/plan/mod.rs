//! What a pipeline would cost: counted from a cut of the stream by the decoder and the router of a
//! run, so that it stays true.
//!
//! A [`Planner`] sees each event, asks the router what it adds to which keys, and counts keys and rows, but holds no values.
//! What a live run would write it has [rehearsed](crate::plan) over the same additions. Its memory is bounded: beyond
//! [`Planner::MOST_ROWS`], and [`Planner::MOST_REHEARSED`] in each rehearsal, it goes on with a fair share of the keys (see
//! `distinct` and `forms`), and what it says becomes an estimate.

mod distinct;
mod figures;
mod forms;
mod growth;
mod memory;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

pub use self::figures::{GroupPlan, GroupPublishing, Plan};
use self::forms::{Forms, PlannedFeature, SeenRow};
use self::growth::Growth;
use crate::clock::MedianClock;
use crate::counter::EventTime;
use crate::event::{Arrival, Decoder, Event, FieldId, Reason, Utf8};
use crate::findings::{Observed, Observer};
use crate::pipeline::{Encoding, HoldBack, Layout, Limits, Pipeline};
use crate::plan::{RehearsalClock, Rehearsed, Written};
use crate::sink::dynamodb::typical_item_bytes;
use crate::state::ApplyError;
use crate::sums::{Addition, Additions, HashSeed, KeyId, Router};

/// Counts what a run over these events would hold and publish.
pub struct Planner {
    pipeline: Arc<Pipeline>,
    decoder: Decoder,
    router: Router,
    /// What the event at hand adds.
    additions: EventAdditions,
    /// When every event arrived, in the event's unit.
    arrival: Arrival,
    clock: MedianClock,
    /// Those that the clock has been in.
    windows: Option<Windows>,
    events: u64,
    dead_letters: BTreeMap<Reason, u64>,
    observer: Observer,
    groups: Vec<GroupTally>,
    forms: Forms,
    growth: Growth,
    /// By the router's number.
    features: Vec<PlannedFeature>,
    /// The fields whose different values are counted, and of the event at hand the hashes of these.
    member_fields: Vec<FieldId>,
    members: Vec<Option<u64>>,
    /// What would be written; or why that is not known.
    rehearsed: Result<Rehearsed, ApplyError>,
}

/// The windows that a clock has been in, counted in window lengths since 1970.
#[derive(Clone, Copy)]
struct Windows {
    first: i64,
    last: i64,
}

/// What is counted of one group beside its keys.
#[derive(Default)]
struct GroupTally {
    contributions: u64,
    /// How many times an event had a key of this group.
    key_uses: u64,
}

/// What one event adds, key by key.
#[derive(Default)]
struct EventAdditions {
    keys: Vec<EventKey>,
    /// The keys' texts.
    text: Vec<u8>,
    additions: Vec<Addition>,
}

struct EventKey {
    id: KeyId,
    text_start: usize,
    text_length: u16,
    first_addition: usize,
}

impl Additions for EventAdditions {
    fn begin_key(&mut self, id: KeyId, text: &[u8], _: &Pipeline) {
        let (text_start, first_addition) = (self.text.len(), self.additions.len());
        self.text.extend_from_slice(text);
        self.keys.push(EventKey { id, text_start, text_length: text.len() as u16, first_addition });
    }

    fn add(&mut self, addition: Addition) {
        self.additions.push(addition);
    }
}

impl Planner {
    /// So many rows and keys are counted one by one.
    pub const MOST_ROWS: usize = 5_000_000;
    /// So many rows are held in each of the rehearsals of publishing.
    pub const MOST_REHEARSED: usize = 300_000;

    /// Nothing is counted yet. All events arrived so.
    pub fn new(pipeline: Arc<Pipeline>, arrival: Arrival) -> Planner {
        Planner {
            decoder: Decoder::new(Arc::new(pipeline.event.clone())),
            // What is counted does not hang on the seed; a fixed one gives the same estimate again.
            router: Router::new(Arc::clone(&pipeline), HashSeed(0)),
            additions: EventAdditions::default(),
            arrival,
            clock: MedianClock::default(),
            windows: None,
            events: 0,
            dead_letters: BTreeMap::new(),
            observer: Observer::new(&pipeline),
            groups: pipeline.groups.iter().map(|_| GroupTally::default()).collect(),
            forms: Forms::new(&pipeline),
            growth: Growth::default(),
            features: Vec::new(),
            member_fields: member_fields(&pipeline),
            members: Vec::new(),
            rehearsed: Ok(rehearsed(&pipeline)),
            pipeline,
        }
    }

    /// Counts one line of an event log.
    pub fn observe(&mut self, line: &[u8]) {
        let routed = match self.decoder.decode(line, self.arrival, Utf8::Unchecked) {
            Ok(None) => return,
            Ok(Some(event)) => {
                hash_members(&event, &self.member_fields, &mut self.members);
                enter(&mut self.rehearsed, event.time(), &mut self.router);
                self.features.truncate(self.router.features().len());
                let routed = {
                    self.additions.keys.clear();
                    self.additions.text.clear();
                    self.additions.additions.clear();
                    self.router.route(&event, &mut self.additions)
                };
                if routed.is_ok() && self.router.is_worth_a_look() {
                    self.observer.look(line, &event);
                }
                routed.map(|()| event.time())
            }
            Err(reason) => {
                self.observer.refused(line, reason);
                Err(reason)
            }
        };
        match routed {
            Ok(time) => self.count(time),
            Err(reason) => *self.dead_letters.entry(reason).or_default() += 1,
        }
    }

    /// Counts an event that was routed.
    fn count(&mut self, time: EventTime) {
        self.events += 1;
        self.clock.observe(time);
        self.enter_window();
        self.learn_features();
        self.rehearse_additions();
        let Planner { additions: EventAdditions { keys, additions, .. }, groups, forms, features, members, .. } = self;
        for (index, key) in keys.iter().enumerate() {
            let end = keys.get(index + 1).map_or(additions.len(), |next| next.first_addition);
            let mut last_group = None;
            for addition in &additions[key.first_addition..end] {
                let group = addition.feature.group;
                let feature = &features[addition.feature.number as usize];
                let tally = &mut groups[usize::from(group.0)];
                tally.contributions += 1;
                // A group's features follow each other.
                tally.key_uses += u64::from(last_group.replace(group) != Some(group));
                let member = feature.members.and_then(|index| members[index]);
                forms.count(key.id, key.text_length, SeenRow { feature, group, member });
            }
        }
        self.forms.stay_within(Self::MOST_ROWS);
        self.growth.observe(self.events, || self.forms.keys_by_group());
    }

    /// Takes notice of the window that the clock is in.
    fn enter_window(&mut self) {
        // Before the clock has started, all is in the window that it will start with.
        let Some(now) = self.clock.now() else { return };
        let window = now.0.div_euclid(self.pipeline.window_units());
        let windows = self.windows.get_or_insert(Windows { first: window, last: window });
        windows.first = windows.first.min(window);
        windows.last = windows.last.max(window);
    }

    /// Adds what the event at hand adds.
    fn rehearse_additions(&mut self) {
        let Planner { rehearsed: Ok(rehearsed), additions, pipeline, .. } = self else { return };
        let EventAdditions { keys, text, additions } = additions;
        let sums = rehearsed.sums();
        for (index, key) in keys.iter().enumerate() {
            let end = keys.get(index + 1).map_or(additions.len(), |next| next.first_addition);
            sums.begin_key(key.id, &text[key.text_start..][..usize::from(key.text_length)], pipeline);
            additions[key.first_addition..end].iter().for_each(|addition| sums.add(*addition));
        }
    }

    fn learn_features(&mut self) {
        for feature in &self.router.features()[self.features.len()..] {
            let field = self.pipeline.group(feature.group).measure(feature.measure).members;
            self.features.push(PlannedFeature {
                hash: xxh3_64(feature.name.as_bytes()),
                item_bytes: typical_item_bytes(&self.pipeline, feature) as u32,
                shape: self.pipeline.shape(feature),
                members: field.and_then(|field| self.member_fields.iter().position(|known| *known == field)),
            });
        }
    }

    /// What was counted.
    pub fn finish(mut self) -> Plan {
        let mut observed = Observed::new(&self.pipeline);
        observed.take(self.router.tally(), &mut self.observer);
        let keys_after = |share: u64| self.growth.keys_after(self.events / share);
        let (quarter, half) = (keys_after(4), keys_after(2));
        let at = |keys: &[u64], group: usize| keys.get(group).copied().unwrap_or_default();
        let mut groups = self.forms.plan(&self.pipeline);
        let all = self.forms.keys_by_group();
        for (index, (plan, tally)) in groups.iter_mut().zip(&self.groups).enumerate() {
            plan.contributions = tally.contributions;
            plan.key_uses = tally.key_uses;
            plan.keys = [&quarter, &half, &all].map(|keys| at(keys, index));
        }
        let written = self.rehearsed.and_then(|rehearsed| rehearsed.finish(self.router.features()));
        let not_rehearsed = written.as_ref().err().cloned();
        publish(&mut groups, &written.unwrap_or_default());
        Plan {
            not_rehearsed,
            events: self.events,
            observed,
            windows: self
                .windows
                .map_or(u64::from(self.events > 0), |windows| windows.last.abs_diff(windows.first) + 1),
            is_estimate: self.forms.are_thinned(),
            groups,
            dead_letters: self.dead_letters,
        }
    }
}

/// Lets a rehearsal that goes on take notice of an event's time. When it has come to the end of a window, or to its own, no sums
/// refer to features of the router.
fn enter(rehearsed: &mut Result<Rehearsed, ApplyError>, time: EventTime, router: &mut Router) {
    let entered = match rehearsed {
        Ok(rehearsed) => rehearsed.enter(time, router.features()),
        Err(_) => Ok(true),
    };
    match entered {
        Ok(true) => router.forget_if_many(),
        Ok(false) => {}
        Err(error) => *rehearsed = Err(error),
    }
}

/// What is rehearsed: without and with holding back, with items of both layouts.
fn rehearsed(pipeline: &Arc<Pipeline>) -> Rehearsed {
    // Of a share of the keys fewer would be evicted.
    let mut held_back = Pipeline { limits: Limits::default(), ..(**pipeline).clone() };
    let mut all_changes = held_back.clone();
    all_changes.publish.hold_back_of_all(HoldBack::NOTHING);
    if !pipeline.holds_back() {
        held_back.publish.hold_back_of_all(HoldBack::ONE_PERCENT);
    }
    let by_key = match pipeline.publish.layout {
        Layout::Feature => Layout::Key(Encoding::Packed),
        layout => layout,
    };
    let variants = [all_changes, held_back].into_iter().flat_map(|pipeline| {
        [Layout::Feature, by_key].map(|layout| {
            let mut pipeline = pipeline.clone();
            pipeline.publish.layout = layout;
            Arc::new(pipeline)
        })
    });
    let counted = Arc::clone(pipeline);
    Rehearsed::new(counted, variants.collect(), RehearsalClock::EventTime, Planner::MOST_REHEARSED)
}

/// Says of each group what was written in the rehearsals, in their order.
fn publish(groups: &mut [GroupPlan], written: &[Written]) {
    let [all_by_feature, all_by_key, held_by_feature, held_by_key] = written else { return };
    for (index, plan) in groups.iter_mut().enumerate() {
        let of = |by_feature: &Written, by_key: &Written| GroupPublishing {
            by_feature: by_feature.groups[index],
            by_key: by_key.groups[index],
        };
        plan.all_changes = of(all_by_feature, all_by_key);
        plan.held_back = of(held_by_feature, held_by_key);
    }
}

/// Every field whose different values are counted.
fn member_fields(pipeline: &Pipeline) -> Vec<FieldId> {
    let mut fields: Vec<FieldId> =
        pipeline.groups.iter().flat_map(|group| group.measures.iter().filter_map(|measure| measure.members)).collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}

fn hash_members(event: &Event<'_>, fields: &[FieldId], members: &mut Vec<Option<u64>>) {
    members.clear();
    members.extend(fields.iter().map(|field| event.key(*field).map(xxh3_64)));
}
