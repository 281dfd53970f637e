//! All features of a key as one item (`layout = "key"`): what a batch holds of a key, put together for a table.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64;

use super::{ItemBatch, ItemRef};
use crate::counter::EventTime;
use crate::epoch::Version;
use crate::pipeline::Pipeline;
use crate::reading::mapped::MappedFeature;
use crate::reading::packed::{self, pack, packed_length};
use crate::reading::{key_fields, published};

/// A key with all its features, borrowed from its batch.
#[derive(Clone, Debug)]
pub(super) struct KeyItem<'a> {
    /// The indices of its items in the batch: what a table answers for with it.
    pub items: Range<u32>,
    /// The key's text, UTF-8.
    pub key: &'a [u8],
    /// The names of the key's fields, see [`key_fields`].
    pub fields: String,
    /// That of the newest of them.
    pub version: Version,
    /// The latest of its features, in seconds since 1970; `None`: one of them never expires.
    pub expires_at: Option<i64>,
    /// What it counts begins only here: what came before was evicted.
    pub since: Option<EventTime>,
    /// In the order of their names, each once.
    pub features: Vec<ItemRef<'a>>,
    units_per_second: i64,
}

impl<'a> KeyItem<'a> {
    /// The items of each key of a batch. Those of one key follow each other there, and are all that it has.
    pub fn all_of(batch: &'a ItemBatch, pipeline: &'a Pipeline) -> impl Iterator<Item = KeyItem<'a>> + 'a {
        batch.keys(pipeline).filter_map(move |items| KeyItem::of(batch, items, pipeline))
    }

    /// The key of which these are all items.
    pub fn of(batch: &'a ItemBatch, items: Range<u32>, pipeline: &'a Pipeline) -> Option<KeyItem<'a>> {
        let mut features: Vec<ItemRef<'a>> = batch.items_in(items.clone(), pipeline).collect();
        // Of one name the newest, and of these the one that was pushed last: it is the first of those that follow in reverse.
        features.reverse();
        features.sort_by(|one, other| {
            one.feature_name.cmp(other.feature_name).then_with(|| other.version.cmp(&one.version))
        });
        features.dedup_by(|later, kept| later.feature_name == kept.feature_name);
        let first = features.first()?;
        let names = first.group.key.iter().map(|id| pipeline.event.field_name(*id));
        Some(KeyItem {
            items,
            key: first.key,
            fields: key_fields(names),
            version: features.iter().map(|feature| feature.version).max().unwrap_or_default(),
            expires_at: latest(&features),
            since: features.iter().find_map(|feature| feature.key_since),
            units_per_second: pipeline.event.time_unit.per_second(),
            features,
        })
    }

    /// The key as text.
    pub fn key_text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.key)
    }

    /// Its features, packed.
    pub fn packed(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        pack(&to_pack(&self.features), self.units_per_second, &mut bytes);
        bytes
    }

    /// How many bytes that is.
    pub fn packed_length(&self) -> usize {
        packed_length(&to_pack(&self.features), self.units_per_second)
    }

    /// Its features as a map by their names, as JSON.
    pub fn map(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Map(&self.features))
    }

    /// It in so many parts, each with the features whose names' hashes choose it. What is said of the key is said in each part.
    pub fn split(&self, parts: u32) -> Vec<KeyItem<'a>> {
        let mut split: Vec<KeyItem<'a>> = (0..parts).map(|_| self.without_features()).collect();
        for feature in &self.features {
            split[part_of(feature.feature_name, parts) as usize].features.push(*feature);
        }
        split
    }

    /// One of them.
    pub fn part(&self, number: u32, parts: u32) -> KeyItem<'a> {
        let mut part = self.without_features();
        part.features.extend(self.features.iter().filter(|feature| part_of(feature.feature_name, parts) == number));
        part
    }

    fn without_features(&self) -> KeyItem<'a> {
        let Range { start, end } = self.items;
        KeyItem { items: start..end, fields: self.fields.clone(), features: Vec::new(), ..*self }
    }
}

/// Which of the parts of a key a feature is in: XXH3 of its name, in 64 bits. Readers need not know.
pub(super) fn part_of(feature_name: &str, parts: u32) -> u32 {
    (xxh3_64(feature_name.as_bytes()) % u64::from(parts.max(1))) as u32
}

fn latest(features: &[ItemRef<'_>]) -> Option<i64> {
    let mut latest = None;
    for feature in features {
        latest = latest.max(Some(feature.expires_at?));
    }
    latest
}

fn to_pack<'a>(features: &[ItemRef<'a>]) -> Vec<packed::Feature<'a>> {
    let feature = |item: &ItemRef<'a>| packed::Feature {
        name: item.feature_name,
        last_update: item.last_update,
        ttl: item.group.ttl,
        intervals: item.group.decays.intervals(),
        values: item.values,
        squares: item.squares,
        errors: item.errors,
    };
    features.iter().map(feature).collect()
}

/// Features as a map, which is never made as a whole.
struct Map<'a>(&'a [ItemRef<'a>]);

impl Serialize for Map<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|item| (item.feature_name, mapped(item))))
    }
}

