//! Keys go when memory runs short: those that are worth least, each with all its rows.
//!
//! What of them is marked is handed over as it is when they go, as far as there is room for it: memory is held whatever
//! the table does.

use super::block::{Block, Row};
use super::blocks::BlockAddress;
use super::counters::DecayCounters;
use super::features::FeatureTable;
use super::in_flight::Batch;
use super::key_table::KeyTable;
use super::limits::{Census, Cut, EvictedKeys, Limiter, Usage, Worth};
use super::marks::Moment;
use super::release::{has_uniques, release_row};
use super::row_reader::{RowReader, Selection};
use super::snapshot::Held;
use super::uniques_store::UniquesStore;
use crate::counter::EventTime;
use crate::pipeline::{GroupId, Pipeline, RowShape};
use crate::sums::KeyId;
use crate::telemetry::GroupHoldings;

/// What keys free is an estimate where memory comes back by slabs; so often it is looked again, at most.
const ROUNDS: usize = 3;

/// What has gone in one eviction.
#[derive(Default)]
struct Gone {
    rows: u64,
    largest_worth: Option<Worth>,
}

/// So many last items of evicted keys may wait to be handed over.
const LAST_ITEMS: usize = 1 << 14;

/// What it takes to judge keys.
struct Judge<'a> {
    pipeline: &'a Pipeline,
    features: &'a FeatureTable,
    uniques: &'a UniquesStore,
    now: EventTime,
}

impl DecayCounters {
    /// Lets keys go until there is room for the next epoch. To be called when an epoch has been applied
    /// and published: nothing holds an address of a key then.
    pub(super) fn make_room(&mut self) {
        let Some(mut limiter) = self.limiter.take() else { return };
        limiter.budget.observe_epoch(self.usage(&limiter));
        if limiter.budget.excess().is_some() {
            // Holes that expired rows have left may be room enough.
            self.give_back(&mut limiter);
        }
        if let Some(excess) = limiter.budget.excess() {
            let gone = self.evict(excess, &mut limiter);
            self.metrics.rows.subtract(gone.rows);
            if let Some(largest) = gone.largest_worth {
                self.metrics.evictions.observe(gone.rows, largest.value());
            }
        }
        self.limiter = Some(limiter);
    }

    fn evict(&mut self, mut excess: Usage, limiter: &mut Limiter) -> Gone {
        let now = self.stream.middle().unwrap_or(EventTime(i64::MIN));
        limiter.evicted.begin_eviction(now);
        let mut gone = Gone::default();
        for _ in 0..ROUNDS {
            let cut = self.census(now).cut(excess);
            self.take_below(cut, now, &mut limiter.evicted, &mut gone);
            self.give_back(limiter);
            match limiter.budget.excess() {
                Some(still) if self.keys.keys() > 0 => excess = still,
                _ => break,
            }
        }
        gone
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.keys.rows()
    }

    /// What there is of each group, by their places in the pipeline file, as far as there was anything.
    pub fn held(&self) -> &[GroupHoldings] {
        self.features.held()
    }

    /// Lets go of keys with all that is theirs, whatever is marked of it: of which some group of theirs is not wanted. For
    /// whoever goes on with a share of them.
    pub fn retain_keys(&mut self, wants: impl Fn(KeyId, GroupId) -> bool) {
        let DecayCounters { keys, uniques, features, .. } = self;
        keys.for_each_key(|keys, key| {
            let block = keys.block(key);
            let group = block.each_row().next().map(|row| features.get(row.feature()).key.group);
            if group.is_none_or(|group| wants(block.id(), group)) {
                return;
            }
            release(block, uniques, features);
            keys.remove(key);
        });
        self.compact();
    }

    /// What of all that is marked should be published soon, for memory: what is due, because keys will have to go; or everything,
    /// because rows stay that have expired. Said once for each time.
    pub fn memory_needs(&mut self) -> Option<Selection> {
        let keys_will_go = self.limiter.as_mut().is_some_and(|limiter| limiter.budget.warns());
        match self.expiry.wants_publishing(self.keys.rows()) {
            true => Some(Selection::Everything),
            false => keys_will_go.then_some(Selection::Due),
        }
    }

    /// Gives back the memory of rows that are gone, where memory is limited, and looks at what is left.
    fn give_back(&mut self, limiter: &mut Limiter) {
        self.features.give_back();
        if limiter.budget.counts_bytes() {
            self.compact();
        }
        limiter.budget.observe_eviction(self.usage(limiter));
    }

    /// What the keys take; their bytes only where these are limited.
    fn usage(&self, limiter: &Limiter) -> Usage {
        let bytes = if limiter.budget.counts_bytes() { self.allocated_bytes() } else { 0 };
        Usage { rows: self.keys.rows(), bytes }
    }

    /// The bytes that are allocated for keys, with all that belongs to them.
    pub(super) fn allocated_bytes(&self) -> usize {
        self.keys.allocated_bytes() + self.uniques.allocated_bytes() + self.features.allocated_bytes()
    }

