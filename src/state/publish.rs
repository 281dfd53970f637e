//! Making items of what is marked.
//!
//! A *changelog* gets every marked row at the end of each window. A *table* takes marked rows when it can, as they are
//! then; what it was given is [in flight](super::in_flight) until it answers.

use std::ops::Range;
use std::time::Duration;

use super::allowance::{Allowance, Census};
use super::block::{Fate, RowIndex};
use super::blocks::BlockAddress;
use super::counters::DecayCounters;
use super::features::{Feature, FeatureTable};
use super::in_flight::{Batch, BatchId, Handover, Returned};
use super::item_writer::ItemWriter;
use super::key_table::KeyTable;
use super::marks::{Moment, RhythmId};
use super::row_reader::{Round, RowReader, Selection};
use super::shown::remember;
use crate::counter::EventTime;
use crate::sink::{Intake, ItemBatch, Order, Outcome};

/// So many rows of one key are read at once, at most, where each is an item of its own: more wait for the next round. A key that is one
/// item goes as a whole, which its block bounds ([`LARGEST_BLOCK_BYTES`](super::blocks::LARGEST_BLOCK_BYTES): at most 4.9 million rows).
const ROWS_OF_A_KEY: usize = 1 << 16;
/// So many keys are brought into the order of their texts at once: it takes 16 bytes for each.
const SORTED_AT_ONCE: usize = 1 << 20;
/// So many keys are looked at in one turn, at most, though nothing of them is due: other work comes between.
const LOOKED_AT_ONCE: usize = 1 << 15;
/// So many keys are looked at, at most, to know what waits.
const KEYS_COUNTED: usize = 1 << 13;

/// What was found out about the marked rows of a key.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// What becomes of each.
    fates: Vec<Fate>,
    /// What those show that are taken and remember it.
    shown: Vec<f32>,
}

