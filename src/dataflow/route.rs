//! One event -> what it adds to which rows.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::identity::{FeatureHash, HashSeed, KeyHash, RowId};
use super::keys::{KeyForm, Keys};
use super::window_sums::{WaitingKey, WindowSums};
use crate::counter::MemberHash;
use crate::event::{Event, FieldId, Reason};
use crate::findings::{LOOKS_PER_NAME, RouteTally};
use crate::pipeline::{Condition, FeatureKey, Group, GroupId, Measure, MeasureId, Pipeline, RowShape};

/// The longest feature name, in bytes: DynamoDB's limit, whatever the sink.
pub const MAX_FEATURE_NAME_BYTES: usize = 1024;

/// Event names may be made up by whoever makes the events: beyond this many features, or so many bytes of names, the
/// router forgets them and learns anew those that still come.
const MAX_FEATURES: usize = 1 << 16;
const MAX_NAME_BYTES: usize = 4 << 20;

/// So many names that no group wants are kept in mind; then they are forgotten.
const MAX_UNWANTED_NAMES: usize = 1 << 12;

/// Turns events into contributions: one for each measure and key of each group that wants the event.
///
/// It learns event names as they come; what a name needs is worked out once. Names that no group wants are kept apart, as
/// they may be forgotten at any time.
pub struct Router {
    pipeline: Arc<Pipeline>,
    seed: HashSeed,
    features: Vec<FeatureKey>,
    places: HashMap<Box<[u8]>, usize, RandomState>,
    names: Vec<NameRoutes>,
    /// What the names and the features' names take, in bytes.
    name_bytes: usize,
    /// Since the last tally, how often each came.
    unwanted: HashMap<Box<[u8]>, u64, RandomState>,
    /// The name of the last event: names come in runs.
    last: usize,
    last_is_new: bool,
    /// The names that hold something for the tally.
    touched: Vec<usize>,
    tally: RouteTally,
    keys: Keys,
    /// Where the keys of each form end in `keys`.
    key_ends: Vec<usize>,
    /// For each group of each form, whether it wants the event.
    wanted: Vec<bool>,
}

/// What an event of one name adds to.
struct NameRoutes {
    name: Box<[u8]>,
    keys: Result<Vec<KeyRoutes>, Reason>,
    /// Since the last tally, as are the numbers of the groups.
    events: u64,
    looks_left: u32,
}

/// What it adds to under the keys of one form: groups that are keyed alike share texts and hashes.
struct KeyRoutes {
    form: KeyForm,
    groups: Vec<GroupRoutes>,
}

/// What it adds to under the same conditions: mostly there are none.
struct GroupRoutes {
    conditions: Vec<Condition>,
    /// Those of one group stand together.
    targets: Vec<Target>,
    /// See [`crate::findings::GroupTally`] for these three.
    held: Vec<u64>,
    keyless: u64,
    keys: u64,
}

struct Target {
    rows: Rows,
    /// That of the rows' feature.
    hash: FeatureHash,
    amount: AmountOf,
    missing: u64,
}

/// Which rows a target's events go to.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Their group.
    pub group: GroupId,
    /// Their feature, by its place in [`Router::features`].
    pub feature: u32,
    /// What they hold.
    pub shape: RowShape,
}

/// What one event adds to a row.
#[derive(Clone, Copy, Debug)]
pub enum EventAmount {
    /// This weight.
    Weight(f64),
    /// This member.
    Member(MemberHash),
}

/// How an event says what it adds.
enum AmountOf {
    /// By its weight.
    Weight(Weight),
    /// By a member in this field, unless its weight takes something back.
    Member(FieldId, Weight),
}

/// Why an event adds nothing to a row.
enum NothingToAdd {
    /// A field that says it is missing.
    Missing,
    /// Uniques take nothing back.
    Retraction,
}

/// What an event weighs in one measure.
enum Weight {
    /// The weight that its name has.
    Constant(f64),
    /// The value of a field.
    Field(FieldId),
    /// The weight that its name has, times the values of these fields.
    Product(f64, Vec<FieldId>),
}