    fn census(&mut self, now: EventTime) -> Census {
        let mut census = Census::new();
        let DecayCounters { keys, pipeline, features, uniques, .. } = self;
        let judge = Judge { pipeline, features, uniques, now };
        keys.for_each_key(|keys, key| census.count(judge.worth(keys.block(key)), judge.usage(keys, key)));
        census
    }

    fn take_below(&mut self, mut cut: Cut, now: EventTime, evicted: &mut EvictedKeys, gone: &mut Gone) {
        let mut last = Batch::default();
        let waiting: usize = self.evicted_items.iter().map(|handover| handover.items.len()).sum();
        let mut room = LAST_ITEMS.saturating_sub(waiting);
        let DecayCounters {
            keys,
            uniques,
            features,
            pipeline,
            values,
            items,
            window,
            metrics,
            snapshots,
            in_flight,
            ..
        } = self;
        keys.for_each_key(|keys, key| {
            let block = keys.block(key);
            let judge = Judge { pipeline, features, uniques, now };
            let (worth, usage) = (judge.worth(block), judge.usage(keys, key));
            if !cut.takes(worth, usage) {
                return;
            }
            gone.observe(worth, usage.rows);
            // Whoever starts again has lost nothing with what would be published as 0.
            if worth.rank() > Worth::NOTHING.rank() {
                evicted.insert(block.id());
            }
            let mut reader = RowReader { pipeline, features, uniques, values, window: *window };
            let rows = reader.rows_to_read(block);
            if rows > room {
                metrics.evictions.unpublished.add(block.marked_rows() as u64);
            } else if rows > 0 {
                room -= rows;
                let since = block.mark().map_or(Moment::default(), |mark| keys.marks().since(mark));
                last.begin_key(block.id(), since);
                reader.read_key(block, items, &mut last);
            }
            if let Some(snapshots) = snapshots {
                snapshots.note_leaving(keys, key, &mut Held { features, uniques, in_flight });
            }
            release(keys.block(key), uniques, features);
            keys.remove(key);
        });
        let departed = self.depart(last);
        self.evicted_items.extend(departed);
    }

    /// Closes the holes among keys and uniques, for their memory to come back.
    fn compact(&mut self) {
        let DecayCounters { keys, uniques, features, .. } = self;
        keys.compact();
        uniques.compact(|uniques| {
            keys.for_each_key(|keys, key| {
                let mut block = keys.block_mut(key);
                for row in 0..block.read().rows() {
                    if has_uniques(block.read().row(row), features) {
                        let word = block.row_word_mut(row);
                        *word = uniques.moved(*word);
                    }
                }
            });
        });
    }
}

/// Frees what a key that goes has outside of its block.
fn release(block: Block<'_>, uniques: &mut UniquesStore, features: &mut FeatureTable) {
    if let Some(row) = block.each_row().next() {
        features.remove_key(row.feature());
    }
    block.each_row().for_each(|row| release_row(row, uniques, features));
}

impl Judge<'_> {
    /// What a key is worth: as much as the one of its rows that is worth most.
    fn worth(&self, key: Block<'_>) -> Worth {
        key.each_row().map(|row| self.row_worth(row)).fold(Worth::NOTHING, Worth::max)
    }

    fn row_worth(&self, row: Row<'_>) -> Worth {
        let (feature, last_update) = (self.features.get(row.feature()), row.last_update());
        let intervals = feature.decays.intervals();
        let values = bytemuck::cast_slice(row.words(feature.words(row.is_single())));
        // A single event, and each of the members of uniques, is worth most in the longest interval.
        let longest = intervals.len().saturating_sub(1);
        match (feature.shape, row.is_single()) {
            (RowShape::Uniques, true) => Worth::of_values(&[1.0], &intervals[longest..], last_update, self.now),
            (RowShape::Uniques, false) => {
                let set = &self.pipeline.group(feature.key.group).other_shapes.uniques;
                Worth::of_value(self.uniques.get(row.word()).read(set, longest, self.now.max(last_update)).value)
            }
            (_, true) => Worth::of_values(values, &intervals[longest..], last_update, self.now),
            (_, false) => Worth::of_values(values, intervals, last_update, self.now),
        }
    }

    /// What comes back when the key goes.
    fn usage(&self, keys: &KeyTable, key: BlockAddress) -> Usage {
        let block = keys.block(key);
        let uniques = block.each_row().filter(|row| has_uniques(*row, self.features));
        let bytes: usize = uniques.map(|row| UniquesStore::bytes_of(self.uniques.get(row.word()))).sum();
        Usage { rows: block.rows(), bytes: keys.bytes_of(key) + bytes }
    }
}

impl Gone {
    fn observe(&mut self, worth: Worth, rows: usize) {
        self.rows += rows as u64;
        self.largest_worth = Some(self.largest_worth.map_or(worth, |largest| largest.max(worth)));
    }
}

#[cfg(test)]
mod tests;
