//! Where blocks lie: by size class, in slabs.
//!
//! Classes are four an octave, so a block is at most a quarter larger than what is in it. A block that is outgrown leaves a
//! hole in its class, which the next of that size fills. When a part of a class is holes, its last block moves
//! into one of them with every hole that comes: so memory comes back, and never at once for many.

use super::block::{Block, BlockMut, MOST_WORDS};
use super::slab::Slab;
use crate::memory::{prefetch, vec_bytes};
use crate::sums::KeyId;

/// The words of the smallest class.
const SMALLEST: usize = 8;
/// How many classes lie in slabs. Their largest blocks have 1,024 words.
const CLASSES: usize = 29;
/// The number of the class of all blocks that are larger, each by itself.
const LARGE: u32 = CLASSES as u32;

/// How many bits of an address say which block of its class it is.
const INDEX_BITS: u32 = 27;
/// The most blocks of a class, holes included.
pub(super) const MOST_BLOCKS: usize = 1 << INDEX_BITS;

/// The bytes of the largest block, about.
pub(super) const LARGEST_BLOCK_BYTES: usize = 8 * MOST_WORDS / 8 * 7;

/// The size of a slab, in bytes, at most.
const SLAB_BYTES: usize = 2 * 1024 * 1024;
/// The same of tests that make very many states.
#[cfg(test)]
const SMALL_SLAB_BYTES: usize = 4 * 1024;
/// When one of so many parts of the last slab has been used and is not any more, a compaction gives it back.
const WASTE: usize = 16;
/// No more than one of so many blocks of a class are holes for long.
const HOLES_ONE_IN: usize = 5;

/// In a hole: the neighbours in the list of holes.
const PREVIOUS_HOLE: usize = 0;
const NEXT_HOLE: usize = 1;
const NO_HOLE: u32 = u32::MAX;

const WORDS_PER_LINE: usize = 8;

/// Where a block is, until one of its class is freed, or it moves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockAddress(u32);

impl BlockAddress {
    /// That of no block.
    pub const NONE: BlockAddress = BlockAddress(u32::MAX);

    pub fn to_bits(self) -> u32 {
        self.0
    }

    pub fn from_bits(bits: u32) -> BlockAddress {
        BlockAddress(bits)
    }

    #[inline]
    pub(super) fn new(class: u32, index: u32) -> BlockAddress {
        BlockAddress(class << INDEX_BITS | index)
    }

    #[inline]
    pub fn class(self) -> u32 {
        self.0 >> INDEX_BITS
    }

    #[inline]
    fn index(self) -> u32 {
        self.0 & (MOST_BLOCKS as u32 - 1)
    }
}

/// All blocks of a worker.
#[derive(Debug)]
pub(super) struct Blocks {
    classes: Vec<Class>,
    large: LargeBlocks,
}

/// The blocks of one size.
#[derive(Debug)]
struct Class {
    words: usize,
    /// How many bits of an index say where in its slab a block is.
    slab_bits: u32,
    slabs: Vec<Slab>,
    /// No block from here on is in use.
    end: u32,
    first_hole: u32,
    holes: usize,
    /// How many blocks of the last slab have ever been in use: what lies behind them takes no memory yet.
    touched: usize,
}

/// Blocks that are larger than every class.
#[derive(Debug, Default)]
struct LargeBlocks {
    /// Empty where there is none.
    blocks: Vec<Box<[u64]>>,
    free: Vec<u32>,
    words: usize,
}

/// A block that moved by itself, because another one was freed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub from: BlockAddress,
    pub to: BlockAddress,
}

/// The class of blocks with so many words, counted on beyond those in slabs.
#[inline]
fn class_of(words: usize) -> usize {
    if words <= SMALLEST {
        return 0;
    }
    let last = words - 1;
    let octave = last.ilog2() as usize;
    (octave - 3) * 4 + (last >> (octave - 2) & 3) + 1
}

/// The words of a class.
#[inline]
fn class_words(class: usize) -> usize {
    match class.checked_sub(1) {
        None => SMALLEST,
        Some(step) => (step % 4 + 5) << (step / 4 + 1),
    }
}

/// The words of the block that holds so many.
pub(super) fn words_with_room_for(words: usize) -> usize {
    class_words(class_of(words))
}

