//! What a table has to write of several batches: each item once, in its newest state.

use std::cmp::Reverse;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::{ItemBatch, ItemRef};
use crate::memory::text_prefix;
use crate::pipeline::Pipeline;

/// Where an item came from: its batch, and its index there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub batch: usize,
    pub index: u32,
}

/// The origins of those items of which there are newer ones of the same key and feature: they need not be written.
pub(super) fn older_items(batches: &[ItemBatch], pipeline: &Pipeline) -> Vec<Origin> {
    let lengths = batches.iter().map(ItemBatch::len).enumerate();
    let origins: Vec<Origin> =
        lengths.flat_map(|(batch, items)| (0..items as u32).map(move |index| Origin { batch, index })).collect();
    let items: Vec<_> = batches.iter().flat_map(|batch| batch.items(pipeline)).collect();
    let mut slots = in_order(&items, &mut FeatureNumbers::default());
    let mut older = Vec::new();
    slots.dedup_by(|later, kept| {
        let is_older = later.is_of_same_item(kept, &items);
        older.extend(is_older.then(|| origins[later.index as usize]));
        is_older
    });
    older
}

/// The newest item of each key and feature with the feature's number, in the order of the bytes of the key, then of
/// the number. Features that have none yet are numbered, those that come at once in the order of their names.
///
/// The order makes neighbours in a table's tree neighbours in time, and it is the same whatever
/// the batches were.
pub(super) fn newest_numbered<'a>(
    batches: &'a [ItemBatch],
    pipeline: &'a Pipeline,
    numbers: &mut FeatureNumbers,
) -> Vec<(u32, ItemRef<'a>)> {
    let items: Vec<_> = batches.iter().flat_map(|batch| batch.items(pipeline)).collect();
    let mut slots = in_order(&items, numbers);
    slots.dedup_by(|later, kept| later.is_of_same_item(kept, &items));
    slots.into_iter().map(|slot| (slot.feature, *slot.of(&items))).collect()
}

