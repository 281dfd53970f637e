//! One event -> what it adds to which rows.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use super::identity::{FeatureHash, HashSeed, RowId};
use super::keys::{KeyForm, Keys};
use super::window_sums::WindowSums;
use crate::counter::MemberHash;
use crate::event::{Event, FieldId, Reason};
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
    unwanted: HashSet<Box<[u8]>, RandomState>,
    /// The name of the last event: names come in runs.
    last: usize,
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
}

/// What it adds to under the keys of one form: groups that are keyed alike share texts and hashes.
struct KeyRoutes {
    form: KeyForm,
    groups: Vec<GroupRoutes>,
}

/// What it adds to under the same conditions: mostly there are none.
struct GroupRoutes {
    conditions: Vec<Condition>,
    targets: Vec<Target>,
}

struct Target {
    rows: Rows,
    /// That of the rows' feature.
    hash: FeatureHash,
    amount: AmountOf,
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

/// What was counted on the way, to be added to the metrics once per block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteTally {
    /// See [`crate::telemetry::Metrics::missing_keys`].
    pub missing_keys: u64,
    /// See [`crate::telemetry::Metrics::missing_values`].
    pub missing_values: u64,
}

impl Router {
    /// A router for this pipeline. All workers of all processes must share the seed.
    pub fn new(pipeline: Arc<Pipeline>, seed: HashSeed) -> Router {
        Router {
            pipeline,
            seed,
            features: Vec::new(),
            places: HashMap::with_hasher(RandomState::default()),
            names: Vec::new(),
            name_bytes: 0,
            unwanted: HashSet::with_hasher(RandomState::default()),
            last: 0,
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
            // With their memory.
            self.features = Vec::new();
            self.places = HashMap::with_hasher(RandomState::default());
            self.names = Vec::new();
            self.name_bytes = 0;
        }
    }

    /// Adds one event to the sums of the open window: to all its rows or, where it must not count,
    /// to none.
    pub fn route(&mut self, event: &Event<'_>, sums: &mut WindowSums, tally: &mut RouteTally) -> Result<(), Reason> {
        let Some(place) = self.place_of(event.name()) else { return Ok(()) };
        let routes = self.names[place].keys.as_ref().map_err(|reason| *reason)?;
        self.keys.clear();
        self.key_ends.clear();
        self.wanted.clear();
        let mut missing_keys = 0;
        for key in routes {
            let first = self.wanted.len();
            self.wanted.extend(key.groups.iter().map(|group| group.wants(event)));
            if self.wanted[first..].contains(&true) {
                self.keys.find(event, &key.form, self.seed)?;
                missing_keys += u64::from(self.keys.len() == self.key_ends.last().copied().unwrap_or(0));
            }
            self.key_ends.push(self.keys.len());
        }
        // From here on the event counts.
        tally.missing_keys += missing_keys;
        let mut start = 0;
        let mut wanted = self.wanted.iter();
        for (key, end) in routes.iter().zip(&self.key_ends) {
            for (group, _) in key.groups.iter().zip(wanted.by_ref()).filter(|(_, wanted)| **wanted) {
                for place in start..*end {
                    self.add(event, place, &group.targets, sums, tally);
                }
            }
            start = *end;
        }
        Ok(())
    }

    /// Adds the event to the rows of one of its keys.
    #[inline]
    fn add(&self, event: &Event<'_>, key: usize, targets: &[Target], sums: &mut WindowSums, tally: &mut RouteTally) {
        let (text, hash) = self.keys.get(event, key);
        let text = sums.key(text, &self.pipeline);
        for target in targets {
            match target.amount.of(event, self.seed) {
                Ok(amount) => sums.add(RowId::new(hash, target.hash), target.rows, text, event.time(), amount),
                Err(NothingToAdd::Missing) => tally.missing_values += 1,
                Err(NothingToAdd::Retraction) => {}
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
            None if self.unwanted.contains(name) => return None,
            None => self.learn(name)?,
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
                self.unwanted.clear();
            }
            self.unwanted.insert(name.into());
            return None;
        }
        self.names.push(NameRoutes { name: name.into(), keys: verdict.map(|()| keys) });
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
            targets.push(Target { rows: Rows { group: id, feature: self.feature(key, event), shape }, hash, amount });
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
        None => groups.push(GroupRoutes { conditions: group.conditions.clone(), targets }),
    }
}

impl GroupRoutes {
    #[inline]
    fn wants(&self, event: &Event<'_>) -> bool {
        self.conditions.iter().all(|condition| condition.holds(event.key(condition.field)))
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
