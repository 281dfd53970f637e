//! The features that a worker's rows belong to.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::held::Held;
use super::marks::RhythmId;
use super::record::{FeatureHash, RecordedFeature};
use super::shown::shown_words;
use crate::counter::{Decays, EventTime};
use crate::pipeline::{
    Beginnings, FeatureKey, Group, GroupId, HoldBack, MeasureId, NOTHING_LEFT_AFTER, Pipeline, RowShape,
};
use crate::sink::dynamodb::{typical_bytes_in_key, typical_item_bytes, write_units};
use crate::telemetry::GroupHoldings;

/// Numbers features, and forgets those that no row belongs to any more: event names, and with them
/// feature names, may be made up by whoever makes the events.
#[derive(Debug, Default)]
pub(super) struct FeatureTable {
    numbers: HashMap<String, u32, RandomState>,
    entries: Vec<Feature>,
    free: Vec<u32>,
    /// What makes features, each once.
    makers: HashMap<(GroupId, MeasureId), Arc<Maker>, RandomState>,
    /// The bytes of all names; each is kept twice.
    name_bytes: usize,
    /// Since when those count that were added to a state.
    beginnings: Beginnings,
    /// What there is of each group.
    held: Held,
}

/// A feature, with what it takes to work on its rows.
#[derive(Debug)]
pub(super) struct Feature {
    pub key: FeatureKey,
    /// The first of the groups that are keyed like its own.
    keyed_like: GroupId,
    /// It was added to a state then, and counts nothing from before.
    pub since: Option<EventTime>,
    pub shape: RowShape,
    /// The algebra of its rows of values.
    pub decays: Decays,
    /// How many words its rows have that hold more than a single event.
    pub width: usize,
    /// How long after its last update a row stays in memory, in time units; `None`: for ever.
    pub kept_for: Option<i64>,
    /// How often its rows are published.
    pub rhythm: RhythmId,
    /// Changes of up to this are held back; 0: none.
    pub min_change: f64,
    /// For at most so long, in milliseconds.
    pub max_age: u64,
    /// How many words behind its own a row has that holds more than a single event, for what its item shows.
    pub shown_words: usize,
    /// How large its items are in DynamoDB, without their keys, where a rate is held.
    pub item_bytes: usize,
    /// What it takes in an item of its whole key, likewise.
    pub bytes_in_key: usize,
    /// Names it in checkpoints.
    pub hash: FeatureHash,
    maker: Arc<Maker>,
    /// The last snapshot that holds rows of it.
    named_in: u32,
    rows: u64,
}

/// What makes features.
#[derive(Debug)]
struct Maker {
    group: String,
    measure: String,
}

impl Feature {
    fn new(key: &FeatureKey, since: Option<EventTime>, maker: Arc<Maker>, pipeline: &Pipeline) -> Feature {
        let (group, shape) = (pipeline.group(key.group), pipeline.shape(key));
        let decays = group.decays_of(shape).clone();
        let width = if shape == RowShape::Uniques { 1 } else { decays.width() };
        let rhythm = RhythmId(pipeline.publish.rhythm_of(group));
        let has_budget = pipeline.dynamodb.budget_wcu.is_some();
        let HoldBack { min_change, max_age } = pipeline.publish.held_back_of(group);
        let mut feature = Feature {
            key: key.clone(),
            keyed_like: pipeline.first_keyed_like(key.group),
            since,
            shape,
            // Uniques show no squares.
            shown_words: if pipeline.remembers(group) { shown_words(decays.width()) } else { 0 },
            item_bytes: if has_budget { typical_item_bytes(pipeline, key) } else { 0 },
            bytes_in_key: if has_budget { typical_bytes_in_key(pipeline, key) } else { 0 },
            decays,
            width,
            kept_for: kept_for(group),
            rhythm,
            min_change,
            max_age: u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX),
            hash: FeatureHash(0),
            maker,
            named_in: 0,
            rows: 0,
        };
        feature.hash = FeatureHash::of(&feature.recorded());
        feature
    }

    fn recorded(&self) -> RecordedFeature {
        RecordedFeature {
            name: self.key.name.clone(),
            group: self.maker.group.clone(),
            measure: self.maker.measure.clone(),
            shape: self.shape,
            intervals: self.decays.intervals().to_vec(),
        }
    }

    /// How many words a row of it has for what it counts.
    #[inline]
    pub fn words(&self, single: bool) -> usize {
        if single { 1 } else { self.width }
    }

    /// The write units that an item of it takes whose key has so long a text.
    pub fn units(&self, text_length: usize) -> u64 {
        write_units(self.item_bytes + text_length)
    }

    /// How many words a row of it has in all, behind its last update.
    #[inline]
    pub fn all_words(&self, single: bool) -> usize {
        if single { 1 } else { self.width + self.shown_words }
    }
}

