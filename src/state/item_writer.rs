//! Collecting items into batches for a sink.

use super::features::FeatureTable;
use crate::counter::EventTime;
use crate::epoch::{Versions, Window};
use crate::sink::ItemBatch;

/// How many items go to the sink in one batch.
const ITEMS_PER_BATCH: usize = 8192;

/// Collects items into batches.
pub(super) struct ItemWriter {
    versions: Versions,
    batch: ItemBatch,
    /// Which of the batch's features each feature number is; `NOT_WRITTEN` if it is none yet.
    feature_indices: Vec<u32>,
}

const NOT_WRITTEN: u32 = u32::MAX;

impl ItemWriter {
    pub fn new(versions: Versions) -> ItemWriter {
        ItemWriter { versions, batch: ItemBatch::default(), feature_indices: Vec::new() }
    }

    /// Takes notice of a key, whose rows follow.
    #[inline(always)]
    pub fn begin_key(&mut self, text: &[u8]) {
        self.batch.begin_key(text);
    }

    /// How many items it has collected.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether it is time to [finish](ItemWriter::finish) the batch.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        self.batch.len() >= ITEMS_PER_BATCH
    }

    #[inline(always)]
    pub fn push(
        &mut self,
        features: &FeatureTable,
        number: u32,
        last_update: EventTime,
        values: &[f64],
        since: Option<EventTime>,
        window: Window,
    ) {
        if self.feature_indices.is_empty() {
            self.feature_indices.resize(features.numbers(), NOT_WRITTEN);
        }
        let index = &mut self.feature_indices[number as usize];
        if *index == NOT_WRITTEN {
            let feature = features.get(number);
            *index = self.batch.push_feature(feature.key.clone(), feature.since);
        }
        self.batch.push(*index, last_update, values, self.versions.of(window));
        if let Some(since) = since {
            self.batch.mark_last(since);
        }
    }

    /// Emits what was collected, if anything.
    pub fn finish(&mut self, emit: &mut impl FnMut(ItemBatch)) {
        self.feature_indices.clear();
        if !self.batch.is_empty() {
            // Room for another like it, unless it was the last of many keys, or one of very many rows.
            let is_large = self.batch.len() > 2 * ITEMS_PER_BATCH;
            let next = if is_large { ItemBatch::default() } else { self.batch.empty_of_this_size() };
            emit(std::mem::replace(&mut self.batch, next));
        }
    }
}
