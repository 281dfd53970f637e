//! Short texts in slabs, by size class.

use crate::dataflow::prefetch::prefetch;

/// The step between size classes, in bytes.
const CLASS_STEP: usize = 8;

/// The size of a slab, in bytes, unless a single text is larger.
const SLAB_BYTES: usize = 64 * 1024;

/// Holds short texts without a heap allocation for each. A text lies in a slot of the next multiple
/// of eight bytes; freed slots are used again by texts of the same class.
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
    used: u32,
    free: Vec<u32>,
}

impl TextStore {
    /// Stores a text.
    pub fn insert(&mut self, text: &[u8]) -> TextRef {
        let class_number = class_of(text.len());
        if self.classes.len() <= class_number {
            self.classes.resize_with(class_number + 1, Class::default);
        }
        let class = &mut self.classes[class_number];
        let slot = class.free.pop().unwrap_or_else(|| {
            class.used += 1;
            class.used - 1
        });
        let (slab, start) = place(class_number, slot);
        if slab == class.slabs.len() {
            class.slabs.push(vec![0; slots_per_slab(class_number) * slot_bytes(class_number)].into_boxed_slice());
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
        self.classes[class_of(text.length as usize)].free.push(text.slot);
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
        assert_eq!(store.classes[1].used, 100);
    }
}
