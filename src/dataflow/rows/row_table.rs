//! The rows of one counter group.
//!
//! A row is a run of 64-bit words in a slab:
//!
//! ```text
//! word   0..2        2             3                        4                          5..5+width
//!        identity    last update   key: slot (low 32 bits), feature (low 32 bits),     one value per
//!                                  length (high 32 bits)    flags (high 32 bits)       decay interval
//! ```
//!
//! With three intervals that is 64 bytes: one cache line. An index finds rows by identity; it is cut
//! into many small tables, so that growing never stops the worker for long.

use super::{TextRef, TextStore};
use crate::counter::EventTime;
use crate::dataflow::flat_index::FlatIndex;
use crate::dataflow::identity::RowId;
use crate::dataflow::prefetch::prefetch;

const ID_WORD: usize = 0;
const LAST_UPDATE_WORD: usize = 2;
const KEY_WORD: usize = 3;
const FEATURE_WORD: usize = 4;
const HEADER_WORDS: usize = 5;

/// Set while the row is in use.
const IN_USE: u64 = 1 << 32;
/// Set while the row is among those that the open window has changed.
const CHANGED: u64 = 1 << 33;

/// The size of a slab, in bytes.
const SLAB_BYTES: usize = 2 * 1024 * 1024;

/// How many tables the index is cut into.
/// A sweep looks at so many rows, at least.
const SWEEP_AT_LEAST: usize = 1024;
/// And at so many for each row that was added since the last: sweeping faster than rows are added
/// bounds the share of dead ones.
const SWEEP_PER_NEW_ROW: usize = 4;

const INDEX_TABLES: usize = 64;

/// What a row takes in the index, at most: its number and a byte of its hash, in tables that double
/// when they are seven eighths full.
const INDEX_BYTES: usize = 11;

/// What a row of so many values takes in memory, in bytes, with its part of the index and a key of
/// this length.
pub fn row_bytes(width: usize, key_bytes: usize) -> usize {
    8 * (HEADER_WORDS + width) + key_bytes.next_multiple_of(8).max(8) + INDEX_BYTES
}

/// The place of a row in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowRef(u32);

/// The rows of one group. Every row has `width` values.
#[derive(Debug)]
pub struct RowTable {
    width: usize,
    /// How many bits of a row's number say where it is in its slab.
    slab_bits: u32,
    slabs: Vec<Slab>,
    used: u32,
    free: Vec<u32>,
    index: Vec<FlatIndex>,
    sweep_from: u32,
    /// How many rows were added since the last sweep.
    added: usize,
    /// No row's last update lies before this.
    oldest: EventTime,
    /// The oldest last update that the sweep has seen since it began anew, or that was added.
    oldest_seen: EventTime,
}

impl RowTable {
    /// An empty table whose rows have `width` values.
    pub fn new(width: usize) -> RowTable {
        RowTable {
            width,
            slab_bits: (SLAB_BYTES / (8 * (HEADER_WORDS + width))).max(1).ilog2(),
            slabs: Vec::new(),
            used: 0,
            free: Vec::new(),
            index: (0..INDEX_TABLES).map(|_| FlatIndex::default()).collect(),
            sweep_from: 0,
            added: 0,
            oldest: EventTime(i64::MAX),
            oldest_seen: EventTime(i64::MAX),
        }
    }

    /// How many values a row has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many rows it holds.
    pub fn len(&self) -> usize {
        self.used as usize - self.free.len()
    }

