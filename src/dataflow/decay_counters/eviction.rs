//! Rows go when memory runs short: those that are worth least.

use super::{DecayCounters, release};
use crate::counter::EventTime;
use crate::dataflow::features::FeatureTable;
use crate::dataflow::limits::{Census, Cut, EvictedRows, Limiter, Usage, Worth};
use crate::dataflow::rows::{RowRef, RowTable, TextStore, UniquesStore};
use crate::pipeline::{Group, Pipeline, RowShape};

/// What rows free is an estimate where memory comes back by slabs; so often it is looked again, at most.
const ROUNDS: usize = 3;

/// What has gone in one eviction.
#[derive(Default)]
struct Gone {
    rows: u64,
    largest_worth: Option<Worth>,
}

/// What it takes to judge rows.
struct Judge<'a> {
    pipeline: &'a Pipeline,
    features: &'a FeatureTable,
    uniques: &'a UniquesStore,
    now: EventTime,
}

impl DecayCounters {
    /// Lets rows go until there is room for the next epoch. To be called when an epoch has been applied
    /// and published: nothing holds a place of a row then.
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
                Some(still) if self.row_count() > 0 => excess = still,
                _ => break,
            }
        }
        gone
    }

    /// Gives back the memory of rows that are gone, where memory is limited, and looks at what is left.
    fn give_back(&mut self, limiter: &mut Limiter) {
        self.features.give_back();
        if limiter.budget.counts_bytes() {
            self.compact();
        }
        limiter.budget.observe_eviction(self.usage(limiter));
    }

    /// What the rows take; their bytes only where these are limited.
    fn usage(&self, limiter: &Limiter) -> Usage {
        let bytes = if limiter.budget.counts_bytes() { self.allocated_bytes() } else { 0 };
        Usage { rows: self.row_count(), bytes }
    }

    /// The bytes that are allocated for rows, with all that belongs to them.
    pub(super) fn allocated_bytes(&self) -> usize {
        let tables: usize = self.tables.iter().map(RowTable::allocated_bytes).sum();
        tables + self.texts.allocated_bytes() + self.uniques.allocated_bytes() + self.features.allocated_bytes()
    }

    fn census(&self, now: EventTime) -> Census {
        let mut census = Census::new();
        let judge = Judge { pipeline: &self.pipeline, features: &self.features, uniques: &self.uniques, now };
        for table in &self.tables {
            for row in table.rows() {
                census.count(judge.worth(table, row), judge.bytes(table, row));
            }
        }
        census
    }

    fn take_below(&mut self, mut cut: Cut, now: EventTime, evicted: &mut EvictedRows, gone: &mut Gone) {
        let DecayCounters { tables, uniques, texts, features, pipeline, .. } = self;
        for table in tables {
            table.sweep_all(|table, row| {
                let judge = Judge { pipeline, features, uniques, now };
                let (worth, bytes) = (judge.worth(table, row), judge.bytes(table, row));
                let goes = cut.takes(worth, bytes);
                if goes {
                    gone.observe(worth);
                    // Whoever starts again has lost nothing with what would be published as 0.
                    if worth.rank() > Worth::NOTHING.rank() {
                        evicted.insert(table.id(row));
                    }
                    release(table, row, texts, uniques, features);
                }
                goes
            });
        }
    }

    /// Closes the holes in texts and uniques, for their memory to come back.
    fn compact(&mut self) {
        let DecayCounters { tables, uniques, texts, features, .. } = self;
        let move_rows = |texts: &mut TextStore, uniques: &mut UniquesStore| {
            for table in tables {
                for row in table.rows() {
                    let is_uniques = features.shape(table.feature(row)) == RowShape::Uniques;
                    table.move_row(row, |key, values| {
                        if is_uniques {
                            values[0] = uniques.moved(values[0]);
                        }
                        key.moved(texts)
                    });
                }
            }
        };
        texts.compact(|texts| uniques.compact(|uniques| move_rows(texts, uniques)));
    }
}

impl Judge<'_> {
    fn group(&self, feature: u32) -> &Group {
        self.pipeline.group(self.features.get(feature).group)
    }

    fn worth(&self, table: &RowTable, row: RowRef) -> Worth {
        let (feature, values) = (table.feature(row), table.values(row));
        let group = self.group(feature);
        let intervals = group.decays.intervals();
        let last_update = table.last_update(row);
        if self.features.shape(feature) != RowShape::Uniques {
            return Worth::of_values(values, intervals, last_update, self.now);
        }
        // Of uniques the longest interval has the most: each member is worth most there.
        let set = &group.other_shapes.uniques;
        let longest = intervals.len().saturating_sub(1);
        Worth::of_value(self.uniques.get(values[0]).read(set, longest, self.now.max(last_update)).value)
    }

    /// What memory comes back when the row goes.
    fn bytes(&self, table: &RowTable, row: RowRef) -> usize {
        let mut bytes = table.bytes_per_row() + TextStore::bytes_of(table.key(row).text.length as usize);
        if self.features.shape(table.feature(row)) == RowShape::Uniques {
            bytes += UniquesStore::bytes_of(self.uniques.get(table.values(row)[0]));
        }
        bytes
    }
}

impl Gone {
    fn observe(&mut self, worth: Worth) {
        self.rows += 1;
        self.largest_worth = Some(self.largest_worth.map_or(worth, |largest| largest.max(worth)));
    }
}

#[cfg(test)]
mod tests;
