//! What crosses the exchange: the sums of one epoch, as plain data.

use serde::{Deserialize, Serialize};

use super::identity::RowId;
use crate::counter::{EventTime, Uniques};
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
    uniques: Vec<Uniques>,
    text: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Record {
    row: RowId,
    last_update: EventTime,
    key_start: u64,
    /// Of the values, or the place of the uniques.
    amount_start: u64,
    feature: u32,
    key_length: u16,
    /// How many values; `UNIQUES` where these are uniques.
    width: u16,
}

const UNIQUES: u16 = u16::MAX;

/// Which row a contribution goes to, and when it was last updated by it.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// The row.
    pub row: RowId,
    /// The row's feature, by its place in [`ContributionBatch::features`].
    pub feature: u32,
    /// The key's text, UTF-8.
    pub key: &'a [u8],
    /// The time of the newest event.
    pub last_update: EventTime,
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
    /// What the events add.
    pub amount: Amount<'a>,
}

/// What some events add to a row.
#[derive(Clone, Copy, Debug)]
pub enum Amount<'a> {
    /// Their weights, decayed to the last update: the values of a row.
    Values(&'a [f64]),
    /// The members that they name.
    Uniques(&'a Uniques),
}

impl ContributionBatch {
    /// Adds a feature that later contributions refer to by the number that is returned.
    pub fn push_feature(&mut self, feature: FeatureKey) -> u32 {
        self.features.push(feature);
        (self.features.len() - 1) as u32
    }

    /// Adds a contribution of values to the window that is open.
    #[inline]
    pub fn push_values(&mut self, to: Destination<'_>, values: &[f64]) {
        self.push(to, self.values.len(), values.len() as u16);
        self.values.extend_from_slice(values);
    }

    /// Adds a contribution of uniques to the window that is open.
    pub fn push_uniques(&mut self, to: Destination<'_>, uniques: Uniques) {
        self.push(to, self.uniques.len(), UNIQUES);
        self.uniques.push(uniques);
    }

    #[inline]
    fn push(&mut self, to: Destination<'_>, amount_start: usize, width: u16) {
        self.records.push(Record {
            row: to.row,
            last_update: to.last_update,
            key_start: self.text.len() as u64,
            amount_start: amount_start as u64,
            feature: to.feature,
            key_length: to.key.len() as u16,
            width,
        });
        self.text.extend_from_slice(to.key);
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
            amount: match record.width {
                UNIQUES => Amount::Uniques(&self.uniques[record.amount_start as usize]),
                width => Amount::Values(&self.values[record.amount_start as usize..][..usize::from(width)]),
            },
        }
    }
}
