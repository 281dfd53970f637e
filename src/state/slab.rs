//! Memory for blocks.

/// Words that begin at a cache line, so that a block of eight of them is one line.
#[derive(Debug)]
pub(super) struct Slab {
    words: Box<[u64]>,
    first: usize,
}

impl Slab {
    const WORDS_PER_LINE: usize = 8;

    /// So many words, all 0.
    pub fn new(words: usize) -> Slab {
        let words = vec![0u64; words + Self::WORDS_PER_LINE - 1].into_boxed_slice();
        let into_line = words.as_ptr() as usize / 8 % Self::WORDS_PER_LINE;
        Slab { words, first: (Self::WORDS_PER_LINE - into_line) % Self::WORDS_PER_LINE }
    }

    /// The words.
    #[inline]
    pub fn words(&self) -> &[u64] {
        &self.words[self.first..]
    }

    /// The words, to be changed.
    #[inline]
    pub fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words[self.first..]
    }

    /// One of the same size that has been used only for so many words of this one.
    pub fn renewed(&self, words: usize) -> Slab {
        let mut other = Slab::new(self.words.len() + 1 - Self::WORDS_PER_LINE);
        other.words_mut()[..words].copy_from_slice(&self.words()[..words]);
        other
    }
}