impl Blocks {
    pub const LAST_CLASS: u32 = LARGE;

    pub fn new() -> Blocks {
        Blocks { classes: (0..CLASSES).map(Class::new).collect(), large: LargeBlocks::default() }
    }

    /// A block for so many words, in which nothing is yet; `None` where there is none so large, or no address is left.
    #[inline]
    pub fn allocate(&mut self, words: usize) -> Option<BlockAddress> {
        let class = class_of(words);
        let index = match self.classes.get_mut(class) {
            Some(blocks) => blocks.allocate(),
            None if class_words(class) < MOST_WORDS => self.large.allocate(class_words(class)),
            None => None,
        }?;
        Some(BlockAddress::new(class.min(CLASSES) as u32, index))
    }

    /// Gives a large block another size that is large, too, in its place.
    pub fn resize_large(&mut self, address: BlockAddress, words: usize) -> Option<()> {
        let words = class_words(class_of(words));
        if words >= MOST_WORDS {
            return None;
        }
        let mut block = vec![0; words].into_boxed_slice();
        let old = &mut self.large.blocks[address.index() as usize];
        BlockMut(&mut block).copy(Block(old));
        self.large.words = self.large.words + words - old.len();
        *old = block;
        Some(())
    }

    /// Whether so many words need a block by itself.
    pub fn need_large(words: usize) -> bool {
        class_of(words) >= CLASSES
    }

    /// Frees a block. Perhaps another one takes its place then.
    pub fn free(&mut self, address: BlockAddress) -> Option<Moved> {
        self.get_mut(address).free();
        let Some(class) = self.classes.get_mut(address.class() as usize) else {
            self.large.free(address.index());
            return None;
        };
        class.add_hole(address.index());
        let (from, to) = class.close_a_hole()?;
        let address = |index| BlockAddress::new(address.class(), index);
        Some(Moved { from: address(from), to: address(to) })
    }