    /// How many rows it has room for: the most that it ever held at one time.
    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.used as usize
    }

    /// The row with this identity.
    #[inline]
    pub fn find(&self, id: RowId) -> Option<RowRef> {
        let is_it = |row: u32| id.is_at_beginning_of(self.row(RowRef(row)));
        self.index[index_table(id)].find(id.index_hash(), is_it).map(RowRef)
    }

    /// First step towards a [`RowTable::find`] that comes soon: asks for the index.
    #[inline]
    pub fn prefetch_index(&self, id: RowId) {
        self.index[index_table(id)].prefetch(id.index_hash());
    }

    /// Second step towards a [`RowTable::find`] that comes soon: asks for the row.
    #[inline]
    pub fn prefetch_row(&self, id: RowId) {
        if let Some(row) = self.index[index_table(id)].candidate(id.index_hash()) {
            self.prefetch(RowRef(row));
        }
    }

    /// Asks for a row that is needed soon.
    #[inline]
    pub fn prefetch(&self, row: RowRef) {
        const WORDS_PER_LINE: usize = 8;
        let words = self.row(row);
        words.iter().step_by(WORDS_PER_LINE).for_each(prefetch);
        prefetch(&words[words.len() - 1]);
    }

    /// Adds a row that is not there yet.
    pub fn insert(&mut self, id: RowId, feature: u32, key: TextRef, last_update: EventTime, values: &[f64]) -> RowRef {
        let place = self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        });
        if place as usize >> self.slab_bits == self.slabs.len() {
            self.slabs.push(Slab::new((HEADER_WORDS + self.width) << self.slab_bits));
        }
        let row = self.row_mut(RowRef(place));
        row[ID_WORD..LAST_UPDATE_WORD].copy_from_slice(&id.words());
        row[LAST_UPDATE_WORD] = last_update.0 as u64;
        row[KEY_WORD] = u64::from(key.length) << 32 | u64::from(key.slot);
        row[FEATURE_WORD] = IN_USE | u64::from(feature);
        row[HEADER_WORDS..].copy_from_slice(bytemuck::cast_slice(values));
        self.index[index_table(id)].insert(id.index_hash(), place);
        self.added += 1;
        self.oldest = self.oldest.min(last_update);
        self.oldest_seen = self.oldest_seen.min(last_update);
        RowRef(place)
    }

    /// Changes a row by `step(last update, values)`, and marks it as changed. Returns whether it
    /// had not been marked before.
    #[inline]
    pub fn update(&mut self, row: RowRef, step: impl FnOnce(&mut EventTime, &mut [f64])) -> bool {
        let words = self.row_mut(row);
        let mut last_update = EventTime(words[LAST_UPDATE_WORD] as i64);
        step(&mut last_update, bytemuck::cast_slice_mut(&mut words[HEADER_WORDS..]));
        words[LAST_UPDATE_WORD] = last_update.0 as u64;
        let first_change = words[FEATURE_WORD] & CHANGED == 0;
        words[FEATURE_WORD] |= CHANGED;
        first_change
    }

    /// Takes the mark of a change away.
    pub fn clear_changed(&mut self, row: RowRef) {
        self.row_mut(row)[FEATURE_WORD] &= !CHANGED;
    }

    /// The row's feature, the number it was inserted with.
    pub fn feature(&self, row: RowRef) -> u32 {
        self.row(row)[FEATURE_WORD] as u32
    }

    /// Where the row's key lies.
    pub fn key(&self, row: RowRef) -> TextRef {
        key_of(self.row(row))
    }

    /// The row's last update.
    pub fn last_update(&self, row: RowRef) -> EventTime {
        EventTime(self.row(row)[LAST_UPDATE_WORD] as i64)
    }

    /// The row's values.
    pub fn values(&self, row: RowRef) -> &[f64] {
        bytemuck::cast_slice(&self.row(row)[HEADER_WORDS..])
    }

    /// Looks at some rows and forgets those whose last update lies before `horizon`; `forgotten`
    /// gets the feature and the first value's bits of each. Goes on where the last sweep stopped.
    /// Costs nothing while no row is that old.
    pub fn sweep(&mut self, horizon: EventTime, texts: &mut TextStore, mut forgotten: impl FnMut(u32, u64)) {
        let budget = SWEEP_AT_LEAST + SWEEP_PER_NEW_ROW * std::mem::take(&mut self.added);
        if self.oldest >= horizon {
            return;
        }
        for _ in 0..budget.min(self.used as usize) {
            if self.sweep_from >= self.used {
                self.sweep_from = 0;
                self.oldest = std::mem::replace(&mut self.oldest_seen, EventTime(i64::MAX));
            }
            let row = RowRef(self.sweep_from);
            self.sweep_from += 1;
            let words = self.row(row);
            if words[FEATURE_WORD] & IN_USE != 0 && (words[LAST_UPDATE_WORD] as i64) < horizon.0 {
                forgotten(words[FEATURE_WORD] as u32, words[HEADER_WORDS]);
                texts.remove(key_of(words));
                self.remove(row);
            } else {
                self.oldest_seen = self.oldest_seen.min(EventTime(words[LAST_UPDATE_WORD] as i64));
            }
        }
    }

    fn remove(&mut self, row: RowRef) {
        let words = self.row(row);
        let id = RowId::from_words([words[ID_WORD], words[ID_WORD + 1]]);
        self.index[index_table(id)].remove(id.index_hash(), row.0);
        self.row_mut(row)[FEATURE_WORD] = 0;
        self.free.push(row.0);
    }

    #[inline]
    fn row(&self, row: RowRef) -> &[u64] {
        let (slab, place, words) = self.place(row);
        &self.slabs[slab].words()[place * words..][..words]
    }

    #[inline]
    fn row_mut(&mut self, row: RowRef) -> &mut [u64] {
        let (slab, place, words) = self.place(row);
        &mut self.slabs[slab].words_mut()[place * words..][..words]
    }

    /// The slab, the place in it, and the length of a row.
    #[inline]
    fn place(&self, row: RowRef) -> (usize, usize, usize) {
        let row = row.0 as usize;
        (row >> self.slab_bits, row & ((1 << self.slab_bits) - 1), HEADER_WORDS + self.width)
    }
}

