//! From a hash to a value: an open-addressed table that can be asked for a slot in advance.

use super::prefetch::prefetch;

/// The fewest slots of a table.
const SMALLEST: usize = 16;

/// Finds values (32-bit numbers) by 32-bit hashes. Whoever uses it compares what stands in the
/// values; hashes need not be different.
///
/// A slot is 64 bits: the hash and the value, and 1; 0 is empty. A hash belongs to the slot that its
/// highest bits position, or to the next free one behind it. So the table alone knows how to grow, in
/// one pass in order, without a look at what stands in the values.
#[derive(Clone, Debug)]
pub struct FlatIndex {
    slots: Vec<u64>,
    /// `hash >> shift` is the position of the hash's own slot.
    shift: u32,
    len: usize,
}

impl Default for FlatIndex {
    fn default() -> FlatIndex {
        FlatIndex::with_slots(SMALLEST)
    }
}

impl FlatIndex {
    fn with_slots(slots: usize) -> FlatIndex {
        FlatIndex { slots: vec![0; slots], shift: u32::BITS - slots.trailing_zeros(), len: 0 }
    }

    /// Asks for the hash's own slot, for a [`FlatIndex::find`] that comes soon.
    #[inline]
    pub fn prefetch(&self, hash: u32) {
        prefetch(&self.slots[self.home(hash)]);
    }

    /// A value whose hash is this one: most often the one that [`FlatIndex::find`] will find.
    #[inline]
    pub fn candidate(&self, hash: u32) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// The value with this hash that `is_it`.
    #[inline]
    pub fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut position = self.home(hash);
        loop {
            let slot = self.slots[position];
            if slot == 0 {
                return None;
            }
            if hash_of(slot) == hash && is_it(value_of(slot)) {
                return Some(value_of(slot));
            }
            position = self.behind(position);
        }
    }

    /// Adds a value that is not in it yet. A value is less than `u32::MAX`.
    pub fn insert(&mut self, hash: u32, value: u32) {
        debug_assert!(value < u32::MAX);
        if self.len + 1 > self.slots.len() / 4 * 3 {
            self.resize(self.slots.len() * 2);
        }
        self.put(slot(hash, value));
        self.len += 1;
    }

    /// Makes room for so many more. Whoever adds them in the order of their hashes finds most of their slots in the processor's cache.
    pub fn reserve(&mut self, more: usize) {
        let slots = ((self.len + more).div_ceil(3) * 4).next_power_of_two();
        if slots > self.slots.len() {
            self.resize(slots);
        }
    }

    /// Takes a value out.
    pub fn remove(&mut self, hash: u32, value: u32) {
        let Some(mut hole) = self.position_of(hash, value) else { return };
        // What stands behind moves up, unless it would come to stand before its own slot.
        let mut position = self.behind(hole);
        while self.slots[position] != 0 {
            let home = self.home(hash_of(self.slots[position]));
            let mask = self.slots.len() - 1;
            if (position.wrapping_sub(home) & mask) >= (position.wrapping_sub(hole) & mask) {
                self.slots[hole] = self.slots[position];
                hole = position;
            }
            position = self.behind(position);
        }
        self.slots[hole] = 0;
        self.len -= 1;
    }

    /// Says that what had one value has another now.
    pub fn relocate(&mut self, hash: u32, from: u32, to: u32) {
        if let Some(position) = self.position_of(hash, from) {
            self.slots[position] = slot(hash, to);
        }
    }

    /// The position of the slot that holds this.
    fn position_of(&self, hash: u32, value: u32) -> Option<usize> {
        let mut position = self.home(hash);
        while self.slots[position] != slot(hash, value) {
            if self.slots[position] == 0 {
                return None;
            }
            position = self.behind(position);
        }
        Some(position)
    }

    /// Gives back most of the slots if hardly any is taken. To be called after a
    /// [`FlatIndex::remove`] where what is in it may become less for good.
    pub fn shrink(&mut self) {
        if self.slots.len() > SMALLEST && self.len < self.slots.len() / 8 {
            self.resize(self.slots.len() / 2);
        }
    }

    /// The bytes it holds on the heap.
    pub fn allocated_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }

    /// Takes out everything: `hashes_and_values` must name all that is in it. Touches only their
    /// slots when these are few.
    pub fn clear(&mut self, hashes_and_values: impl Iterator<Item = (u32, u32)>) {
        if self.len * 8 < self.slots.len() {
            hashes_and_values.for_each(|(hash, value)| self.remove(hash, value));
        } else {
            self.slots.fill(0);
            self.len = 0;
        }
    }

    fn resize(&mut self, slots: usize) {
        let mut other = FlatIndex::with_slots(slots);
        self.slots.iter().filter(|slot| **slot != 0).for_each(|slot| other.put(*slot));
        (self.slots, self.shift) = (other.slots, other.shift);
    }

    fn put(&mut self, slot: u64) {
        let mut position = self.home(hash_of(slot));
        while self.slots[position] != 0 {
            position = self.behind(position);
        }
        self.slots[position] = slot;
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        (hash >> self.shift) as usize
    }

    #[inline]
    fn behind(&self, position: usize) -> usize {
        (position + 1) & (self.slots.len() - 1)
    }
}