    #[inline(always)]
    pub fn get(&self, address: BlockAddress) -> Block<'_> {
        Block(match self.classes.get(address.class() as usize) {
            Some(class) => class.words_of(address.index()),
            None => &self.large.blocks[address.index() as usize],
        })
    }

    #[inline(always)]
    pub fn get_mut(&mut self, address: BlockAddress) -> BlockMut<'_> {
        BlockMut(match self.classes.get_mut(address.class() as usize) {
            Some(class) => class.words_of_mut(address.index()),
            None => &mut self.large.blocks[address.index() as usize],
        })
    }

    /// Two blocks, of different classes, not both large.
    pub fn two_mut(&mut self, from: BlockAddress, to: BlockAddress) -> Option<(Block<'_>, BlockMut<'_>)> {
        let (from_index, to_index) = (from.index() as usize, to.index() as usize);
        let Blocks { classes, large } = self;
        let (old, new) = match (Blocks::is_large(from), Blocks::is_large(to)) {
            (false, false) => {
                let [from_class, to_class] =
                    classes.get_disjoint_mut([from.class() as usize, to.class() as usize]).ok()?;
                (from_class.words_of(from.index()), to_class.words_of_mut(to.index()))
            }
            (false, true) => (classes[from.class() as usize].words_of(from.index()), &mut *large.blocks[to_index]),
            (true, false) => (&*large.blocks[from_index], classes[to.class() as usize].words_of_mut(to.index())),
            (true, true) => return None,
        };
        Some((Block(old), BlockMut(new)))
    }

    /// Whether a block holds its rows as they come, however few events they have.
    #[inline]
    pub fn is_large(address: BlockAddress) -> bool {
        address.class() == LARGE
    }

    /// Takes little memory where there are few keys. Before there is any.
    #[cfg(test)]
    pub fn use_small_slabs(&mut self) {
        for class in &mut self.classes {
            class.slab_bits = (SMALL_SLAB_BYTES / (8 * class.words)).max(1).ilog2();
        }
    }

    /// The words of the block.
    #[inline]
    pub fn words(&self, address: BlockAddress) -> usize {
        self.get(address).0.len()
    }

    /// Asks for a block that is needed soon, or the first lines of a long one.
    #[inline]
    pub fn prefetch(&self, address: BlockAddress) {
        const LINES: usize = 6;
        let words = self.get(address).0;
        words.iter().step_by(WORDS_PER_LINE).take(LINES).for_each(prefetch);
        prefetch(&words[words.len() - 1]);
    }

    /// How many blocks, holes included, one class has.
    pub fn end(&self, class: u32) -> u32 {
        self.classes.get(class as usize).map_or(self.large.blocks.len() as u32, |class| class.end)
    }

    /// Whether this may be the address of a block now: of some key, or of none.
    #[inline]
    pub fn has(&self, address: BlockAddress) -> bool {
        let index = address.index();
        match self.classes.get(address.class() as usize) {
            Some(class) => index < class.end,
            None => self.large.blocks.get(index as usize).is_some_and(|block| !block.is_empty()),
        }
    }

    /// Whether this key has its block at this address, which may be an old one.
    #[inline]
    pub fn is_there(&self, address: BlockAddress, id: KeyId) -> bool {
        self.has(address) && self.is_taken(address) && self.get(address).is_of(id)
    }

    /// Whether there is a block of a key at this address.
    #[inline]
    pub fn is_taken(&self, address: BlockAddress) -> bool {
        let words = self.get(address).0;
        !words.is_empty() && !Block(words).is_free()
    }

    /// The bytes that are allocated, but for the ends of slabs that the system has not given yet.
    pub fn allocated_bytes(&self) -> usize {
        let classes: usize = self.classes.iter().map(Class::allocated_bytes).sum();
        let large = 8 * self.large.words + vec_bytes(&self.large.blocks) + vec_bytes(&self.large.free);
        classes + large + vec_bytes(&self.classes)
    }

    /// Closes holes until a block moves for it; `None` when there are none left.
    pub fn close_a_hole(&mut self) -> Option<Moved> {
        for (class, number) in self.classes.iter_mut().zip(0u32..) {
            while class.holes > 0 {
                if let Some((from, to)) = class.fill_a_hole() {
                    let address = |index| BlockAddress::new(number, index);
                    return Some(Moved { from: address(from), to: address(to) });
                }
            }
        }
        None
    }

    /// Gives back the memory that no block lies in.
    pub fn give_back(&mut self) {
        self.classes.iter_mut().for_each(|class| class.give_back(WASTE));
        self.large.give_back();
    }
}

impl Class {
    fn new(class: usize) -> Class {
        let words = class_words(class);
        Class {
            words,
            slab_bits: (SLAB_BYTES / (8 * words)).ilog2(),
            slabs: Vec::new(),
            end: 0,
            first_hole: NO_HOLE,
            holes: 0,
            touched: 0,
        }
    }

    #[inline]
    fn allocate(&mut self) -> Option<u32> {
        if self.holes > 0 {
            let hole = self.first_hole;
            self.unlink(hole);
            return Some(hole);
        }
        let index = self.end;
        if index as usize == MOST_BLOCKS {
            return None;
        }
        self.end += 1;
        let (slab, position) = self.locate(index);
        if slab == self.slabs.len() {
            self.slabs.push(Slab::new(self.words << self.slab_bits));
            self.touched = 0;
        }
        self.touched = self.touched.max(position + 1);
        Some(index)
    }

    fn add_hole(&mut self, index: u32) {
        let next = std::mem::replace(&mut self.first_hole, index);
        let words = self.words_of_mut(index);
        (words[PREVIOUS_HOLE], words[NEXT_HOLE]) = (u64::from(NO_HOLE), u64::from(next));
        if next != NO_HOLE {
            self.words_of_mut(next)[PREVIOUS_HOLE] = u64::from(index);
        }
        self.holes += 1;
    }

    fn unlink(&mut self, hole: u32) {
        let words = self.words_of(hole);
        let (previous, next) = (words[PREVIOUS_HOLE] as u32, words[NEXT_HOLE] as u32);
        if previous == NO_HOLE {
            self.first_hole = next;
        } else {
            self.words_of_mut(previous)[NEXT_HOLE] = u64::from(next);
        }
        if next != NO_HOLE {
            self.words_of_mut(next)[PREVIOUS_HOLE] = u64::from(previous);
        }
        self.holes -= 1;
    }

