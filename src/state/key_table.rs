//! The keys of a worker: found by identity, grown, marked, and let go.

use super::block::{Block, BlockMut, Fate, Row, RowIndex, key_words, row_words};
use super::blocks::{BlockAddress, Blocks, Moved, words_with_room_for};
use super::marks::{Mark, Marks, Moment, RhythmId};
use super::touched::Note;
use crate::counter::EventTime;
use crate::memory::{FlatIndex, text_prefix, vec_bytes};
use crate::sums::KeyId;

/// How many tables the index is cut into: growing one stops nobody for long.
const INDEX_TABLES: usize = 64;

/// Into how many parts a table of the index is cut where it is filled with many keys at once.
const TABLE_PARTS: usize = 32;

/// So many keys are put into the index by two threads.
const WORTH_A_THREAD: usize = if cfg!(test) { 64 } else { 100_000 };

/// What a key takes in the index, in bytes, at most: a slot of eight bytes in tables that double when they are
/// three quarters full.
const INDEX_BYTES: usize = 22;

/// What a key takes among those that wait to be published, in bytes, at most: its address, in a list that doubles when it is
/// full. (Its place in that list is a part of its block.)
const MARK_BYTES: usize = 8;

/// What a key takes in memory, in bytes, with its part of the index and of the marks: one with so long a text, whose rows
/// have so many words each (see [`super::block`]).
pub(crate) fn key_bytes(text_length: usize, rows: impl Iterator<Item = usize>) -> usize {
    8 * words_with_room_for(key_words(text_length, false) + rows.map(row_words).sum::<usize>())
        + INDEX_BYTES
        + MARK_BYTES
}

/// A row as it was in an earlier run.
#[derive(Clone, Copy, Debug)]
pub(super) struct RestoredRow<'a> {
    pub feature: u32,
    pub single: bool,
    pub is_marked: bool,
    pub last_update: EventTime,
    pub words: &'a [u64],
}

/// How many marked keys ahead of the one that is taken memory is asked for.
const AHEAD: usize = 8;

/// All keys of a worker, with their rows.
#[derive(Debug)]
pub(super) struct KeyTable {
    index: Vec<FlatIndex>,
    blocks: Blocks,
    keys: usize,
    rows: usize,
    marks: Marks,
    /// How many rows are marked.
    marked_rows: usize,
    /// Keys that were restored, and are not in the index yet: for each of its tables, their hashes and addresses.
    unindexed: Vec<Vec<(u32, u32)>>,
    /// Where the next look at a few keys begins: a class, and the index behind the next of its blocks.
    cursor: (u32, u32),
}

impl KeyTable {
    /// Whose rows are published in so many rhythms.
    pub fn new(rhythms: usize) -> KeyTable {
        KeyTable {
            index: (0..INDEX_TABLES).map(|_| FlatIndex::default()).collect(),
            blocks: Blocks::new(),
            keys: 0,
            rows: 0,
            marks: Marks::new(rhythms),
            marked_rows: 0,
            unindexed: Vec::new(),
            cursor: (0, 0),
        }
    }

    /// Takes little memory where there are few keys. Before there is any.
    #[cfg(test)]
    pub fn use_small_slabs(&mut self) {
        self.blocks.use_small_slabs();
    }

