//! Making items of what is marked.
//!
//! A *changelog* gets every marked row at the end of each window. A *table* takes marked rows when it can, as they are
//! then; what it was given is [in flight](super::in_flight) until it answers.

use std::ops::Range;

use super::block::{Block, Row};
use super::blocks::BlockAddress;
use super::counters::DecayCounters;
use super::features::FeatureTable;
use super::in_flight::{Batch, BatchId, Handover, Returned};
use super::item_writer::ItemWriter;
use super::marks::{Moment, RhythmId};
use super::uniques_store::UniquesStore;
use crate::epoch::Window;
use crate::pipeline::{Layout, Pipeline, RowShape};
use crate::sink::{Intake, ItemBatch, Order, Outcome};

/// So many rows of one key are read at once, at most, where each is an item of its own: more wait for the next round. A key that is one
/// item goes as a whole, which its block bounds ([`LARGEST_BLOCK_BYTES`](super::blocks::LARGEST_BLOCK_BYTES): at most 4.9 million rows).
const ROWS_OF_A_KEY: usize = 1 << 16;
/// So many keys are brought into the order of their texts at once: it takes 16 bytes for each.
const SORTED_AT_ONCE: usize = 1 << 20;

/// What is not known to be in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unpublished {
    /// How many items.
    pub items: usize,
    /// Since when the oldest waits, or longer.
    pub oldest: Option<Moment>,
}

/// What it takes to read a row.
pub(super) struct RowReader<'a> {
    pub pipeline: &'a Pipeline,
    pub features: &'a FeatureTable,
    pub uniques: &'a mut UniquesStore,
    /// Room for the values of a row.
    pub values: &'a mut Vec<f64>,
    pub window: Window,
}

impl DecayCounters {
    /// Emits the rows that the window has changed.
    pub(super) fn publish_changed(&mut self, emit: &mut impl FnMut(ItemBatch)) {
        for rhythm in self.rhythms() {
            self.keys.begin_round(rhythm);
            while let Some((key, _)) = self.keys.take(rhythm) {
                let DecayCounters { keys, pipeline, features, uniques, values, items, window, .. } = self;
                let mut reader = RowReader { pipeline, features, uniques, values, window: *window };
                let block = keys.block(key);
                items.begin_key(block.text());
                for row in block.each_row().filter(|row| row.is_marked()) {
                    reader.read(block, row, items);
                    if items.is_full() {
                        items.finish(emit);
                        items.begin_key(block.text());
                    }
                }
                keys.unmark_rows(key, |_| true);
            }
        }
    }

    /// The rhythms in which groups are published, the shortest first.
    pub(super) fn rhythms(&self) -> impl Iterator<Item = RhythmId> + use<> {
        (0..self.pipeline.publish.rhythms.len() as u8).map(RhythmId)
    }

    /// Whether rows of this rhythm may wait for a round to begin.
    pub fn waits_for_round(&self, rhythm: RhythmId) -> bool {
        // A key stands in the queue of its shortest rhythm.
        (0..=rhythm.0).any(|shorter| self.keys.marks().waits(RhythmId(shorter)))
    }

    /// The longest rhythm of the round that is under way.
    pub fn round(&self) -> Option<RhythmId> {
        self.round
    }

    /// When the last epoch was applied.
    pub fn last_epoch(&self) -> Moment {
        self.now
    }

    /// Whether a round is under way: there may be more to [take](DecayCounters::take).
    pub fn is_in_round(&self) -> bool {
        self.round.is_some()
    }

    /// Begins a round over all that is marked and of this rhythm or of shorter ones; none may be under way. There is none after an
    /// epoch that could not be applied: what that has changed must not be published.
    pub fn begin_round(&mut self, longest: RhythmId) {
        debug_assert!(!self.is_in_round());
        if self.is_spoilt {
            return;
        }
        (0..=longest.0).for_each(|rhythm| self.keys.begin_round(RhythmId(rhythm)));
        self.round = Some(longest);
    }

    /// Reads the next items of the round, a batch of them, as they are now; `None` when the round has ended. They are in
    /// flight from here on.
    pub fn take(&mut self, intake: &Intake) -> Option<Handover> {
        let longest = self.round?;
        let is_full = |items: &ItemWriter| items.is_full() || items.len() >= intake.items_at_once;
        let mut batch = Batch::default();
        for rhythm in (0..=longest.0).map(RhythmId) {
            while !is_full(&self.items) {
                if intake.order == Order::Key {
                    self.keys.sort_round(rhythm, SORTED_AT_ONCE);
                }
                let Some((key, since)) = self.keys.take(rhythm) else { break };
                let id = self.keys.block(key).id();
                let left = if self.in_flight.contains(id) {
                    Some(rhythm)
                } else {
                    batch.begin_key(id, since);
                    self.take_key(key, longest, &mut batch)
                };
                if let Some(rhythm) = left {
                    self.keys.queue_again(key, rhythm, since);
                }
            }
        }
        if !is_full(&self.items) {
            self.round = None;
        }
        let read = self.depart(batch)?;
        self.in_flight.give(read.id);
        Some(read)
    }

