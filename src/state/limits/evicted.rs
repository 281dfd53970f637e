//! Who was evicted, in a fixed amount of memory.

use crate::counter::EventTime;
use crate::peers::Peers;
use crate::sums::{KeyId, Shard};

/// Remembers the identities of keys that were evicted: for each shard a Bloom filter (Bloom, CACM 1970) of a fixed
/// size, which goes where the shard goes.
///
/// It never forgets one too early: a key that was evicted and starts again is always known. But it may take a new
/// key for one that was evicted; the more often, the more have been. While no more have been evicted than the
/// limit allows to hold, fewer than one new key in twenty; a multiple of that, most. Then marks say only that
/// *something* was evicted. What was evicted so long ago that 40 of the longest decay intervals have passed has
/// come to nothing, and is forgotten: there are two filters, of which the older one is emptied in turn.
#[derive(Debug)]
pub(in crate::state) struct EvictedKeys {
    /// The words of each filter: a power of two.
    pub(super) filter_words: usize,
    pub(super) workers: u32,
    /// Those of the shards of this worker, in their order.
    pub(super) shards: Vec<ShardFilter>,
    /// How long what was evicted would have been worth something.
    lasting: Option<i64>,
    /// The time of the eviction that is under way.
    now: EventTime,
}

/// What was evicted from one shard.
#[derive(Clone, Debug)]
pub(super) struct ShardFilter {
    /// The younger one first; empty until something is evicted.
    pub filters: [Vec<u64>; 2],
    /// When the younger one was begun.
    pub began: EventTime,
    /// When keys were evicted the last time.
    pub last_eviction: EventTime,
    /// Something was added that is in no checkpoint.
    pub is_changed: bool,
}

/// Bytes of a filter for each row that may be held.
const BYTES_PER_ROW: u64 = 1;
/// The part of the memory that the filters take.
const PART_OF_MEMORY: u64 = 64;

impl EvictedKeys {
    /// Filters whose size fits these limits of a run and of a process; `None` where there are none.
    pub fn new(rows: Option<u64>, bytes: Option<u64>, peers: Peers, lasting: Option<i64>) -> Option<EvictedKeys> {
        let shards = u64::from(Shard::COUNT);
        let for_rows = rows.map(|rows| (rows.div_ceil(shards) * BYTES_PER_ROW).checked_next_power_of_two());
        let for_rows = for_rows.map(|bytes| bytes.unwrap_or(1 << 40));
        // Rounded down: it is taken from what was given, for this process's part of the shards.
        let processes = u64::from(peers.workers() / peers.workers_here());
        let for_bytes =
            bytes.map(|bytes| 1 << (bytes.saturating_mul(processes) / PART_OF_MEMORY / shards).max(1).ilog2());
        let bytes = for_rows.into_iter().chain(for_bytes).min()?;
        let here = shards.div_ceil(u64::from(peers.workers())) as usize;
        Some(EvictedKeys {
            filter_words: bytes.div_ceil(8) as usize,
            workers: peers.workers(),
            shards: vec![ShardFilter::new(); here],
            lasting,
            now: EventTime(i64::MIN),
        })
    }

    /// The bytes that it takes at most.
    pub fn bytes(&self) -> u64 {
        (self.shards.len() * (16 * self.filter_words + size_of::<ShardFilter>())) as u64
    }

    /// Remembers a key that is evicted now.
    pub fn insert(&mut self, key: KeyId) {
        let (words, now) = (self.filter_words, self.now);
        let shard = self.shard_mut(key);
        (shard.last_eviction, shard.is_changed) = (now, true);
        let [young, _] = &mut shard.filters;
        young.resize(words, 0);
        for (word, bit) in probes(words, key) {
            young[word] |= bit;
        }
    }

    /// Whether the key was evicted, maybe also if it was not: when keys of its shard were evicted the last time.
    #[inline]
    pub fn eviction_of(&self, key: KeyId) -> Option<EventTime> {
        let shard = &self.shards[self.position(key)];
        let in_filter = |filter: &Vec<u64>| {
            !filter.is_empty() && probes(self.filter_words, key).iter().all(|(word, bit)| filter[*word] & bit != 0)
        };
        shard.filters.iter().any(in_filter).then_some(shard.last_eviction)
    }

    /// Forgets what has come to nothing by this time. To be called before an eviction's first
    /// [`EvictedKeys::insert`].
    pub fn begin_eviction(&mut self, now: EventTime) {
        let lasting = self.lasting;
        self.now = now;
        self.shards.iter_mut().for_each(|shard| shard.begin_eviction(now, lasting));
    }