    pub fn keys(&self) -> usize {
        self.keys
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    #[inline]
    pub fn find(&self, id: KeyId) -> Option<BlockAddress> {
        let is_it = |bits: u32| self.blocks.get(BlockAddress::from_bits(bits)).is_of(id);
        self.index[index_table(id)].find(id.index_hash(), is_it).map(BlockAddress::from_bits)
    }

    /// First step towards a [`KeyTable::find`] that comes soon: asks for the index.
    #[inline]
    pub fn prefetch_index(&self, id: KeyId) {
        self.index[index_table(id)].prefetch(id.index_hash());
    }

    /// Second step towards a [`KeyTable::find`] that comes soon: asks for the block.
    #[inline]
    pub fn prefetch_block(&self, id: KeyId) {
        if let Some(bits) = self.index[index_table(id)].candidate(id.index_hash()) {
            self.blocks.prefetch(BlockAddress::from_bits(bits));
        }
    }

    /// Finds a key by a note of it: at once where it has not moved since.
    #[inline]
    pub fn find_noted(&self, note: Note) -> Option<BlockAddress> {
        if self.blocks.is_there(note.at, note.id) { Some(note.at) } else { self.find(note.id) }
    }

    /// Asks for what a [`KeyTable::find_noted`] that comes soon will most often find.
    #[inline]
    pub fn prefetch_noted(&self, note: Note) {
        if self.blocks.has(note.at) {
            self.blocks.prefetch(note.at);
        }
    }

    #[inline]
    pub fn block(&self, address: BlockAddress) -> Block<'_> {
        self.blocks.get(address)
    }

