//! Counting what is written.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashSet;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::sampled::Share;
use crate::pipeline::{GroupId, Layout, Pipeline};
use crate::sink::dynamodb::{puts, typical_item_bytes, write_units};
use crate::sink::{ItemBatch, ItemRef};

/// What is written of one group. Where a share of the keys stands for all, these are estimates. An item that holds a whole
/// key counts for the key's groups in the measure of what they have in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroupWrites {
    /// Writes of items.
    pub writes: f64,
    /// Their write units.
    pub units: f64,
    /// So many of the writes were the first of their item.
    pub first_writes: f64,
    /// So many of the units were theirs.
    pub first_units: f64,
}

/// What one variant of publishing writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// One for each group of the pipeline, in its order.
    pub groups: Vec<GroupWrites>,
    /// By how much, relative to what it showed, an item differed from the state when its group was published, at most.
    pub largest_error: f64,
}

impl GroupWrites {
    /// Both together.
    pub fn plus(self, other: GroupWrites) -> GroupWrites {
        GroupWrites {
            writes: self.writes + other.writes,
            units: self.units + other.units,
            first_writes: self.first_writes + other.first_writes,
            first_units: self.first_units + other.first_units,
        }
    }

    fn add(&mut self, share: f64, units: u64, is_first: bool) {
        let units = share * units as f64;
        self.writes += share;
        self.units += units;
        if is_first {
            self.first_writes += share;
            self.first_units += units;
        }
    }
}

impl Written {
    /// Of all groups.
    pub fn total(&self) -> GroupWrites {
        self.groups.iter().fold(GroupWrites::default(), |sum, group| sum.plus(*group))
    }
}

/// Counts what one table is given.
pub(super) struct Meter {
    pipeline: Arc<Pipeline>,
    features: HashMap<String, MeteredFeature, RandomState>,
    /// What was written before.
    known: HashSet<u64, RandomState>,
    pub groups: Vec<GroupWrites>,
}

/// So many names are remembered, at most.
const MOST_NAMES: usize = 100_000;

#[derive(Clone, Copy)]
struct MeteredFeature {
    group: GroupId,
    item_bytes: usize,
}

impl Meter {
    pub fn new(pipeline: Arc<Pipeline>) -> Meter {
        let groups = vec![GroupWrites::default(); pipeline.groups.len()];
        Meter { pipeline, features: HashMap::default(), known: HashSet::default(), groups }
    }

    /// Counts a batch that is written.
    pub fn count(&mut self, items: &ItemBatch, share: &Share) {
        let pipeline = Arc::clone(&self.pipeline);
        if self.pipeline.publish.layout == Layout::Feature {
            for item in items.items(&pipeline) {
                let Some(feature) = self.feature(&item) else { continue };
                let units = write_units(feature.item_bytes + item.key.len());
                let is_first = self.known.insert(xxh3_64_with_seed(
                    item.key,
                    xxh3_64_with_seed(item.feature_name.as_bytes(), u64::from(feature.group.0)),
                ));
                let group = &mut self.groups[usize::from(feature.group.0)];
                group.add(share.stands_for(feature.group), units, is_first);
            }
            return;
        }
        for put in puts(items, &pipeline) {
            self.count_key(items, put.items.clone(), put.write_units(), share);
        }
    }

    /// Counts an item that holds a whole key.
    fn count_key(&mut self, items: &ItemBatch, indices: Range<u32>, units: u64, share: &Share) {
        let pipeline = Arc::clone(&self.pipeline);
        let features = indices.len() as f64;
        let mut is_first = None;
        for item in items.items_in(indices, &pipeline) {
            let Some(MeteredFeature { group, .. }) = self.feature(&item) else { continue };
            let form = share.form_of(group) as u64;
            let is_first = *is_first.get_or_insert_with(|| self.known.insert(xxh3_64_with_seed(item.key, form)));
            self.groups[usize::from(group.0)].add(share.stands_for(group) / features, units, is_first);
        }
    }

    fn feature(&mut self, item: &ItemRef<'_>) -> Option<MeteredFeature> {
        if let Some(known) = self.features.get(item.feature_name) {
            return Some(*known);
        }
        let key = self.pipeline.feature(item.feature_name)?;
        let feature = MeteredFeature { group: key.group, item_bytes: typical_item_bytes(&self.pipeline, &key) };
        if self.features.len() >= MOST_NAMES {
            self.features.clear();
        }
        self.features.insert(key.name, feature);
        Some(feature)
    }
}