impl Router {
    /// A router for this pipeline. All workers of all processes must share the seed.
    pub fn new(pipeline: Arc<Pipeline>, seed: HashSeed) -> Router {
        Router {
            tally: RouteTally::new(&pipeline),
            pipeline,
            seed,
            features: Vec::new(),
            places: HashMap::with_hasher(RandomState::default()),
            names: Vec::new(),
            name_bytes: 0,
            unwanted: HashMap::with_hasher(RandomState::default()),
            last: 0,
            last_is_new: false,
            touched: Vec::new(),
            keys: Keys::default(),
            key_ends: Vec::new(),
            wanted: Vec::new(),
        }
    }

    /// The features that were made since the last [`Router::forget_if_many`].
    pub fn features(&self) -> &[FeatureKey] {
        &self.features
    }

    /// Forgets all names if there are very many. Only when no sums refer to the features.
    pub fn forget_if_many(&mut self) {
        let names = self.features.len().max(self.names.len());
        if names > MAX_FEATURES || self.name_bytes > MAX_NAME_BYTES {
            self.update_tally();
            // With their memory.
            self.features = Vec::new();
            self.places = HashMap::with_hasher(RandomState::default());
            self.names = Vec::new();
            self.name_bytes = 0;
        }
    }

    /// What was counted since the tally was last emptied.
    pub fn tally(&mut self) -> &mut RouteTally {
        self.update_tally();
        &mut self.tally
    }

    /// Whether the last event is one of the first of its name, which are looked at, and some group wants it.
    #[inline]
    pub fn is_worth_a_look(&self) -> bool {
        self.last_is_new
    }

    /// Adds one event to the sums of the open window: to all its rows or, where it must not count,
    /// to none.
    pub fn route(&mut self, event: &Event<'_>, sums: &mut WindowSums) -> Result<(), Reason> {
        self.last_is_new = false;
        let Some(place) = self.place_of(event.name()) else { return Ok(()) };
        let Router { pipeline, seed, names, touched, keys, key_ends, wanted, .. } = self;
        let name = &mut names[place];
        if name.events == 0 {
            touched.push(place);
        }
        name.events += 1;
        self.last_is_new = name.looks_left > 0;
        name.looks_left = name.looks_left.saturating_sub(1);
        let routes = name.keys.as_mut().map_err(|reason| *reason)?;
        keys.clear();
        key_ends.clear();
        wanted.clear();
        for key in routes.iter_mut() {
            let first = wanted.len();
            wanted.extend(key.groups.iter_mut().map(|group| group.wants(event)));
            if wanted[first..].contains(&true) {
                keys.find(event, &key.form, *seed)?;
            }
            key_ends.push(keys.len());
        }
        // From here on the event counts.
        let mut start = 0;
        let mut wanted = wanted.iter();
        for (key, end) in routes.iter_mut().zip(key_ends) {
            for (group, _) in key.groups.iter_mut().zip(wanted.by_ref()).filter(|(_, wanted)| **wanted) {
                group.keyless += u64::from(start == *end);
                group.keys += (*end - start) as u64;
                for place in start..*end {
                    let (text, hash) = keys.get(event, place);
                    let text = sums.key(text, pipeline);
                    group.add(event, text, hash, *seed, sums);
                }
            }
            start = *end;
        }
        Ok(())
    }

    fn update_tally(&mut self) {
        for (name, events) in self.unwanted.iter_mut().filter(|(_, events)| **events > 0) {
            self.tally.add_name(name, std::mem::take(events));
        }
        for place in self.touched.drain(..) {
            let name = &mut self.names[place];
            let events = std::mem::take(&mut name.events);
            self.tally.add_name(&name.name, events);
            for group in name.keys.iter_mut().flatten().flat_map(|key| &mut key.groups) {
                group.hand_over(events, &self.features, &mut self.tally);
            }
        }
    }

