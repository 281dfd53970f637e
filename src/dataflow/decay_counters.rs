//! The rows of one worker, and how a closed epoch changes them.

use std::ops::Range;
use std::sync::Arc;

use super::contribution::{Amount, Contribution, ContributionBatch, Contributions};
use super::features::FeatureTable;
use super::limits::Limiter;
use super::rows::{RowRef, RowTable, StoredKey, Swept, TextStore, UniquesStore};
use crate::clock::StreamTime;
use crate::counter::{EventTime, Uniques};
use crate::epoch::{Versions, Window};
use crate::pipeline::{Group, NOTHING_LEFT_AFTER, Pipeline, RowShape};
use crate::sink::ItemBatch;
use crate::telemetry::Metrics;

mod eviction;

/// How many items go to the sink in one batch.
const ITEMS_PER_BATCH: usize = 8192;

/// How many contributions are merged together.
const TOGETHER: usize = 32;

/// How many changed rows ahead of the one that is published memory is asked for.
const AHEAD: usize = 16;

/// The rows that one worker holds. Epochs are applied whole, in order, once they are closed:
/// nothing of an open epoch touches a row.
pub struct DecayCounters {
    pipeline: Arc<Pipeline>,
    versions: Versions,
    /// For each group one table per [shape](RowShape) of rows.
    tables: Vec<RowTable>,
    uniques: UniquesStore,
    texts: TextStore,
    features: FeatureTable,
    stream: StreamTime,
    /// Keeps the rows within the pipeline's limits, where it has any.
    limiter: Option<Limiter>,
    changed: Vec<(u32, RowRef)>,
    /// Room for the values of a new row.
    values: Vec<f64>,
    metrics: Arc<Metrics>,
}

/// The most rows that a worker can hold: they, and their texts, are numbered by 32 bits.
pub const MOST_ROWS: usize = u32::MAX as usize - 1;

/// The contributions of one batch that belong to one window.
struct Segment {
    window: Window,
    batch: usize,
    part: Range<usize>,
}

