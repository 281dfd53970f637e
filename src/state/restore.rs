//! Taking up what an earlier run has left: keys as records have them, under the pipeline file of today.
//!
//! A row keeps its meaning by its feature's name, by group and measure that make it, and by its intervals. What the pipeline file makes
//! no longer is left out; an interval that is new to a feature starts empty, in every row.
//!
//! A key of which something is left out, or has changed, is written with the next checkpoint: else what is left out now would come back with a
//! feature that is made again later, without all that happened in between. And what has changed is marked, so that a table gets its new shape.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::block::row_words;
use super::counters::{ApplyError, DecayCounters};
use super::features::Feature;
use super::key_table::RestoredRow;
use super::limits::InvalidFilters;
use super::marks::Moment;
use super::record::{FeatureHash, InvalidRecord, RecordedContent, RecordedFeature, RecordedKey, RecordedRow};
use super::uniques_store::UniquesStore;
use crate::clock::StreamTime;
use crate::counter::{DecayInterval, EventTime, Uniques};
use crate::peers::WorkerIndex;
use crate::pipeline::{Beginnings, Changes, RowShape};
use crate::sums::KeyId;

/// What the features of records are today.
#[derive(Debug, Default)]
pub(crate) struct RestoredFeatures {
    by_hash: HashMap<FeatureHash, Option<RestoredFeature>>,
    /// All rows are marked, whatever their records say.
    mark_all: bool,
    /// Used again for each key.
    rows: Vec<ReadyRow>,
    words: Vec<u64>,
    newest: Option<EventTime>,
}

impl RestoredFeatures {
    /// The time of the newest event in any row that was read, also of what the pipeline file makes no longer.
    pub fn newest(&self) -> Option<EventTime> {
        self.newest
    }

    /// The same, where every row is to be published again.
    pub fn marking_all() -> RestoredFeatures {
        RestoredFeatures { mark_all: true, ..RestoredFeatures::default() }
    }
}

#[derive(Clone, Debug)]
struct RestoredFeature {
    number: u32,
    shape: RowShape,
    /// Where the values of today's intervals stand among those of the record; `None`: they are the same.
    places: Option<Vec<Option<usize>>>,
    recorded_intervals: usize,
    /// Whether a record has a square for each of them, too.
    has_squares: bool,
}