    /// The place of the name's routes; `None` where no group wants events of this name.
    fn place_of(&mut self, name: &[u8]) -> Option<usize> {
        if self.names.get(self.last).is_some_and(|routes| *routes.name == *name) {
            return Some(self.last);
        }
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => match self.unwanted.get_mut(name) {
                Some(events) => {
                    *events += 1;
                    return None;
                }
                None => self.learn(name)?,
            },
        };
        self.last = place;
        Some(place)
    }

    /// Works out what events of this name add to.
    fn learn(&mut self, name: &[u8]) -> Option<usize> {
        let mut keys: Vec<KeyRoutes> = Vec::new();
        let mut verdict = Ok(());
        let text = String::from_utf8_lossy(name).into_owned();
        let pipeline = Arc::clone(&self.pipeline);
        let (event, weight) = pipeline.event_map.of(&text);
        let wanted = |(_, group): &(GroupId, &Group)| group.events.selects(event);
        for (id, group) in (0u16..).map(GroupId).zip(&pipeline.groups).filter(wanted) {
            let targets = self.targets(id, group, event, weight, &mut verdict);
            if !targets.is_empty() {
                add_targets(&mut keys, group, targets);
            }
        }
        if keys.is_empty() && verdict.is_ok() {
            if self.unwanted.len() == MAX_UNWANTED_NAMES {
                self.update_tally();
                self.unwanted.clear();
            }
            self.unwanted.insert(name.into(), 1);
            return None;
        }
        let keys = verdict.map(|()| keys);
        self.names.push(NameRoutes { name: name.into(), keys, events: 0, looks_left: LOOKS_PER_NAME });
        self.places.insert(name.into(), self.names.len() - 1);
        self.name_bytes += 2 * name.len();
        Some(self.names.len() - 1)
    }

    fn targets(
        &mut self,
        id: GroupId,
        group: &Group,
        event: &str,
        weight: f64,
        verdict: &mut Result<(), Reason>,
    ) -> Vec<Target> {
        let mut targets = Vec::with_capacity(group.measures.len());
        for (measure_id, measure) in (0u16..).map(MeasureId).zip(&group.measures) {
            let key = FeatureKey { group: id, measure: measure_id, name: group.feature_name(event, measure_id) };
            if !self.pipeline.keeps(&key.name) {
                continue;
            }
            if key.name.len() > MAX_FEATURE_NAME_BYTES {
                *verdict = Err(Reason::FeatureNameTooLong);
            }
            // Uniques take nothing back: nobody knows whether the member was seen otherwise.
            if measure.members.is_some() && group.weight.is_none() && weight < 0.0 {
                continue;
            }
            let weight = Weight::new(weight, group, measure);
            let amount = match measure.members {
                Some(field) => AmountOf::Member(field, weight),
                None => AmountOf::Weight(weight),
            };
            let shape = self.pipeline.shape(&key);
            let hash = self.seed.feature(&key);
            let rows = Rows { group: id, feature: self.feature(key, event), shape };
            targets.push(Target { rows, hash, amount, missing: 0 });
        }
        targets
    }

    /// The place of a feature; several event names make the same one where they are pooled.
    fn feature(&mut self, key: FeatureKey, event: &str) -> u32 {
        let pooled = !self.pipeline.group(key.group).feature.names_event() || self.pipeline.event_map.pools(event);
        let known = if pooled { self.features.iter().position(|feature| *feature == key) } else { None };
        let place = known.unwrap_or_else(|| {
            self.name_bytes += key.name.len();
            self.features.push(key);
            self.features.len() - 1
        });
        place as u32
    }
}