/// A feature as it stands in the map.
pub(super) fn mapped(item: &ItemRef<'_>) -> MappedFeature {
    let of = |numbers: &[f64]| -> BTreeMap<_, _> {
        item.group.decays.intervals().iter().copied().zip(numbers.iter().map(|number| published(*number))).collect()
    };
    MappedFeature {
        last_update: item.last_update,
        expires_at: item.expires_at,
        values: of(item.values),
        squares: of(item.squares),
        errors: of(item.errors),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{FeatureKey, GroupId, MeasureId};
    use crate::reading::KeyHead;
    use crate::sink::fixtures::{LAST_UPDATE, group, pipeline};

    /// Two groups of users, of which the second never expires, and one of creators; a batch of keys `7` of both.
    fn example() -> (Pipeline, ItemBatch) {
        let mut pipeline = pipeline();
        pipeline.groups = vec![
            group("user", &[0], "user.{event}"),
            group("for_ever", &[0], "for_ever.{event}"),
            group("creator", &[1], "creator.{event}"),
        ];
        pipeline.groups[1].ttl = None;
        let mut batch = ItemBatch::default();
        let rows = [
            ("user.view", 0, 0),
            ("user.like", 0, -50),
            ("creator.like", 2, 0),
            ("user.like", 0, 3),
            ("for_ever.like", 1, 9),
        ];
        for (index, (name, group, ago)) in rows.into_iter().enumerate() {
            let name = name.to_owned();
            let feature = batch.push_feature(FeatureKey { group: GroupId(group), measure: MeasureId(0), name }, None);
            if [0, 2, 3].contains(&index) {
                batch.begin_key(b"7");
            }
            batch.push(feature, EventTime(LAST_UPDATE.0 + ago), &[1.5, 2.5, 2.5], Version(index as u64 + 1));
            if index > 2 {
                batch.mark_last(EventTime(77));
            }
        }
        (pipeline, batch)
    }

    #[test]
    fn a_batch_is_cut_into_its_keys() {
        let (pipeline, batch) = example();
        let keys: Vec<_> = KeyItem::all_of(&batch, &pipeline).collect();
        let names =
            |key: &KeyItem<'_>| key.features.iter().map(|item| item.feature_name.to_owned()).collect::<Vec<_>>();
        assert_eq!(keys.iter().map(|key| key.items.clone()).collect::<Vec<_>>(), [0..2, 2..3, 3..5]);
        assert_eq!(keys.iter().map(|key| &*key.fields).collect::<Vec<_>>(), ["userId", "creatorId", "userId"]);
        assert_eq!(
            keys.iter().map(names).collect::<Vec<_>>(),
            [vec!["user.like", "user.view"], vec!["creator.like"], vec!["for_ever.like", "user.like"]]
        );
        assert_eq!(keys.iter().map(|key| key.version.0).collect::<Vec<_>>(), [2, 3, 5]);
        assert_eq!(keys.iter().map(|key| key.since).collect::<Vec<_>>(), [None, None, Some(EventTime(77))]);
        let week_later = Some(LAST_UPDATE.0 + 7 * 86_400);
        assert_eq!(keys.iter().map(|key| key.expires_at).collect::<Vec<_>>(), [week_later, week_later, None]);
    }

    #[test]
    fn both_encodings_read_back_as_the_items_that_they_are_made_of() {
        let (pipeline, batch) = example();
        for key in KeyItem::all_of(&batch, &pipeline) {
            let text = key.key_text();
            let head = KeyHead { key: &text, version: key.version, since: key.since };
            let expected: Vec<_> =
                key.features.iter().map(|item| crate::sink::Item { version: key.version, ..item.to_item() }).collect();
            assert_eq!(head.unpack(&key.packed()).unwrap(), expected);
            assert_eq!(key.packed().len(), key.packed_length());
            assert_eq!(head.items_of(serde_json::from_str(&key.map().unwrap()).unwrap()), expected);
        }
    }

    #[test]
    fn of_one_feature_the_newest_stays() {
        let pipeline = pipeline();
        let mut batch = ItemBatch::default();
        let name = "like".to_owned();
        let feature = batch.push_feature(FeatureKey { group: GroupId(0), measure: MeasureId(0), name }, None);
        batch.begin_key(b"7");
        for (value, version) in [(1.0, 1), (2.0, 3), (3.0, 3), (4.0, 2)] {
            batch.push(feature, LAST_UPDATE, &[value; 3], Version(version));
        }
        let key = KeyItem::all_of(&batch, &pipeline).next().unwrap();
        assert_eq!((key.items.clone(), key.features.len(), key.features[0].values[0]), (0..4, 1, 3.0));
    }

    #[test]
    fn parts_share_the_features_among_them() {
        let (pipeline, batch) = example();
        let key = KeyItem::all_of(&batch, &pipeline).next().unwrap();
        for parts in [1, 2, 4, 64] {
            let names_in =
                |part: KeyItem<'_>| part.features.iter().map(|item| item.feature_name.to_owned()).collect::<Vec<_>>();
            let split: Vec<_> = key.split(parts).into_iter().map(names_in).collect();
            assert_eq!(split, (0..parts).map(|number| names_in(key.part(number, parts))).collect::<Vec<_>>());
            let mut names: Vec<_> = split.into_iter().flatten().collect();
            names.sort_unstable();
            assert_eq!(names, ["user.like", "user.view"], "{parts}");
        }
    }
}
