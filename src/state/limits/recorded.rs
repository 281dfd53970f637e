//! The filters of evicted keys as they stand in a checkpoint: those of one shard at a time, so that any number of workers can take them up.
//!
//! ```text
//! shard (2) began (8) last eviction (8) words of a filter (4) which are there (1) word * ...
//! ```
//!
//! All numbers are little-endian. A filter of another size than today's is folded, or spread: then it says of more keys that they were
//! evicted, and of none that was that it was not.

use super::evicted::{EvictedKeys, ShardFilter};
use crate::counter::EventTime;
use crate::peers::WorkerIndex;
use crate::sums::Shard;

const HAS_YOUNG: u8 = 1;
const HAS_OLD: u8 = 2;

/// Bytes that are no filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the filters of evicted keys are damaged")]
pub(crate) struct InvalidFilters;

/// The filters of a shard, read.
struct Recorded<'a> {
    shard: Shard,
    began: EventTime,
    last_eviction: EventTime,
    filters: [&'a [u8]; 2],
}

impl EvictedKeys {
    /// Writes the filters of the next shard, from this position on, of which something has changed since it was written last. Returns the position
    /// behind it.
    pub fn write_changed(&mut self, worker: WorkerIndex, from: usize, out: &mut Vec<u8>) -> Option<usize> {
        let position = (from..self.shards.len()).find(|position| self.shards[*position].is_changed)?;
        let number = position as u32 * self.workers + worker.0;
        let filter = &mut self.shards[position];
        filter.is_changed = false;
        let [young, old] = &filter.filters;
        let flags = if young.is_empty() { 0 } else { HAS_YOUNG } | if old.is_empty() { 0 } else { HAS_OLD };
        out.extend_from_slice(&(number as u16).to_le_bytes());
        out.extend_from_slice(&filter.began.0.to_le_bytes());
        out.extend_from_slice(&filter.last_eviction.0.to_le_bytes());
        out.extend_from_slice(&(self.filter_words as u32).to_le_bytes());
        out.push(flags);
        young.iter().chain(old).for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        Some(position + 1)
    }

    /// What was written is lost.
    pub fn changed_all(&mut self) {
        self.shards.iter_mut().for_each(|shard| shard.is_changed = true);
    }

    /// Takes up the filters of those shards that are this worker's. Later ones of a shard replace earlier ones.
    pub fn restore(&mut self, worker: WorkerIndex, mut bytes: &[u8]) -> Result<(), InvalidFilters> {
        while !bytes.is_empty() {
            let recorded = Recorded::take(&mut bytes).ok_or(InvalidFilters)?;
            if recorded.shard.owner(self.workers) != worker {
                continue;
            }
            let words = self.filter_words;
            let position = (u32::from(recorded.shard.0) / self.workers) as usize;
            let shard = self.shards.get_mut(position).ok_or(InvalidFilters)?;
            *shard = ShardFilter {
                filters: recorded.filters.map(|filter| fitted(filter, words)),
                began: recorded.began,
                last_eviction: recorded.last_eviction,
                is_changed: false,
            };
        }
        Ok(())
    }
}

/// Of several blobs of filters one that says the same.
pub(crate) fn merge_filters<'a>(blobs: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, InvalidFilters> {
    let mut newest: std::collections::BTreeMap<u16, &[u8]> = std::collections::BTreeMap::new();
    for mut bytes in blobs {
        while !bytes.is_empty() {
            let before = bytes;
            let shard = Recorded::take(&mut bytes).ok_or(InvalidFilters)?.shard;
            newest.insert(shard.0, &before[..before.len() - bytes.len()]);
        }
    }
    Ok(newest.into_values().flatten().copied().collect())
}