/// Puts a group's targets among those of the groups with the same keys and the same conditions.
fn add_targets(keys: &mut Vec<KeyRoutes>, group: &Group, targets: Vec<Target>) {
    let form = KeyForm::of(group);
    let place = keys.iter().position(|key| key.form == form).unwrap_or_else(|| {
        keys.push(KeyRoutes { form, groups: Vec::new() });
        keys.len() - 1
    });
    let groups = &mut keys[place].groups;
    match groups.iter_mut().find(|known| known.conditions == group.conditions) {
        Some(known) => known.targets.extend(targets),
        None => groups.push(GroupRoutes {
            held: vec![0; group.conditions.len()],
            conditions: group.conditions.clone(),
            targets,
            keyless: 0,
            keys: 0,
        }),
    }
}

impl GroupRoutes {
    #[inline]
    fn wants(&mut self, event: &Event<'_>) -> bool {
        for (condition, held) in self.conditions.iter().zip(&mut self.held) {
            if !condition.holds(event.key(condition.field)) {
                return false;
            }
            *held += 1;
        }
        true
    }

    /// Adds the event to the rows of one of its keys.
    #[inline]
    fn add(&mut self, event: &Event<'_>, key: WaitingKey, hash: KeyHash, seed: HashSeed, sums: &mut WindowSums) {
        for target in &mut self.targets {
            match target.amount.of(event, seed) {
                Ok(amount) => sums.add(RowId::new(hash, target.hash), target.rows, key, event.time(), amount),
                Err(NothingToAdd::Missing) => target.missing += 1,
                Err(NothingToAdd::Retraction) => {}
            }
        }
    }

    /// Adds what was counted of so many events to the tally of each group, and begins anew.
    fn hand_over(&mut self, events: u64, features: &[FeatureKey], tally: &mut RouteTally) {
        for targets in self.targets.chunk_by_mut(|one, other| one.rows.group == other.rows.group) {
            let group = tally.group_mut(targets[0].rows.group);
            group.events += events;
            group.keyless += self.keyless;
            group.keys += self.keys;
            for (sum, held) in group.held.iter_mut().zip(&self.held) {
                *sum += held;
            }
            for target in targets {
                let measure = features[target.rows.feature as usize].measure;
                let measure = &mut group.measures[usize::from(measure.0)];
                measure.tried += self.keys;
                measure.missing += std::mem::take(&mut target.missing);
            }
        }
        (self.keyless, self.keys) = (0, 0);
        self.held.fill(0);
    }
}

impl AmountOf {
    /// What the event adds, if anything.
    #[inline]
    fn of(&self, event: &Event<'_>, seed: HashSeed) -> Result<EventAmount, NothingToAdd> {
        match self {
            AmountOf::Weight(weight) => Ok(EventAmount::Weight(weight.of(event).ok_or(NothingToAdd::Missing)?)),
            AmountOf::Member(field, weight) => {
                let text = event.key(*field).ok_or(NothingToAdd::Missing)?;
                match weight.of(event).ok_or(NothingToAdd::Missing)? {
                    weight if weight < 0.0 => Err(NothingToAdd::Retraction),
                    _ => Ok(EventAmount::Member(seed.member(text))),
                }
            }
        }
    }
}

impl Weight {
    fn new(constant: f64, group: &Group, measure: &Measure) -> Weight {
        let fields: Vec<FieldId> = group.weight.into_iter().chain(measure.weight).collect();
        match fields.as_slice() {
            [] => Weight::Constant(constant),
            [field] if constant == 1.0 => Weight::Field(*field),
            _ => Weight::Product(constant, fields),
        }
    }

    /// `None` where a field is missing.
    #[inline]
    fn of(&self, event: &Event<'_>) -> Option<f64> {
        match self {
            Weight::Constant(weight) => Some(*weight),
            Weight::Field(field) => event.value(*field),
            Weight::Product(constant, fields) => {
                let values = fields.iter().map(|field| event.value(*field));
                values.into_iter().try_fold(*constant, |product, value| Some(times(product, value?)))
            }
        }
    }
}

/// The product, held within the finite numbers like every sum of weights; 0 is never -0.
fn times(one: f64, other: f64) -> f64 {
    (one * other).clamp(-f64::MAX, f64::MAX) + 0.0
}
