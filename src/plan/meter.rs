//! Counting what is written.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashSet;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::sampled::Share;
use super::size::{ItemLayout, PACKED_ITEM_BYTES, packed_feature_bytes};
use crate::pipeline::{GroupId, Pipeline, RowShape};
use crate::sink::dynamodb::{typical_item_bytes, write_units};
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
    layout: ItemLayout,
    features: HashMap<String, MeteredFeature, RandomState>,
    /// What was written before.
    known: HashSet<u64, RandomState>,
    pub groups: Vec<GroupWrites>,
    /// The key at hand.
    open: Option<OpenKey>,
}

/// So many names are remembered, at most.
const MOST_NAMES: usize = 100_000;

#[derive(Clone, Copy)]
struct MeteredFeature {
    group: GroupId,
    item_bytes: usize,
    packed_bytes: usize,
}

/// An item that holds a whole key, while its features come.
struct OpenKey {
    text: Vec<u8>,
    form: usize,
    bytes_of_groups: Vec<(GroupId, usize)>,
}

impl Meter {
    pub fn new(pipeline: Arc<Pipeline>, layout: ItemLayout) -> Meter {
        let groups = vec![GroupWrites::default(); pipeline.groups.len()];
        Meter { pipeline, layout, features: HashMap::default(), known: HashSet::default(), groups, open: None }
    }

    /// Counts a batch that is written.
    pub fn count(&mut self, items: &ItemBatch, share: &Share) {
        let pipeline = Arc::clone(&self.pipeline);
        for item in items.items(&pipeline) {
            let Some(feature) = self.feature(&item) else { continue };
            match self.layout {
                ItemLayout::Feature => {
                    let units = write_units(feature.item_bytes + item.key.len());
                    let is_first = self.known.insert(xxh3_64_with_seed(
                        item.key,
                        xxh3_64_with_seed(item.feature_name.as_bytes(), u64::from(feature.group.0)),
                    ));
                    let group = &mut self.groups[usize::from(feature.group.0)];
                    group.add(share.stands_for(feature.group), units, is_first);
                }
                ItemLayout::Key => self.gather(&item, feature, share),
            }
        }
        self.close_key(share);
    }

    /// A key's features follow each other.
    fn gather(&mut self, item: &ItemRef<'_>, feature: MeteredFeature, share: &Share) {
        let form = share.form_of(feature.group);
        if self.open.as_ref().is_none_or(|open| open.form != form || open.text != item.key) {
            self.close_key(share);
            self.open = Some(OpenKey { text: item.key.to_vec(), form, bytes_of_groups: Vec::new() });
        }
        let Some(open) = &mut self.open else { return };
        match open.bytes_of_groups.iter_mut().find(|(group, _)| *group == feature.group) {
            Some((_, bytes)) => *bytes += feature.packed_bytes,
            None => open.bytes_of_groups.push((feature.group, feature.packed_bytes)),
        }
    }

    fn close_key(&mut self, share: &Share) {
        let Some(OpenKey { text, form, bytes_of_groups }) = self.open.take() else { return };
        let features: usize = bytes_of_groups.iter().map(|(_, bytes)| bytes).sum();
        let Some((first, _)) = bytes_of_groups.first() else { return };
        let fields = &self.pipeline.event.fields;
        let names: usize = self
            .pipeline
            .group(*first)
            .key
            .iter()
            .map(|field| fields[usize::from(field.0)].name.as_str().len() + 1)
            .sum();
        let units = write_units(PACKED_ITEM_BYTES + text.len() + names + features);
        let is_first = self.known.insert(xxh3_64_with_seed(&text, form as u64));
        for (group, bytes) in bytes_of_groups {
            let part = share.stands_for(group) * bytes as f64 / features as f64;
            self.groups[usize::from(group.0)].add(part, units, is_first);
        }
    }

    fn feature(&mut self, item: &ItemRef<'_>) -> Option<MeteredFeature> {
        if let Some(known) = self.features.get(item.feature_name) {
            return Some(*known);
        }
        let key = self.pipeline.feature(item.feature_name)?;
        let intervals = item.group.decays.width();
        let values = if self.pipeline.shape(&key) == RowShape::Values { intervals } else { 2 * intervals };
        let feature = MeteredFeature {
            group: key.group,
            item_bytes: typical_item_bytes(&self.pipeline, &key),
            packed_bytes: packed_feature_bytes(&key.name, values),
        };
        if self.features.len() >= MOST_NAMES {
            self.features.clear();
        }
        self.features.insert(key.name, feature);
        Some(feature)
    }
}