/// Words that begin at a cache line, so that a row of eight of them is one line.
#[derive(Debug)]
struct Slab {
    words: Box<[u64]>,
    first: usize,
}

impl Slab {
    const WORDS_PER_LINE: usize = 8;

    fn new(words: usize) -> Slab {
        let words = vec![0u64; words + Self::WORDS_PER_LINE - 1].into_boxed_slice();
        let into_line = words.as_ptr() as usize / 8 % Self::WORDS_PER_LINE;
        Slab { words, first: (Self::WORDS_PER_LINE - into_line) % Self::WORDS_PER_LINE }
    }

    #[inline]
    fn words(&self) -> &[u64] {
        &self.words[self.first..]
    }

    #[inline]
    fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words[self.first..]
    }
}

fn key_of(words: &[u64]) -> TextRef {
    TextRef { slot: words[KEY_WORD] as u32, length: (words[KEY_WORD] >> 32) as u32 }
}

/// Which of the index's tables holds this identity: by bits that choose neither the shard (the
/// highest) nor the slot within a table (of the other word).
#[inline]
fn index_table(id: RowId) -> usize {
    id.words()[0] as usize % INDEX_TABLES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataflow::identity::HashSeed;
    use crate::pipeline::{FeatureKey, GroupId, MeasureId};

    fn id(key: u64) -> RowId {
        let seed = HashSeed(1);
        let feature = FeatureKey { group: GroupId(0), measure: MeasureId(0), name: "like".into() };
        RowId::new(seed.key(&key.to_le_bytes()), seed.feature(&feature))
    }

    #[test]
    fn rows_are_found_and_changed_by_identity() {
        let (mut table, mut texts) = (RowTable::new(2), TextStore::default());
        for key in 0..100_000u64 {
            assert_eq!(table.find(id(key)), None);
            let text = texts.insert(key.to_string().as_bytes());
            table.insert(id(key), 7, text, EventTime(key as i64), &[key as f64, -0.5]);
        }
        for key in 0..100_000u64 {
            let row = table.find(id(key)).expect("inserted");
            assert_eq!(texts.get(table.key(row)), key.to_string().as_bytes());
            assert_eq!((table.feature(row), table.last_update(row)), (7, EventTime(key as i64)));
            assert!(table.update(row, |last_update, values| {
                last_update.0 += 1;
                values[0] += 1.0;
            }));
            assert!(!table.update(row, |_, _| ()), "it was already marked");
            table.clear_changed(row);
            assert_eq!(table.values(row), [key as f64 + 1.0, -0.5]);
            assert_eq!((table.feature(row), table.last_update(row)), (7, EventTime(key as i64 + 1)));
        }
    }

    #[test]
    fn sweeping_forgets_what_is_old_and_its_room_is_used_again() {
        let (mut table, mut texts) = (RowTable::new(1), TextStore::default());
        let mut forgotten = 0;
        for key in 0..50_000u64 {
            let text = texts.insert(b"some key");
            table.insert(id(key), 3, text, EventTime(key as i64), &[1.0]);
            if key % 1_000 == 0 {
                table.sweep(EventTime(key as i64 - 999), &mut texts, |feature, _| {
                    assert_eq!(feature, 3);
                    forgotten += 1;
                });
            }
        }
        assert_eq!(table.len() + forgotten, 50_000);
        assert!(table.capacity() < 3_000, "1,000 are alive, room for {}", table.capacity());
        for key in 49_001..50_000 {
            assert!(table.find(id(key)).is_some());
        }
        assert_eq!(table.find(id(40_000)), None);
    }
}
