//! How far the partitions have been read, and how far there is to go.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::source::OffsetRange;

/// Shared by the readers, which say how far they are, the watcher, which says how long the
/// partitions are and finds new ones, and whoever shows it.
#[derive(Debug, Default)]
pub struct KafkaProgress {
    /// By the id of the partition.
    partitions: RwLock<Vec<PartitionProgress>>,
    /// How many they are: readers look for new ones with every message.
    count: AtomicUsize,
    /// Nobody says how long the partitions are by now.
    ends_unknown: AtomicBool,
}

#[derive(Debug)]
struct PartitionProgress {
    /// Where reading began.
    from: AtomicI64,
    /// The offset of the next message to hand over.
    next: AtomicI64,
    /// Where the partition ends, or where reading will.
    end: AtomicI64,
}

impl KafkaProgress {
    /// Messages that are still to be read, about: some offsets carry no message. Messages of a transaction that is
    /// still open are among them. `None` while the brokers do not say how many there are.
    pub fn lag(&self) -> Option<u64> {
        if self.ends_unknown.load(Ordering::Relaxed) {
            return None;
        }
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        Some(partitions.iter().map(PartitionProgress::lag).sum())
    }

    /// What was handed over of each partition by now: all of what is read, once the readers have ended.
    pub fn ranges(&self) -> BTreeMap<i32, OffsetRange> {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        let ranges = partitions.iter().map(|partition| OffsetRange {
            from: partition.from.load(Ordering::Relaxed),
            to: partition.next.load(Ordering::Relaxed),
        });
        (0..).zip(ranges).collect()
    }

    /// Whether the brokers say how long the partitions are.
    pub(super) fn set_ends_known(&self, known: bool) {
        self.ends_unknown.store(!known, Ordering::Relaxed);
    }

    pub(super) fn partition_count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// A partition that is read from `next`, and ends at `end`.
    pub(super) fn add_partition(&self, next: i64, end: i64) {
        let partition = PartitionProgress { from: next.into(), next: next.into(), end: end.into() };
        let mut partitions = self.partitions.write().unwrap_or_else(PoisonError::into_inner);
        partitions.push(partition);
        self.count.store(partitions.len(), Ordering::Release);
    }

    /// The partition has come to begin here before anything was read of it.
    pub(super) fn begins_at(&self, partition: i32, from: i64) {
        self.with(partition, |partition| partition.from.store(from, Ordering::Relaxed));
        self.reached(partition, from);
    }

    /// Everything before `next` was handed over, or holds no message.
    pub(super) fn reached(&self, partition: i32, next: i64) {
        self.with(partition, |partition| partition.next.fetch_max(next, Ordering::Relaxed));
    }

    /// The offset of the next message to hand over.
    pub(super) fn next(&self, partition: i32) -> i64 {
        self.with(partition, |partition| partition.next.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// Where the partition ends, or where reading will.
    pub(super) fn end(&self, partition: i32) -> i64 {
        self.with(partition, |partition| partition.end.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// The partition ends here by now.
    pub(super) fn ends_at(&self, partition: i32, end: i64) {
        self.with(partition, |partition| partition.end.store(end, Ordering::Relaxed));
    }

    fn with<T>(&self, partition: i32, act: impl FnOnce(&PartitionProgress) -> T) -> Option<T> {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        usize::try_from(partition).ok().and_then(|id| partitions.get(id)).map(act)
    }
}

impl PartitionProgress {
    fn lag(&self) -> u64 {
        let to_go = self.end.load(Ordering::Relaxed) - self.next.load(Ordering::Relaxed);
        u64::try_from(to_go).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_what_was_handed_over_from_where_reading_began() {
        let progress = KafkaProgress::default();
        progress.add_partition(10, 30);
        progress.add_partition(0, 5);
        progress.reached(0, 29);
        progress.begins_at(1, 3);
        let range = |from, to| OffsetRange { from, to };
        assert_eq!(progress.ranges(), [(0, range(10, 29)), (1, range(3, 3))].into());
    }

    #[test]
    fn lag_is_what_is_left_of_all_partitions() {
        let progress = KafkaProgress::default();
        progress.add_partition(10, 30);
        progress.add_partition(0, 5);
        assert_eq!(progress.lag(), Some(25));
        progress.reached(0, 29);
        progress.ends_at(1, 7);
        assert_eq!(progress.lag(), Some(1 + 7));
        progress.reached(1, 9);
        assert_eq!(progress.lag(), Some(1), "a partition past its known end does not make up for another one");
        progress.set_ends_known(false);
        assert_eq!(progress.lag(), None, "what is not known is not said");
    }
}