    /// Where the key's shard is among those of its worker.
    #[inline]
    fn position(&self, key: KeyId) -> usize {
        (u32::from(key.shard().0) / self.workers) as usize
    }

    fn shard_mut(&mut self, key: KeyId) -> &mut ShardFilter {
        let position = self.position(key);
        &mut self.shards[position]
    }
}

impl ShardFilter {
    fn new() -> ShardFilter {
        ShardFilter {
            filters: [const { Vec::new() }; 2],
            began: EventTime(0),
            last_eviction: EventTime(i64::MIN),
            is_changed: false,
        }
    }

    fn begin_eviction(&mut self, now: EventTime, lasting: Option<i64>) {
        let [young, old] = &mut self.filters;
        if young.is_empty() && old.is_empty() {
            self.began = now;
        } else if lasting.is_some_and(|lasting| now.0.saturating_sub(self.began.0) > lasting) {
            std::mem::swap(young, old);
            young.clear();
            self.began = now;
        }
    }
}

/// Where the bits of a key are in a filter. The identity is a hash: its own words choose them, by bits that
/// do not choose the shard.
#[inline]
fn probes(filter_words: usize, key: KeyId) -> [(usize, u64); 2] {
    key.words().map(|word| {
        let bit = word & (64 * filter_words as u64 - 1);
        ((bit / 64) as usize, 1 << (bit % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> KeyId {
        KeyId::of_test_key(&number.to_le_bytes())
    }

    fn limited(rows: Option<u64>, bytes: Option<u64>, lasting: Option<i64>) -> EvictedKeys {
        EvictedKeys::new(rows, bytes, Peers::alone(1), lasting).expect("limited")
    }

    #[test]
    fn what_was_evicted_is_always_known_and_of_the_others_few() {
        const KEYS: u64 = 100_000;
        let mut evicted = limited(Some(KEYS), None, None);
        assert_eq!(evicted.eviction_of(key(1)), None);
        evicted.begin_eviction(EventTime(100));
        (0..KEYS).for_each(|number| evicted.insert(key(number)));
        assert!((0..KEYS).all(|number| evicted.eviction_of(key(number)) == Some(EventTime(100))));
        let wrong = (KEYS..11 * KEYS).filter(|number| evicted.eviction_of(key(*number)).is_some()).count();
        assert!(wrong < KEYS as usize * 10 / 20, "{wrong} of 1,000,000");
    }

    #[test]
    fn what_has_come_to_nothing_is_forgotten_and_nothing_before() {
        let mut evicted = limited(None, Some(16 << 20), Some(1_000));
        let of_one_shard: Vec<KeyId> = (0..).map(key).filter(|key| key.shard() == Shard(7)).take(4).collect();
        for (number, now) in [(0, 5_000), (1, 5_900), (2, 6_001), (3, 7_002)] {
            evicted.begin_eviction(EventTime(now));
            evicted.insert(of_one_shard[number]);
            let known = [0, 1, 2, 3].map(|number| evicted.eviction_of(of_one_shard[number]).is_some());
            let expected = match now {
                5_000 => [true, false, false, false],
                5_900 => [true, true, false, false],
                6_001 => [true, true, true, false],
                _ => [false, false, true, true],
            };
            assert_eq!(known, expected, "{now}");
        }
    }

    /// A shard that goes to another worker brings along what was evicted from it: its filter is as large there.
    #[test]
    fn the_filter_of_a_shard_does_not_depend_on_the_number_of_workers() {
        let words = |workers| {
            let peers = Peers::alone(workers);
            let evicted = EvictedKeys::new(Some(10_000_000), None, peers, None).expect("limited");
            assert!(evicted.shards.len() >= (1024 / workers) as usize);
            evicted.filter_words
        };
        assert_eq!([1, 2, 3, 64].map(words), [words(1); 4]);
    }

    #[test]
    fn the_smaller_of_two_limits_decides_about_its_size() {
        let words = |rows, bytes| limited(rows, bytes, None).filter_words;
        assert!(EvictedKeys::new(None, None, Peers::alone(1), None).is_none());
        assert_eq!([words(Some(1 << 20), None), words(Some(1 << 20), Some(1 << 40))], [128; 2]);
        assert_eq!([words(Some(1), None), words(Some(u64::MAX), Some(1 << 24))], [1, 32]);
    }
}