    /// Closes a hole where there are many; says which block moved where.
    fn close_a_hole(&mut self) -> Option<(u32, u32)> {
        if self.holes * HOLES_ONE_IN <= self.end as usize { None } else { self.fill_a_hole() }
    }

    /// Makes the class shorter by its last block, which fills a hole unless it is one.
    fn fill_a_hole(&mut self) -> Option<(u32, u32)> {
        let last = self.end - 1;
        let moved = if Block(self.words_of(last)).is_free() {
            self.unlink(last);
            None
        } else {
            let hole = self.first_hole;
            self.unlink(hole);
            self.copy(last, hole);
            Some((last, hole))
        };
        self.end -= 1;
        let slabs = (self.end as usize).div_ceil(1 << self.slab_bits);
        if slabs < self.slabs.len() {
            self.slabs.truncate(slabs);
            self.touched = if slabs == 0 { 0 } else { 1 << self.slab_bits };
        }
        self.give_back(2);
        moved
    }

    fn copy(&mut self, from: u32, to: u32) {
        let ((from_slab, from), (to_slab, to)) = (self.locate(from), self.locate(to));
        let (from, to, words) = (from * self.words, to * self.words, self.words);
        match self.slabs.get_disjoint_mut([from_slab, to_slab]) {
            Ok([from_slab, to_slab]) => {
                to_slab.words_mut()[to..][..words].copy_from_slice(&from_slab.words()[from..][..words]);
            }
            Err(_) => self.slabs[from_slab].words_mut().copy_within(from..from + words, to),
        }
    }

    /// Gives back the end of the last slab, where more than one of so many parts was in use.
    fn give_back(&mut self, parts: usize) {
        let in_last_slab = self.end as usize - (self.slabs.len().saturating_sub(1) << self.slab_bits);
        if self.touched - in_last_slab > (1 << self.slab_bits) / parts
            && let Some(last) = self.slabs.last_mut()
        {
            *last = last.renewed(in_last_slab * self.words);
            self.touched = in_last_slab;
        }
    }

    fn allocated_bytes(&self) -> usize {
        let blocks = (self.slabs.len().saturating_sub(1) << self.slab_bits) + self.touched;
        8 * self.words * blocks + vec_bytes(&self.slabs)
    }

    #[inline(always)]
    fn words_of(&self, index: u32) -> &[u64] {
        let (slab, position) = self.locate(index);
        &self.slabs[slab].words()[position * self.words..][..self.words]
    }

    #[inline(always)]
    fn words_of_mut(&mut self, index: u32) -> &mut [u64] {
        let (slab, position) = self.locate(index);
        let words = self.words;
        &mut self.slabs[slab].words_mut()[position * words..][..words]
    }

    /// The slab of a block, and its position there.
    #[inline(always)]
    fn locate(&self, index: u32) -> (usize, usize) {
        (index as usize >> self.slab_bits, index as usize & ((1 << self.slab_bits) - 1))
    }
}

impl LargeBlocks {
    fn allocate(&mut self, words: usize) -> Option<u32> {
        let index = self.free.pop().unwrap_or(self.blocks.len() as u32);
        if index as usize == MOST_BLOCKS {
            return None;
        }
        let block = vec![0; words].into_boxed_slice();
        self.words += words;
        match self.blocks.get_mut(index as usize) {
            Some(free) => *free = block,
            None => self.blocks.push(block),
        }
        Some(index)
    }

    fn free(&mut self, index: u32) {
        self.words -= std::mem::take(&mut self.blocks[index as usize]).len();
        self.free.push(index);
    }

    fn give_back(&mut self) {
        while self.blocks.pop_if(|block| block.is_empty()).is_some() {}
        let end = self.blocks.len() as u32;
        self.free.retain(|index| *index < end);
        self.free.shrink_to_fit();
        self.blocks.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_at_most_a_quarter_larger_than_what_it_holds() {
        for words in 8..5_000 {
            let class = class_of(words);
            assert!(class_words(class) >= words && (class == 0 || class_words(class - 1) < words), "{words}");
            assert!(class_words(class) as f64 <= 1.25 * words as f64, "{words} in {}", class_words(class));
        }
        assert_eq!(class_words(CLASSES - 1), 1024);
    }
}
