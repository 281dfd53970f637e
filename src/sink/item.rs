//! Published rows: how they travel to a sink, and how they are written in it.

use std::borrow::Cow;
use std::ops::Range;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::counter::EventTime;
use crate::epoch::Version;
use crate::pipeline::{FeatureKey, Group, GroupId, Pipeline};
use crate::reading::{Count, Item, expires_at, published};

/// Changed rows on their way to a sink: plain data that may cross threads and processes.
///
/// Fixed-size records point into the batch's own arenas for their key and their values.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ItemBatch {
    features: Vec<FeatureKey>,
    /// Of each feature, since when it counts, where it was added to a state.
    features_since: Vec<Option<EventTime>>,
    records: Vec<ItemRecord>,
    values: Vec<f64>,
    /// The texts of keys, each once for all rows of it.
    text: Vec<u8>,
    /// Where the text of the key that was begun last begins.
    key_start: u64,
    /// The indices of those records that have a `since`, ascending: hardly any.
    since: Vec<(u32, EventTime)>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct ItemRecord {
    feature: u32,
    key_length: u16,
    width: u16,
    key_start: u64,
    values_start: u64,
    last_update: EventTime,
    version: Version,
}

impl ItemBatch {
    /// Adds a feature that later items refer to by the index that is returned. It counts only `since` then, where it says so.
    pub fn push_feature(&mut self, feature: FeatureKey, since: Option<EventTime>) -> u32 {
        self.features.push(feature);
        self.features_since.push(since);
        (self.features.len() - 1) as u32
    }

    /// Takes notice of a key, whose text must be UTF-8: the rows that are added next are its own.
    #[inline(always)]
    pub fn begin_key(&mut self, key: &[u8]) {
        self.key_start = self.text.len() as u64;
        self.text.extend_from_slice(key);
    }

    /// Adds one row. `values` are in the order of the group's intervals. Behind
    /// them may stand as many more: squares or, of uniques, errors.
    #[inline(always)]
    pub fn push(&mut self, feature: u32, last_update: EventTime, values: &[f64], version: Version) {
        self.records.push(ItemRecord {
            feature,
            key_length: (self.text.len() as u64 - self.key_start) as u16,
            width: values.len() as u16,
            key_start: self.key_start,
            values_start: self.values.len() as u64,
            last_update,
            version,
        });
        self.values.extend_from_slice(values);
    }

    /// Says of the item that was pushed last that it counts only since this time.
    pub fn mark_last(&mut self, since: EventTime) {
        if let Some(last) = self.records.len().checked_sub(1) {
            self.since.push((last as u32, since));
        }
    }

    /// An empty batch with room for as much as is in this one.
    pub fn empty_of_this_size(&self) -> ItemBatch {
        ItemBatch {
            records: Vec::with_capacity(self.records.len()),
            values: Vec::with_capacity(self.values.len()),
            text: Vec::with_capacity(self.text.len()),
            ..ItemBatch::default()
        }
    }

    /// The memory that it takes, in bytes: the same at both ends of an exchange.
    pub fn memory(&self) -> u64 {
        let names: usize = self.features.iter().map(|feature| feature.name.len()).sum();
        (names
            + size_of_val(self.features.as_slice())
            + size_of_val(self.features_since.as_slice())
            + size_of_val(self.records.as_slice())
            + size_of_val(self.values.as_slice())
            + size_of_val(self.since.as_slice())
            + self.text.len()) as u64
    }

    /// How many items it holds.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The group and the key's text of the first item.
    pub fn first_key(&self) -> Option<(GroupId, &[u8])> {
        let record = self.records.first()?;
        let key = &self.text[record.key_start as usize..][..record.key_length as usize];
        Some((self.features[record.feature as usize].group, key))
    }

    /// The indices of the items of each key, key by key as they were begun.
    pub fn keys<'a>(&'a self, pipeline: &'a Pipeline) -> impl Iterator<Item = Range<u32>> + 'a {
        let mut start = 0;
        let key = |record: &ItemRecord| {
            let fields = &pipeline.group(self.features[record.feature as usize].group).key;
            (record.key_start, record.key_length, fields)
        };
        self.records.chunk_by(move |one, other| key(one) == key(other)).map(move |records| {
            let indices = start..start + records.len() as u32;
            start = indices.end;
            indices
        })
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The items, in the order in which they were pushed: of one key and feature, oldest first.
    pub fn items<'a>(&'a self, pipeline: &'a Pipeline) -> impl Iterator<Item = ItemRef<'a>> + 'a {
        self.items_in(0..self.len() as u32, pipeline)
    }

