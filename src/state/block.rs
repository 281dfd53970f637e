//! How a key and its counters lie in memory: one run of words, a **block**.
//!
//! ```text
//! word 0..2       identity
//! word 2          text length (16), flags (16; two of them [for checkpoints](super::touched)), rows (32)
//! word 3          words that rows take (32), its position among marked keys (32)
//! then            since when the key counts, if it was evicted before
//!                 the key's text, in whole words
//!                 the directory: a word per row, ascending by feature: feature (32), flags (8), offset (24)
//! ...             nothing
//! from the end    rows, each its last update and one word or its values
//! ```
//!
//! A row's offset counts from the block's end, so it stays as it is when the block moves to a larger one. A row of a
//! **single** event has one word, the event's weight or member, whatever the number of its intervals: most rows
//! see one event. Otherwise its words are a value per interval, and the squares where it keeps them; or, of
//! uniques, one: where they are. Behind these stands [what its item shows](super::shown), where the group wants that to be
//! known; of a single event that is the row itself. A row does not know how many words it has: its feature does.

use super::marks::{Mark, RhythmId};
use super::touched::TouchBits;
use crate::counter::EventTime;
use crate::memory::{last_word, text_words};
use crate::sums::KeyId;

const SHAPE_WORD: usize = 2;
const USE_WORD: usize = 3;
const HEADER_WORDS: usize = 4;

/// In the shape: the key has a `since`.
const HAS_SINCE: u64 = 1 << 16;
/// In the shape: the key stands among the marked ones, in the queue of the rhythm
const IS_QUEUED: u64 = 1 << 17;
/// that these bits name.
const RHYTHM_SHIFT: u32 = 18;
const RHYTHM_MASK: u64 = 0xff << RHYTHM_SHIFT;
/// In the shape: one row more.
const ONE_ROW: u64 = 1 << 32;

/// In the directory: the row holds a single event.
const ROW_IS_SINGLE: u64 = 1 << 32;
/// In the directory: the row has changed since it was last read for publishing.
const ROW_IS_MARKED: u64 = 1 << 33;
/// In the directory: the row as it was read last is on its way to the table,
const ROW_IS_READ: u64 = 1 << 34;
/// or is what its item shows;
const ROW_IS_SHOWN: u64 = 1 << 35;
/// and it has changed so little since that it is held back.
const ROW_IS_HELD: u64 = 1 << 36;
const OFFSET_SHIFT: u32 = 40;

/// The largest offset: no block may be larger.
pub(super) const MOST_WORDS: usize = 1 << 24;

/// A block, to be read.
#[derive(Clone, Copy)]
pub(super) struct Block<'a>(pub &'a [u64]);

/// A block, to be changed.
pub(super) struct BlockMut<'a>(pub &'a mut [u64]);

/// A row of a block, to be read.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// That of the directory.
    entry: u64,
    /// From its last update to the block's end.
    words: &'a [u64],
}

/// What becomes of a marked row in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was read for the table.
    Taken,
    /// It has changed too little to be read.
    Held,
    /// It stays marked for another reason.
    Left,
}

/// Which row of a block: its position in the directory.
pub(super) type RowIndex = usize;

/// How many words a key takes before its first row.
pub(super) fn key_words(text_length: usize, has_since: bool) -> usize {
    HEADER_WORDS + usize::from(has_since) + text_words(text_length)
}

/// How many words a row of so many words takes in its block.
pub(crate) fn row_words(words: usize) -> usize {
    2 + words
}

impl<'a> Block<'a> {
    #[inline]
    pub fn id(self) -> KeyId {
        KeyId::from_words([self.0[0], self.0[1]])
    }

    #[inline]
    pub fn is_of(self, id: KeyId) -> bool {
        let [high, low] = id.words();
        // Comparing slices would call a function.
        matches!(self.0, [own_high, own_low, ..] if *own_high == high && *own_low == low)
    }

    /// A block that no key has.
    #[inline]
    pub fn is_free(self) -> bool {
        self.rows() == 0
    }

    #[inline]
    pub fn rows(self) -> usize {
        (self.0[SHAPE_WORD] >> 32) as usize
    }