impl<'a> Recorded<'a> {
    fn take(bytes: &mut &'a [u8]) -> Option<Recorded<'a>> {
        fn array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
            let (taken, rest) = bytes.split_first_chunk()?;
            *bytes = rest;
            Some(*taken)
        }
        let shard = Shard(u16::from_le_bytes(array(bytes)?));
        let began = EventTime(i64::from_le_bytes(array(bytes)?));
        let last_eviction = EventTime(i64::from_le_bytes(array(bytes)?));
        let words = u32::from_le_bytes(array(bytes)?) as usize;
        let [flags] = array(bytes)?;
        if !words.is_power_of_two() || shard.0 >= Shard::COUNT {
            return None;
        }
        let mut filter = |flag: u8| {
            let (taken, rest) = bytes.split_at_checked(if flags & flag == 0 { 0 } else { 8 * words })?;
            *bytes = rest;
            Some(taken)
        };
        let filters = [filter(HAS_YOUNG)?, filter(HAS_OLD)?];
        Some(Recorded { shard, began, last_eviction, filters })
    }
}

/// A filter in so many words. Where a bit is in a filter are the lowest bits of its key's words, so those of a smaller one are known, and in
/// a larger one it may be anywhere that has these.
fn fitted(filter: &[u8], words: usize) -> Vec<u64> {
    let (filter, _) = filter.as_chunks::<8>();
    let mut fitted = vec![0; if filter.is_empty() { 0 } else { words }];
    for place in 0..filter.len().max(words) {
        if !filter.is_empty() {
            fitted[place % words] |= u64::from_le_bytes(filter[place % filter.len()]);
        }
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::Peers;
    use crate::sums::KeyId;

    fn key(number: u64) -> KeyId {
        KeyId::of_test_key(&number.to_le_bytes())
    }

    fn limited(workers: u32, rows: u64) -> EvictedKeys {
        EvictedKeys::new(Some(rows), None, Peers::alone(workers), Some(1_000)).expect("limited")
    }

    fn written(worker: u32, evicted: &mut EvictedKeys) -> Vec<u8> {
        let (mut out, mut from) = (Vec::new(), 0);
        while let Some(next) = evicted.write_changed(WorkerIndex(worker), from, &mut out) {
            from = next;
        }
        out
    }

    #[test]
    fn whoever_takes_them_up_knows_all_that_were_evicted_whatever_the_size_and_the_workers() {
        let keys = 0..5_000;
        let mut before: Vec<EvictedKeys> = (0..3).map(|_| limited(3, 100_000)).collect();
        let mut blobs = Vec::new();
        for part in [keys.start..2_000, 2_000..keys.end] {
            for key in part.map(key) {
                let worker = &mut before[key.shard().owner(3).0 as usize];
                worker.begin_eviction(EventTime(7));
                worker.insert(key);
            }
            blobs.extend((0..).zip(&mut before).map(|(worker, evicted)| written(worker, evicted)));
        }
        assert!((0..).zip(&mut before).all(|(worker, evicted)| written(worker, evicted).is_empty()), "nothing new");
        let merged = merge_filters(blobs.iter().map(Vec::as_slice)).unwrap();
        assert!(merged.len() < blobs.iter().map(Vec::len).sum());
        for (workers, rows) in [(2, 100_000), (1, 12_500), (5, 800_000)] {
            for blobs in [blobs.clone(), vec![merged.clone()]] {
                let mut after: Vec<EvictedKeys> = (0..workers).map(|_| limited(workers, rows)).collect();
                for blob in &blobs {
                    let restore = |(worker, evicted): (u32, &mut EvictedKeys)| {
                        evicted.restore(WorkerIndex(worker), blob).unwrap();
                    };
                    (0..).zip(&mut after).for_each(restore);
                }
                let known = |number: u64| {
                    let key = key(number);
                    after[key.shard().owner(workers).0 as usize].eviction_of(key)
                };
                assert!(keys.clone().all(|number| known(number) == Some(EventTime(7))));
                let others = (10_000..20_000).filter(|number| known(*number).is_some()).count();
                assert!(others < 6_000, "{workers} workers, {rows} rows: {others} others");
            }
        }
    }

    #[test]
    fn what_is_cut_short_is_damaged() {
        let mut evicted = limited(1, 100_000);
        evicted.insert(key(1));
        let bytes = written(0, &mut evicted);
        let restore = |bytes: &[u8]| limited(1, 100_000).restore(WorkerIndex(0), bytes);
        assert!((1..bytes.len()).all(|length| restore(&bytes[..length]) == Err(InvalidFilters)));
        restore(&bytes).unwrap();
    }
}
