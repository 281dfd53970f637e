//! Which keys have counters that are not published yet, and since when they wait.
//!
//! A key stands in a queue once, however many of its counters are marked, until it is taken. A *round* takes all
//! keys that are marked when it begins; whoever is marked meanwhile waits for the next one. So no key waits for longer
//! than the round that is under way and the one after it, however often others change.
//!
//! There is a queue for each *rhythm* of publishing that groups have, the shortest first. A key stands in that of the
//! shortest rhythm among its marked counters.
//!
//! A queue holds addresses of blocks, four bytes a key, and a block knows its [`Mark`]: a key that moves or goes
//! corrects its entry.

use super::blocks::BlockAddress;
use crate::memory::vec_bytes;

/// A moment of this process: milliseconds of wall time since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub u64);

/// Which of the pipeline's rhythms of publishing, the shortest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RhythmId(pub u8);

/// Where a key stands: in the queue of which rhythm, and how many have come into it before (wrapping around).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub rhythm: RhythmId,
    pub position: u32,
}

/// In the place of a key that has gone.
const GONE: BlockAddress = BlockAddress::NONE;
/// A list is cleared of keys that have gone when they are at least so many, and half of it.
const MANY_GONE: usize = 1024;

/// The queues of a worker.
#[derive(Debug)]
pub(super) struct Marks {
    queues: Vec<MarkQueue>,
}

/// The positions of `waiting` follow those of `round`.
#[derive(Debug, Default)]
struct MarkQueue {
    waiting: Marked,
    round: Marked,
    /// How many of the round's keys have been taken.
    taken: usize,
    /// So many of the round's keys are or were in the order of their texts: since when each waits is known no more.
    sorted: usize,
    /// Since when the oldest of the round waited when it began.
    round_since: Moment,
}

/// Marked keys, in the order in which they came.
#[derive(Debug, Default)]
struct Marked {
    keys: Vec<BlockAddress>,
    /// The position of the first.
    first: u32,
    gone: usize,
    /// From which index on keys have waited since when.
    since: Vec<(u32, Moment)>,
}

impl Marked {
    #[inline]
    fn push(&mut self, key: BlockAddress, since: Moment) -> u32 {
        let index = self.keys.len() as u32;
        if self.since.last().is_none_or(|(_, last)| *last != since) {
            self.since.push((index, since));
        }
        self.keys.push(key);
        self.first.wrapping_add(index)
    }

    /// The index of a position, if it is in this list.
    fn index(&self, position: u32) -> Option<usize> {
        let index = position.wrapping_sub(self.first) as usize;
        (index < self.keys.len()).then_some(index)
    }

    fn since_of(&self, index: usize) -> Moment {
        let later = self.since.partition_point(|(first, _)| *first as usize <= index);
        later.checked_sub(1).map_or(Moment::default(), |entry| self.since[entry].1)
    }

    /// Since when the first of those waits that have this index or a larger one.
    fn oldest_from(&self, index: usize) -> Option<Moment> {
        if index >= self.keys.len() || self.gone == self.keys.len() {
            return None;
        }
        let later = self.since.partition_point(|(first, _)| *first as usize <= index);
        self.since[later.saturating_sub(1)..].iter().map(|(_, since)| *since).min()
    }
}

impl MarkQueue {
    fn is_in_round(&self) -> bool {
        self.taken < self.round.keys.len()
    }

    /// The list and the index in it that a position stands for.
    fn locate(&mut self, position: u32) -> Option<(&mut Marked, usize)> {
        if let Some(index) = self.round.index(position) {
            return Some((&mut self.round, index));
        }
        let index = self.waiting.index(position)?;
        Some((&mut self.waiting, index))
    }

    /// Since when a key of the round waits, or longer.
    fn since_in_round(&self, index: usize) -> Moment {
        if index < self.sorted { self.round_since } else { self.round.since_of(index) }
    }

    fn oldest(&self) -> Option<Moment> {
        let round = match self.sorted {
            _ if !self.is_in_round() => None,
            0 => self.round.oldest_from(self.taken),
            _ => Some(self.round_since),
        };
        [round, self.waiting.oldest_from(0)].into_iter().flatten().min()
    }
}

impl Marks {
    /// With so many rhythms.
    pub fn new(rhythms: usize) -> Marks {
        Marks { queues: (0..rhythms.max(1)).map(|_| MarkQueue::default()).collect() }
    }

    /// Puts a key at the end of a queue.
    #[inline]
    pub fn push(&mut self, rhythm: RhythmId, key: BlockAddress, since: Moment) -> Mark {
        Mark { rhythm, position: self.queue_mut(rhythm).waiting.push(key, since) }
    }

    /// A key has moved.
    pub fn follow(&mut self, mark: Mark, to: BlockAddress) {
        if let Some((list, index)) = self.queue_mut(mark.rhythm).locate(mark.position) {
            list.keys[index] = to;
        }
    }

    /// A key has gone, or stands elsewhere.
    pub fn forget(&mut self, mark: Mark) {
        if let Some((list, index)) = self.queue_mut(mark.rhythm).locate(mark.position) {
            list.keys[index] = GONE;
            list.gone += 1;
        }
    }

