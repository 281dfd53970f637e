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
//!
//! Rows lie without holes: when one goes, the last one takes its place. So what is left always takes
//! the fewest slabs, and memory comes back for other groups to use.

use super::slab::Slab;
use super::{StoredKey, TextRef, TextStore, vec_bytes};
use crate::counter::EventTime;
use crate::dataflow::flat_index::FlatIndex;
use crate::dataflow::identity::RowId;
use crate::dataflow::prefetch::prefetch;

const ID_WORD: usize = 0;
const LAST_UPDATE_WORD: usize = 2;
const KEY_WORD: usize = 3;
const FEATURE_WORD: usize = 4;
const HEADER_WORDS: usize = 5;

/// Set while the row is among those that the open window has changed.
const CHANGED: u64 = 1 << 32;
/// Set if the row's key has a `since`.
const HAS_SINCE: u64 = 1 << 33;

/// The size of a slab, in bytes.
const SLAB_BYTES: usize = 2 * 1024 * 1024;

/// When so many parts of a slab have been used and are not any more, their memory is given back.
const WASTE: usize = 16;

/// For every epoch the sweep looks at so many rows, at least,
const SWEEP_AT_LEAST: usize = 1024;
/// and at this part of all rows: so what has expired is gone after so many epochs, however much it is,
const SWEEP_ONE_IN: usize = 256;
/// and at so many for each row that was added: sweeping faster than rows are added bounds the share of dead ones.
const SWEEP_PER_NEW_ROW: usize = 4;
/// It does so in slices of so many rows, so that nobody waits for it,
const SLICE: usize = 1 << 14;
/// or of this part of what it has to do, if that is more: so it never falls behind.
const SLICE_ONE_IN: usize = 8;

/// How many tables the index is cut into.
const INDEX_TABLES: usize = 64;

/// What a row takes in the index, at most: a slot of eight bytes in tables that double when they are
/// three quarters full.
const INDEX_BYTES: usize = 22;

/// What a row of so many values takes in memory, in bytes, with its part of the index and a key of
/// this length.
pub fn row_bytes(width: usize, key_bytes: usize) -> usize {
    8 * (HEADER_WORDS + width) + TextStore::bytes_of(key_bytes) + INDEX_BYTES
}

/// Whether a sweep has looked at as many rows as the last epoch wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Swept {
    /// It has.
    Enough,
    /// It has not yet.
    MoreToDo,
}

