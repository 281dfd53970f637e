//! Making items of what has changed.

use super::counters::DecayCounters;
use super::features::FeatureTable;
use crate::counter::EventTime;
use crate::epoch::{Versions, Window};
use crate::pipeline::RowShape;
use crate::sink::ItemBatch;

/// How many items go to the sink in one batch, and a key's last few.
const ITEMS_PER_BATCH: usize = 8192;

/// How many changed keys ahead of the one that is published memory is asked for.
const AHEAD: usize = 8;

impl DecayCounters {
    /// Emits the rows that the window has changed.
    pub(super) fn publish_changed(&mut self, window: Window, items: &mut ItemWriter, emit: &mut impl FnMut(ItemBatch)) {
        for position in 0..self.keys.changed().len() {
            if let Some(ahead) = self.keys.changed().get(position + AHEAD) {
                self.keys.prefetch(*ahead);
            }
            self.publish_key(position, window, items);
            if items.batch.len() >= ITEMS_PER_BATCH {
                items.finish(emit);
            }
        }
        self.keys.clear_changed();
    }

    /// Makes items of the changed rows of one changed key.
    fn publish_key(&mut self, position: usize, window: Window, items: &mut ItemWriter) {
        let block = self.keys.block(self.keys.changed()[position]);
        items.batch.begin_key(block.text());
        for row in block.each_row().filter(|row| row.has_changed()) {
            let (number, last_update, single) = (row.feature(), row.last_update(), row.is_single());
            let feature = self.features.get(number);
            let words = row.words(feature.words(single));
            let values: &[f64] = match feature.shape {
                RowShape::Uniques if single => {
                    // One member, just seen: 1 in every interval, and exact.
                    let intervals = feature.decays.intervals().len();
                    self.values.clear();
                    self.values.resize(intervals, 1.0);
                    self.values.resize(2 * intervals, 0.0);
                    &self.values
                }
                RowShape::Uniques => {
                    let set = &self.pipeline.group(feature.key.group).other_shapes.uniques;
                    self.uniques.estimates(words[0], set, last_update)
                }
                _ if single => {
                    self.values.resize(feature.width, 0.0);
                    feature.decays.begin(&mut self.values, f64::from_bits(words[0]));
                    &self.values
                }
                _ => bytemuck::cast_slice(words),
            };
            items.push(&self.features, number, last_update, values, window);
            if let Some(since) = block.since() {
                items.batch.mark_last(since);
            }
        }
        self.keys.clear_mark(position);
    }
}

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

    #[inline(always)]
    fn push(&mut self, features: &FeatureTable, number: u32, last_update: EventTime, values: &[f64], window: Window) {
        if self.feature_indices.is_empty() {
            self.feature_indices.resize(features.numbers(), NOT_WRITTEN);
        }
        let index = &mut self.feature_indices[number as usize];
        if *index == NOT_WRITTEN {
            *index = self.batch.push_feature(features.get(number).key.clone());
        }
        self.batch.push(*index, last_update, values, self.versions.of(window));
    }

    pub fn finish(&mut self, emit: &mut impl FnMut(ItemBatch)) {
        self.feature_indices.clear();
        if !self.batch.is_empty() {
            let next = self.batch.empty_of_this_size();
            emit(std::mem::replace(&mut self.batch, next));
        }
    }
}