    pub fn text(self) -> &'a [u8] {
        let start = HEADER_WORDS + self.since_words();
        &bytemuck::cast_slice(&self.0[start..])[..self.text_length()]
    }

    /// Since when the key counts, where that is not from the beginning.
    #[inline]
    pub fn since(self) -> Option<EventTime> {
        (self.since_words() == 1).then(|| EventTime(self.0[HEADER_WORDS] as i64))
    }

    /// Where it stands among the marked keys, if it does.
    #[inline]
    pub fn mark(self) -> Option<Mark> {
        let shape = self.0[SHAPE_WORD];
        let rhythm = RhythmId(((shape & RHYTHM_MASK) >> RHYTHM_SHIFT) as u8);
        (shape & IS_QUEUED != 0).then_some(Mark { rhythm, position: (self.0[USE_WORD] >> 32) as u32 })
    }

    /// Whether it is noted for a checkpoint.
    #[inline]
    pub fn touch_bits(self) -> TouchBits {
        TouchBits::in_shape(self.0[SHAPE_WORD])
    }

    /// How many of its rows are marked.
    pub fn marked_rows(self) -> usize {
        self.directory().iter().filter(|entry| **entry & ROW_IS_MARKED != 0).count()
    }

    /// The words that are in use.
    #[inline]
    pub fn used_words(self) -> usize {
        self.directory_start() + self.rows() + self.row_words()
    }

    /// The row of a feature, or where it would be.
    #[inline]
    pub fn find(self, feature: u32) -> Result<RowIndex, RowIndex> {
        const FEW: usize = 16;
        let directory = self.directory();
        if directory.len() > FEW {
            return directory.binary_search_by_key(&feature, |entry| *entry as u32);
        }
        for (index, entry) in directory.iter().enumerate() {
            if *entry as u32 >= feature {
                return if *entry as u32 == feature { Ok(index) } else { Err(index) };
            }
        }
        Err(directory.len())
    }

    /// Its rows, ascending by feature.
    #[inline]
    pub fn each_row(self) -> impl Iterator<Item = Row<'a>> {
        self.directory().iter().map(move |entry| Row::new(self, *entry))
    }

    #[inline]
    pub fn row(self, row: RowIndex) -> Row<'a> {
        Row::new(self, self.directory()[row])
    }

    #[inline]
    fn row_start(self, row: RowIndex) -> usize {
        self.0.len() - (self.directory()[row] >> OFFSET_SHIFT) as usize
    }

    #[inline]
    fn directory(self) -> &'a [u64] {
        &self.0[self.directory_start()..][..self.rows()]
    }

    #[inline]
    fn directory_start(self) -> usize {
        HEADER_WORDS + self.since_words() + text_words(self.text_length())
    }

    #[inline]
    fn text_length(self) -> usize {
        usize::from(self.0[SHAPE_WORD] as u16)
    }

    #[inline]
    fn since_words(self) -> usize {
        usize::from(self.0[SHAPE_WORD] & HAS_SINCE != 0)
    }

    #[inline]
    fn row_words(self) -> usize {
        self.0[USE_WORD] as u32 as usize
    }
}

impl<'a> Row<'a> {
    #[inline]
    fn new(block: Block<'a>, entry: u64) -> Row<'a> {
        Row { entry, words: &block.0[block.0.len() - (entry >> OFFSET_SHIFT) as usize..] }
    }

    #[inline]
    pub fn feature(self) -> u32 {
        self.entry as u32
    }

    #[inline]
    pub fn is_single(self) -> bool {
        self.entry & ROW_IS_SINGLE != 0
    }

    #[inline]
    pub fn is_marked(self) -> bool {
        self.entry & ROW_IS_MARKED != 0
    }

    /// Whether it was read for publishing, and has not been known to be written since.
    #[inline]
    pub fn is_read(self) -> bool {
        self.entry & ROW_IS_READ != 0
    }

    /// Whether it is known what its item shows.
    #[inline]
    pub fn is_shown(self) -> bool {
        self.entry & ROW_IS_SHOWN != 0
    }

    /// Whether its item shows it as it was read last, or soon may.
    #[inline]
    pub fn may_be_shown(self) -> bool {
        self.entry & (ROW_IS_READ | ROW_IS_SHOWN) != 0
    }

    /// Whether it was held back, and has not changed since.
    #[inline]
    pub fn is_held(self) -> bool {
        self.entry & ROW_IS_HELD != 0
    }

    #[inline]
    pub fn last_update(self) -> EventTime {
        EventTime(self.words[0] as i64)
    }

    /// Its first word behind the last update: of a single row, or of uniques, the only one.
    #[inline]
    pub fn word(self) -> u64 {
        self.words[1]
    }

    /// Its first `width` words behind the last update.
    #[inline]
    pub fn words(self, width: usize) -> &'a [u64] {
        &self.words[1..][..width]
    }
}

