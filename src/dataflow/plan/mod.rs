//! What a pipeline would cost: counted from a cut of the stream by the decoder and the router of a
//! run, so that it stays true.
//!
//! A [`Planner`] sees each event, asks the router to which rows it adds, and counts keys, rows and the
//! items that a live run would publish, but holds no values. Its memory is bounded: beyond
//! [`Planner::MOST_ROWS`] it goes on with a fair share of keys and rows (see `distinct`), and what it
//! says becomes an estimate.

mod distinct;
mod growth;
mod memory;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use self::distinct::DistinctSample;
use self::growth::Growth;
use self::memory::{MemberBits, RowMemory};
use super::identity::{HashSeed, RowId};
use super::route::Router;
use super::window_sums::WindowSums;
use crate::clock::MedianClock;
use crate::counter::EventTime;
use crate::epoch::Version;
use crate::event::{Decoder, Event, FieldId, Reason, Utf8};
use crate::findings::{Observed, Observer};
use crate::pipeline::{FeatureKey, Pipeline, RowShape};
use crate::sink::{Count, Item, dynamodb};

/// What a write unit of DynamoDB writes, in bytes.
const WRITE_UNIT_BYTES: u32 = 1024;

/// Counts what a run over these events would hold and publish.
pub struct Planner {
    pipeline: Arc<Pipeline>,
    decoder: Decoder,
    router: Router,
    sums: WindowSums,
    /// When every event arrived, in the event's unit.
    arrival: EventTime,
    clock: MedianClock,
    /// Those that the clock has been in.
    windows: Option<Windows>,
    events: u64,
    dead_letters: BTreeMap<Reason, u64>,
    observer: Observer,
    groups: Vec<GroupTally>,
    growth: Growth,
    /// By the router's number.
    features: Vec<PlannedFeature>,
    /// The fields whose different values are counted, and of the event at hand the hashes of these.
    member_fields: Vec<FieldId>,
    members: Vec<Option<u64>>,
}

/// The windows that a clock has been in, counted in window lengths since 1970.
#[derive(Clone, Copy)]
struct Windows {
    /// The one that it started in.
    anchor: i64,
    first: i64,
    last: i64,
}

/// What the rows and items of one feature are like.
#[derive(Clone, Copy)]
struct PlannedFeature {
    /// The size of an item without its key.
    item_bytes: u32,
    shape: RowShape,
    /// The place of its members' field in [`Planner::member_fields`].
    members: Option<usize>,
}

/// What is counted of one group.
#[derive(Default)]
struct GroupTally {
    contributions: u64,
    /// How many times an event had a key of this group.
    key_uses: u64,
    /// The event and the key's hash of the last contribution.
    last_use: Option<(u64, u64)>,
    keys: DistinctSample<()>,
    rows: DistinctSample<RowTally>,
}

/// What is counted of one row.
#[derive(Clone, Copy)]
struct RowTally {
    /// In how many windows it has changed.
    windows: u32,
    /// The last of these, counted from the first of all.
    last_window: u32,
    item_bytes: u32,
    key_bytes: u16,
    shape: RowShape,
    /// Of uniques, the members.
    members: MemberBits,
}

/// What a run over the sample would hold and publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Events that count.
    pub events: u64,
    /// Events that do not, by reason.
    pub dead_letters: BTreeMap<Reason, u64>,
    /// What they look like, and what of it was missing.
    pub observed: Observed,
    /// How many windows of the event clock the sample spans.
    pub windows: u64,
    /// Whether there were so many rows that a share of them stands for all.
    pub is_estimate: bool,
    /// One for each group of the pipeline, in its order.
    pub groups: Vec<GroupPlan>,
}

