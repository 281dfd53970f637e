//! Which keys a checkpoint has to write: those that were touched since the cut of the one before.
//!
//! A key that is touched for the first time since the last cut is noted, by its identity: it may move, leave, and come back. (Where its block is then is
//! noted, too: it saves a look into the index where it has not moved.) Two bits
//! in its block say of this interval and of the one before whether it is noted; at a **cut** they change roles, which takes no time,
//! however many keys there are. What is noted of the interval that has ended is then written in slices, each key as it was
//! at the cut: a key that is about to change, and was not written yet, is written first.

use foldhash::fast::RandomState;
use hashbrown::HashSet;

use super::blocks::BlockAddress;
use crate::sums::KeyId;

/// What is noted of keys, in pieces, so that adding one never copies all.
#[derive(Debug)]
pub(super) struct NoteList<T> {
    pieces: Vec<Vec<T>>,
    length: usize,
}

/// So many lie in a piece.
const PIECE: usize = 1 << 13;

/// A key, and where its block was when it was noted: most often it still is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub id: KeyId,
    pub at: BlockAddress,
}

impl<T> Default for NoteList<T> {
    fn default() -> NoteList<T> {
        NoteList { pieces: Vec::new(), length: 0 }
    }
}

impl<T: Copy> NoteList<T> {
    #[inline]
    pub fn push(&mut self, note: T) {
        if self.length.is_multiple_of(PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        if let Some(piece) = self.pieces.last_mut() {
            piece.push(note);
        }
        self.length += 1;
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn get(&self, index: usize) -> Option<T> {
        self.pieces.get(index / PIECE)?.get(index % PIECE).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = T> {
        self.pieces.iter().flatten().copied()
    }

    /// Its memory, piece by piece.
    pub fn into_pieces(self) -> Vec<Vec<T>> {
        self.pieces
    }
}

/// Memory that is of no use any more, and is given back in slices, too.
#[derive(Debug, Default)]
pub(super) struct Retired {
    notes: Vec<Vec<Note>>,
    ids: Vec<Vec<KeyId>>,
}

impl Retired {
    pub fn add(&mut self, noted: Noted) {
        let Noted { touched, gone, published } = noted;
        self.notes.extend(touched.into_pieces());
        self.ids.extend([gone, published].into_iter().flat_map(NoteList::into_pieces));
    }

    /// Gives back so many pieces, at most, of either kind.
    pub fn release_some(&mut self, pieces: usize) {
        self.notes.truncate(self.notes.len().saturating_sub(pieces));
        self.ids.truncate(self.ids.len().saturating_sub(pieces));
    }
}

/// A set of identities, in tables of which none takes long to grow or to give back.
#[derive(Debug)]
pub(super) struct IdSet {
    tables: Vec<HashSet<KeyId, RandomState>>,
}

impl IdSet {
    const TABLES: usize = 256;

    pub fn new() -> IdSet {
        IdSet { tables: vec![HashSet::default(); IdSet::TABLES] }
    }

    pub fn insert(&mut self, id: KeyId) {
        self.tables[IdSet::table(id)].insert(id);
    }

    pub fn contains(&self, id: KeyId) -> bool {
        self.tables[IdSet::table(id)].contains(&id)
    }

    /// Gives back the memory of a part of it. It is of no use after that.
    pub fn release_some(&mut self) {
        self.tables.pop();
    }

    fn table(id: KeyId) -> usize {
        id.words()[1] as usize % IdSet::TABLES
    }
}

/// What was noted between two cuts.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Keys that were touched; some may have left since, or stand here twice because they left and came back.
    pub touched: NoteList<Note>,
    /// Keys that have left; some have come back.
    pub gone: NoteList<KeyId>,
    /// Keys of which nothing was marked any more, at some time when they were not touched.
    pub published: NoteList<KeyId>,
}

/// The two bits of a key, and which of them means what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TouchBits(u64);

impl TouchBits {
    const SHIFT: u32 = 26;
    /// Where they stand in a block's shape.
    pub const MASK: u64 = 3 << Self::SHIFT;

    /// Those of an interval, by the number of cuts before it.
    fn of(cuts: u32) -> TouchBits {
        TouchBits(1 << (Self::SHIFT + cuts % 2))
    }

    #[inline]
    pub fn in_shape(shape: u64) -> TouchBits {
        TouchBits(shape & Self::MASK)
    }

    pub fn bits(self) -> u64 {
        self.0
    }

    pub fn contains(self, other: TouchBits) -> bool {
        self.0 & other.0 != 0
    }

    pub fn with(self, other: TouchBits) -> TouchBits {
        TouchBits(self.0 | other.0)
    }

    pub fn without(self, other: TouchBits) -> TouchBits {
        TouchBits(self.0 & !other.0)
    }
}

/// The notes of a worker whose state is kept.
#[derive(Debug, Default)]
pub(super) struct Touched {
    cuts: u32,
    pub noted: Noted,
}

impl Touched {
    /// The bit of keys that are noted in this interval.
    #[inline]
    pub fn now(&self) -> TouchBits {
        TouchBits::of(self.cuts)
    }

    /// The bit of keys that were noted in the interval before, and are still to be written.
    #[inline]
    pub fn awaited(&self) -> TouchBits {
        TouchBits::of(self.cuts.wrapping_add(1))
    }

    /// Ends an interval. Every key of the one before must have been written.
    pub fn cut(&mut self) -> Noted {
        self.cuts = self.cuts.wrapping_add(1);
        std::mem::take(&mut self.noted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_found_in_its_order() {
        let id = |number: usize| KeyId::of_test_key(&number.to_le_bytes());
        let mut list = NoteList::default();
        (0..3 * PIECE + 5).for_each(|number| list.push(id(number)));
        assert_eq!(list.len(), 3 * PIECE + 5);
        assert!(list.iter().enumerate().all(|(number, found)| found == id(number)));
        assert_eq!((list.get(PIECE), list.get(list.len())), (Some(id(PIECE)), None));
    }

    #[test]
    fn what_is_in_a_set_is_found() {
        let id = |number: usize| KeyId::of_test_key(&number.to_le_bytes());
        let mut set = IdSet::new();
        (0..10_000).step_by(3).for_each(|number| set.insert(id(number)));
        assert!((0..10_000).all(|number| set.contains(id(number)) == number.is_multiple_of(3)));
        (0..2 * IdSet::TABLES).for_each(|_| set.release_some());
    }

    #[test]
    fn at_a_cut_the_bits_change_roles() {
        let mut touched = Touched::default();
        let first = touched.now();
        assert_ne!(first, touched.awaited());
        touched.cut();
        assert_eq!(touched.awaited(), first);
        let both = first.with(touched.now());
        assert_eq!((both.bits(), both.without(first)), (TouchBits::MASK, touched.now()));
    }
}
