//! Making items of what has changed.

use super::counters::DecayCounters;
use super::item_writer::ItemWriter;
use crate::epoch::Window;
use crate::pipeline::RowShape;
use crate::sink::ItemBatch;

/// How many changed keys ahead of the one that is published memory is asked for.
const AHEAD: usize = 8;

impl DecayCounters {
    /// Emits the rows that the window has changed.
    pub(super) fn publish_changed(&mut self, window: Window, items: &mut ItemWriter, emit: &mut impl FnMut(ItemBatch)) {
        for position in 0..self.keys.changed().len() {
            if let Some(ahead) = self.keys.changed().get(position + AHEAD) {
                self.keys.prefetch(*ahead);
            }
            self.publish_key(position, window, items, emit);
        }
        self.keys.clear_changed();
    }

    /// Makes items of the changed rows of one changed key.
    fn publish_key(
        &mut self,
        position: usize,
        window: Window,
        items: &mut ItemWriter,
        emit: &mut impl FnMut(ItemBatch),
    ) {
        let block = self.keys.block(self.keys.changed()[position]);
        items.begin_key(block.text());
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
            items.push(&self.features, number, last_update, values, block.since(), window);
            if items.is_full() {
                items.finish(emit);
                items.begin_key(block.text());
            }
        }
        self.keys.clear_mark(position);
    }
}