/// How long after its last update a row stays in memory, in time units; `None`: for ever.
///
/// Longer than its ttl, by the time in which a value comes to nothing (`e^-40`): an event that is
/// nearly a ttl late would else bring back a row as alive, without what was in it shortly before.
fn kept_for(group: &Group) -> Option<i64> {
    let ttl = group.ttl?;
    ttl.checked_add(group.longest_decay().saturating_mul(NOTHING_LEFT_AFTER).min(ttl))
}

impl FeatureTable {
    /// Says since when features count that were added to a state.
    pub fn begin(&mut self, beginnings: Beginnings, pipeline: &Pipeline) {
        // Those without a row here, too: it may come later, and other workers have some.
        for feature in &mut self.entries {
            feature.since = beginnings.of_feature(&feature.key, pipeline);
        }
        self.beginnings = beginnings;
    }

    /// Since when features count that were added to a state.
    pub fn beginnings(&self) -> &Beginnings {
        &self.beginnings
    }

    /// The number of a feature. It holds until the last row is taken from the feature.
    pub fn number_of(&mut self, key: &FeatureKey, pipeline: &Pipeline) -> u32 {
        if let Some(number) = self.numbers.get(&key.name) {
            return *number;
        }
        self.name_bytes += 2 * key.name.len();
        let since = self.beginnings.of_feature(key, pipeline);
        let feature = Feature::new(key, since, self.maker(key, pipeline), pipeline);
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number as usize] = feature;
                number
            }
            None => {
                self.entries.push(feature);
                (self.entries.len() - 1) as u32
            }
        };
        self.numbers.insert(key.name.clone(), number);
        number
    }

    fn maker(&mut self, key: &FeatureKey, pipeline: &Pipeline) -> Arc<Maker> {
        let maker = self.makers.entry((key.group, key.measure)).or_insert_with(|| {
            let group = pipeline.group(key.group);
            Arc::new(Maker { group: group.name.clone(), measure: group.measure(key.measure).name.clone() })
        });
        Arc::clone(maker)
    }

    /// The feature with this number.
    #[inline]
    pub fn get(&self, number: u32) -> &Feature {
        &self.entries[number as usize]
    }

    /// What a snapshot must say of a feature, a row of which it holds; nothing where it has said so.
    #[inline]
    pub fn name_in(&mut self, number: u32, snapshot: u32) -> Option<RecordedFeature> {
        let feature = &mut self.entries[number as usize];
        let is_new = std::mem::replace(&mut feature.named_in, snapshot) != snapshot;
        is_new.then(|| feature.recorded())
    }

    /// A row was added to the feature, with so many words behind its last update.
    pub fn add_row(&mut self, number: u32, words: usize) {
        let feature = &mut self.entries[number as usize];
        feature.rows += 1;
        self.held.add_row(feature.key.group, words);
    }

    /// What a row of it has takes so many bytes more, or less.
    #[inline]
    pub fn grow(&mut self, number: u32, bytes: isize) {
        self.held.grow(self.entries[number as usize].key.group, bytes);
    }

    /// A key was added that has a row of the feature.
    pub fn add_key(&mut self, number: u32) {
        self.held.add_key(self.entries[number as usize].keyed_like);
    }

    /// A key is about to go that has a row of the feature.
    pub fn remove_key(&mut self, number: u32) {
        self.held.remove_key(self.entries[number as usize].keyed_like);
    }

    /// A row with so many words was taken from the feature; the last one takes the feature along.
    pub fn remove_row(&mut self, number: u32, words: usize) {
        let feature = &mut self.entries[number as usize];
        self.held.remove_row(feature.key.group, words);
        feature.rows -= 1;
        if feature.rows == 0 {
            self.numbers.remove(&feature.key.name);
            self.name_bytes -= 2 * feature.key.name.len();
            feature.key.name = String::new();
            self.free.push(number);
        }
    }

    /// Gives back what is not needed any more, after very many features: their numbers at the end, and the room of
    /// their names.
    pub fn give_back(&mut self) {
        const WORTH_IT: usize = 1024;
        if self.numbers.capacity() > WORTH_IT.max(4 * self.numbers.len()) {
            self.numbers.shrink_to(2 * self.numbers.len());
        }
        if self.free.len() > WORTH_IT.max(self.entries.len() / 2) {
            while self.entries.pop_if(|feature| feature.rows == 0).is_some() {}
            let numbers = self.entries.len() as u32;
            self.free.retain(|number| *number < numbers);
            // The lowest ones are given first, so that those at the end become free.
            self.free.sort_unstable_by(|one, other| other.cmp(one));
            self.free.shrink_to(2 * self.free.len());
            self.entries.shrink_to(2 * self.entries.len());
        }
    }

    /// What there is of each group, by their places in the pipeline file, as far as there was anything.
    pub fn held(&self) -> &[GroupHoldings] {
        self.held.groups()
    }

    /// The bytes that it takes.
    pub fn allocated_bytes(&self) -> usize {
        let numbers = self.numbers.capacity() * (size_of::<(String, u32)>() + 1);
        let entries = self.entries.capacity() * size_of::<Feature>() + self.free.capacity() * size_of::<u32>();
        numbers + entries + self.name_bytes
    }

    /// How many numbers are given, including free ones.
    pub fn numbers(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::pipeline::{Changes, MeasureId};
    use crate::sink::fixtures;

    #[test]
    fn a_feature_that_has_a_number_and_no_row_yet_counts_since_then_too() {
        let pipeline = fixtures::pipeline();
        let key = |name: &str| FeatureKey { group: GroupId(0), measure: MeasureId(0), name: name.to_owned() };
        let mut table = FeatureTable::default();
        // As a checkpoint names it: its rows may be other workers'.
        let named = table.number_of(&key("named"), &pipeline);
        let all_are_new = Changes::between(&BTreeMap::new(), &pipeline);
        table.begin(Beginnings::default().after(&all_are_new, Some(EventTime(7))), &pipeline);
        let later = table.number_of(&key("later"), &pipeline);
        assert_eq!([named, later].map(|number| table.get(number).since), [Some(EventTime(7)); 2]);
    }

    #[test]
    fn an_explosion_of_names_leaves_nothing_behind() {
        let pipeline = fixtures::pipeline();
        let key =
            |number: usize| FeatureKey { group: GroupId(0), measure: MeasureId(0), name: format!("name {number}") };
        let mut table = FeatureTable::default();
        let add = |table: &mut FeatureTable, number| {
            let feature = table.number_of(&key(number), &pipeline);
            table.add_row(feature, 1);
            feature
        };
        let first = add(&mut table, 0);
        let before = table.allocated_bytes();
        let exploded: Vec<u32> = (1..100_000).map(|number| add(&mut table, number)).collect();
        assert!(table.allocated_bytes() > 1_000_000);
        exploded.into_iter().for_each(|feature| table.remove_row(feature, 1));
        table.give_back();
        assert!(table.allocated_bytes() < before + 10_000, "{} bytes", table.allocated_bytes());
        assert_eq!(add(&mut table, 5), 1);
        assert_eq!(table.get(first).key, key(0));
    }
}
