//! What a sink holds, in a form that takes little room: the items of the keys that are looked at, in the order of their rows.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::row::{FeatureId, Identities, KeyId, RowId, Sample};
use crate::counter::EventTime;
use crate::epoch::Version;
use crate::pipeline::TimeShift;
use crate::reading::{Count, Item};
use crate::sink::{ItemReader, SinkError};

/// All items that are looked at.
#[derive(Debug, Default)]
pub(super) struct Items {
    /// By row; two of one row cannot be.
    items: Vec<Stored>,
    features: Vec<String>,
    text: Vec<u8>,
    counts: Vec<Count>,
    /// The keys of items that say since when they count, and since when.
    restarted: HashMap<KeyId, i64, RandomState>,
    /// By feature, since when its items count at least, where all of them say so.
    added: HashMap<FeatureId, Option<i64>, RandomState>,
}

#[derive(Debug)]
struct Stored {
    row: RowId,
    key_start: usize,
    counts_start: usize,
    key_length: u32,
    counts_length: u32,
    feature: u32,
    is_newer: bool,
    is_mislabelled: bool,
    expires_at: Option<i64>,
    since: Option<i64>,
}

/// One item, its times moved back to those of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct ItemView<'a> {
    pub row: RowId,
    pub key: &'a [u8],
    pub feature_name: &'a str,
    /// In the order of the intervals.
    pub counts: &'a [Count],
    /// Whether some count stands under another interval than its own.
    pub is_mislabelled: bool,
    /// As it stands in the item: seconds since 1970, moved with the times.
    pub expires_at: Option<i64>,
    pub since: Option<i64>,
    /// Whether it was published after what is recounted.
    pub is_newer: bool,
}

impl Items {
    /// Reads them all.
    pub fn read(
        reader: &mut dyn ItemReader,
        shift: Option<TimeShift>,
        last_version: Option<Version>,
        identities: Identities,
        sample: Sample,
    ) -> Result<Items, SinkError> {
        let mut items = Items::default();
        let mut numbers: HashMap<String, u32, RandomState> = HashMap::default();
        let wanted = |key: &str| sample.takes(key.as_bytes());
        reader.each_of(&wanted, &mut |item| {
            items.push(item, identities, shift, last_version, &mut numbers);
            Ok(())
        })?;
        items.items.sort_unstable_by_key(|stored| stored.row);
        Ok(items)
    }

    fn push(
        &mut self,
        item: Item,
        identities: Identities,
        shift: Option<TimeShift>,
        last_version: Option<Version>,
        numbers: &mut HashMap<String, u32, RandomState>,
    ) {
        let row = RowId { key: identities.key(item.key.as_bytes()), feature: identities.feature(&item.feature_name) };
        let feature = numbers.get(&item.feature_name).copied().unwrap_or_else(|| {
            self.features.push(item.feature_name.clone());
            let number = self.features.len() as u32 - 1;
            numbers.insert(item.feature_name, number);
            number
        });
        let moved_back = |time: EventTime| shift.map_or(time, |shift| shift.moved_back(time));
        let since = item.since.map(|since| moved_back(since).0);
        if let Some(since) = since {
            let latest = self.restarted.entry(row.key).or_insert(since);
            *latest = since.max(*latest);
        }
        let added = self.added.entry(row.feature).or_insert(since);
        *added = added.zip(since).map(|(one, other)| one.min(other));
        self.items.push(Stored {
            row,
            key_start: self.text.len(),
            counts_start: self.counts.len(),
            key_length: item.key.len() as u32,
            counts_length: item.counts.len() as u32,
            feature,
            is_newer: last_version.is_some_and(|last| item.version > last),
            is_mislabelled: item.counts.iter().any(|(interval, count)| *interval != count.decay_interval),
            expires_at: item.expires_at,
            since,
        });
        self.text.extend_from_slice(item.key.as_bytes());
        let counts = item.counts.into_values();
        self.counts.extend(counts.map(|count| Count { last_update: moved_back(count.last_update), ..count }));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn get(&self, index: usize) -> ItemView<'_> {
        let stored = &self.items[index];
        ItemView {
            row: stored.row,
            key: &self.text[stored.key_start..][..stored.key_length as usize],
            feature_name: &self.features[stored.feature as usize],
            counts: &self.counts[stored.counts_start..][..stored.counts_length as usize],
            is_mislabelled: stored.is_mislabelled,
            expires_at: stored.expires_at,
            since: stored.since,
            is_newer: stored.is_newer,
        }
    }

    /// The index of this row's item.
    pub fn find(&self, row: RowId) -> Option<usize> {
        self.items.binary_search_by_key(&row, |stored| stored.row).ok()
    }

    /// Since when this feature counts, where all items of it say so: it was added to a state then.
    pub fn added(&self, feature: FeatureId) -> Option<i64> {
        self.added.get(&feature).copied().flatten()
    }

    /// Since when this key counts, where some item of it says so: the latest.
    pub fn since(&self, key: KeyId) -> Option<i64> {
        self.restarted.get(&key).copied()
    }
}