/// What one group would hold and publish.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupPlan {
    /// What the events add to rows: one for each measure and row.
    pub contributions: u64,
    /// How many times an event had a key of this group.
    pub key_uses: u64,
    /// How many different keys there are after a quarter, a half and all of the events.
    pub keys: [u64; 3],
    /// How many rows (keys x features).
    pub rows: u64,
    /// What the rows take in memory: sketches and sets of members with them.
    pub row_bytes: u64,
    /// How many items would be published: one for each row and window that changes it.
    pub items: u64,
    /// What the rows' items take in a DynamoDB table.
    pub table_bytes: u64,
    /// The write units of DynamoDB that the items take.
    pub write_units: u64,
}

impl GroupPlan {
    /// How the number of keys grows with the log: as events to the power of this. 0 if no new keys
    /// come, 1 if a share of the events always brings new ones. (The slope of the line through the
    /// three points, in logarithms.)
    pub fn growth_exponent(&self) -> Option<f64> {
        let [quarter, _, all] = self.keys;
        (quarter > 0).then(|| (all as f64 / quarter as f64).ln() / 4f64.ln())
    }
}

impl Planner {
    /// So many rows and keys are counted one by one.
    pub const MOST_ROWS: usize = 5_000_000;

    /// Nothing is counted yet. All events arrive at `arrival`, in the event's unit.
    pub fn new(pipeline: Arc<Pipeline>, arrival: EventTime) -> Planner {
        Planner {
            decoder: Decoder::new(Arc::new(pipeline.event.clone())),
            // What is counted does not hang on the seed; a fixed one gives the same estimate again.
            router: Router::new(Arc::clone(&pipeline), HashSeed(0)),
            sums: WindowSums::new(1),
            arrival,
            clock: MedianClock::default(),
            windows: None,
            events: 0,
            dead_letters: BTreeMap::new(),
            observer: Observer::new(&pipeline),
            groups: pipeline.groups.iter().map(|_| GroupTally::default()).collect(),
            growth: Growth::default(),
            features: Vec::new(),
            member_fields: member_fields(&pipeline),
            members: Vec::new(),
            pipeline,
        }
    }