    #[inline]
    pub fn block_mut(&mut self, address: BlockAddress) -> BlockMut<'_> {
        self.blocks.get_mut(address)
    }

    /// Adds a key that is not there yet, with room for rows that take so many words; `None` where that is not possible. It has
    /// no row yet, so one must be [added](KeyTable::insert_row) at once.
    #[inline]
    pub fn insert(&mut self, id: KeyId, text: &[u8], since: Option<EventTime>, words: usize) -> Option<BlockAddress> {
        let address = self.begin(id, text, since, words)?;
        self.index[index_table(id)].insert(id.index_hash(), address.to_bits());
        Some(address)
    }

    #[inline]
    fn begin(&mut self, id: KeyId, text: &[u8], since: Option<EventTime>, words: usize) -> Option<BlockAddress> {
        let address = self.blocks.allocate(key_words(text.len(), since.is_some()) + words)?;
        self.blocks.get_mut(address).begin(id, text, since);
        self.keys += 1;
        Some(address)
    }

    /// The same as [`KeyTable::insert`] for one of many keys, which are found once they are [indexed](KeyTable::index_restored).
    ///
    /// Each new key lies in another place of the index: one after the other they would wait for memory most of the time.
    #[inline]
    pub fn restore(&mut self, id: KeyId, text: &[u8], since: Option<EventTime>, words: usize) -> Option<BlockAddress> {
        let address = self.begin(id, text, since, words)?;
        if self.unindexed.is_empty() {
            self.unindexed = vec![Vec::new(); INDEX_TABLES];
        }
        self.unindexed[index_table(id)].push((id.index_hash(), address.to_bits()));
        Some(address)
    }

    /// Lets all keys be found that were restored. Half of the index is filled on a thread of its own where they are many.
    pub fn index_restored(&mut self) {
        let mut restored = std::mem::take(&mut self.unindexed);
        if self.keys < WORTH_A_THREAD {
            return fill(&mut self.index, &mut restored);
        }
        let half = restored.len() / 2;
        let (first, second) = self.index.split_at_mut(half);
        let (first_keys, second_keys) = restored.split_at_mut(half);
        std::thread::scope(|scope| {
            let other = std::thread::Builder::new().name("index".to_owned());
            // Without a thread it is done below.
            let _ = other.spawn_scoped(scope, || fill(&mut *first, &mut *first_keys));
            fill(second, second_keys);
        });
        fill(first, first_keys);
    }

    /// Adds a row, which is marked, to a key whose block has room for it.
    #[inline]
    pub fn insert_row(
        &mut self,
        key: BlockAddress,
        row: RowIndex,
        feature: u32,
        single: bool,
        last_update: EventTime,
        words: &[u64],
    ) {
        self.blocks.get_mut(key).insert_row(row, feature, single, last_update, words);
        self.rows += 1;
        self.marked_rows += 1;
    }

    /// Marks a row, and gives its last update and its first `width` words to be changed.
    #[inline]
    pub fn change_row(&mut self, key: BlockAddress, row: RowIndex, width: usize) -> (&mut u64, &mut [u64]) {
        let (last_update, words, first) = self.blocks.get_mut(key).change_row(row, width);
        self.marked_rows += usize::from(first);
        (last_update, words)
    }

    /// Sees to it that a key's block has room for so many words more, and says where it is then; `None` where that is not
    /// possible.
    #[inline]
    pub fn make_room(&mut self, key: BlockAddress, more: usize) -> Option<BlockAddress> {
        let block = self.blocks.get(key);
        let words = block.used_words() + more;
        if words <= block.0.len() { Some(key) } else { self.move_key(key, words) }
    }

    /// Moves a key to a block of another class, which has room for so many words.
    #[cold]
    fn move_key(&mut self, from: BlockAddress, words: usize) -> Option<BlockAddress> {
        if Blocks::is_large(from) && Blocks::need_large(words) {
            return self.blocks.resize_large(from, words).map(|()| from);
        }
        let to = self.blocks.allocate(words)?;
        let (old, mut new) = self.blocks.two_mut(from, to)?;
        new.copy(old);
        let moved = Moved { from, to };
        self.follow(moved);
        self.free_block(from);
        Some(to)
    }

    /// Makes the index and the queue of marked keys point to where a key's block is now.
    fn follow(&mut self, Moved { from, to }: Moved) {
        let block = self.blocks.get(to);
        let id = block.id();
        if let Some(mark) = block.mark() {
            self.marks.follow(mark, to);
        }
        self.index[index_table(id)].relocate(id.index_hash(), from.to_bits(), to.to_bits());
    }

    fn free_block(&mut self, address: BlockAddress) {
        if let Some(moved) = self.blocks.free(address) {
            self.follow(moved);
        }
    }

    /// Sees to it that a key whose row has just been marked stands in the queue of its rhythm, or of a shorter one.
    #[inline]
    pub fn queue(&mut self, key: BlockAddress, rhythm: RhythmId, now: Moment) {
        match self.blocks.get(key).mark() {
            Some(mark) if mark.rhythm <= rhythm => {}
            None => self.push_mark(key, rhythm, now),
            Some(_) => self.queue_again(key, rhythm, now),
        }
    }

    /// Sees to it that a key stands in the queue of a rhythm, or of a shorter one, as one that waits since then, or longer.
    pub fn queue_again(&mut self, key: BlockAddress, mut rhythm: RhythmId, mut since: Moment) {
        if let Some(mark) = self.blocks.get(key).mark() {
            let known_since = self.marks.since(mark);
            if mark.rhythm <= rhythm && known_since <= since {
                return;
            }
            (rhythm, since) = (rhythm.min(mark.rhythm), since.min(known_since));
            self.leave_queue(key);
        }
        self.push_mark(key, rhythm, since);
    }

    #[inline]
    fn push_mark(&mut self, key: BlockAddress, rhythm: RhythmId, since: Moment) {
        let mark = self.marks.push(rhythm, key, since);
        self.blocks.get_mut(key).set_mark(Some(mark));
    }

    /// Marks a row again that was read for publishing, but not published.
    pub fn mark_again(&mut self, key: BlockAddress, row: RowIndex, rhythm: RhythmId, since: Moment) {
        self.marked_rows += usize::from(self.blocks.get_mut(key).mark_row(row));
        self.queue_again(key, rhythm, since);
    }

    /// Adds a row as it was in an earlier run, to a key whose block has room for it; `None` where it is there already.
    pub fn restore_row(&mut self, key: BlockAddress, row: RestoredRow<'_>) -> Option<()> {
        let RestoredRow { feature, single, is_marked, last_update, words } = row;
        let index = self.blocks.get(key).find(feature).err()?;
        let mut block = self.blocks.get_mut(key);
        block.insert_row(index, feature, single, last_update, words);
        if !is_marked {
            block.unmark_row(index);
        }
        self.rows += 1;
        self.marked_rows += usize::from(is_marked);
        Some(())
    }

    /// Which keys are marked, to be looked at.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// How many rows are marked.
    pub fn marked_rows(&self) -> usize {
        self.marked_rows
    }

    /// Begins a round over all keys that stand in the queue of a rhythm.
    pub fn begin_round(&mut self, rhythm: RhythmId) {
        self.marks.begin_round(rhythm);
    }

    /// Takes the next key of a round out of its queue, with since when it waits, or longer. Its rows stay marked.
    #[inline]
    pub fn take(&mut self, rhythm: RhythmId) -> Option<(BlockAddress, Moment)> {
        if let Some(ahead) = self.marks.ahead(rhythm, AHEAD) {
            self.blocks.prefetch(ahead);
        }
        let (key, since) = self.marks.take(rhythm)?;
        self.blocks.get_mut(key).set_mark(None);
        Some((key, since))
    }

    /// Marks all rows of a key.
    pub fn mark_key(&mut self, key: BlockAddress) {
        let mut block = self.blocks.get_mut(key);
        for row in 0..block.read().rows() {
            self.marked_rows += usize::from(block.mark_row(row));
        }
    }

    /// Says what becomes of each of a key's marked rows, in their order.
    #[inline]
    pub fn settle_rows(&mut self, key: BlockAddress, fate: impl FnMut() -> Fate) {
        self.marked_rows -= self.blocks.get_mut(key).settle_rows(fate);
    }

    /// Brings the next keys of a round into the order of the bytes of their texts, at most so many, unless that is done.
    pub fn sort_round(&mut self, rhythm: RhythmId, most: usize) {
        let KeyTable { marks, blocks, .. } = self;
        let Some((first, keys)) = marks.not_sorted_yet(rhythm, most) else { return };
        let mut sorted: Vec<(u64, BlockAddress)> = Vec::with_capacity(keys.len());
        for index in 0..keys.len() {
            if let Some(ahead) = keys.get(index + AHEAD).filter(|key| **key != BlockAddress::NONE) {
                blocks.prefetch(*ahead);
            }
            if keys[index] != BlockAddress::NONE {
                sorted.push((text_prefix(blocks.get(keys[index]).text()), keys[index]));
            }
        }
        sorted.sort_unstable_by(|(prefix, key), (other_prefix, other)| {
            prefix.cmp(other_prefix).then_with(|| blocks.get(*key).text().cmp(blocks.get(*other).text()))
        });
        let gone = keys.len() - sorted.len();
        keys[..gone].fill(BlockAddress::NONE);
        for (index, (_, key)) in (gone..).zip(sorted) {
            keys[index] = key;
            blocks.get_mut(key).set_mark(Some(Mark { rhythm, position: first.wrapping_add(index as u32) }));
        }
    }

    /// A key goes, or will stand elsewhere.
    fn leave_queue(&mut self, key: BlockAddress) {
        let Some(mark) = self.blocks.get(key).mark() else { return };
        self.marks.forget(mark);
        self.blocks.get_mut(key).set_mark(None);
        let KeyTable { marks, blocks, .. } = self;
        let Some((first, keys)) = marks.close_gaps(mark.rhythm) else { return };
        for (index, key) in (0u32..).zip(keys) {
            let position = first.wrapping_add(index);
            blocks.get_mut(*key).set_mark(Some(Mark { rhythm: mark.rhythm, position }));
        }
    }

    /// Takes away some rows of a key, and the key with its last one: those of which `goes` says how many words they have.
    pub fn remove_rows(&mut self, key: BlockAddress, mut goes: impl FnMut(Row<'_>) -> Option<usize>) {
        let mut block = self.blocks.get_mut(key);
        let rows = block.read().each_row().enumerate();
        let gone: Vec<(RowIndex, usize)> = rows.filter_map(|(row, found)| Some((row, goes(found)?))).collect();
        if gone.is_empty() {
            return;
        }
        self.rows -= gone.len();
        let id = block.read().id();
        let marked = |row: &&(RowIndex, usize)| block.read().row(row.0).is_marked();
        self.marked_rows -= gone.iter().filter(marked).count();
        if gone.len() == block.read().rows() {
            return self.forget(key, id);
        }
        block.remove_rows(&gone);
        let used = block.read().used_words();
        if 2 * words_with_room_for(used) <= self.blocks.words(key) {
            self.move_key(key, used);
        }
    }

    /// Takes away a key with all its rows.
    pub fn remove(&mut self, key: BlockAddress) {
        let block = self.blocks.get(key);
        self.rows -= block.rows();
        self.marked_rows -= block.marked_rows();
        self.forget(key, block.id());
    }

    fn forget(&mut self, key: BlockAddress, id: KeyId) {
        self.leave_queue(key);
        let index = &mut self.index[index_table(id)];
        index.remove(id.index_hash(), key.to_bits());
        index.shrink();
        self.keys -= 1;
        self.free_block(key);
    }

    /// The next key to be looked at, and whether with it a new round over all keys begins.
    ///
    /// A round visits every key that was there when it began and is not gone, whatever moves meanwhile: keys grow into
    /// higher classes, which come later; within a class the last ones come first, and it is they that fill holes; the
    /// largest grow where they are. Some are visited twice.
    pub fn next_in_round(&mut self) -> Option<(BlockAddress, bool)> {
        let mut new_round = false;
        if self.keys == 0 {
            return None;
        }
        loop {
            let (class, index) = self.cursor;
            let index = index.min(self.blocks.end(class));
            if let Some(index) = index.checked_sub(1) {
                self.cursor = (class, index);
                let address = BlockAddress::new(class, index);
                if self.blocks.is_taken(address) {
                    return Some((address, new_round));
                }
            } else {
                let class = if class == Blocks::LAST_CLASS { 0 } else { class + 1 };
                new_round |= class == 0;
                self.cursor = (class, self.blocks.end(class));
            }
        }
    }

    /// Visits every key; `step` may take away the one that it gets.
    pub fn for_each_key(&mut self, mut step: impl FnMut(&mut KeyTable, BlockAddress)) {
        for class in 0..=Blocks::LAST_CLASS {
            let mut index = self.blocks.end(class);
            while let Some(next) = index.min(self.blocks.end(class)).checked_sub(1) {
                index = next;
                let address = BlockAddress::new(class, index);
                if self.blocks.is_taken(address) {
                    step(self, address);
                }
            }
        }
    }

    /// Closes the holes that keys have left, for their memory to come back.
    pub fn compact(&mut self) {
        while let Some(moved) = self.blocks.close_a_hole() {
            self.follow(moved);
        }
        self.blocks.give_back();
        self.marks.shrink();
    }

    /// The bytes that a key takes, with its part of the index.
    pub fn bytes_of(&self, key: BlockAddress) -> usize {
        8 * self.blocks.words(key) + INDEX_BYTES
    }

    /// The bytes that it takes: all that is allocated, but for the ends of slabs that the system has not given yet. The
    /// index counts as what it will be when it doubles next, so that this comes as no surprise.
    pub fn allocated_bytes(&self) -> usize {
        let index: usize = self.index.iter().map(FlatIndex::allocated_bytes).sum();
        self.blocks.allocated_bytes()
            + index.max(self.keys * INDEX_BYTES)
            + vec_bytes(&self.index)
            + self.marks.allocated_bytes()
    }
}

/// Moves hashes and addresses of keys into these tables of the index: part by part of each, which the processor's nearest cache can
/// hold.
fn fill(tables: &mut [FlatIndex], keys: &mut [Vec<(u32, u32)>]) {
    let mut parts: [Vec<(u32, u32)>; TABLE_PARTS] = Default::default();
    for (table, keys) in tables.iter_mut().zip(keys) {
        table.reserve(keys.len());
        for (hash, address) in std::mem::take(keys) {
            parts[hash as usize / (u32::MAX as usize / TABLE_PARTS + 1)].push((hash, address));
        }
        for (hash, address) in parts.iter_mut().flat_map(|part| part.drain(..)) {
            table.insert(hash, address);
        }
    }
}

/// Which of the index's tables holds this identity: by bits that choose neither the shard (the
/// highest) nor the slot within a table (of the other word).
#[inline]
fn index_table(id: KeyId) -> usize {
    id.words()[0] as usize % INDEX_TABLES
}

#[cfg(test)]
mod tests;