#[inline]
fn slot(hash: u32, value: u32) -> u64 {
    u64::from(hash) << 32 | (u64::from(value) + 1)
}

#[inline]
fn hash_of(slot: u64) -> u32 {
    (slot >> 32) as u32
}

#[inline]
fn value_of(slot: u64) -> u32 {
    (slot as u32).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few different hashes, at the ends of the table too, so that runs of slots meet and wrap.
        #[test]
        fn it_holds_what_a_map_holds(steps in prop::collection::vec((0..24u32, any::<bool>()), 1..400)) {
            // Places that differ by 24 have the same hash, so that one can move to the other.
            let hash_of_place = |place: u32| (place % 6).wrapping_sub(3).wrapping_mul(0x1000_0001);
            let (mut index, mut map) = (FlatIndex::default(), HashMap::new());
            for (place, insert) in steps {
                let hash = hash_of_place(place);
                if insert && map.insert(place, hash).is_none() {
                    index.insert(hash, place);
                } else if !insert && map.remove(&place).is_some() {
                    index.relocate(hash, place, place + 24);
                    index.remove(hash, place);
                    prop_assert_eq!(index.find(hash, |found| found == place + 24), Some(place + 24));
                    index.remove(hash, place + 24);
                    index.shrink();
                }
                for place in 0..24 {
                    let found = index.find(hash_of_place(place), |found| found == place);
                    prop_assert_eq!(found, map.get(&place).map(|_| place));
                }
            }
            index.clear(map.iter().map(|(place, hash)| (*hash, *place)));
            prop_assert!(index.slots.iter().all(|slot| *slot == 0) && index.len == 0);
        }
    }

    #[test]
    fn it_grows_and_is_cleared_slot_by_slot_or_as_a_whole() {
        for kept in [10, 100_000] {
            let mut index = FlatIndex::default();
            let hash = |place: u32| place.wrapping_mul(0x9E37_79B9);
            (0..100_000).for_each(|place| index.insert(hash(place), place));
            (0..100_000).for_each(|place| assert_eq!(index.find(hash(place), |found| found == place), Some(place)));
            (kept..100_000).for_each(|place| index.remove(hash(place), place));
            assert_eq!(index.len, kept as usize);
            let full = index.allocated_bytes();
            (0..20).for_each(|_| index.shrink());
            assert_eq!(index.allocated_bytes() < full / 100, kept == 10);
            (0..kept).for_each(|place| assert_eq!(index.find(hash(place), |found| found == place), Some(place)));
            index.clear((0..kept).map(|place| (hash(place), place)));
            assert!(index.slots.iter().all(|slot| *slot == 0) && index.len == 0);
        }
    }
}