/// All items by key and feature, the newest of each first.
fn in_order(items: &[ItemRef<'_>], numbers: &mut FeatureNumbers) -> Vec<Slot> {
    let features = numbers.of_all(items);
    let mut slots: Vec<_> = (0u32..)
        .zip(items.iter().zip(features))
        .map(|(index, (item, feature))| Slot { key_head: text_prefix(item.key), feature, index })
        .collect();
    // Of one version, the one that was pushed last.
    slots.sort_unstable_by(|a, b| {
        let (one, other) = (a.of(items), b.of(items));
        let by_key = a.key_head.cmp(&b.key_head).then_with(|| one.key.cmp(other.key));
        by_key.then(a.feature.cmp(&b.feature)).then_with(|| {
            let age = |item: &ItemRef<'_>, index| (Reverse(item.version), Reverse(index));
            age(one, a.index).cmp(&age(other, b.index))
        })
    });
    slots
}

/// Where an item comes in the order: what decides nearly always, beside each other.
struct Slot {
    key_head: u64,
    feature: u32,
    index: u32,
}

impl Slot {
    fn of<'a, 'b>(&self, items: &'b [ItemRef<'a>]) -> &'b ItemRef<'a> {
        &items[self.index as usize]
    }

    fn is_of_same_item(&self, other: &Slot, items: &[ItemRef<'_>]) -> bool {
        self.feature == other.feature && self.of(items).key == other.of(items).key
    }
}

/// Numbers of features, from 0: a feature keeps its own, and those that come together are numbered in the order of their
/// names.
#[derive(Debug, Default)]
pub(super) struct FeatureNumbers {
    by_name: HashMap<String, u32, RandomState>,
    /// That of the next feature.
    next: u32,
}

impl FeatureNumbers {
    /// Those of before go on: these have numbers already.
    pub fn of_known<'a>(known: impl Iterator<Item = (&'a str, u32)>) -> FeatureNumbers {
        let by_name: HashMap<_, _, _> = known.map(|(name, number)| (name.to_owned(), number)).collect();
        let next = by_name.values().max().map_or(0, |largest| largest + 1);
        FeatureNumbers { by_name, next }
    }

    /// The number of each item's feature.
    fn of_all(&mut self, items: &[ItemRef<'_>]) -> Vec<u32> {
        let known = self.next;
        let mut added: Vec<&str> = Vec::new();
        let mut numbers: Vec<u32> = Vec::with_capacity(items.len());
        for item in items {
            numbers.push(self.by_name.get(item.feature_name).copied().unwrap_or_else(|| {
                // In the order in which they come, until all are known.
                let number = known + added.len() as u32;
                added.push(item.feature_name);
                self.by_name.insert(item.feature_name.to_owned(), number);
                number
            }));
        }
        self.next += added.len() as u32;
        if added.len() > 1 {
            let mut order: Vec<_> = (0..added.len()).collect();
            order.sort_unstable_by_key(|came| added[*came]);
            let mut number_of = vec![0; added.len()];
            for (number, came) in (known..).zip(order) {
                number_of[came] = number;
                self.by_name.insert(added[came].to_owned(), number);
            }
            for number in &mut numbers {
                if let Some(came) = number.checked_sub(known) {
                    *number = number_of[came as usize];
                }
            }
        }
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{Row, batch, pipeline};

    #[test]
    fn the_newest_version_stays_whatever_the_order_of_the_batches() {
        let pipeline = pipeline();
        let batches = [
            batch(&[Row::new("b", "like").version(3).value(30.0), Row::new("a", "like").version(1).value(10.0)]),
            batch(&[Row::new("b", "like").version(2).value(20.0), Row::new("b", "view").version(1).value(1.0)]),
        ];
        let newest = newest_numbered(&batches, &pipeline, &mut FeatureNumbers::default());
        let older = older_items(&batches, &pipeline);
        assert_eq!(older, [Origin { batch: 1, index: 0 }]);
        let found: Vec<_> = newest.iter().map(|(_, item)| (item.key, item.feature_name, item.values[0])).collect();
        let expected: [(&[u8], &str, f64); 3] = [(b"a", "like", 10.0), (b"b", "like", 30.0), (b"b", "view", 1.0)];
        assert_eq!(found, expected);
    }

    #[test]
    fn of_one_version_the_last_stays() {
        let pipeline = pipeline();
        let batches = [batch(&[Row::new("a", "like").value(1.0)]), batch(&[Row::new("a", "like").value(2.0)])];
        let newest = newest_numbered(&batches, &pipeline, &mut FeatureNumbers::default());
        let older = older_items(&batches, &pipeline);
        assert_eq!(newest[0].1.values[0], 2.0);
        assert_eq!(older, [Origin { batch: 0, index: 0 }]);
    }

    #[test]
    fn keys_and_features_come_in_the_order_of_their_bytes_however_alike_they_begin() {
        let pipeline = pipeline();
        let keys = ["", "a", "a\0", "a\0\0\0\0\0\0\0", "a\0\0\0\0\0\0\0b", "creator 1", "creator 10", "creator 2", "ü"];
        let rows: Vec<_> = keys.iter().flat_map(|key| ["b", "ab", "a"].map(|feature| Row::new(key, feature))).collect();
        let batches: Vec<_> = rows.iter().rev().map(|row| batch(std::slice::from_ref(row))).collect();
        let newest = newest_numbered(&batches, &pipeline, &mut FeatureNumbers::default());
        let found: Vec<_> = newest.iter().map(|(_, item)| (item.key, item.feature_name)).collect();
        let expected: Vec<_> =
            keys.iter().flat_map(|key| ["a", "ab", "b"].map(|feature| (key.as_bytes(), feature))).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_feature_keeps_its_number_and_new_ones_are_numbered_by_name() {
        let pipeline = pipeline();
        let mut numbers = FeatureNumbers::default();
        let mut numbered = |names: &[&str]| {
            let batch = batch(&names.iter().map(|name| Row::new("k", name)).collect::<Vec<_>>());
            let items = newest_numbered(std::slice::from_ref(&batch), &pipeline, &mut numbers);
            items.iter().map(|(number, item)| format!("{number} {}", item.feature_name)).collect::<Vec<_>>()
        };
        assert_eq!(numbered(&["view", "like"]), ["0 like", "1 view"]);
        assert_eq!(numbered(&["share", "view", "click"]), ["1 view", "2 click", "3 share"]);
        assert_eq!(numbered(&["like", "share"]), ["0 like", "3 share"]);
    }
}
