//! Short texts in slabs, by size class.

use super::slot_numbers::SlotNumbers;
use super::vec_bytes;
use crate::dataflow::prefetch::prefetch;

/// The step between size classes, in bytes.
const CLASS_STEP: usize = 8;

/// The size of a slab, in bytes, unless a single text is larger.
const SLAB_BYTES: usize = 64 * 1024;

/// Holds short texts without a heap allocation for each. A text lies in a slot of the next multiple
/// of eight bytes; freed slots are used again by texts of the same class, and given back by a
/// [compaction](TextStore::compact).
#[derive(Debug, Default)]
pub struct TextStore {
    classes: Vec<Class>,
}

/// Where a text lies: given back by [`TextStore::insert`], and needed to read or free it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextRef {
    /// The slot, in the class of this length.
    pub slot: u32,
    /// The length, in bytes.
    pub length: u32,
}

#[derive(Debug, Default)]
struct Class {
    slabs: Vec<Box<[u8]>>,
    slots: SlotNumbers,
}

impl TextStore {
    /// Stores a text.
    pub fn insert(&mut self, text: &[u8]) -> TextRef {
        let class_number = class_of(text.len());
        if self.classes.len() <= class_number {
            self.classes.resize_with(class_number + 1, Class::default);
        }
        let class = &mut self.classes[class_number];
        let slot = class.slots.take();
        let (slab, start) = place(class_number, slot);
        if slab == class.slabs.len() {
            class.slabs.push(vec![0; slab_bytes(class_number)].into_boxed_slice());
        }
        class.slabs[slab][start..][..text.len()].copy_from_slice(text);
        TextRef { slot, length: text.len() as u32 }
    }

    /// The text.
    #[inline]
    pub fn get(&self, text: TextRef) -> &[u8] {
        let class_number = class_of(text.length as usize);
        let (slab, start) = place(class_number, text.slot);
        &self.classes[class_number].slabs[slab][start..][..text.length as usize]
    }

    /// Asks for a text that is needed soon.
    #[inline]
    pub fn prefetch(&self, text: TextRef) {
        if let Some(first) = self.get(text).first() {
            prefetch(first);
        }
    }

    /// Gives the text's slot free.
    pub fn remove(&mut self, text: TextRef) {
        self.classes[class_of(text.length as usize)].slots.give_back(text.slot);
    }

    /// Closes the holes that freed texts have left, and gives back the slabs that are empty then.
    /// `move_each` must ask for the [new place](TextStore::moved) of every text that there is, once.
    pub fn compact(&mut self, move_each: impl FnOnce(&mut TextStore)) {
        self.classes.iter_mut().for_each(|class| class.slots.begin_compaction());
        move_each(self);
        for (number, class) in self.classes.iter_mut().enumerate() {
            class.slabs.truncate(class.slots.end().div_ceil(slots_per_slab(number)));
        }
    }

    /// Where a text is after the [compaction](TextStore::compact) that is under way.
    pub fn moved(&mut self, text: TextRef) -> TextRef {
        let class_number = class_of(text.length as usize);
        let class = &mut self.classes[class_number];
        let Some(slot) = class.slots.moved(text.slot) else { return text };
        let (from, from_start) = place(class_number, text.slot);
        let (to, to_start) = place(class_number, slot);
        let bytes = slot_bytes(class_number);
        match class.slabs.get_disjoint_mut([from, to]) {
            Ok([from, to]) => {
                to[to_start..][..bytes].copy_from_slice(&from[from_start..][..bytes]);
            }
            Err(_) => class.slabs[from].copy_within(from_start..from_start + bytes, to_start),
        }
        TextRef { slot, ..text }
    }

    /// The bytes allocated, whether texts lie in them or not.
    pub fn allocated_bytes(&self) -> usize {
        let of_class = |(number, class): (usize, &Class)| {
            class.slabs.len() * slab_bytes(number) + vec_bytes(&class.slabs) + class.slots.allocated_bytes()
        };
        self.classes.iter().enumerate().map(of_class).sum()
    }

    /// The bytes that a text of this length takes.
    pub fn bytes_of(length: usize) -> usize {
        slot_bytes(class_of(length))
    }
}

fn class_of(length: usize) -> usize {
    length.div_ceil(CLASS_STEP)
}

fn slot_bytes(class: usize) -> usize {
    class.max(1) * CLASS_STEP
}

fn slots_per_slab(class: usize) -> usize {
    (SLAB_BYTES / slot_bytes(class)).max(1)
}

fn slab_bytes(class: usize) -> usize {
    slots_per_slab(class) * slot_bytes(class)
}

/// The slab that a slot lies in, and where it begins there.
fn place(class: usize, slot: u32) -> (usize, usize) {
    let per_slab = slots_per_slab(class);
    (slot as usize / per_slab, slot as usize % per_slab * slot_bytes(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_all_lengths_come_back_as_they_were() {
        let mut store = TextStore::default();
        let texts: Vec<Vec<u8>> = (0..2_100).map(|length| vec![(length % 251) as u8; length]).collect();
        let refs: Vec<TextRef> = texts.iter().chain(&texts).map(|text| store.insert(text)).collect();
        for (text, text_ref) in texts.iter().chain(&texts).zip(refs) {
            assert_eq!(store.get(text_ref), text);
        }
    }

    #[test]
    fn freed_slots_are_used_again() {
        let mut store = TextStore::default();
        for round in 0..1_000u32 {
            let refs: Vec<_> = (0..100u32).map(|i| store.insert(&(round + i).to_le_bytes())).collect();
            refs.into_iter().for_each(|text| store.remove(text));
        }
        assert_eq!(store.classes[1].slots.end(), 100);
    }

    #[test]
    fn a_compaction_gives_back_what_freed_texts_took_and_keeps_the_others() {
        let mut store = TextStore::default();
        let text = |number: usize| format!("{number}{}", "x".repeat(number % 40)).into_bytes();
        let refs: Vec<TextRef> = (0..50_000).map(|number| store.insert(&text(number))).collect();
        let full = store.allocated_bytes();
        let (kept, gone): (Vec<_>, Vec<_>) = (0..50_000).zip(refs).partition(|(number, _)| number % 7 == 3);
        gone.into_iter().for_each(|(_, text)| store.remove(text));
        assert!(store.allocated_bytes() >= full);
        let mut moved = Vec::new();
        store.compact(|store| moved = kept.into_iter().map(|(number, at)| (number, store.moved(at))).collect());
        // A slab is left of each class, and the list of slabs.
        assert!(store.allocated_bytes() < full / 3, "{} of {full}", store.allocated_bytes());
        for (number, at) in moved {
            assert_eq!(store.get(at), text(number));
        }
        assert_eq!(TextStore::bytes_of(9), 16);
    }
}
