//! What is to be put of a batch, in either layout: known by its indices, its size and its version, and made of attributes when it is
//! sent.

use std::ops::Range;

use super::attributes::{Attributes, attributes, key_attributes};
use super::size::{item_ref_bytes, key_item_bytes, write_units};
use crate::epoch::Version;
use crate::pipeline::{Encoding, Layout, Pipeline};
use crate::sink::ItemBatch;
use crate::sink::key_item::KeyItem;

/// An item of all features of a key is split into parts that are no larger. The service's limit is 409,600; sizes are true to a byte for
/// each number, which of a map is less than a tenth.
const MOST_BYTES: usize = 360 << 10;
/// Features whose names' hashes do not tell them apart by then are put as they are.
const MOST_PARTS: u32 = 1 << 16;

/// One item of the table, which answers for some items of its batch: for one of them, or for all of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Put {
    /// The items that it answers for, by their indices in the batch.
    pub items: Range<u32>,
    /// That of the newest of them.
    pub version: Version,
    /// The latest of its features, in seconds since 1970; `None`: never.
    pub expires_at: Option<i64>,
    /// What is sent, each after the one before is written: mostly one.
    pub parts: Vec<PutPart>,
    /// `None`: an item of one feature. Else, how many parts the key is split into; those without a feature are not sent.
    split: Option<(Encoding, u32)>,
}

/// One PutItem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PutPart {
    number: u32,
    /// Its size as DynamoDB counts it.
    pub bytes: usize,
}

/// What is to be put of a batch, in its order.
pub(crate) fn puts(batch: &ItemBatch, pipeline: &Pipeline) -> Vec<Put> {
    match pipeline.publish.layout {
        Layout::Feature => {
            let put = |(index, item): (u32, _)| Put::of_feature(index, &item);
            (0u32..).zip(batch.items(pipeline)).map(put).collect()
        }
        Layout::Key(encoding) => KeyItem::all_of(batch, pipeline).map(|key| Put::of_key(&key, encoding)).collect(),
    }
}

impl Put {
    fn of_feature(index: u32, item: &crate::sink::ItemRef<'_>) -> Put {
        Put {
            items: index..index + 1,
            version: item.version,
            expires_at: item.expires_at,
            parts: vec![PutPart { number: 0, bytes: item_ref_bytes(item) }],
            split: None,
        }
    }

    fn of_key(key: &KeyItem<'_>, encoding: Encoding) -> Put {
        let (mut split, mut parts) = (1, vec![PutPart { number: 0, bytes: key_item_bytes(key, encoding) }]);
        while parts.iter().any(|part| part.bytes > MOST_BYTES) && split < MOST_PARTS {
            split *= 2;
            parts = parts_of(key, encoding, split);
        }
        let Range { start, end } = key.items;
        Put {
            items: start..end,
            version: key.version,
            expires_at: key.expires_at,
            parts,
            split: Some((encoding, split)),
        }
    }

    /// The write units that it takes: each part's own.
    pub fn write_units(&self) -> u64 {
        self.parts.iter().map(|part| write_units(part.bytes)).sum()
    }

    /// The attributes of one of its parts. `None` where it is not of this batch.
    pub(super) fn attributes(&self, part: PutPart, batch: &ItemBatch, pipeline: &Pipeline) -> Option<Attributes> {
        let Some((encoding, split)) = self.split else {
            return batch.items_in(self.items.clone(), pipeline).next().map(|item| attributes(&item));
        };
        let key = KeyItem::of(batch, self.items.clone(), pipeline)?;
        let key = if split > 1 { key.part(part.number, split) } else { key };
        Some(key_attributes(&key, encoding, part.number))
    }
}

