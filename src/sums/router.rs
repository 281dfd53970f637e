//! One event -> what it adds to which keys and features.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::addition::{Additions, FeatureRef};
use super::event_keys::{EventKeys, KeyForm};
use super::identity::HashSeed;
use super::target::Target;
use crate::event::{Event, Reason};
use crate::findings::{LOOKS_PER_NAME, RouteTally};
use crate::pipeline::{Condition, FeatureKey, Group, GroupId, MAX_FEATURE_NAME_BYTES, MeasureId, Pipeline, RowShape};

/// Event names may be made up by whoever makes the events: beyond this many features, or so many bytes of names, the
/// router forgets them and learns anew those that still come.
const MAX_FEATURES: usize = 1 << 16;
const MAX_NAME_BYTES: usize = 4 << 20;

/// So many names that no group wants are kept in mind; then they are forgotten.
const MAX_UNWANTED_NAMES: usize = 1 << 12;

/// How many names the router has at hand without a look-up.
const RECENT_NAMES: usize = 64;

/// Finds out what events add, and to what: one addition for each measure and key of each group that wants the event.
///
/// It learns event names as they come; what a name needs is worked out once. Names that no group wants are kept apart, as
/// they may be forgotten at any time.
pub(crate) struct Router {
    pipeline: Arc<Pipeline>,
    seed: HashSeed,
    features: Vec<FeatureKey>,
    /// Where in `names` each name is.
    indices: HashMap<Box<[u8]>, usize, RandomState>,
    names: Vec<NameRoutes>,
    /// What the names and the features' names take, in bytes.
    name_bytes: usize,
    /// Since the last tally, how often each came.
    unwanted: HashMap<Box<[u8]>, u64, RandomState>,
    /// Where in `names` those are that came last, by a few of their bits.
    recent: [usize; RECENT_NAMES],
    last_is_new: bool,
    /// Where in `names` the last event's is that had keys.
    last: usize,
    /// The names that hold something for the tally.
    touched: Vec<usize>,
    tally: RouteTally,
    keys: EventKeys,
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
    /// The first group of the pipeline that is keyed so.
    group: GroupId,
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

impl Router {
    /// A router for this pipeline. All workers of all processes must share the seed.
    pub fn new(pipeline: Arc<Pipeline>, seed: HashSeed) -> Router {
        Router {
            tally: RouteTally::new(&pipeline),
            pipeline,
            seed,
            features: Vec::new(),
            indices: HashMap::with_hasher(RandomState::default()),
            names: Vec::new(),
            name_bytes: 0,
            unwanted: HashMap::with_hasher(RandomState::default()),
            recent: [0; RECENT_NAMES],
            last_is_new: false,
            last: 0,
            touched: Vec::new(),
            keys: EventKeys::default(),
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
            self.indices = HashMap::with_hasher(RandomState::default());
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

    /// Adds one event: to all its keys or, where it must not count, to none.
    ///
    /// Not inlined: decoding is, where it is called, and both together are too much for the compiler.
    #[inline(never)]
    pub fn route(&mut self, event: &Event<'_>, additions: &mut impl Additions) -> Result<(), Reason> {
        self.last_is_new = false;
        let Some(index) = self.index_of(event.name()) else {
            self.key_ends.clear();
            return Ok(());
        };
        let Router { pipeline, seed, names, touched, keys, key_ends, wanted, .. } = self;
        let name = &mut names[index];
        if name.events == 0 {
            touched.push(index);
        }
        name.events += 1;
        self.last_is_new = name.looks_left > 0;
        name.looks_left = name.looks_left.saturating_sub(1);
        let routes = name.keys.as_mut().map_err(|reason| *reason)?;
        keys.clear();
        key_ends.clear();
        wanted.clear();
        for key in routes.iter_mut() {
            let mut any = false;
            for group in &mut key.groups {
                let wants = group.wants(event);
                any |= wants;
                wanted.push(wants);
            }
            if any {
                keys.find(event, &key.form, *seed)?;
            }
            key_ends.push(keys.len());
        }
        // From here on the event counts.
        let mut start = 0;
        let mut wanted = wanted.as_slice();
        for (key, end) in routes.iter_mut().zip(key_ends) {
            let (wanted_here, others) = wanted.split_at(key.groups.len());
            wanted = others;
            for (group, _) in key.groups.iter_mut().zip(wanted_here).filter(|(_, wanted)| **wanted) {
                group.keyless += u64::from(start == *end);
                group.keys += (*end - start) as u64;
            }
            for index in start..*end {
                let (text, id) = keys.get(event, index);
                additions.begin_key(id, text, pipeline);
                for (group, _) in key.groups.iter_mut().zip(wanted_here).filter(|(_, wanted)| **wanted) {
                    group.add(event, *seed, additions);
                }
            }
            start = *end;
        }
        self.last = index;
        Ok(())
    }

    /// The keys of the event that was routed last, each with a group that is keyed so.
    pub fn last_keys<'a>(&'a self, event: &'a Event<'a>) -> impl Iterator<Item = (GroupId, &'a [u8])> {
        let routes = self.names.get(self.last).and_then(|name| name.keys.as_ref().ok()).into_iter().flatten();
        let mut start = 0;
        routes.zip(&self.key_ends).flat_map(move |(routes, end)| {
            let keys = std::mem::replace(&mut start, *end)..*end;
            keys.map(|index| (routes.group, self.keys.get(event, index).0))
        })
    }

    fn update_tally(&mut self) {
        for (name, events) in self.unwanted.iter_mut().filter(|(_, events)| **events > 0) {
            self.tally.add_name(name, std::mem::take(events));
        }
        for index in self.touched.drain(..) {
            let name = &mut self.names[index];
            let events = std::mem::take(&mut name.events);
            self.tally.add_name(&name.name, events);
            for group in name.keys.iter_mut().flatten().flat_map(|key| &mut key.groups) {
                group.hand_over(events, &self.features, &mut self.tally);
            }
        }
    }

    /// Where the name's routes are; `None` where no group wants events of this name.
    #[inline(always)]
    fn index_of(&mut self, name: &[u8]) -> Option<usize> {
        let recent = self.recent[recent_slot(name)];
        if self.names.get(recent).is_some_and(|routes| *routes.name == *name) {
            return Some(recent);
        }
        self.look_up(name)
    }

    #[inline]
    fn look_up(&mut self, name: &[u8]) -> Option<usize> {
        let index = match self.indices.get(name) {
            Some(index) => *index,
            None => match self.unwanted.get_mut(name) {
                Some(events) => {
                    *events += 1;
                    return None;
                }
                None => self.learn(name)?,
            },
        };
        self.recent[recent_slot(name)] = index;
        Some(index)
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
                self.add_targets(&mut keys, id, targets);
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
        self.indices.insert(name.into(), self.names.len() - 1);
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
            let shape = self.pipeline.shape(&key);
            let width = if shape == RowShape::Uniques { 1 } else { group.decays_of(shape).width() as u16 };
            let feature = FeatureRef { group: id, number: self.feature(key, event), shape, width };
            targets.push(Target::new(feature, weight, group, measure));
        }
        targets
    }