    /// Those of the items with these indices.
    pub fn items_in<'a>(
        &'a self,
        indices: Range<u32>,
        pipeline: &'a Pipeline,
    ) -> impl Iterator<Item = ItemRef<'a>> + 'a {
        let marked_before = self.since.partition_point(|(marked, _)| *marked < indices.start);
        let mut marks = self.since[marked_before..].iter().peekable();
        let units_per_second = pipeline.event.time_unit.per_second();
        let records = &self.records[indices.start as usize..indices.end as usize];
        records.iter().zip(indices.start..).map(move |(record, index)| {
            let since = marks.next_if(|(marked, _)| *marked == index).map(|(_, since)| *since);
            self.item_of(record, since, pipeline, units_per_second)
        })
    }

    /// The item with this index.
    pub fn item<'a>(&'a self, index: u32, pipeline: &'a Pipeline) -> ItemRef<'a> {
        let since = self.since.binary_search_by_key(&index, |(marked, _)| *marked).ok();
        let since = since.map(|mark| self.since[mark].1);
        self.item_of(&self.records[index as usize], since, pipeline, pipeline.event.time_unit.per_second())
    }

    fn item_of<'a>(
        &'a self,
        record: &ItemRecord,
        since: Option<EventTime>,
        pipeline: &'a Pipeline,
        units_per_second: i64,
    ) -> ItemRef<'a> {
        let feature = &self.features[record.feature as usize];
        let group = pipeline.group(feature.group);
        let values = &self.values[record.values_start as usize..][..usize::from(record.width)];
        let (values, more) = values.split_at(group.decays.width());
        let published_at = |time| pipeline.shift.map_or(time, |shift| shift.moved(time));
        let last_update = published_at(record.last_update);
        let is_uniques = group.measure(feature.measure).members.is_some();
        let (squares, errors) = if is_uniques { (&[][..], more) } else { (more, &[][..]) };
        ItemRef {
            key: &self.text[record.key_start as usize..][..record.key_length as usize],
            feature_name: &feature.name,
            group,
            last_update,
            values,
            squares,
            errors,
            version: record.version,
            expires_at: group.ttl.and_then(|ttl| expires_at(last_update, ttl, units_per_second)),
            since: since.max(self.features_since[record.feature as usize]).map(published_at),
            key_since: since.map(published_at),
        }
    }
}

/// One published row, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct ItemRef<'a> {
    /// The key's text, UTF-8.
    pub key: &'a [u8],
    /// The feature's name.
    pub feature_name: &'a str,
    /// The group that makes it.
    pub group: &'a Group,
    /// The time of the newest event in it.
    pub last_update: EventTime,
    /// One value per interval of the group, at the last update.
    pub values: &'a [f64],
    /// The decayed sums of squared weights, where a ratio needs them; else none.
    pub squares: &'a [f64],
    /// The relative standard errors of uniques; else none.
    pub errors: &'a [f64],
    /// Which of two items of one key and feature is the newer.
    pub version: Version,
    /// Seconds since 1970; `None`: never.
    pub expires_at: Option<i64>,
    /// What it counts begins only here: what came before was evicted, or came before the feature was added.
    pub since: Option<EventTime>,
    /// What all features of its key count begins only here: what came before was evicted.
    pub key_since: Option<EventTime>,
}

impl<'a> ItemRef<'a> {
    /// The key as text.
    pub fn key_text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.key)
    }

    /// The values as sinks write them, see [`published`].
    pub fn counts(&self) -> impl Iterator<Item = Count> + '_ {
        let last_update = self.last_update;
        self.group.decays.intervals().iter().zip(self.values).enumerate().map(move |(i, (interval, value))| Count {
            decay_interval: *interval,
            last_update,
            value: published(*value),
            squares: self.squares.get(i).copied().map(published),
            error: self.errors.get(i).copied().map(published),
        })
    }

    /// The item in the form in which it is written and read everywhere.
    pub fn to_item(&self) -> Item {
        Item {
            key: self.key_text().into_owned(),
            feature_name: self.feature_name.to_owned(),
            counts: self.counts().map(|count| (count.decay_interval, count)).collect(),
            version: self.version,
            expires_at: self.expires_at,
            since: self.since,
        }
    }
}

