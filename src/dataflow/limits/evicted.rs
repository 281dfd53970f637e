//! Who was evicted, in a fixed amount of memory.

use crate::counter::EventTime;
use crate::dataflow::identity::RowId;

/// Remembers the identities of rows that were evicted: a Bloom filter (Bloom, CACM 1970) of a fixed size.
///
/// It never forgets one too early: a row that was evicted and starts again is always known. But it may take a new
/// row for one that was evicted; the more often, the more have been. While no more have been evicted than the
/// limit allows to hold, fewer than one new row in twenty; a multiple of that, most. Then marks say only that
/// *something* was evicted. What was evicted so long ago that 40 of the longest decay intervals have passed has
/// come to nothing, and is forgotten: there are two filters, of which the older one is emptied in turn.
#[derive(Debug)]
pub struct EvictedRows {
    /// Bits of each filter: a power of two.
    bits: u64,
    /// The younger one first; empty until something is evicted.
    filters: [Vec<u64>; 2],
    /// When the younger one was begun.
    began: EventTime,
    /// When rows were evicted the last time.
    last_eviction: EventTime,
    /// How long what was evicted would have been worth something.
    lasting: Option<i64>,
}

/// Bytes of a filter for each row that may be held.
const BYTES_PER_ROW: usize = 1;
/// The part of the memory that a filter takes.
const PART_OF_MEMORY: usize = 64;
/// The bytes of the smallest filter.
const SMALLEST: usize = 64;

impl EvictedRows {
    /// Filters whose size fits these limits; `None` where there are none.
    pub fn new(rows: Option<usize>, bytes: Option<usize>, lasting: Option<i64>) -> Option<EvictedRows> {
        let for_rows =
            rows.map(|rows| rows.saturating_mul(BYTES_PER_ROW).checked_next_power_of_two().unwrap_or(1 << 40));
        // Rounded down: it is taken from what was given.
        let for_bytes = bytes.map(|bytes| 1 << (bytes / PART_OF_MEMORY).max(1).ilog2());
        let filter_bytes = for_rows.into_iter().chain(for_bytes).min()?.max(SMALLEST);
        Some(EvictedRows {
            bits: 8 * filter_bytes as u64,
            filters: [const { Vec::new() }; 2],
            began: EventTime(0),
            last_eviction: EventTime(i64::MIN),
            lasting,
        })
    }

    /// The bytes that it takes at most.
    pub fn bytes(&self) -> usize {
        2 * self.bits as usize / 8
    }

    /// The time in the stream when rows were evicted the last time.
    pub fn last_eviction(&self) -> EventTime {
        self.last_eviction
    }

    /// Remembers a row that is evicted now.
    pub fn insert(&mut self, row: RowId) {
        let [young, _] = &mut self.filters;
        young.resize(self.bits as usize / 64, 0);
        for (word, bit) in probes(self.bits, row) {
            young[word] |= bit;
        }
    }

    /// Whether the row was evicted; maybe also if it was not.
    #[inline]
    pub fn may_hold(&self, row: RowId) -> bool {
        let in_filter = |filter: &Vec<u64>| {
            !filter.is_empty() && probes(self.bits, row).iter().all(|(word, bit)| filter[*word] & bit != 0)
        };
        self.filters.iter().any(in_filter)
    }

    /// Forgets what has come to nothing by this time. To be called before an eviction's first
    /// [`EvictedRows::insert`].
    pub fn begin_eviction(&mut self, now: EventTime) {
        self.last_eviction = now;
        let [young, old] = &mut self.filters;
        if young.is_empty() && old.is_empty() {
            self.began = now;
        } else if self.lasting.is_some_and(|lasting| now.0.saturating_sub(self.began.0) > lasting) {
            std::mem::swap(young, old);
            young.clear();
            self.began = now;
        }
    }
}

/// Where the bits of a row stand. The identity is a hash: its own words choose them.
#[inline]
fn probes(bits: u64, row: RowId) -> [(usize, u64); 2] {
    row.words().map(|word| {
        let place = word & (bits - 1);
        ((place / 64) as usize, 1 << (place % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: u64) -> RowId {
        RowId::of_test_key(&key.to_le_bytes())
    }

    #[test]
    fn what_was_evicted_is_always_known_and_of_the_others_few() {
        const ROWS: u64 = 10_000;
        let mut evicted = EvictedRows::new(Some(ROWS as usize), None, None).expect("limited");
        assert!(!evicted.may_hold(row(1)));
        evicted.begin_eviction(EventTime(100));
        (0..ROWS).for_each(|key| evicted.insert(row(key)));
        assert!((0..ROWS).all(|key| evicted.may_hold(row(key))));
        let wrong = (ROWS..11 * ROWS).filter(|key| evicted.may_hold(row(*key))).count();
        assert!(wrong < ROWS as usize * 10 / 20, "{wrong} of 100,000");
        assert_eq!(evicted.bytes(), 2 * evicted.filters[0].len() * 8);
    }

    #[test]
    fn what_has_come_to_nothing_is_forgotten_and_nothing_before() {
        let mut evicted = EvictedRows::new(None, Some(1 << 20), Some(1_000)).expect("limited");
        assert_eq!(evicted.bytes(), (1 << 20) / 32);
        for (key, now) in [(0, 5_000), (1, 5_900), (2, 6_001), (3, 7_002)] {
            evicted.begin_eviction(EventTime(now));
            evicted.insert(row(key));
            let known = [0, 1, 2, 3].map(|key| evicted.may_hold(row(key)));
            let expected = match now {
                5_000 => [true, false, false, false],
                5_900 => [true, true, false, false],
                6_001 => [true, true, true, false],
                _ => [false, false, true, true],
            };
            assert_eq!(known, expected, "{now}");
        }
    }

    #[test]
    fn the_smaller_of_two_limits_decides_about_its_size() {
        let bytes = |rows, bytes| EvictedRows::new(rows, bytes, None).map(|evicted| evicted.bytes());
        assert_eq!(bytes(None, None), None);
        assert_eq!([bytes(Some(1_000), None), bytes(Some(1_000), Some(1 << 30))], [Some(2_048); 2]);
        assert_eq!([bytes(Some(1), None), bytes(Some(usize::MAX), Some(1 << 20))], [Some(128), Some(1 << 15)]);
    }
}