/// What is not known to be in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unpublished {
    /// How many items.
    pub items: usize,
    /// Since when the oldest waits, or longer.
    pub oldest: Option<Moment>,
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
                keys.settle_rows(key, || Fate::Taken);
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
        self.round.map(|round| round.longest)
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
    pub fn begin_round(&mut self, longest: RhythmId, selection: Selection, now: Moment) {
        debug_assert!(!self.is_in_round());
        if self.is_spoilt {
            return;
        }
        (0..=longest.0).for_each(|rhythm| self.keys.begin_round(RhythmId(rhythm)));
        let round = Round { longest, selection, began: now };
        self.round = Some(round);
        if let Some(mut allowance) = self.allowance.take() {
            allowance.begin_round(&self.census_of_round(round));
            self.allowance = Some(allowance);
        }
    }

    /// What waits for the round: some of it, evenly taken.
    fn census_of_round(&mut self, round: Round) -> Census {
        let now = self.stream.now();
        let DecayCounters { keys, pipeline, features, uniques, values, window, largest_held_back, .. } = self;
        let mut reader = RowReader { pipeline, features, uniques, values, window: *window };
        let queues = || (0..=round.longest.0).map(|rhythm| keys.marks().of_round(RhythmId(rhythm)));
        let step = queues().map(<[BlockAddress]>::len).sum::<usize>().div_ceil(KEYS_COUNTED).max(1);
        let mut census = Census::default();
        for key in queues().flatten().step_by(step).filter(|key| **key != BlockAddress::NONE) {
            let block = keys.block(*key);
            let since = block.mark().map_or(round.began, |mark| keys.marks().since(mark));
            let waited = round.began.0.saturating_sub(since.0);
            if reader.takes_whole_keys() {
                if let Some(change) = reader.change_of_key(block, since, round, now, largest_held_back) {
                    census.count(change, waited, (step as u64 * reader.units_of_key(block)) as f64);
                }
                continue;
            }
            for row in block.each_row().filter(|row| row.is_marked()) {
                if reader.is_due(row, since, round, now, largest_held_back) {
                    let units = step as u64 * features.get(row.feature()).units(block.text().len());
                    census.count(reader.change(row, now), waited, units as f64);
                }
            }
        }
        census
    }

    /// Whether something may be written now, as far as write units are limited.
    pub fn may_write(&mut self, now: Moment) -> bool {
        self.allowance.as_mut().is_none_or(|allowance| allowance.allows(now))
    }

    /// When something may be written, as far as that hangs on write units.
    pub fn may_write_at(&self) -> Option<Moment> {
        self.allowance.as_ref()?.next()
    }

    /// Whether the rate of writing is held.
    pub fn has_budget(&self) -> bool {
        self.allowance.is_some()
    }

    /// How long what has changed least is put off at most, to hold the rate; `None`: nothing is.
    pub fn put_off_for(&self) -> Option<u64> {
        self.allowance.as_ref()?.patience()
    }

    /// Reads the next items of the round, a batch of them, as they are now. They are in flight from here on. There may be more
    /// though there was nothing among the keys that were looked at, as long as the round has not
    /// [ended](DecayCounters::is_in_round).
    pub fn take(&mut self, intake: &Intake) -> Option<Handover> {
        let Round { longest, .. } = self.round?;
        let mut looked_at = 0;
        let is_full = |items: &ItemWriter| items.is_full() || items.len() >= intake.items_at_once;
        let mut batch = Batch::default();
        for rhythm in (0..=longest.0).map(RhythmId) {
            while !is_full(&self.items) && looked_at < LOOKED_AT_ONCE && self.has_units() {
                looked_at += 1;
                if intake.order == Order::Key {
                    self.keys.sort_round(rhythm, SORTED_AT_ONCE);
                }
                let Some((key, since)) = self.keys.take(rhythm) else { break };
                let id = self.keys.block(key).id();
                let left =
                    if self.in_flight.contains(id) { Some(rhythm) } else { self.take_key(key, since, &mut batch) };
                if let Some(rhythm) = left {
                    self.keys.queue_again(key, rhythm, since);
                }
            }
        }
        if !is_full(&self.items) && looked_at < LOOKED_AT_ONCE && self.has_units() {
            self.round = None;
        }
        let read = self.depart(batch)?;
        self.in_flight.give(read.id);
        Some(read)
    }

    fn has_units(&self) -> bool {
        self.allowance.as_ref().is_none_or(Allowance::has_units)
    }

    /// The largest change that was held back, relative to what the item showed.
    pub fn largest_held_back(&self) -> f64 {
        self.largest_held_back
    }

    /// What becomes of a key that is one item.
    fn judge_key(&mut self, key: BlockAddress, since: Moment, round: Round) -> Fate {
        let now = self.stream.now();
        let DecayCounters { keys, pipeline, features, uniques, values, window, largest_held_back, allowance, .. } =
            self;
        let mut reader = RowReader { pipeline, features, uniques, values, window: *window };
        let block = keys.block(key);
        match (reader.change_of_key(block, since, round, now, largest_held_back), allowance) {
            (None, _) => Fate::Held,
            (Some(change), Some(allowance)) if round.selection == Selection::Due => {
                let waited = round.began.0.saturating_sub(since.0);
                let goes = allowance.admits(change, waited, reader.units_of_key(block));
                if goes { Fate::Taken } else { Fate::Left }
            }
            (Some(_), _) => Fate::Taken,
        }
    }

    /// Reads the marked rows of a key that are due in the round, or the whole key where that is one item and a row of it is due; says
    /// in which queue the key belongs if others are left.
    fn take_key(&mut self, key: BlockAddress, since: Moment, batch: &mut Batch) -> Option<RhythmId> {
        let mut round = self.round?;
        let whole_keys = self.pipeline.publish.layout.holds_whole_keys();
        let fate_of_key = whole_keys.then(|| self.judge_key(key, since, round));
        if fate_of_key == Some(Fate::Taken) {
            self.keys.mark_key(key);
            round = Round { selection: Selection::Everything, longest: RhythmId(u8::MAX), ..round };
        }
        let now = self.stream.now();
        let DecayCounters {
            keys,
            pipeline,
            features,
            uniques,
            values,
            items,
            window,
            judged,
            largest_held_back,
            allowance,
            metrics,
            ..
        } = self;
        let mut reader = RowReader { pipeline, features, uniques, values, window: *window };
        let block = keys.block(key);
        judged.fates.clear();
        judged.shown.clear();
        let (mut taken, mut left) = (0, None::<RhythmId>);
        let (mut little, mut over_budget) = (0, 0);
        for row in block.each_row().filter(|row| row.is_marked()) {
            let feature = features.get(row.feature());
            let fate = match feature.rhythm <= round.longest && (whole_keys || taken < ROWS_OF_A_KEY) {
                false => Fate::Left,
                true if fate_of_key == Some(Fate::Left) => {
                    over_budget += 1;
                    Fate::Left
                }
                true if round.holds_back(feature, since) && reader.is_held(row, now, largest_held_back) => {
                    little += 1;
                    Fate::Held
                }
                true => match allowance {
                    Some(allowance) if round.selection == Selection::Due => {
                        let waited = round.began.0.saturating_sub(since.0);
                        let units = feature.units(block.text().len());
                        match allowance.admits(reader.change(row, now), waited, units) {
                            true => Fate::Taken,
                            false => {
                                over_budget += 1;
                                Fate::Left
                            }
                        }
                    }
                    _ => Fate::Taken,
                },
            };
            judged.fates.push(fate);
            if fate == Fate::Taken {
                // Of a key that is held back nothing may stay anywhere.
                if taken == 0 {
                    batch.begin_key(block.id(), since);
                    items.begin_key(block.text());
                }
                let read = reader.read(block, row, items);
                if feature.shown_words > 0 && !row.is_single() {
                    judged.shown.extend(read.iter().take(feature.decays.width()).map(|value| *value as f32));
                }
                batch.push(row.feature());
                taken += 1;
                if !whole_keys && let Some(allowance) = allowance {
                    allowance.spend(feature.units(block.text().len()));
                }
            } else {
                left = Some(left.map_or(feature.rhythm, |left| left.min(feature.rhythm)));
            }
        }
        if whole_keys
            && taken > 0
            && let Some(allowance) = allowance
        {
            allowance.spend(reader.units_of_key(block));
        }
        if !judged.shown.is_empty() {
            keys.remember(key, features, judged);
        }
        metrics.held_back_little.add(little);
        metrics.held_back_for_budget.add(over_budget);
        let mut fates = judged.fates.iter();
        keys.settle_rows(key, || fates.next().copied().unwrap_or(Fate::Left));
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
        let handover = self.evicted_items.pop_front_if(|handover| in_flight.give(handover.id))?;
        if let Some(allowance) = &mut self.allowance {
            allowance.spend(handover.items.len() as u64);
        }
        Some(handover)
    }

    /// Notes for how long items of a batch have waited, or a little less, that are in the table now.
    pub fn note_freshness(&self, id: BatchId, items: u32, now: Moment) {
        let Some(since) = self.in_flight.since(id) else { return };
        self.metrics.freshness.note(Duration::from_millis(now.0.saturating_sub(since.0)), items.into());
    }

    /// Takes a table's answer for some items of a batch, by their indices; what is not written is marked again.
    pub fn answer(&mut self, id: BatchId, items: Range<u32>, outcome: Outcome) {
        for Returned { key, feature, since } in self.in_flight.answer(id, items, outcome) {
            let found = self.keys.find(key).and_then(|key| Some((key, self.keys.block(key).find(feature).ok()?)));
            match (outcome, found) {
                (Outcome::Written, Some((key, row))) => self.keys.block_mut(key).set_shown(row),
                // What the item shows is not known: the next change is published whatever it is.
                (Outcome::Written, None) | (Outcome::Refused | Outcome::Superseded, _) => {}
                (Outcome::NotWritten, Some((key, row))) => {
                    self.keys.mark_again(key, row, self.features.get(feature).rhythm, since);
                }
                (Outcome::NotWritten, None) => self.metrics.evictions.unpublished.add(1),
            }
        }
        for key in self.in_flight.take_answered() {
            self.note_answered(key);
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

impl KeyTable {
    /// Keeps what the item of a row shows, or soon may.
    pub(super) fn remember_row(
        &mut self,
        key: BlockAddress,
        row: RowIndex,
        feature: &Feature,
        last_update: EventTime,
        shown: &[f32],
    ) {
        remember(self.block_mut(key).row_words_mut(row, feature.width, feature.shown_words), last_update, shown);
    }

    /// Keeps, for each of a key's marked rows that is taken, what it shows.
    fn remember(&mut self, key: BlockAddress, features: &FeatureTable, judged: &Judged) {
        let mut block = self.block_mut(key);
        let (mut fates, mut shown) = (judged.fates.iter(), judged.shown.as_slice());
        for index in 0..block.read().rows() {
            let row = block.read().row(index);
            if !row.is_marked() || fates.next() != Some(&Fate::Taken) || row.is_single() {
                continue;
            }
            let feature = features.get(row.feature());
            if feature.shown_words > 0 {
                let last_update = row.last_update();
                let (own, rest) = shown.split_at(feature.decays.width());
                remember(block.row_words_mut(index, feature.width, feature.shown_words), last_update, own);
                shown = rest;
            }
        }
    }
}