/// In the order in which they are sent: part 0 is the last, so that what a reader finds is whole when it is written. One without a feature
/// is left out, since what stands there from before is older than part 0 and counts no more; but for part 0 itself.
fn parts_of(key: &KeyItem<'_>, encoding: Encoding, split: u32) -> Vec<PutPart> {
    let part = |(number, part): (u32, KeyItem<'_>)| {
        let is_sent = number == 0 || !part.features.is_empty();
        is_sent.then(|| PutPart { number, bytes: key_item_bytes(&part, encoding) })
    };
    let mut parts: Vec<PutPart> = (0..).zip(key.split(split)).filter_map(part).collect();
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{FeatureKey, GroupId, MeasureId};
    use crate::reading::whole_key;
    use crate::sink::Item;
    use crate::sink::dynamodb::attributes::{Stored, stored};
    use crate::sink::fixtures::{LAST_UPDATE, pipeline};

    const ENCODINGS: [Encoding; 2] = [Encoding::Packed, Encoding::Map];

    fn of_layout(layout: Layout) -> Pipeline {
        let mut pipeline = pipeline();
        pipeline.publish.layout = layout;
        pipeline
    }

    /// Keys with so many features each.
    fn batch(features: &[usize]) -> ItemBatch {
        let mut batch = ItemBatch::default();
        for (key, count) in features.iter().enumerate() {
            batch.begin_key(format!("key {key}").as_bytes());
            for number in 0..*count {
                let name = format!("made_up_{number}");
                let feature = batch.push_feature(FeatureKey { group: GroupId(0), measure: MeasureId(0), name }, None);
                batch.push(feature, LAST_UPDATE, &[1.0 / 3.0, 1.5, 2.5 + number as f64], Version(7));
            }
        }
        batch
    }

    fn items(batch: &ItemBatch, pipeline: &Pipeline) -> Vec<Item> {
        let mut items: Vec<_> = batch.items(pipeline).map(|item| item.to_item()).collect();
        items.sort_by(|one, other| (&one.key, &one.feature_name).cmp(&(&other.key, &other.feature_name)));
        items
    }

    #[test]
    fn in_the_layout_of_features_each_item_is_put_by_itself() {
        let (pipeline, batch) = (of_layout(Layout::Feature), batch(&[2, 1]));
        let puts = puts(&batch, &pipeline);
        assert_eq!(puts.iter().map(|put| put.items.clone()).collect::<Vec<_>>(), [0..1, 1..2, 2..3]);
        for (put, item) in puts.iter().zip(batch.items(&pipeline)) {
            assert_eq!((put.parts.len(), put.version, put.expires_at), (1, Version(7), item.expires_at));
            assert_eq!(put.attributes(put.parts[0], &batch, &pipeline), Some(attributes(&item)));
        }
    }

    #[test]
    fn in_the_layout_of_keys_a_put_answers_for_all_items_of_its_key() {
        for encoding in ENCODINGS {
            let (pipeline, batch) = (of_layout(Layout::Key(encoding)), batch(&[3, 1, 5]));
            let puts = puts(&batch, &pipeline);
            assert_eq!(puts.iter().map(|put| put.items.clone()).collect::<Vec<_>>(), [0..3, 3..4, 4..9]);
            let sort_keys: Vec<_> = puts
                .iter()
                .map(|put| {
                    put.attributes(put.parts[0], &batch, &pipeline).unwrap()["keyFields"].as_s().unwrap().clone()
                })
                .collect();
            assert_eq!(sort_keys, ["userId#0"; 3]);
        }
    }

    #[test]
    fn a_key_that_is_too_large_is_split_and_reads_as_one() {
        for (encoding, count) in [(Encoding::Packed, 30_000), (Encoding::Map, 6_000)] {
            let (pipeline, batch) = (of_layout(Layout::Key(encoding)), batch(&[count, 2]));
            let puts = puts(&batch, &pipeline);
            let numbers: Vec<_> = puts[0].parts.iter().map(|part| part.number).collect();
            let expected: Vec<_> = (0..numbers.len() as u32).rev().collect();
            assert!(numbers.len().is_power_of_two() && numbers.len() > 1, "{numbers:?}");
            assert_eq!(numbers, expected);
            assert!(puts[0].parts.iter().all(|part| part.bytes <= MOST_BYTES && part.bytes > MOST_BYTES / 4));
            let bytes: usize = puts[0].parts.iter().map(|part| part.bytes).sum();
            assert!(puts[0].write_units() >= bytes as u64 / 1_024);
            let read = |put: &Put| {
                let part = |part: &PutPart| match stored(&put.attributes(*part, &batch, &pipeline).unwrap()).unwrap() {
                    Stored::Part { fields, part, .. } if fields == "userId" => part,
                    other => panic!("{other:?}"),
                };
                whole_key(put.parts.iter().map(part))
            };
            let found: Vec<Item> = puts.iter().flat_map(read).collect();
            assert!(found == items(&batch, &pipeline), "{encoding:?}");
        }
    }

    #[test]
    fn of_parts_without_a_feature_only_part_0_is_put() {
        let (pipeline, batch) = (of_layout(Layout::Key(Encoding::Packed)), batch(&[1]));
        let key = KeyItem::all_of(&batch, &pipeline).next().unwrap();
        let parts: Vec<_> = parts_of(&key, Encoding::Packed, 64).into_iter().map(|part| part.number).collect();
        let own = crate::sink::key_item::part_of("made_up_0", 64);
        assert_eq!(parts, if own == 0 { vec![0] } else { vec![own, 0] });
    }
}
