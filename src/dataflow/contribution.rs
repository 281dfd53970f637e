//! What crosses the exchange: the sums of one epoch, as plain data.

use serde::{Deserialize, Serialize};

use super::identity::RowId;
use crate::counter::EventTime;
use crate::epoch::Window;
use crate::pipeline::FeatureKey;

/// What one worker's events of one epoch add to the rows of another worker.
///
/// Fixed-size records point into the batch's own arenas for key and values, so a batch is a handful
/// of allocations however many contributions it holds, and it is serialisable as it stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ContributionBatch {
    /// The index of the worker that holds the rows.
    pub target: u64,
    /// The time in the stream when the epoch ended, as far as the sender knows it.
    pub stream_time: Option<EventTime>,
    /// The windows of the epoch, ascending, and how many records each has.
    pub windows: Vec<(Window, u32)>,
    features: Vec<FeatureKey>,
    records: Vec<Record>,
    values: Vec<f64>,
    text: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Record {
    row: RowId,
    last_update: EventTime,
    key_start: u64,
    values_start: u64,
    feature: u32,
    key_length: u16,
    width: u16,
}

/// What the events of one window add to one row: a row of its own, to be merged.
#[derive(Clone, Copy, Debug)]
pub struct Contribution<'a> {
    /// The row.
    pub row: RowId,
    /// The row's feature, by its place in [`ContributionBatch::features`].
    pub feature: u32,
    /// The key's text, UTF-8.
    pub key: &'a [u8],
    /// The time of the newest event in it.
    pub last_update: EventTime,
    /// The events' weights, decayed to the last update: one value per interval of the group.
    pub values: &'a [f64],
}

impl ContributionBatch {
    /// Adds a feature that later contributions refer to by the number that is returned.
    pub fn push_feature(&mut self, feature: FeatureKey) -> u32 {
        self.features.push(feature);
        (self.features.len() - 1) as u32
    }

    /// Adds a contribution to the window that is open.
    pub fn push(&mut self, contribution: Contribution<'_>) {
        self.records.push(Record {
            row: contribution.row,
            last_update: contribution.last_update,
            key_start: self.text.len() as u64,
            values_start: self.values.len() as u64,
            feature: contribution.feature,
            key_length: contribution.key.len() as u16,
            width: contribution.values.len() as u16,
        });
        self.text.extend_from_slice(contribution.key);
        self.values.extend_from_slice(contribution.values);
    }

    /// The features that contributions refer to.
    pub fn features(&self) -> &[FeatureKey] {
        &self.features
    }

    /// How many contributions it holds.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The contribution at this place.
    #[inline]
    pub fn get(&self, place: usize) -> Contribution<'_> {
        let record = &self.records[place];
        Contribution {
            row: record.row,
            feature: record.feature,
            key: &self.text[record.key_start as usize..][..usize::from(record.key_length)],
            last_update: record.last_update,
            values: &self.values[record.values_start as usize..][..usize::from(record.width)],
        }
    }
}
