//! The counters of one worker's keys, and how a closed epoch changes them.

use std::ops::Range;
use std::sync::Arc;

use super::expiry::Expiry;
use super::features::FeatureTable;
use super::key_table::{KeyTable, MOST_KEYS};
use super::limits::Limiter;
use super::publish::ItemWriter;
use super::uniques_store::UniquesStore;
use crate::clock::StreamTime;
use crate::epoch::{Versions, Window};
use crate::peers::Peers;
use crate::pipeline::Pipeline;
use crate::sink::ItemBatch;
use crate::sums::{ContributionBatch, Damaged};
use crate::telemetry::Metrics;

/// The counters of the keys that one worker holds. Epochs are applied whole, in order, once they are closed:
/// nothing of an open epoch touches a row.
pub(crate) struct DecayCounters {
    pub(super) pipeline: Arc<Pipeline>,
    versions: Versions,
    pub(super) keys: KeyTable,
    pub(super) uniques: UniquesStore,
    pub(super) features: FeatureTable,
    pub(super) stream: StreamTime,
    pub(super) expiry: Expiry,
    /// Keeps the rows within the pipeline's limits, where it has any.
    pub(super) limiter: Option<Limiter>,
    /// Room for the values of a row.
    pub(super) values: Vec<f64>,
    pub(super) metrics: Arc<Metrics>,
}

/// Why an epoch cannot be applied. What it has changed until then must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// There are more keys than a worker can hold, or more rows than a key can.
    #[error("too many rows")]
    TooMany,
}

/// What one batch holds of one window.
struct Segment {
    window: Window,
    batch: usize,
    part: Range<u64>,
}

impl DecayCounters {
    /// No keys yet. They will be those of one of these workers.
    pub fn new(pipeline: Arc<Pipeline>, versions: Versions, peers: Peers, metrics: Arc<Metrics>) -> DecayCounters {
        let limiter = Limiter::new(&pipeline, peers);
        let measured = limiter.as_ref().is_some_and(|limiter| limiter.budget.counts_bytes());
        let mut counters = DecayCounters {
            pipeline,
            versions,
            keys: KeyTable::new(),
            uniques: if measured { UniquesStore::measured() } else { UniquesStore::default() },
            features: FeatureTable::default(),
            stream: StreamTime::default(),
            expiry: Expiry::default(),
            limiter,
            values: Vec::new(),
            metrics,
        };
        // What tables take when they are empty is no matter of rows.
        let empty = counters.allocated_bytes();
        if let Some(limiter) = &mut counters.limiter {
            limiter.budget.allow_beside(empty);
        }
        counters
    }

    /// Whether all keys that these batches might make can be held beside those that there are.
    pub fn has_room_for(&self, batches: &[ContributionBatch]) -> bool {
        fits(self.keys.keys(), batches.iter().map(ContributionBatch::most_keys).sum())
    }

    /// Merges the batches of a closed epoch, window by window, and emits every row that a window
    /// changed, as it is at the window's end.
    pub fn apply_epoch(
        &mut self,
        batches: &[ContributionBatch],
        mut emit: impl FnMut(ItemBatch),
    ) -> Result<(), ApplyError> {
        let rows_before = self.keys.rows();
        let features: Vec<Vec<u32>> =
            batches.iter().map(|batch| self.feature_numbers(batch)).collect::<Result<_, _>>()?;
        let mut items = ItemWriter::new(self.versions);
        let mut segments = segments_by_window(batches).into_iter().peekable();
        while let Some(segment) = segments.next() {
            self.merge_all(batches[segment.batch].keys(segment.part)?, &features[segment.batch])?;
            if segments.peek().is_none_or(|next| next.window != segment.window) {
                self.publish_changed(segment.window, &mut items, &mut emit);
            }
        }
        items.finish(&mut emit);
        self.stream.learn(batches.iter().map(|batch| &batch.times));
        let new_rows = self.keys.rows() - rows_before;
        self.metrics.rows.add(new_rows as u64);
        self.expiry.end_epoch(self.keys.rows());
        // A first slice, so that no row is evicted while others have expired.
        self.forget_expired();
        self.make_room();
        Ok(())
    }

    /// This worker's numbers of the features, by the sender's.
    fn feature_numbers(&mut self, batch: &ContributionBatch) -> Result<Vec<u32>, ApplyError> {
        batch.check_format()?;
        let mut numbers = Vec::new();
        for feature in batch.features(&self.pipeline) {
            let (sender, key) = feature?;
            let sender = sender as usize;
            if sender >= ContributionBatch::MOST_FEATURES {
                return Err(Damaged("a feature with a number too large").into());
            }
            numbers.resize(numbers.len().max(sender + 1), u32::MAX);
            numbers[sender] = self.features.number_of(&key, &self.pipeline);
        }
        Ok(numbers)
    }
}

fn fits(keys: usize, new_keys: usize) -> bool {
    new_keys <= MOST_KEYS.saturating_sub(keys)
}

/// The batches' sums by ascending window.
fn segments_by_window(batches: &[ContributionBatch]) -> Vec<Segment> {
    let mut segments = Vec::new();
    for (batch, contributions) in batches.iter().enumerate() {
        segments.extend(contributions.windows().map(|(window, part)| Segment { window, batch, part }));
    }
    segments.sort_by_key(|segment| segment.window);
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_keys_than_can_be_addressed_fit() {
        assert!(fits(0, MOST_KEYS) && fits(MOST_KEYS - 7, 7));
        assert!(!fits(MOST_KEYS - 7, 8) && !fits(1, usize::MAX));
    }
}