impl DecayCounters {
    /// No rows yet. They will be those of one of so many workers.
    pub fn new(pipeline: Arc<Pipeline>, versions: Versions, workers: usize, metrics: Arc<Metrics>) -> DecayCounters {
        let limiter = Limiter::new(&pipeline, workers);
        let measured = limiter.as_ref().is_some_and(|limiter| limiter.budget.counts_bytes());
        let width = |group: &Group, shape| if shape == RowShape::Uniques { 1 } else { group.decays_of(shape).width() };
        let of_group = |group| RowShape::ALL.map(|shape| RowTable::new(width(group, shape)));
        let tables = pipeline.groups.iter().flat_map(of_group).collect();
        let mut counters = DecayCounters {
            pipeline,
            versions,
            tables,
            uniques: if measured { UniquesStore::measured() } else { UniquesStore::default() },
            texts: TextStore::default(),
            features: FeatureTable::default(),
            stream: StreamTime::default(),
            limiter,
            changed: Vec::new(),
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

    /// Whether all rows that these batches might make can be held beside those that there are.
    pub fn has_room_for(&self, batches: &[ContributionBatch]) -> bool {
        fits(self.row_count(), batches.iter().map(ContributionBatch::most_rows).sum())
    }

    /// Merges the batches of a closed epoch, window by window, and emits every row that a window
    /// changed, as it is at the window's end.
    pub fn apply_epoch(&mut self, batches: &[ContributionBatch], mut emit: impl FnMut(ItemBatch)) {
        let rows_before = self.row_count();
        let features: Vec<Vec<u32>> = batches.iter().map(|batch| self.feature_numbers(batch)).collect();
        let mut items = ItemWriter::new(self.versions);
        let mut segments = segments_by_window(batches).into_iter().peekable();
        while let Some(segment) = segments.next() {
            let contributions = batches[segment.batch].contributions(segment.part);
            self.merge_all(contributions, &features[segment.batch]);
            if segments.peek().is_none_or(|next| next.window != segment.window) {
                self.publish_changed(segment.window, &mut items, &mut emit);
            }
        }
        items.finish(&mut emit);
        self.stream.learn(batches.iter().map(|batch| &batch.times));
        let new_rows = self.row_count() - rows_before;
        self.metrics.rows.add(new_rows as u64);
        self.tables.iter_mut().for_each(RowTable::want_sweep);
        // A first slice, so that no row is evicted while others have expired.
        self.forget_expired();
        self.make_room();
    }

    /// This worker's numbers of the features, by the sender's.
    fn feature_numbers(&mut self, batch: &ContributionBatch) -> Vec<u32> {
        let mut numbers = Vec::new();
        for (place, key) in &batch.features {
            let place = *place as usize;
            numbers.resize(numbers.len().max(place + 1), u32::MAX);
            numbers[place] = self.features.number_of(key, &self.pipeline);
        }
        numbers
    }

    /// Merges some dozen contributions at a time: the memory that they need is asked for before the
    /// first is merged.
    fn merge_all(&mut self, mut contributions: Contributions<'_>, features: &[u32]) {
        loop {
            let together = contributions.clone().take(TOGETHER);
            for contribution in together.clone() {
                self.table_of(&contribution, features).prefetch_index(contribution.row);
            }
            for contribution in together {
                self.table_of(&contribution, features).prefetch_row(contribution.row);
            }
            let mut count = 0;
            for contribution in contributions.by_ref().take(TOGETHER) {
                self.merge(contribution, features[contribution.feature as usize]);
                count += 1;
            }
            if count < TOGETHER {
                break;
            }
        }
    }

    #[inline]
    fn table_of(&self, contribution: &Contribution<'_>, features: &[u32]) -> &RowTable {
        &self.tables[self.table_number(features[contribution.feature as usize])]
    }

    /// The table that holds the rows of this feature.
    #[inline]
    fn table_number(&self, feature: u32) -> usize {
        usize::from(self.features.get(feature).group.0) * RowShape::ALL.len() + self.features.shape(feature) as usize
    }

    #[inline]
    fn merge(&mut self, contribution: Contribution<'_>, feature: u32) {
        let number = self.table_number(feature);
        let table = &mut self.tables[number];
        let group = self.pipeline.group(self.features.get(feature).group);
        let time = contribution.last_update;
        let row = table.find(contribution.row).unwrap_or_else(|| {
            let since = self.limiter.as_ref().and_then(|limiter| limiter.since(contribution.row, time));
            let key = StoredKey::store(&mut self.texts, contribution.key, since);
            self.features.add_row(feature);
            self.values.clear();
            match contribution.amount {
                Amount::Weight(_) | Amount::Values(_) => self.values.resize(table.width(), 0.0),
                Amount::Members(_) => self.values.push(self.uniques.insert(Uniques::new())),
            }
            table.insert(contribution.row, feature, key, time, &self.values)
        });
        let decays = group.decays_of(self.features.shape(feature));
        let set = &group.other_shapes.uniques;
        let uniques = &mut self.uniques;
        let first_change = table.update(row, |last_update, values| match contribution.amount {
            Amount::Weight(weight) => decays.add(last_update, values, time, weight),
            Amount::Values(amount) => decays.merge(last_update, values, time, amount),
            Amount::Members(members) => {
                *last_update = time.max(*last_update);
                uniques.change(values[0], |uniques| members.add_to(uniques, set, time));
            }
        });
        if first_change {
            self.changed.push((number as u32, row));
        }
    }

    /// Emits the rows that the window has changed.
    fn publish_changed(&mut self, window: Window, items: &mut ItemWriter, emit: &mut impl FnMut(ItemBatch)) {
        let changed = std::mem::take(&mut self.changed);
        for (place, (table, row)) in changed.iter().copied().enumerate() {
            if let Some((table, row)) = changed.get(place + 2 * AHEAD) {
                self.tables[*table as usize].prefetch(*row);
            }
            if let Some((table, row)) = changed.get(place + AHEAD) {
                self.texts.prefetch(self.tables[*table as usize].key(*row).text);
            }
            let table = &mut self.tables[table as usize];
            table.clear_changed(row);
            let (feature, last_update) = (table.feature(row), table.last_update(row));
            let (key, since) = table.key(row).read(&self.texts);
            let mut values = table.values(row);
            if self.features.shape(feature) == RowShape::Uniques {
                let set = &self.pipeline.group(self.features.get(feature).group).other_shapes.uniques;
                values = self.uniques.estimates(values[0], set, last_update);
            }
            items.push(&self.features, feature, key, last_update, values, window);
            if let Some(since) = since {
                items.batch.mark_last(since);
            }
            if items.batch.len() == ITEMS_PER_BATCH {
                items.finish(emit);
            }
        }
        self.changed = changed;
        self.changed.clear();
    }

    /// Looks at some of the rows and forgets those whose time has passed by the stream's own time. To be called
    /// between other work, until it says that there is nothing more to do: each call takes little time, and together they
    /// look at a share of all rows for every epoch.
    pub fn forget_expired(&mut self) -> Swept {
        let Some(now) = self.stream.now() else { return Swept::Enough };
        let mut forgotten = 0;
        let mut swept = Swept::Enough;
        for (group, tables) in self.pipeline.groups.iter().zip(self.tables.chunks_exact_mut(RowShape::ALL.len())) {
            let Some(horizon) = kept_for(group).and_then(|kept_for| now.0.checked_sub(kept_for)) else { continue };
            let DecayCounters { uniques, texts, features, .. } = self;
            for table in tables {
                let result = table.sweep_expired(EventTime(horizon), |table, row| {
                    release(table, row, texts, uniques, features);
                    forgotten += 1;
                });
                swept = swept.max(result);
            }
        }
        if forgotten > 0 {
            self.features.give_back();
        }
        self.metrics.rows_expired.add(forgotten);
        self.metrics.rows.subtract(forgotten);
        swept
    }

    fn row_count(&self) -> usize {
        self.tables.iter().map(RowTable::len).sum()
    }
}

fn fits(rows: usize, new_rows: usize) -> bool {
    new_rows <= MOST_ROWS.saturating_sub(rows)
}

/// Frees what a row that goes has outside of its table.
fn release(
    table: &RowTable,
    row: RowRef,
    texts: &mut TextStore,
    uniques: &mut UniquesStore,
    features: &mut FeatureTable,
) {
    let feature = table.feature(row);
    if features.shape(feature) == RowShape::Uniques {
        uniques.remove(table.values(row)[0]);
    }
    features.remove_row(feature);
    table.key(row).forget(texts);
}

/// How long after its last update a row stays in memory, in time units; `None`: for ever.
///
/// Longer than its ttl, by the time in which a value comes to nothing (`e^-40`): an event that is
/// nearly a ttl late would else bring back a row as alive, without what was in it shortly before.
fn kept_for(group: &Group) -> Option<i64> {
    let ttl = group.ttl?;
    ttl.checked_add(group.longest_decay().saturating_mul(NOTHING_LEFT_AFTER).min(ttl))
}

/// The batches' records by ascending window.
fn segments_by_window(batches: &[ContributionBatch]) -> Vec<Segment> {
    let mut segments = Vec::new();
    for (batch, contributions) in batches.iter().enumerate() {
        segments.extend(contributions.windows().map(|(window, part)| Segment { window, batch, part }));
    }
    segments.sort_by_key(|segment| segment.window);
    segments
}

/// Collects items into batches.
struct ItemWriter {
    versions: Versions,
    batch: ItemBatch,
    /// The place in the batch of each feature number; `NOT_WRITTEN` if it has none yet.
    feature_places: Vec<u32>,
}

const NOT_WRITTEN: u32 = u32::MAX;

impl ItemWriter {
    fn new(versions: Versions) -> ItemWriter {
        ItemWriter { versions, batch: ItemBatch::default(), feature_places: Vec::new() }
    }

    fn push(
        &mut self,
        features: &FeatureTable,
        feature: u32,
        key: &[u8],
        last_update: EventTime,
        values: &[f64],
        window: Window,
    ) {
        if self.feature_places.is_empty() {
            self.feature_places.resize(features.numbers(), NOT_WRITTEN);
        }
        let place = &mut self.feature_places[feature as usize];
        if *place == NOT_WRITTEN {
            *place = self.batch.push_feature(features.get(feature).clone());
        }
        self.batch.push(*place, key, last_update, values, self.versions.of(window));
    }

    fn finish(&mut self, emit: &mut impl FnMut(ItemBatch)) {
        self.feature_places.clear();
        if !self.batch.is_empty() {
            let next = self.batch.empty_of_this_size();
            emit(std::mem::replace(&mut self.batch, next));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_rows_than_can_be_numbered_fit() {
        assert!(fits(0, MOST_ROWS) && fits(MOST_ROWS - 7, 7));
        assert!(!fits(MOST_ROWS - 7, 8) && !fits(1, usize::MAX));
    }
}