    /// Reads the marked rows of a key that are of this rhythm or of a shorter one, or the whole key where that is one item; says in
    /// which queue the key belongs if others are left.
    fn take_key(&mut self, key: BlockAddress, longest: RhythmId, batch: &mut Batch) -> Option<RhythmId> {
        let DecayCounters { keys, pipeline, features, uniques, values, items, window, .. } = self;
        let mut reader = RowReader { pipeline, features, uniques, values, window: *window };
        let block = keys.block(key);
        if reader.takes_whole_keys() {
            reader.read_key(block, items, batch);
            keys.unmark_rows(key, |_| true);
            return None;
        }
        items.begin_key(block.text());
        let (mut taken, mut left) = (0, None::<RhythmId>);
        for row in block.each_row().filter(|row| row.is_marked()) {
            let rhythm = features.get(row.feature()).rhythm;
            if rhythm <= longest && taken < ROWS_OF_A_KEY {
                reader.read(block, row, items);
                batch.push(row.feature());
                taken += 1;
            } else {
                left = Some(left.map_or(rhythm, |left| left.min(rhythm)));
            }
        }
        keys.unmark_rows(key, |feature| {
            let goes = taken > 0 && features.get(feature).rhythm <= longest;
            taken -= usize::from(goes);
            goes
        });
        left
    }

    /// Takes notice of what was read.
    pub(super) fn depart(&mut self, batch: Batch) -> Option<Handover> {
        let mut read = None;
        self.items.finish(&mut |items| read = Some(items));
        let items = read?;
        Some(Handover { id: self.in_flight.depart(batch, items.memory()), items })
    }

    /// What left with evicted keys, the oldest first, to be handed over before all else. A key that is still in flight keeps it
    /// waiting.
    pub fn take_evicted(&mut self) -> Option<Handover> {
        let in_flight = &mut self.in_flight;
        self.evicted_items.pop_front_if(|handover| in_flight.give(handover.id))
    }

    /// Takes a table's answer for some items of a batch, by their indices; what is not written is marked again.
    pub fn answer(&mut self, id: BatchId, items: Range<u32>, outcome: Outcome) {
        for Returned { key, feature, since } in self.in_flight.answer(id, items, outcome) {
            let found = self.keys.find(key).and_then(|key| Some((key, self.keys.block(key).find(feature).ok()?)));
            match found {
                Some((key, row)) => self.keys.mark_again(key, row, self.features.get(feature).rhythm, since),
                None => self.metrics.evictions.unpublished.add(1),
            }
        }
    }

    /// How many items are marked or in flight.
    pub fn unpublished_items(&self) -> usize {
        self.keys.marked_rows() + self.in_flight.items()
    }

    /// What is marked or in flight. (Looks at every batch in flight.)
    pub fn unpublished(&self) -> Unpublished {
        Unpublished {
            items: self.unpublished_items(),
            oldest: [self.keys.marks().oldest(), self.in_flight.oldest()].into_iter().flatten().min(),
        }
    }

    /// The bytes that are allocated for keys, with all that belongs to them.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.allocated_bytes()
    }

    /// The bytes of the items that the table has been given and has not answered for.
    pub fn bytes_in_flight(&self) -> u64 {
        self.in_flight.bytes_given()
    }
}

impl RowReader<'_> {
    /// Whether an item of the table holds a whole key, so that rows go along that have not changed.
    pub fn takes_whole_keys(&self) -> bool {
        self.pipeline.publish.layout != Layout::Feature
    }

    /// How many rows [`RowReader::read_key`] reads.
    pub fn rows_to_read(&self, block: Block<'_>) -> usize {
        match block.marked_rows() {
            0 => 0,
            _ if self.takes_whole_keys() => block.rows(),
            marked => marked,
        }
    }

    /// Makes items of the marked rows of a key, or of all where it is one item.
    pub fn read_key(&mut self, block: Block<'_>, items: &mut ItemWriter, batch: &mut Batch) {
        let whole = self.takes_whole_keys();
        items.begin_key(block.text());
        for row in block.each_row().filter(|row| whole || row.is_marked()) {
            self.read(block, row, items);
            batch.push(row.feature());
        }
    }

    /// Makes an item of a row of a key that the items have begun.
    #[inline]
    pub fn read(&mut self, block: Block<'_>, row: Row<'_>, items: &mut ItemWriter) {
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
                self.values
            }
            RowShape::Uniques => {
                let set = &self.pipeline.group(feature.key.group).other_shapes.uniques;
                self.uniques.estimates(words[0], set, last_update)
            }
            _ if single => {
                self.values.resize(feature.width, 0.0);
                feature.decays.begin(self.values, f64::from_bits(words[0]));
                self.values
            }
            _ => bytemuck::cast_slice(words),
        };
        items.push(self.features, number, last_update, values, block.since(), self.window);
    }
}