    /// Counts one line of an event log.
    pub fn observe(&mut self, line: &[u8]) {
        let routed = match self.decoder.decode(line, self.arrival, Utf8::Unchecked) {
            Ok(None) => return,
            Ok(Some(event)) => {
                hash_members(&event, &self.member_fields, &mut self.members);
                let routed = self.router.route(&event, &mut self.sums);
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
        let window = self.enter_window();
        self.learn_features(time);
        let Planner { sums, router, groups, features, members, events, .. } = self;
        sums.drain_rows(&self.pipeline, |row, feature, key| {
            let group = router.features()[feature as usize].group;
            let feature = features[feature as usize];
            let member = feature.members.and_then(|place| members[place]);
            groups[usize::from(group.0)].count(*events, window, row, key, feature, member);
        });
        self.router.forget_if_many();
        self.features.truncate(self.router.features().len());
        while self.groups.iter().map(GroupTally::len).sum::<usize>() > Self::MOST_ROWS {
            if let Some(largest) = self.groups.iter_mut().max_by_key(|group| group.len()) {
                largest.thin();
            }
        }
        self.growth.observe(self.events, || self.groups.iter().map(|group| group.keys.estimate()).collect());
    }

    /// The window that the clock is in, counted from the first.
    fn enter_window(&mut self) -> u32 {
        // Before the clock has started, all is in the window that it will start with.
        let Some(now) = self.clock.now() else { return 0 };
        let window = now.0.div_euclid(self.pipeline.window_units());
        let windows = self.windows.get_or_insert(Windows { anchor: window, first: window, last: window });
        windows.first = windows.first.min(window);
        windows.last = windows.last.max(window);
        // Only told apart from each other: that they wrap after 2^32 does no harm.
        window.wrapping_sub(windows.anchor) as u32
    }

    fn learn_features(&mut self, time: EventTime) {
        for feature in &self.router.features()[self.features.len()..] {
            let item = typical_item(&self.pipeline, feature, time);
            let field = self.pipeline.group(feature.group).measure(feature.measure).members;
            self.features.push(PlannedFeature {
                item_bytes: dynamodb::item_bytes(&item) as u32,
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
        let plan_group = |(place, (memory, tally)): (usize, (RowMemory, &GroupTally))| {
            let keys = |at: &[u64]| at.get(place).copied().unwrap_or_default();
            tally.plan(&memory, [keys(&quarter), keys(&half), tally.keys.estimate()])
        };
        Plan {
            events: self.events,
            observed,
            windows: self
                .windows
                .map_or(u64::from(self.events > 0), |windows| windows.last.abs_diff(windows.first) + 1),
            is_estimate: self.groups.iter().any(|group| group.rows.is_thinned() || group.keys.is_thinned()),
            groups: self
                .pipeline
                .groups
                .iter()
                .map(RowMemory::of)
                .zip(&self.groups)
                .enumerate()
                .map(plan_group)
                .collect(),
            dead_letters: self.dead_letters,
        }
    }
}

impl GroupTally {
    /// Counts what this event, the `event`th, adds to a row in this window; of uniques, which member.
    fn count(&mut self, event: u64, window: u32, row: RowId, key: &[u8], feature: PlannedFeature, member: Option<u64>) {
        self.contributions += 1;
        let key_hash = xxh3_64(key);
        if self.last_use != Some((event, key_hash)) {
            self.last_use = Some((event, key_hash));
            self.key_uses += 1;
            self.keys.change(key_hash, || (), |()| ());
        }
        let key_bytes = key.len() as u16;
        let PlannedFeature { item_bytes, shape, .. } = feature;
        let members = MemberBits::of(member);
        let new = || RowTally { windows: 1, last_window: window, item_bytes, key_bytes, shape, members };
        self.rows.change(row.words()[1], new, |row| {
            row.members.add(members);
            row.windows += u32::from(row.last_window != window);
            row.last_window = window;
        });
    }

    /// How many keys and rows it remembers.
    fn len(&self) -> usize {
        self.keys.len() + self.rows.len()
    }

    /// Forgets half of them.
    fn thin(&mut self) {
        if self.keys.len() > self.rows.len() { self.keys.thin() } else { self.rows.thin() }
    }

    fn plan(&self, memory: &RowMemory, keys: [u64; 3]) -> GroupPlan {
        let mut plan = GroupPlan {
            contributions: self.contributions,
            key_uses: self.key_uses,
            keys,
            rows: self.rows.estimate(),
            ..GroupPlan::default()
        };
        for row in self.rows.values() {
            let item_bytes = row.item_bytes + u32::from(row.key_bytes);
            plan.row_bytes += memory.row(row.shape, usize::from(row.key_bytes), row.members) as u64;
            plan.items += u64::from(row.windows);
            plan.table_bytes += u64::from(item_bytes);
            plan.write_units += u64::from(row.windows) * u64::from(item_bytes.div_ceil(WRITE_UNIT_BYTES));
        }
        for sum in [&mut plan.row_bytes, &mut plan.items, &mut plan.table_bytes, &mut plan.write_units] {
            *sum *= self.rows.stands_for();
        }
        plan
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

/// An item of this feature as a run would publish it, but without its key.
fn typical_item(pipeline: &Pipeline, feature: &FeatureKey, time: EventTime) -> Item {
    // Decayed values and versions have as many digits as there can be.
    const VALUE: f64 = std::f64::consts::PI;
    const VERSION: Version = Version(u64::MAX >> 1);
    let group = pipeline.group(feature.group);
    let count = |decay_interval| Count {
        decay_interval,
        last_update: time,
        value: VALUE,
        squares: pipeline.needs_squares(&feature.name).then_some(VALUE),
        error: None,
    };
    let seconds = pipeline.event.time_unit.to_seconds(time.0);
    Item {
        key: String::new(),
        feature_name: feature.name.clone(),
        counts: group.decays.intervals().iter().map(|interval| (*interval, count(*interval))).collect(),
        version: VERSION,
        expires_at: group.ttl.map(|_| seconds),
        since: None,
    }
}