/// Written as [`ItemRef::to_item`] is, without making one.
impl Serialize for ItemRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let optional = usize::from(self.expires_at.is_some()) + usize::from(self.since.is_some());
        let mut fields = serializer.serialize_struct("Item", 4 + optional)?;
        fields.serialize_field("key", &self.key_text())?;
        fields.serialize_field("featureName", self.feature_name)?;
        fields.serialize_field("counts", &CountsOf(*self))?;
        fields.serialize_field("version", &self.version)?;
        if let Some(expires_at) = self.expires_at {
            fields.serialize_field("expiresAt", &expires_at)?;
        }
        if let Some(since) = self.since {
            fields.serialize_field("since", &since)?;
        }
        fields.end()
    }
}

/// The `counts` of an item, as they are written.
pub(super) struct CountsOf<'a>(pub(super) ItemRef<'a>);

impl Serialize for CountsOf<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.counts().map(|count| (count.decay_interval, count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::TimeShift;
    use crate::sink::fixtures::{Row, batch, pipeline};

    #[test]
    fn an_item_is_written_in_the_published_shape() {
        let (pipeline, batch) = (pipeline(), batch(&[Row::new("1234", "like").value(1.6)]));
        let item = batch.items(&pipeline).next().unwrap();
        let expected = concat!(
            r#"{"key":"1234","featureName":"like","counts":{"#,
            r#""5":{"decayInterval":5,"lastUpdate":1707605599,"value":1.6},"#,
            r#""10":{"decayInterval":10,"lastUpdate":1707605599,"value":3.2},"#,
            r#""15":{"decayInterval":15,"lastUpdate":1707605599,"value":4.800000000000001}},"#,
            r#""version":1,"expiresAt":1708210399}"#
        );
        assert_eq!(serde_json::to_string(&item).unwrap(), expected);
        assert_eq!(serde_json::to_string(&item.to_item()).unwrap(), expected);
        assert_eq!(serde_json::from_str::<Item>(expected).unwrap(), item.to_item());
    }

    #[test]
    fn only_an_item_that_started_again_says_since_when() {
        let rows = [Row::new("a", "like"), Row::new("b", "like").since(7), Row::new("c", "like").since(8)];
        let (pipeline, batch) = (pipeline(), batch(&rows));
        let since: Vec<_> = batch.items(&pipeline).map(|item| item.since).collect();
        assert_eq!(since, [None, Some(EventTime(7)), Some(EventTime(8))]);
        for (item, end) in
            batch.items(&pipeline).zip([r#""expiresAt":1708210399}"#, r#","since":7}"#, r#","since":8}"#])
        {
            let text = serde_json::to_string(&item).unwrap();
            assert!(text.ends_with(end), "{text}");
            assert_eq!(serde_json::to_string(&item.to_item()).unwrap(), text);
            assert_eq!(serde_json::from_str::<Item>(&text).unwrap(), item.to_item());
        }
    }

    #[test]
    fn every_time_of_an_item_is_moved_alike() {
        let (pipeline, batch) = (pipeline(), batch(&[Row::new("a", "like").since(1_707_605_000)]));
        let item = batch.items(&pipeline).next().unwrap().to_item();
        let shift = TimeShift { from: EventTime(1_707_605_599), to: EventTime(1_807_605_599) };
        let shifted_pipeline = Pipeline { shift: Some(shift), ..pipeline.clone() };
        let mut shifted = batch.items(&shifted_pipeline).next().unwrap().to_item();
        assert_eq!((shifted.since, shifted.expires_at), (Some(EventTime(1_807_605_000)), Some(1_808_210_399)));
        for count in shifted.counts.values_mut() {
            assert_eq!(count.last_update, EventTime(1_807_605_599));
            count.last_update = EventTime(1_707_605_599);
        }
        assert_eq!(shifted.counts, item.counts);
    }
}