    /// The number of a feature; several event names make the same one where they are pooled.
    fn feature(&mut self, key: FeatureKey, event: &str) -> u32 {
        let pooled = !self.pipeline.group(key.group).feature.names_event() || self.pipeline.event_map.pools(event);
        let known = if pooled { self.features.iter().position(|feature| *feature == key) } else { None };
        let number = known.unwrap_or_else(|| {
            self.name_bytes += key.name.len();
            self.features.push(key);
            self.features.len() - 1
        });
        number as u32
    }

    /// Puts a group's targets among those of the groups with the same keys and the same conditions.
    fn add_targets(&self, keys: &mut Vec<KeyRoutes>, id: GroupId, targets: Vec<Target>) {
        let group = self.pipeline.group(id);
        let form = KeyForm::of(group, &self.pipeline.event, self.seed);
        let index = keys.iter().position(|key| key.form == form).unwrap_or_else(|| {
            keys.push(KeyRoutes { form, group: self.pipeline.first_keyed_like(id), groups: Vec::new() });
            keys.len() - 1
        });
        let groups = &mut keys[index].groups;
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
}

/// Which of the [recent](RECENT_NAMES) names this one might be: a hash that costs next to nothing, as names are few.
#[inline(always)]
fn recent_slot(name: &[u8]) -> usize {
    let byte = |byte: Option<&u8>| byte.map_or(0, |byte| u32::from(*byte));
    let bits = byte(name.first()) | byte(name.last()) << 8 | (name.len() as u32) << 16;
    (bits.wrapping_mul(0x9E37_79B1) >> 16) as usize % RECENT_NAMES
}

impl GroupRoutes {
    #[inline(always)]
    fn wants(&mut self, event: &Event<'_>) -> bool {
        for (condition, held) in self.conditions.iter().zip(&mut self.held) {
            if !condition.holds(event.key(condition.field)) {
                return false;
            }
            *held += 1;
        }
        true
    }

    /// Adds the event to one of its keys.
    #[inline(always)]
    fn add(&mut self, event: &Event<'_>, seed: HashSeed, additions: &mut impl Additions) {
        for target in &mut self.targets {
            if let Some(addition) = target.addition(event, seed) {
                additions.add(addition);
            }
        }
    }

    /// Adds what was counted of so many events to the tally of each group, and begins anew.
    fn hand_over(&mut self, events: u64, features: &[FeatureKey], tally: &mut RouteTally) {
        for targets in self.targets.chunk_by_mut(|one, other| one.feature.group == other.feature.group) {
            let group = tally.group_mut(targets[0].feature.group);
            group.events += events;
            group.keyless += self.keyless;
            group.keys += self.keys;
            for (sum, held) in group.held.iter_mut().zip(&self.held) {
                *sum += held;
            }
            for target in targets {
                let measure = features[target.feature.number as usize].measure;
                let measure = &mut group.measures[usize::from(measure.0)];
                measure.tried += self.keys;
                measure.missing += target.take_missing();
            }
        }
        (self.keyless, self.keys) = (0, 0);
        self.held.fill(0);
    }
}
