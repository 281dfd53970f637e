//! Reading rows: what of a round is due, how much has changed, and the items that are made of it.

use super::block::{Block, Row};
use super::features::{Feature, FeatureTable};
use super::in_flight::Batch;
use super::item_writer::ItemWriter;
use super::marks::{Moment, RhythmId};
use super::shown::{Change, Read, Shown};
use super::uniques_store::UniquesStore;
use crate::counter::EventTime;
use crate::epoch::Window;
use crate::pipeline::{Pipeline, RowShape};
use crate::sink::dynamodb::{KEY_ITEM_BYTES, write_units};

/// Which of what is marked a round takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// What is due: what has changed by more than its group holds back, or has waited for too long.
    Due,
    /// All.
    Everything,
}

/// A round that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// It takes this rhythm and all shorter ones.
    pub longest: RhythmId,
    pub selection: Selection,
    /// When it began.
    pub began: Moment,
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

impl Round {
    /// Whether rows of a feature that have waited since then may be held back.
    pub fn holds_back(self, feature: &Feature, since: Moment) -> bool {
        let waited = self.began.0.saturating_sub(since.0);
        self.selection == Selection::Due && feature.min_change > 0.0 && waited < feature.max_age
    }
}

impl RowReader<'_> {
    /// Whether an item of the table holds a whole key, so that rows go along that have not changed.
    pub fn takes_whole_keys(&self) -> bool {
        self.pipeline.publish.layout.holds_whole_keys()
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

    /// Makes an item of a row of a key that the items have begun; says which values it has.
    #[inline]
    pub fn read<'b>(&'b mut self, block: Block<'b>, row: Row<'b>, items: &mut ItemWriter) -> &'b [f64] {
        let (features, since, window) = (self.features, block.since(), self.window);
        let values = self.values_of(row);
        items.push(features, row.feature(), row.last_update(), values, since, window);
        values
    }

    /// How much of a key has changed that is due in the round: that of the row which has changed most. `None`: nothing is due.
    pub fn change_of_key(
        &mut self,
        block: Block<'_>,
        since: Moment,
        round: Round,
        now: Option<EventTime>,
        largest_held_back: &mut f64,
    ) -> Option<Change> {
        let mut largest: Option<Change> = None;
        for row in block.each_row().filter(|row| row.is_marked()) {
            if !self.is_due(row, since, round, now, largest_held_back) {
                continue;
            }
            let change = self.change(row, now);
            if largest.is_none_or(|largest| change.of_shown > largest.of_shown) {
                largest = Some(change);
            }
        }
        largest
    }

    /// Whether a marked row that has waited since then is due in the round.
    pub fn is_due(
        &mut self,
        row: Row<'_>,
        since: Moment,
        round: Round,
        now: Option<EventTime>,
        largest_held_back: &mut f64,
    ) -> bool {
        let feature = self.features.get(row.feature());
        let is_held = round.holds_back(feature, since) && self.is_held(row, now, largest_held_back);
        feature.rhythm <= round.longest && !is_held
    }

    /// The write units that an item of the whole key takes, about.
    pub fn units_of_key(&self, block: Block<'_>) -> u64 {
        let features = block.each_row().map(|row| self.features.get(row.feature()).bytes_in_key).sum::<usize>();
        write_units(KEY_ITEM_BYTES + block.text().len() + features)
    }

    /// Whether a row has changed so little since it was written that it is held back.
    pub fn is_held(&mut self, row: Row<'_>, now: Option<EventTime>, largest: &mut f64) -> bool {
        // What is a single event has not changed since it was written, but for being marked again.
        if !row.is_shown() || row.is_held() || row.is_single() {
            return row.is_shown();
        }
        let change = self.change_of_many(row, now);
        let is_held = change.is_within(self.features.get(row.feature()).min_change);
        if is_held {
            *largest = largest.max(change.of_shown);
        }
        is_held
    }

    /// How much a row has changed since it was written.
    pub fn change(&mut self, row: Row<'_>, now: Option<EventTime>) -> Change {
        match (row.is_shown(), row.is_single()) {
            (false, _) => Change::UNKNOWN,
            (true, true) => Change::NONE,
            (true, false) => self.change_of_many(row, now),
        }
    }

    /// The same of one that was written and holds more than a single event.
    fn change_of_many(&mut self, row: Row<'_>, now: Option<EventTime>) -> Change {
        let feature = self.features.get(row.feature());
        let (last_update, width) = (row.last_update(), feature.decays.width());
        let shown = Shown::new(&row.words(feature.all_words(false))[feature.width..]);
        let values = self.values_of(row);
        shown.change(&feature.decays, Read { last_update, values: &values[..width] }, now)
    }

    /// The values that a row publishes.
    #[inline]
    fn values_of<'b>(&'b mut self, row: Row<'b>) -> &'b [f64] {
        let (last_update, single) = (row.last_update(), row.is_single());
        let feature = self.features.get(row.feature());
        let words = row.words(feature.words(single));
        match feature.shape {
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
        }
    }
}
