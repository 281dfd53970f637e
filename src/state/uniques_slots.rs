//! Which slots of a store are taken.

use crate::memory::vec_bytes;

/// Gives out slots, lowest first as far as they were never used, and takes them back.
///
/// What was taken back leaves holes. A **compaction** closes them: after
/// [`Slots::begin_compaction`] every slot that is still out is asked for its
/// [new one](Slots::moved) once, and then those that are out are exactly the lowest.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// No slot from here on is out.
    end: u32,
    free: Vec<u32>,
}

impl Slots {
    /// A slot that is not out.
    #[inline]
    pub fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.end += 1;
            self.end - 1
        })
    }

    /// The slot may be given out again.
    pub fn give_back(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// No slot from here on is out.
    pub fn end(&self) -> usize {
        self.end as usize
    }

    /// Lets the slots that are out become the lowest ones.
    pub fn begin_compaction(&mut self) {
        self.end -= self.free.len() as u32;
        self.free.retain(|slot| *slot < self.end);
        self.free.shrink_to_fit();
    }

    /// Where what has this slot must move to in a compaction; `None` if it stays.
    #[inline]
    pub fn moved(&mut self, slot: u32) -> Option<u32> {
        if slot < self.end { None } else { self.free.pop() }
    }

    /// The bytes it holds on the heap.
    pub fn allocated_bytes(&self) -> usize {
        vec_bytes(&self.free)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_compaction_leaves_exactly_the_lowest_numbers_out(given_back in prop::collection::vec(any::<bool>(), 0..100)) {
            let mut numbers = Slots::default();
            let taken: Vec<u32> = given_back.iter().map(|_| numbers.take()).collect();
            let (back, out): (Vec<_>, Vec<_>) = taken.into_iter().zip(given_back).partition(|(_, back)| *back);
            back.iter().for_each(|(slot, _)| numbers.give_back(*slot));
            numbers.begin_compaction();
            let new: BTreeSet<u32> = out.iter().map(|(slot, _)| numbers.moved(*slot).unwrap_or(*slot)).collect();
            prop_assert!(new.into_iter().eq(0..out.len() as u32), "each once");
            prop_assert_eq!((numbers.end(), numbers.take()), (out.len(), out.len() as u32));
        }
    }
}