    /// Since when a key waits, or longer.
    pub fn since(&self, mark: Mark) -> Moment {
        let queue = self.queue(mark.rhythm);
        match queue.round.index(mark.position) {
            Some(index) => queue.since_in_round(index),
            None => queue.waiting.index(mark.position).map_or(Moment::default(), |index| queue.waiting.since_of(index)),
        }
    }

    /// Whether some key waits for a round to begin.
    pub fn waits(&self, rhythm: RhythmId) -> bool {
        let waiting = &self.queue(rhythm).waiting;
        waiting.keys.len() > waiting.gone
    }

    /// Whether a round is under way.
    pub fn is_in_round(&self, rhythm: RhythmId) -> bool {
        self.queue(rhythm).is_in_round()
    }

    /// Begins a round over all keys that wait; none may be under way.
    pub fn begin_round(&mut self, rhythm: RhythmId) {
        debug_assert!(!self.is_in_round(rhythm));
        let queue = self.queue_mut(rhythm);
        queue.round = std::mem::take(&mut queue.waiting);
        queue.waiting.first = queue.round.first.wrapping_add(queue.round.keys.len() as u32);
        queue.round_since = queue.round.oldest_from(0).unwrap_or_default();
        (queue.taken, queue.sorted) = (0, 0);
    }

    /// The next keys of the round, at most so many, if they are to be brought into the order of their texts now, and the
    /// position of the first; each must be told its new one. Those that have gone are among them.
    pub fn not_sorted_yet(&mut self, rhythm: RhythmId, most: usize) -> Option<(u32, &mut [BlockAddress])> {
        let queue = self.queue_mut(rhythm);
        if queue.taken < queue.sorted || !queue.is_in_round() {
            return None;
        }
        let start = queue.taken;
        queue.sorted = queue.round.keys.len().min(start + most);
        let first = queue.round.first.wrapping_add(start as u32);
        Some((first, &mut queue.round.keys[start..queue.sorted]))
    }

    /// Takes the next key of the round, with since when it waits, or longer; `None` ends the round.
    #[inline]
    pub fn take(&mut self, rhythm: RhythmId) -> Option<(BlockAddress, Moment)> {
        let queue = self.queue_mut(rhythm);
        while let Some(key) = queue.round.keys.get(queue.taken).copied() {
            let index = queue.taken;
            queue.taken += 1;
            if key != GONE {
                return Some((key, queue.since_in_round(index)));
            }
        }
        let first = queue.waiting.first;
        queue.round = Marked { first, ..Marked::default() };
        (queue.taken, queue.sorted) = (0, 0);
        None
    }

    /// The keys of the round that have not been taken yet; some have [gone](BlockAddress::NONE).
    pub fn of_round(&self, rhythm: RhythmId) -> &[BlockAddress] {
        let queue = self.queue(rhythm);
        &queue.round.keys[queue.taken..]
    }

    /// The key so far behind the next one of the round.
    #[inline]
    pub fn ahead(&self, rhythm: RhythmId, distance: usize) -> Option<BlockAddress> {
        let queue = self.queue(rhythm);
        queue.round.keys.get(queue.taken + distance).copied().filter(|key| *key != GONE)
    }

    /// Since when the key waits that waits longest, or longer.
    pub fn oldest(&self) -> Option<Moment> {
        self.queues.iter().filter_map(MarkQueue::oldest).min()
    }

    /// Takes out of a queue those that have gone, where they are many. Says who waits then, and the position of the first: each
    /// must be told its own.
    pub fn close_gaps(&mut self, rhythm: RhythmId) -> Option<(u32, &[BlockAddress])> {
        let waiting = &mut self.queue_mut(rhythm).waiting;
        if waiting.gone < MANY_GONE.max(waiting.keys.len() / 2) {
            return None;
        }
        let old = std::mem::replace(waiting, Marked { first: waiting.first, ..Marked::default() });
        let mut since = old.since.iter().peekable();
        let mut current = Moment::default();
        for (index, key) in (0u32..).zip(&old.keys) {
            while let Some((_, next)) = since.next_if(|(first, _)| *first <= index) {
                current = *next;
            }
            if *key != GONE {
                waiting.push(*key, current);
            }
        }
        Some((waiting.first, &waiting.keys))
    }

    pub fn shrink(&mut self) {
        for queue in &mut self.queues {
            queue.waiting.keys.shrink_to_fit();
            queue.waiting.since.shrink_to_fit();
        }
    }

    pub fn allocated_bytes(&self) -> usize {
        let of = |list: &Marked| vec_bytes(&list.keys) + vec_bytes(&list.since);
        self.queues.iter().map(|queue| of(&queue.waiting) + of(&queue.round)).sum()
    }

    #[inline]
    fn queue(&self, rhythm: RhythmId) -> &MarkQueue {
        &self.queues[usize::from(rhythm.0)]
    }

    #[inline]
    fn queue_mut(&mut self, rhythm: RhythmId) -> &mut MarkQueue {
        &mut self.queues[usize::from(rhythm.0)]
    }
}