/// Why a record cannot be taken up.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error(transparent)]
    Invalid(#[from] InvalidRecord),
    #[error(transparent)]
    NoRoom(#[from] ApplyError),
}

/// One row, ready to be added.
#[derive(Debug)]
struct ReadyRow {
    feature: u32,
    single: bool,
    is_marked: bool,
    last_update: EventTime,
    /// Where its words begin, and how many they are.
    start: usize,
    length: usize,
}

impl DecayCounters {
    /// Finds out what the features of some records are today.
    pub fn restored_features(&mut self, recorded: &[RecordedFeature], known: &mut RestoredFeatures) {
        for feature in recorded {
            let hash = FeatureHash::of(feature);
            if known.by_hash.contains_key(&hash) {
                continue;
            }
            let today = self.pipeline.feature(&feature.name).filter(|today| {
                let group = self.pipeline.group(today.group);
                group.name == feature.group && group.measure(today.measure).name == feature.measure
            });
            let today = today.map(|key| self.features.number_of(&key, &self.pipeline));
            let restored = today.and_then(|number| RestoredFeature::of(number, feature, self.features.get(number)));
            known.by_hash.insert(hash, restored);
        }
    }

    /// Takes up the filters of evicted keys of this worker's shards, where something is limited.
    pub fn restore_evicted(&mut self, worker: WorkerIndex, filters: &[u8]) -> Result<(), InvalidFilters> {
        self.limiter.as_mut().map_or(Ok(()), |limiter| limiter.evicted.restore(worker, filters))
    }

    /// The stream's time as it was.
    pub fn restore_stream(&mut self, stream: StreamTime) {
        self.stream = stream;
    }

    /// Says what gave groups their meaning when the state was written, and since when what had been added by then counts. What was added behind
    /// that counts since the newest event of all that was restored, into whichever worker.
    pub fn begin_features(
        &mut self,
        groups: &BTreeMap<String, String>,
        beginnings: Beginnings,
        newest: Option<EventTime>,
    ) {
        let changes = Changes::between(groups, &self.pipeline);
        self.features.begin(beginnings.after(&changes, newest), &self.pipeline);
    }

    /// Since when what was added to the state counts.
    pub fn beginnings(&self) -> &Beginnings {
        self.features.beginnings()
    }

    /// Adds a key as its record has it; one that is there must not come again. What is marked waits since then, by milliseconds
    /// since 1970 of the moment 0. It is not found before [all are there](DecayCounters::restored_all).
    pub fn restore_key(
        &mut self,
        id: KeyId,
        payload: &[u8],
        features: &mut RestoredFeatures,
        began_at: i64,
    ) -> Result<(), RestoreError> {
        let key = RecordedKey::read(payload)?;
        features.rows.clear();
        features.words.clear();
        let mut is_as_recorded = true;
        for row in key.rows() {
            let row = row?;
            features.newest = features.newest.max(Some(row.last_update));
            is_as_recorded &= self.ready(&row, features)?;
        }
        let RestoredFeatures { rows, words, .. } = &*features;
        if rows.is_empty() {
            if let Some(snapshots) = &mut self.snapshots {
                snapshots.touched.noted.gone.push(id);
            }
            return Ok(());
        }
        let room = rows.iter().map(|row| row_words(row.length)).sum();
        let Some(block) = self.keys.restore(id, key.text, key.since, room) else {
            return Err(self.no_room(key.text).into());
        };
        let mut shortest = None;
        for row in rows {
            let feature = self.features.get(row.feature);
            if row.is_marked {
                shortest = Some(shortest.map_or(feature.rhythm, |shortest| feature.rhythm.min(shortest)));
            }
            self.expiry.note(feature.kept_for, row.last_update);
            let restored = RestoredRow {
                feature: row.feature,
                single: row.single,
                is_marked: row.is_marked,
                last_update: row.last_update,
                words: &words[row.start..][..row.length],
            };
            self.keys.restore_row(block, restored).ok_or(InvalidRecord("a feature comes twice"))?;
            self.features.add_row(row.feature, row.length);
        }
        if let Some(row) = rows.first() {
            self.features.add_key(row.feature);
        }
        if !is_as_recorded {
            self.touch(block);
        }
        if let Some(rhythm) = shortest {
            let since = key.marked_since.map_or(0, |since| since.saturating_sub(began_at).max(0).cast_unsigned());
            self.keys.queue(block, rhythm, Moment(since));
        }
        Ok(())
    }

    /// Every key was added that there was.
    pub fn restored_all(&mut self) {
        self.keys.index_restored();
        self.metrics.rows.add(self.keys.rows() as u64);
        self.tell_holdings();
    }

    /// Makes ready what a row is in today's words; nothing of one that is made no longer. Returns whether it is as it was.
    fn ready(&mut self, row: &RecordedRow<'_>, features: &mut RestoredFeatures) -> Result<bool, InvalidRecord> {
        let RestoredFeatures { by_hash, mark_all, rows, words, .. } = features;
        let known = by_hash.get(&row.feature).ok_or(InvalidRecord("a feature that was not named"))?;
        let Some(restored) = known else { return Ok(false) };
        let is_as_recorded = restored.places.is_none();
        let (shown_words, group) = {
            let feature = self.features.get(restored.number);
            (feature.shown_words, feature.key.group)
        };
        let start = words.len();
        let single = match row.content {
            RecordedContent::Single(word) if restored.places.is_none() => {
                words.push(word);
                true
            }
            // Of a single member nothing hangs on intervals.
            RecordedContent::Single(word) if restored.shape == RowShape::Uniques => {
                words.push(word);
                true
            }
            RecordedContent::Single(word) => {
                let weight = f64::from_bits(word);
                let square = (weight * weight).min(f64::MAX).to_bits();
                let first_square = restored.recorded_intervals;
                restored.values(&mut |place| if place < first_square { word } else { square }, words);
                false
            }
            RecordedContent::Values(bytes) => {
                if bytes.len() != 8 * restored.recorded() || restored.shape == RowShape::Uniques {
                    return Err(InvalidRecord("a row of another width than its feature"));
                }
                let (numbers, _) = bytes.as_chunks::<8>();
                let word = |place: usize| u64::from_le_bytes(numbers[place]);
                restored.values(&mut |place| word(place), words);
                false
            }
            RecordedContent::Uniques(bytes) => {
                let uniques = Uniques::from_bytes(bytes).map_err(|_| InvalidRecord("uniques that are none"))?;
                let set = &self.pipeline.group(group).other_shapes.uniques;
                if restored.shape != RowShape::Uniques || !uniques.fits(set) {
                    return Err(InvalidRecord("uniques that do not fit their feature"));
                }
                let bytes = UniquesStore::bytes_of(&uniques);
                words.push(self.uniques.insert(uniques));
                self.features.grow(restored.number, bytes.cast_signed());
                false
            }
        };
        if !single {
            // What the item shows is not known.
            words.extend(std::iter::repeat_n(0, shown_words));
        }
        let length = words.len() - start;
        // What has another form by now is published in it.
        let is_marked = row.is_marked || !is_as_recorded || *mark_all;
        let (feature, last_update) = (restored.number, row.last_update);
        rows.push(ReadyRow { feature, single, is_marked, last_update, start, length });
        Ok(is_as_recorded)
    }
}

impl RestoredFeature {
    /// `None` where rows of the one are not rows of the other.
    fn of(number: u32, recorded: &RecordedFeature, today: &Feature) -> Option<RestoredFeature> {
        let of_uniques = |shape: RowShape| shape == RowShape::Uniques;
        if of_uniques(recorded.shape) != of_uniques(today.shape) {
            return None;
        }
        let intervals = today.decays.intervals();
        let same = recorded.shape == today.shape && recorded.intervals == intervals;
        let place = |interval: &DecayInterval| recorded.intervals.iter().position(|other| other == interval);
        let has_squares = recorded.shape == RowShape::ValuesAndSquares;
        Some(RestoredFeature {
            number,
            shape: today.shape,
            places: (!same).then(|| intervals.iter().map(place).collect()),
            recorded_intervals: recorded.intervals.len(),
            has_squares,
        })
    }

    /// How many numbers a row of a record has.
    fn recorded(&self) -> usize {
        if self.has_squares { 2 * self.recorded_intervals } else { self.recorded_intervals }
    }

    /// The words of a row of values, by where they stood.
    fn values(&self, word: &mut dyn FnMut(usize) -> u64, words: &mut Vec<u64>) {
        let Some(places) = &self.places else {
            return words.extend((0..self.recorded()).map(word));
        };
        words.extend(places.iter().map(|place| place.map_or(0, &mut *word)));
        if self.shape == RowShape::ValuesAndSquares {
            let first = self.recorded_intervals;
            let square =
                |place: Option<usize>| place.filter(|_| self.has_squares).map_or(0, |place| word(first + place));
            words.extend(places.iter().copied().map(square));
        }
    }
}

#[cfg(test)]
mod tests;