/// The place of a row in its table: until a row is removed from it.
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
    /// How many rows of the last slab have ever been in use: what lies behind them takes no memory yet.
    touched: usize,
    index: Vec<FlatIndex>,
    sweep_from: u32,
    /// How many rows were added since the last epoch's end.
    added: usize,
    /// How many rows the sweep has still to look at.
    to_sweep: usize,
    /// How many rows there were when the sweep last began anew.
    pass_rows: usize,
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
            touched: 0,
            index: (0..INDEX_TABLES).map(|_| FlatIndex::default()).collect(),
            sweep_from: 0,
            added: 0,
            to_sweep: 0,
            pass_rows: 0,
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
    pub fn insert(
        &mut self,
        id: RowId,
        feature: u32,
        key: StoredKey,
        last_update: EventTime,
        values: &[f64],
    ) -> RowRef {
        let added = RowRef(self.used);
        self.used += 1;
        self.make_room();
        let row = self.row_mut(added);
        row[ID_WORD..LAST_UPDATE_WORD].copy_from_slice(&id.words());
        row[LAST_UPDATE_WORD] = last_update.0 as u64;
        row[FEATURE_WORD] = u64::from(feature);
        set_key(row, key);
        row[HEADER_WORDS..].copy_from_slice(bytemuck::cast_slice(values));
        self.index[index_table(id)].insert(id.index_hash(), added.0);
        self.added += 1;
        self.oldest = self.oldest.min(last_update);
        self.oldest_seen = self.oldest_seen.min(last_update);
        added
    }

    /// Sees to it that the last row has a place.
    #[inline]
    fn make_room(&mut self) {
        let (slab, place, words) = self.place(RowRef(self.used - 1));
        if slab == self.slabs.len() {
            self.slabs.push(Slab::new(words << self.slab_bits));
            self.touched = 0;
        }
        self.touched = self.touched.max(place + 1);
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

    /// The row's identity.
    pub fn id(&self, row: RowRef) -> RowId {
        let words = self.row(row);
        RowId::from_words([words[ID_WORD], words[ID_WORD + 1]])
    }

    /// The row's key.
    pub fn key(&self, row: RowRef) -> StoredKey {
        let words = self.row(row);
        let text = TextRef { slot: words[KEY_WORD] as u32, length: (words[KEY_WORD] >> 32) as u32 };
        StoredKey { text, has_since: words[FEATURE_WORD] & HAS_SINCE != 0 }
    }

    /// The row's last update.
    pub fn last_update(&self, row: RowRef) -> EventTime {
        EventTime(self.row(row)[LAST_UPDATE_WORD] as i64)
    }

    /// The row's values.
    pub fn values(&self, row: RowRef) -> &[f64] {
        bytemuck::cast_slice(&self.row(row)[HEADER_WORDS..])
    }

    /// All rows. A row stays where it is until one is removed.
    pub fn rows(&self) -> impl Iterator<Item = RowRef> + use<> {
        (0..self.used).map(RowRef)
    }

    /// Replaces the key and the values of a row by where they were moved to.
    pub fn move_row(&mut self, row: RowRef, step: impl FnOnce(StoredKey, &mut [f64]) -> StoredKey) {
        let key = self.key(row);
        let words = self.row_mut(row);
        let moved = step(key, bytemuck::cast_slice_mut(&mut words[HEADER_WORDS..]));
        set_key(words, moved);
    }

    /// Takes notice of an epoch's end: there are some more rows to look at.
    pub fn want_sweep(&mut self) {
        let share = SWEEP_AT_LEAST.max(self.len().max(self.pass_rows) / SWEEP_ONE_IN);
        let wanted = self.to_sweep + share + SWEEP_PER_NEW_ROW * std::mem::take(&mut self.added);
        self.to_sweep = wanted.min(self.len());
    }

    /// Looks at a slice of the rows that the last epochs wanted to be looked at, and takes away those whose last update
    /// lies before `horizon`; `expired` sees each of them before. Goes on where the last sweep stopped, and costs
    /// nothing while no row is that old.
    pub fn sweep_expired(&mut self, horizon: EventTime, mut expired: impl FnMut(&RowTable, RowRef)) -> Swept {
        if self.oldest >= horizon {
            self.to_sweep = 0;
            return Swept::Enough;
        }
        let slice = self.to_sweep.min(SLICE.max(self.to_sweep / SLICE_ONE_IN));
        self.to_sweep -= slice;
        self.sweep(slice, |table, row| {
            let goes = table.last_update(row) < horizon;
            if goes {
                expired(table, row);
            }
            goes
        });
        if self.to_sweep > 0 { Swept::MoreToDo } else { Swept::Enough }
    }

    /// Looks at the next `budget` rows and takes away those that `goes` is true of. Begins where
    /// the last sweep stopped.
    fn sweep(&mut self, budget: usize, mut goes: impl FnMut(&RowTable, RowRef) -> bool) {
        for _ in 0..budget.min(self.len()) {
            if self.sweep_from >= self.used {
                self.sweep_from = 0;
                self.pass_rows = self.len();
                self.oldest = std::mem::replace(&mut self.oldest_seen, EventTime(i64::MAX));
            }
            let row = RowRef(self.sweep_from);
            if goes(self, row) {
                // The row that is here now is the next to be looked at.
                self.remove(row);
            } else {
                self.oldest_seen = self.oldest_seen.min(self.last_update(row));
                self.sweep_from += 1;
            }
        }
    }

    /// Looks at every row and takes away those that `goes` is true of, and gives back the memory that is
    /// not needed then.
    pub fn sweep_all(&mut self, goes: impl FnMut(&RowTable, RowRef) -> bool) {
        let next = std::mem::take(&mut self.sweep_from);
        self.sweep(self.len(), goes);
        self.sweep_from = next;
        let in_last_slab = self.len() - self.slabs.len().saturating_sub(1) * self.rows_per_slab();
        if self.touched - in_last_slab > self.rows_per_slab() / WASTE
            && let Some(last) = self.slabs.last_mut()
        {
            *last = last.renewed(in_last_slab * (HEADER_WORDS + self.width));
            self.touched = in_last_slab;
        }
    }

    /// The bytes that it takes: all that is allocated, but for the end of the last slab, which the system has
    /// not given yet. The index counts as what it will be when it doubles next, so that this comes as no surprise.
    pub fn allocated_bytes(&self) -> usize {
        let rows = self.slabs.len().saturating_sub(1) * self.rows_per_slab() + self.touched;
        let index: usize = self.index.iter().map(FlatIndex::allocated_bytes).sum();
        let lists = vec_bytes(&self.slabs) + vec_bytes(&self.index);
        8 * (HEADER_WORDS + self.width) * rows + lists + index.max(self.len() * INDEX_BYTES)
    }

    /// The bytes that one row takes, without those of its key.
    pub fn bytes_per_row(&self) -> usize {
        8 * (HEADER_WORDS + self.width) + INDEX_BYTES
    }

    /// Takes a row away; the last one takes its place.
    fn remove(&mut self, row: RowRef) {
        let id = self.id(row);
        let index = &mut self.index[index_table(id)];
        index.remove(id.index_hash(), row.0);
        index.shrink();
        let last = RowRef(self.used - 1);
        if last != row {
            let id = self.id(last);
            self.index[index_table(id)].relocate(id.index_hash(), last.0, row.0);
            self.copy(last, row);
        }
        self.used -= 1;
        let slabs = self.len().div_ceil(self.rows_per_slab());
        if slabs < self.slabs.len() {
            self.slabs.truncate(slabs);
            self.touched = if slabs == 0 { 0 } else { self.rows_per_slab() };
        }
    }

    fn copy(&mut self, from: RowRef, to: RowRef) {
        let ((from_slab, from), (to_slab, to), words) = {
            let ((from_slab, from, words), (to_slab, to, _)) = (self.place(from), self.place(to));
            ((from_slab, from * words), (to_slab, to * words), words)
        };
        match self.slabs.get_disjoint_mut([from_slab, to_slab]) {
            Ok([from_slab, to_slab]) => {
                to_slab.words_mut()[to..][..words].copy_from_slice(&from_slab.words()[from..][..words]);
            }
            Err(_) => self.slabs[from_slab].words_mut().copy_within(from..from + words, to),
        }
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

    fn rows_per_slab(&self) -> usize {
        1 << self.slab_bits
    }

    /// The slab, the place in it, and the length of a row.
    #[inline]
    fn place(&self, row: RowRef) -> (usize, usize, usize) {
        let row = row.0 as usize;
        (row >> self.slab_bits, row & ((1 << self.slab_bits) - 1), HEADER_WORDS + self.width)
    }
}

fn set_key(words: &mut [u64], key: StoredKey) {
    words[KEY_WORD] = u64::from(key.text.length) << 32 | u64::from(key.text.slot);
    words[FEATURE_WORD] = words[FEATURE_WORD] & !HAS_SINCE | if key.has_since { HAS_SINCE } else { 0 };
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

    fn id(key: u64) -> RowId {
        RowId::of_test_key(&key.to_le_bytes())
    }

    #[test]
    fn rows_are_found_and_changed_by_identity() {
        let (mut table, mut texts) = (RowTable::new(2), TextStore::default());
        for key in 0..100_000u64 {
            assert_eq!(table.find(id(key)), None);
            let text = StoredKey::store(&mut texts, key.to_string().as_bytes(), (key % 5 == 0).then_some(EventTime(3)));
            table.insert(id(key), 7, text, EventTime(key as i64), &[key as f64, -0.5]);
        }
        for key in 0..100_000u64 {
            let row = table.find(id(key)).expect("inserted");
            let since = (key % 5 == 0).then_some(EventTime(3));
            assert_eq!(table.key(row).read(&texts), (key.to_string().as_bytes(), since));
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

    fn insert(table: &mut RowTable, texts: &mut TextStore, key: u64) {
        let text = StoredKey::store(texts, &key.to_le_bytes(), None);
        table.insert(id(key), 3, text, EventTime(key as i64), &[1.0]);
    }

    fn assert_holds(table: &RowTable, texts: &TextStore, key: u64) {
        let row = table.find(id(key)).unwrap_or_else(|| panic!("{key} is there"));
        assert_eq!((table.id(row), table.last_update(row)), (id(key), EventTime(key as i64)));
        assert_eq!(table.key(row).read(texts), (key.to_le_bytes().as_slice(), None));
    }

    #[test]
    fn sweeping_forgets_what_is_old_and_its_room_is_used_again() {
        let (mut table, mut texts) = (RowTable::new(1), TextStore::default());
        let (mut forgotten, mut largest) = (0, 0);
        for key in 0..50_000u64 {
            insert(&mut table, &mut texts, key);
            if key % 1_000 == 0 {
                table.want_sweep();
                while table.sweep_expired(EventTime(key as i64 - 999), |_, _| forgotten += 1) == Swept::MoreToDo {}
            }
            largest = largest.max(table.allocated_bytes());
        }
        assert_eq!(table.len() + forgotten, 50_000);
        assert!(table.len() < 3_000, "1,000 are alive, {} are held", table.len());
        assert!(largest < 4_000 * 48 + 64 * 1_024, "{largest} bytes");
        (49_001..50_000).for_each(|key| assert_holds(&table, &texts, key));
        assert_eq!(table.find(id(40_000)), None);
    }

    #[test]
    fn what_has_expired_is_gone_after_so_many_epochs_however_much_it_is_and_in_small_slices() {
        for rows in [5_000, 300_000] {
            let (mut table, mut texts) = (RowTable::new(1), TextStore::default());
            (0..rows).for_each(|key| insert(&mut table, &mut texts, key));
            table.want_sweep();
            while table.sweep_expired(EventTime(1), |_, _| {}) == Swept::MoreToDo {}
            let mut held = Vec::new();
            for _ in 0..=SWEEP_ONE_IN {
                held.push(table.len());
                table.want_sweep();
                loop {
                    let before = table.len();
                    let swept = table.sweep_expired(EventTime(i64::MAX), |_, _| {});
                    assert!(before - table.len() <= SLICE.max(rows as usize / SLICE_ONE_IN));
                    if swept == Swept::Enough {
                        break;
                    }
                }
            }
            assert_eq!(table.len(), 0, "nothing was added meanwhile");
            assert!(held[1] > rows as usize / 2, "the first epoch takes only its share: {held:?}");
        }
    }

    #[test]
    fn whatever_is_removed_the_others_are_found_and_the_memory_comes_back() {
        let (mut table, mut texts) = (RowTable::new(1), TextStore::default());
        (0..200_000).for_each(|key| insert(&mut table, &mut texts, key));
        let full = table.allocated_bytes();
        assert!(full >= 200_000 * table.bytes_per_row());
        for share in [2, 3, 50] {
            table.sweep_all(|table, row| table.last_update(row).0 % share != 0);
            let kept =
                (0..200_000u64).filter(|key| [2, 3, 50].iter().all(|other| *other > share || key % *other as u64 == 0));
            assert_eq!(table.len(), kept.clone().count());
            kept.for_each(|key| assert_holds(&table, &texts, key));
        }
        assert!(table.allocated_bytes() < full / 20, "{} of {full}", table.allocated_bytes());
        table.sweep_all(|_, _| true);
        assert!(table.len() == 0 && table.slabs.is_empty());
        insert(&mut table, &mut texts, 5);
        assert_holds(&table, &texts, 5);
    }
}
