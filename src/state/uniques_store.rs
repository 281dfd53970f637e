//! The uniques of rows that count different members.

use super::uniques_slots::Slots;
use crate::counter::{EventTime, Uniques, UniquesScheme};
use crate::memory::vec_bytes;

/// How many uniques lie in a slab.
const SLAB: usize = 1024;

/// What an allocator takes for a block beside what was asked for, about.
const BLOCK_BYTES: usize = 16;

/// Holds the uniques of rows with more than one member. Such a row has one word, the slot by which its uniques are
/// found here.
#[derive(Debug, Default)]
pub(crate) struct UniquesStore {
    slabs: Vec<Vec<Uniques>>,
    slots: Slots,
    estimates: Vec<f64>,
    /// What the uniques hold on the heap.
    heap_bytes: usize,
}

impl UniquesStore {
    /// Stores the uniques of a row that had none here, and returns the row's word.
    pub fn insert(&mut self, uniques: Uniques) -> u64 {
        self.heap_bytes += heap_bytes(&uniques);
        let slot = self.slots.take() as usize;
        if slot / SLAB == self.slabs.len() {
            self.slabs.push(Vec::with_capacity(SLAB));
        }
        let slab = &mut self.slabs[slot / SLAB];
        match slab.get_mut(slot % SLAB) {
            Some(free) => *free = uniques,
            None => slab.push(uniques),
        }
        slot as u64
    }

    /// Changes the uniques of the row with this word; says by how many bytes they have grown.
    #[inline]
    pub fn change(&mut self, word: u64, step: impl FnOnce(&mut Uniques)) -> isize {
        let slot = word as usize;
        let uniques = &mut self.slabs[slot / SLAB][slot % SLAB];
        let before = heap_bytes(uniques);
        step(uniques);
        let grown = heap_bytes(uniques).cast_signed() - before.cast_signed();
        self.heap_bytes = self.heap_bytes.saturating_add_signed(grown);
        grown
    }

    /// The uniques of the row with this word.
    pub fn get(&self, word: u64) -> &Uniques {
        let slot = word as usize;
        &self.slabs[slot / SLAB][slot % SLAB]
    }

    /// Forgets the uniques of a row with this word; says how many bytes they had.
    pub fn remove(&mut self, word: u64) -> usize {
        let slot = word as usize;
        let gone = std::mem::take(&mut self.slabs[slot / SLAB][slot % SLAB]);
        self.heap_bytes -= heap_bytes(&gone);
        self.slots.give_back(slot as u32);
        UniquesStore::bytes_of(&gone)
    }

    /// Closes the holes that forgotten uniques have left, and gives back the slabs that are empty then.
    /// `move_each` must ask for the [new word](UniquesStore::moved) of every row, once.
    pub fn compact(&mut self, move_each: impl FnOnce(&mut UniquesStore)) {
        self.slots.begin_compaction();
        move_each(self);
        self.slabs.truncate(self.slots.end().div_ceil(SLAB));
    }

    /// The word of a row after the [compaction](UniquesStore::compact) that is under way.
    pub fn moved(&mut self, word: u64) -> u64 {
        let from = word as usize;
        let Some(to) = self.slots.moved(from as u32) else { return word };
        let to = to as usize;
        self.slabs[to / SLAB][to % SLAB] = std::mem::take(&mut self.slabs[from / SLAB][from % SLAB]);
        to as u64
    }

    /// The bytes allocated, with those that the uniques themselves hold.
    pub fn allocated_bytes(&self) -> usize {
        let slabs = self.slabs.len() * SLAB * size_of::<Uniques>();
        slabs + vec_bytes(&self.slabs) + self.slots.allocated_bytes() + self.heap_bytes
    }

    /// The bytes that these uniques take in a store.
    pub fn bytes_of(uniques: &Uniques) -> usize {
        size_of::<Uniques>() + heap_bytes(uniques)
    }

    /// What the row with this word publishes: an estimate per interval, and behind them their
    /// relative standard errors.
    pub fn estimates(&mut self, word: u64, set: &UniquesScheme, time: EventTime) -> &[f64] {
        let intervals = set.intervals().len();
        self.estimates.clear();
        self.estimates.resize(intervals, 0.0);
        let slot = word as usize;
        let error = self.slabs[slot / SLAB][slot % SLAB].read_all(set, time, &mut self.estimates);
        self.estimates.resize(2 * intervals, error);
        &self.estimates
    }
}

/// What uniques take on the heap.
#[inline]
fn heap_bytes(uniques: &Uniques) -> usize {
    match uniques.heap_bytes() {
        0 => 0,
        bytes => bytes + BLOCK_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::{DecayInterval, Decays, MemberHash, UniquesConfig};

    fn set() -> UniquesScheme {
        let interval = DecayInterval::new(60).expect("valid");
        UniquesScheme::new(UniquesConfig::default(), &Decays::new(vec![interval])).expect("valid")
    }

    fn uniques(members: u64) -> Uniques {
        let mut uniques = Uniques::new();
        (0..members).for_each(|member| uniques.add(&set(), MemberHash(member), EventTime(0)));
        uniques
    }

    #[test]
    fn it_knows_the_bytes_of_all_that_it_holds() {
        let mut store = UniquesStore::default();
        let words: Vec<u64> = (0..500).map(|row| store.insert(uniques(row % 100))).collect();
        let before = store.heap_bytes.cast_signed();
        let grown: isize = words.iter().map(|word| store.change(*word, |own| own.merge(&set(), &uniques(70)))).sum();
        let expected: usize = words.iter().map(|word| heap_bytes(store.get(*word))).sum();
        assert!(store.heap_bytes == expected && expected > 500 * 300);
        assert_eq!(before + grown, expected.cast_signed());
        let gone: usize = words.iter().map(|word| store.remove(*word)).sum();
        assert_eq!((store.heap_bytes, gone), (0, expected + 500 * size_of::<Uniques>()));
    }

    #[test]
    fn a_compaction_gives_back_what_is_free_and_keeps_the_others() {
        let mut store = UniquesStore::default();
        let words: Vec<u64> = (0..10_000).map(|row| store.insert(uniques(row % 5))).collect();
        let full = store.allocated_bytes();
        let (kept, gone): (Vec<_>, Vec<_>) = (0..10_000).zip(words).partition(|(row, _)| row % 7 == 3);
        for (_, word) in gone {
            store.remove(word);
        }
        let mut moved = Vec::new();
        store.compact(|store| moved = kept.into_iter().map(|(row, word)| (row, store.moved(word))).collect());
        assert!(store.allocated_bytes() < full / 4, "{} of {full}", store.allocated_bytes());
        assert!(moved.iter().all(|(row, word)| *store.get(*word) == uniques(row % 5)));
        assert_eq!(store.insert(Uniques::new()) as usize, moved.len());
    }
}
