//! One event -> what it adds to which rows.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::identity::{FeatureHash, HashSeed, RowId};
use super::window_sums::WindowSums;
use crate::event::{Event, FieldId, Reason};
use crate::pipeline::{FeatureKey, Group, GroupId, MeasureId, Pipeline, append_key};

/// The longest key, in bytes: DynamoDB's limit, whatever the sink.
pub const MAX_KEY_BYTES: usize = 2048;
/// The longest feature name, in bytes: DynamoDB's limit, whatever the sink.
pub const MAX_FEATURE_NAME_BYTES: usize = 1024;

/// Event names may be made up by whoever makes the events: beyond this many features the router
/// forgets them and learns anew those that still come.
const MAX_FEATURES: usize = 1 << 16;

/// Turns events into contributions: one for each measure of each group that wants the event.
///
/// It learns event names as they come; what a name needs is worked out once.
pub struct Router {
    pipeline: Arc<Pipeline>,
    seed: HashSeed,
    features: Vec<RoutedFeature>,
    places: HashMap<Box<[u8]>, usize, RandomState>,
    names: Vec<NameRoutes>,
    /// The name of the last event: names come in runs.
    last: usize,
    key_text: Vec<u8>,
    key_ranges: Vec<Option<KeyText>>,
}

/// A feature that the router has made, by its place in [`Router::features`].
pub struct RoutedFeature {
    /// What distinguishes it.
    pub key: FeatureKey,
    hash: FeatureHash,
}

/// What an event of one name adds to.
struct NameRoutes {
    name: Box<[u8]>,
    keys: Result<Vec<KeyRoutes>, Reason>,
}

/// What it adds to under one key: groups with the same key fields share the key's text and hash.
struct KeyRoutes {
    fields: Vec<FieldId>,
    targets: Vec<Target>,
}

struct Target {
    feature: u32,
    group: GroupId,
    weight: Option<FieldId>,
}

/// Where a key's text lies while its event is routed.
#[derive(Clone, Copy)]
enum KeyText {
    /// The field's own text.
    Field(FieldId),
    /// Joined in the router's buffer.
    Joined { start: usize, end: usize },
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
            last: 0,
            key_text: Vec::new(),
            key_ranges: Vec::new(),
        }
    }

    /// The features that were made since the last [`Router::forget_if_many`].
    pub fn features(&self) -> &[RoutedFeature] {
        &self.features
    }

    /// Forgets all names if there are very many. Only when no sums refer to the features.
    pub fn forget_if_many(&mut self) {
        if self.features.len() > MAX_FEATURES || self.names.len() > MAX_FEATURES {
            self.features.clear();
            self.places.clear();
            self.names.clear();
        }
    }

    /// Adds one event to the sums of the open window: to all its rows or, where it must not count,
    /// to none.
    pub fn route(&mut self, event: &Event<'_>, sums: &mut WindowSums, tally: &mut RouteTally) -> Result<(), Reason> {
        let place = self.place_of(event.name());
        let routes = self.names[place].keys.as_ref().map_err(|reason| *reason)?;
        self.key_text.clear();
        self.key_ranges.clear();
        for key in routes {
            let text = find_key(event, &key.fields, &mut self.key_text)?;
            self.key_ranges.push(text);
        }
        for (key, text) in routes.iter().zip(&self.key_ranges) {
            let text = match *text {
                Some(KeyText::Field(field)) => event.key(field).unwrap_or_default(),
                Some(KeyText::Joined { start, end }) => &self.key_text[start..end],
                None => {
                    tally.missing_keys += 1;
                    continue;
                }
            };
            let key_hash = self.seed.key(text);
            for target in &key.targets {
                let Some(weight) = target.weight.map_or(Some(1.0), |field| event.value(field)) else {
                    tally.missing_values += 1;
                    continue;
                };
                let row = RowId::new(key_hash, self.features[target.feature as usize].hash);
                let decays = &self.pipeline.group(target.group).decays;
                sums.add(row, target.feature, decays, text, event.time(), weight);
            }
        }
        Ok(())
    }

    fn place_of(&mut self, name: &[u8]) -> usize {
        if self.names.get(self.last).is_some_and(|routes| *routes.name == *name) {
            return self.last;
        }
        self.last = match self.places.get(name) {
            Some(place) => *place,
            None => self.learn(name),
        };
        self.last
    }

    /// Works out what events of this name add to.
    fn learn(&mut self, name: &[u8]) -> usize {
        let mut keys: Vec<KeyRoutes> = Vec::new();
        let mut verdict = Ok(());
        let text = String::from_utf8_lossy(name).into_owned();
        let pipeline = Arc::clone(&self.pipeline);
        for (id, group) in (0u16..).map(GroupId).zip(&pipeline.groups).filter(|(_, group)| group.events.selects(&text))
        {
            let targets = self.targets(id, group, &text, &mut verdict);
            if targets.is_empty() {
                continue;
            }
            match keys.iter_mut().find(|key| key.fields == group.key) {
                Some(key) => key.targets.extend(targets),
                None => keys.push(KeyRoutes { fields: group.key.clone(), targets }),
            }
        }
        self.names.push(NameRoutes { name: name.into(), keys: verdict.map(|()| keys) });
        self.places.insert(name.into(), self.names.len() - 1);
        self.names.len() - 1
    }

    fn targets(&mut self, id: GroupId, group: &Group, event: &str, verdict: &mut Result<(), Reason>) -> Vec<Target> {
        let mut targets = Vec::with_capacity(group.measures.len());
        for (measure_id, measure) in (0u16..).map(MeasureId).zip(&group.measures) {
            let key = FeatureKey { group: id, measure: measure_id, name: group.feature_name(event, measure_id) };
            if !self.pipeline.keeps(&key.name) {
                continue;
            }
            if key.name.len() > MAX_FEATURE_NAME_BYTES {
                *verdict = Err(Reason::FeatureNameTooLong);
            }
            let feature = self.feature(key);
            targets.push(Target { feature, group: id, weight: measure.weight });
        }
        targets
    }

    /// The place of a feature; several event names make the same one where they are pooled.
    fn feature(&mut self, key: FeatureKey) -> u32 {
        let pooled = !self.pipeline.group(key.group).feature.names_event();
        let known = if pooled { self.features.iter().position(|feature| feature.key == key) } else { None };
        let place = known.unwrap_or_else(|| {
            let hash = self.seed.feature(&key);
            self.features.push(RoutedFeature { key, hash });
            self.features.len() - 1
        });
        place as u32
    }
}

/// The key's text, `None` where a field of it is missing.
fn find_key(event: &Event<'_>, fields: &[FieldId], joined: &mut Vec<u8>) -> Result<Option<KeyText>, Reason> {
    let start = joined.len();
    let (text, length) = if let [field] = fields {
        let Some(text) = event.key(*field) else { return Ok(None) };
        (KeyText::Field(*field), text.len())
    } else {
        if fields.iter().any(|field| event.key(*field).is_none()) {
            return Ok(None);
        }
        append_key(fields.iter().map(|field| event.key(*field).unwrap_or_default()), joined);
        (KeyText::Joined { start, end: joined.len() }, joined.len() - start)
    };
    if length > MAX_KEY_BYTES { Err(Reason::KeyTooLong) } else { Ok(Some(text)) }
}