impl BlockMut<'_> {
    /// To be read.
    #[inline]
    pub fn read(&self) -> Block<'_> {
        Block(self.0)
    }

    /// Makes it the block of a key without rows.
    #[inline]
    pub fn begin(&mut self, id: KeyId, text: &[u8], since: Option<EventTime>) {
        debug_assert!(text.len() <= usize::from(u16::MAX));
        let [high, low] = id.words();
        (self.0[0], self.0[1]) = (high, low);
        self.0[SHAPE_WORD] = text.len() as u64 | if since.is_some() { HAS_SINCE } else { 0 };
        self.0[USE_WORD] = 0;
        let mut start = HEADER_WORDS;
        if let Some(since) = since {
            self.0[start] = since.0 as u64;
            start += 1;
        }
        let words = &mut self.0[start..];
        let (whole, rest) = text.as_chunks();
        for (word, bytes) in words.iter_mut().zip(whole) {
            *word = u64::from_le_bytes(*bytes);
        }
        if !rest.is_empty() {
            words[whole.len()] = last_word(text);
        }
    }

    /// Takes over all of a smaller block.
    pub fn copy(&mut self, from: Block<'_>) {
        let front = from.directory_start() + from.rows();
        self.0[..front].copy_from_slice(&from.0[..front]);
        let (rows, own_start) = (from.row_words(), self.0.len() - from.row_words());
        self.0[own_start..].copy_from_slice(&from.0[from.0.len() - rows..]);
    }

    /// Says that no key has this block.
    pub fn free(&mut self) {
        self.0[SHAPE_WORD] = 0;
    }

    /// Says where the key stands among the marked ones, if it does.
    #[inline]
    pub fn set_mark(&mut self, mark: Option<Mark>) {
        let shape = self.0[SHAPE_WORD] & !(IS_QUEUED | RHYTHM_MASK);
        self.0[SHAPE_WORD] = match mark {
            Some(mark) => {
                self.0[USE_WORD] = self.0[USE_WORD] & u64::from(u32::MAX) | u64::from(mark.position) << 32;
                shape | IS_QUEUED | u64::from(mark.rhythm.0) << RHYTHM_SHIFT
            }
            None => shape,
        };
    }

    /// Says whether it is noted for a checkpoint.
    #[inline]
    pub fn set_touch_bits(&mut self, bits: TouchBits) {
        self.0[SHAPE_WORD] = self.0[SHAPE_WORD] & !TouchBits::MASK | bits.bits();
    }

    /// Marks a row whose item was not written; returns whether it was not marked before.
    pub fn mark_row(&mut self, row: RowIndex) -> bool {
        let entry = self.read().directory_start() + row;
        let first = self.0[entry] & ROW_IS_MARKED == 0;
        self.0[entry] = self.0[entry] & !ROW_IS_READ | ROW_IS_MARKED;
        first
    }

    /// Takes the mark from a row that has just been added, as what is in the table.
    pub fn unmark_row(&mut self, row: RowIndex) {
        let entry = self.read().directory_start() + row;
        self.0[entry] &= !ROW_IS_MARKED;
    }

    /// Says what becomes of each of the marked rows, in their order; returns how many are marked no more.
    #[inline]
    pub fn settle_rows(&mut self, mut fate: impl FnMut() -> Fate) -> usize {
        let (start, rows) = (self.read().directory_start(), self.read().rows());
        let mut taken = 0;
        for entry in &mut self.0[start..][..rows] {
            if *entry & ROW_IS_MARKED != 0 {
                match fate() {
                    Fate::Taken => {
                        *entry = *entry & !(ROW_IS_MARKED | ROW_IS_HELD | ROW_IS_SHOWN) | ROW_IS_READ;
                        taken += 1;
                    }
                    Fate::Held => *entry |= ROW_IS_HELD,
                    Fate::Left => {}
                }
            }
        }
        taken
    }

    /// A row's item was written: what was read of it is what it shows.
    pub fn set_shown(&mut self, row: RowIndex) {
        let entry = self.read().directory_start() + row;
        if self.0[entry] & ROW_IS_READ != 0 {
            self.0[entry] = self.0[entry] & !ROW_IS_READ | ROW_IS_SHOWN;
        }
    }

    /// Adds a row, which is marked, at its position in the directory; there must be room for it.
    #[inline]
    pub fn insert_row(&mut self, row: RowIndex, feature: u32, single: bool, last_update: EventTime, words: &[u64]) {
        let (directory, rows) = (self.read().directory_start(), self.read().rows());
        let offset = self.read().row_words() + 1 + words.len();
        debug_assert!(self.read().used_words() + row_words(words.len()) <= self.0.len() && offset < MOST_WORDS);
        let end = directory + rows;
        if row < rows {
            self.0.copy_within(directory + row..end, directory + row + 1);
        }
        let flags = ROW_IS_MARKED | if single { ROW_IS_SINGLE } else { 0 };
        self.0[directory + row] = u64::from(feature) | flags | (offset as u64) << OFFSET_SHIFT;
        let start = self.0.len() - offset;
        self.0[start] = last_update.0 as u64;
        match words {
            // Most rows: a call to copy it would take longer.
            [word] => self.0[start + 1] = *word,
            words => self.0[start + 1..][..words.len()].copy_from_slice(words),
        }
        self.0[USE_WORD] += 1 + words.len() as u64;
        self.0[SHAPE_WORD] += ONE_ROW;
    }

    /// Gives a single row, which is one no more, `more` words behind its first; there must be room for them. What they
    /// hold is nothing of its own.
    pub fn grow_row(&mut self, row: RowIndex, more: usize) {
        let offset = self.0.len() - self.read().row_start(row);
        let used = self.read().row_words();
        debug_assert!(self.read().used_words() + more <= self.0.len());
        // It and all in front of it move forward.
        let (start, end) = (self.0.len() - used, self.0.len() - offset + 2);
        self.0.copy_within(start..end, start - more);
        self.shift_offsets(offset, |offset| offset + more);
        self.0[USE_WORD] += more as u64;
        let entry = self.read().directory_start() + row;
        self.0[entry] &= !ROW_IS_SINGLE;
    }

    /// Takes away rows, ascending, each with its number of words.
    pub fn remove_rows(&mut self, gone: &[(RowIndex, usize)]) {
        let (directory, rows, used) = (self.read().directory_start(), self.read().rows(), self.read().row_words());
        let end = self.0.len();
        // By offset, each with how much goes with it: those behind move by the sum of all before.
        let offset_of = |entry: u64| (entry >> OFFSET_SHIFT) as usize;
        let extent = |(row, words): &(RowIndex, usize)| (offset_of(self.0[directory + row]), 1 + words);
        let mut extents: Vec<(usize, usize)> = gone.iter().map(extent).collect();
        extents.sort_unstable();
        let mut moves = 0;
        for extent in &mut extents {
            moves += extent.1;
            extent.1 = moves;
        }
        for (index, (offset, moves)) in extents.iter().enumerate() {
            // What lies in front of it, up to the next that goes.
            let start = match extents.get(index + 1) {
                Some((next, all)) => end - (next - (all - moves)),
                None => end - used,
            };
            self.0.copy_within(start..end - offset, start + moves);
        }
        let mut gone = gone.iter().map(|(row, _)| *row).peekable();
        let mut kept = directory;
        for row in 0..rows {
            if gone.next_if_eq(&row).is_some() {
                continue;
            }
            let entry = self.0[directory + row];
            let before = extents.partition_point(|(offset, _)| *offset < offset_of(entry));
            let moves = before.checked_sub(1).map_or(0, |last| extents[last].1);
            self.0[kept] = entry - ((moves as u64) << OFFSET_SHIFT);
            kept += 1;
        }
        self.0[USE_WORD] -= moves as u64;
        self.0[SHAPE_WORD] -= (rows - (kept - directory)) as u64 * ONE_ROW;
    }

    /// Changes the offsets that are not less than this.
    fn shift_offsets(&mut self, least: usize, change: impl Fn(usize) -> usize) {
        let (start, rows) = (self.read().directory_start(), self.read().rows());
        for entry in &mut self.0[start..][..rows] {
            let offset = (*entry >> OFFSET_SHIFT) as usize;
            if offset >= least {
                *entry = *entry & ((1 << OFFSET_SHIFT) - 1) | (change(offset) as u64) << OFFSET_SHIFT;
            }
        }
    }

    /// So many of a row's words, behind the first few of those that follow its last update.
    pub fn row_words_mut(&mut self, row: RowIndex, behind: usize, words: usize) -> &mut [u64] {
        let start = self.read().row_start(row) + 1 + behind;
        &mut self.0[start..][..words]
    }

    /// A row's first word behind its last update.
    pub fn row_word_mut(&mut self, row: RowIndex) -> &mut u64 {
        let word = self.read().row_start(row) + 1;
        &mut self.0[word]
    }
}

impl<'a> BlockMut<'a> {
    /// Marks a row, and gives its last update and its first `width` words to be changed; also, whether it was not marked before.
    #[inline]
    pub fn change_row(self, row: RowIndex, width: usize) -> (&'a mut u64, &'a mut [u64], bool) {
        let entry = self.read().directory_start() + row;
        let first = self.0[entry] & ROW_IS_MARKED == 0;
        self.0[entry] = self.0[entry] & !ROW_IS_HELD | ROW_IS_MARKED;
        let start = self.0.len() - (self.0[entry] >> OFFSET_SHIFT) as usize;
        match self.0[start..].split_first_mut() {
            Some((last_update, words)) => (last_update, &mut words[..width], first),
            // A row lies before the end.
            None => unreachable!("a row has a last update"),
        }
    }
}
