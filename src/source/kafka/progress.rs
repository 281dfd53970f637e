//! How far the partitions have been read, and how far there is to go.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::partition::Partition;
use crate::counter::EventTime;
use crate::source::cuts::Ground;
use crate::source::{KafkaPositions, OffsetRange, SourcePositions};

/// Shared by the readers, which say how far they are, the watcher, which says how long the
/// partitions are and finds new ones, and whoever shows it.
#[derive(Debug, Default)]
pub struct KafkaProgress {
    topic: String,
    cluster: Option<String>,
    topic_id: Option<String>,
    run_start: EventTime,
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
    /// Where it ends as far as this process has seen, which nobody reads by.
    seen_end: AtomicI64,
    /// The time of the last message that this process has handed over, in milliseconds since 1970; 0: none.
    last_ms: AtomicI64,
    /// Before this something may have been published by an earlier run.
    published: i64,
    /// Some reader reads it, or will from the start on.
    is_taken_on: AtomicBool,
}

/// How far behind the end of a partition a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// The id of the partition.
    pub partition: i32,
    /// So many messages are still to be read, about.
    pub messages: u64,
    /// When the last message that was read was written, in milliseconds since 1970, where that is known.
    pub last_ms: Option<i64>,
}

/// A partition that is read from the start on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) partition: Partition,
    /// Where the first of the runs began whose counts go on here.
    pub(super) from: i64,
    /// Before this something may have been published by an earlier run.
    pub(super) published: i64,
}

impl Start {
    /// Of one that no earlier run has read.
    pub(super) fn of(partition: Partition) -> Start {
        Start { partition, from: partition.next, published: 0 }
    }
}

impl KafkaProgress {
    /// Of no partition yet.
    pub(super) fn of(topic: &str, cluster: Option<String>, run_start: EventTime) -> KafkaProgress {
        KafkaProgress { topic: topic.to_owned(), cluster, run_start, ..KafkaProgress::default() }
    }

    /// The same of a topic with this id.
    pub(super) fn with_topic_id(self, topic_id: Option<String>) -> KafkaProgress {
        KafkaProgress { topic_id, ..self }
    }

    /// The positions of what was handed over by now, by this run and by those that it goes on from.
    pub fn positions(&self) -> KafkaPositions {
        self.positions_at(self.ranges())
    }

    fn positions_at(&self, partitions: BTreeMap<i32, OffsetRange>) -> KafkaPositions {
        let (topic, cluster, topic_id) = (self.topic.clone(), self.cluster.clone(), self.topic_id.clone());
        KafkaPositions { topic, cluster, topic_id, partitions, run_start: self.run_start }
    }

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
        (0..).zip(partitions.iter().map(PartitionProgress::range)).collect()
    }

    /// Whether the brokers say how long the partitions are.
    pub(super) fn set_ends_known(&self, known: bool) {
        self.ends_unknown.store(!known, Ordering::Relaxed);
    }

    pub(crate) fn partition_count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Where the partitions from this number on begin that were found later, and where they end.
    pub(crate) fn partitions_from(&self, first: usize) -> Vec<(i64, i64)> {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        let bounds = |of: &PartitionProgress| (of.from.load(Ordering::Relaxed), of.end.load(Ordering::Relaxed));
        partitions.iter().skip(first).map(bounds).collect()
    }

    /// By partition, the offset of the next message to hand over, and where it ends as far as is known.
    pub fn next_and_ends(&self) -> Vec<(i64, i64)> {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        let of = |of: &PartitionProgress| (of.next.load(Ordering::Relaxed), of.end.load(Ordering::Relaxed));
        partitions.iter().map(of).collect()
    }

    /// How far behind each partition is that some reader of this process reads, or, in process 0, any reader.
    pub fn lag_by_partition(&self) -> Vec<PartitionLag> {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        let lag = |(partition, of): (i32, &PartitionProgress)| {
            let end = of.end.load(Ordering::Relaxed).max(of.seen_end.load(Ordering::Relaxed));
            let messages = u64::try_from(end - of.next.load(Ordering::Relaxed)).unwrap_or_default();
            let last_ms = Some(of.last_ms.load(Ordering::Relaxed)).filter(|last_ms| *last_ms > 0);
            PartitionLag { partition, messages, last_ms }
        };
        (0..).zip(partitions.iter()).map(lag).collect()
    }

    /// Whether the brokers do not say how long the partitions are by now.
    pub fn is_without_brokers(&self) -> bool {
        self.ends_unknown.load(Ordering::Relaxed)
    }

    /// Messages up to this time were handed over.
    pub(super) fn read_of(&self, partition: i32, last_ms: Option<i64>) {
        let Some(last_ms) = last_ms else { return };
        self.with(partition, |partition| partition.last_ms.store(last_ms, Ordering::Relaxed));
    }

    /// The partition is seen to end here by now, whether it is to be read up to there or not.
    pub(super) fn is_seen_to_end_at(&self, partition: i32, end: i64) {
        self.with(partition, |partition| partition.seen_end.store(end, Ordering::Relaxed));
    }

    /// Where reading each partition began, and before where something may have been published.
    pub(super) fn starts(&self) -> Vec<(i64, i64)> {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        partitions.iter().map(|partition| (partition.from.load(Ordering::Relaxed), partition.published)).collect()
    }

    /// The topic's own id, where it is known.
    pub(super) fn topic_id(&self) -> Option<String> {
        self.topic_id.clone()
    }

    /// A reader of another process has handed over so much of this partition.
    pub(crate) fn hear(&self, partition: usize, range: OffsetRange) {
        let Ok(partition) = i32::try_from(partition) else { return };
        self.with(partition, |partition| {
            partition.is_taken_on.store(true, Ordering::Relaxed);
            partition.from.store(range.from, Ordering::Relaxed);
            partition.next.fetch_max(range.to, Ordering::Relaxed);
        });
    }

    /// A partition that was found later, and that some reader will read from `next`. It ends at `end`.
    pub(crate) fn add_partition(&self, next: i64, end: i64) {
        self.add(PartitionProgress {
            from: next.into(),
            next: next.into(),
            end: end.into(),
            seen_end: 0.into(),
            last_ms: 0.into(),
            published: 0,
            is_taken_on: false.into(),
        });
    }

    /// A partition that is read from the start on, and ends at `end`.
    pub(super) fn begin_partition(&self, start: &Start, end: i64) {
        self.add(PartitionProgress {
            from: start.from.into(),
            next: start.partition.next.into(),
            end: end.into(),
            seen_end: 0.into(),
            last_ms: 0.into(),
            published: start.published,
            is_taken_on: true.into(),
        });
    }

    /// A reader has found this partition, and reads it from now on.
    pub(super) fn take_on(&self, partition: i32) {
        self.with(partition, |partition| partition.is_taken_on.store(true, Ordering::Relaxed));
    }

    fn add(&self, partition: PartitionProgress) {
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
    fn range(&self) -> OffsetRange {
        OffsetRange { from: self.from.load(Ordering::Relaxed), to: self.next.load(Ordering::Relaxed) }
    }

    fn lag(&self) -> u64 {
        let to_go = self.end.load(Ordering::Relaxed) - self.next.load(Ordering::Relaxed);
        u64::try_from(to_go).unwrap_or_default()
    }
}

/// The partitions of a topic as so many readers share them: partition `n` is for reader `n` modulo their number.
#[derive(Debug)]
pub(super) struct ReadersOfTopic {
    pub(super) progress: Arc<KafkaProgress>,
    pub(super) readers: usize,
}

impl Ground for ReadersOfTopic {
    fn all_of(&self, reader: usize) -> Vec<(usize, OffsetRange)> {
        let partitions = self.progress.partitions.read().unwrap_or_else(PoisonError::into_inner);
        let of_reader = partitions.iter().enumerate().skip(reader).step_by(self.readers.max(1));
        // What no reader has begun is new to the next run, too.
        let begun = of_reader.filter(|(_, partition)| partition.is_taken_on.load(Ordering::Relaxed));
        begun.map(|(id, partition)| (id, partition.range())).collect()
    }

    fn published(&self, number: usize) -> i64 {
        let partitions = self.progress.partitions.read().unwrap_or_else(PoisonError::into_inner);
        partitions.get(number).map_or(0, |partition| partition.published)
    }

    fn positions(&self, handed_over: &BTreeMap<usize, OffsetRange>) -> SourcePositions {
        let by_id = |(id, range): (&usize, &OffsetRange)| i32::try_from(*id).ok().map(|id| (id, *range));
        SourcePositions::Kafka(self.progress.positions_at(handed_over.iter().filter_map(by_id).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_note_their_own_partitions_and_new_ones_from_when_they_have_taken_them_on() {
        let progress = Arc::new(KafkaProgress::of("t", Some("c".to_owned()), EventTime(9)));
        for id in 0..3 {
            let partition = Partition::new(id, 10, None);
            progress.begin_partition(&Start { from: 4, published: 30, ..Start::of(partition) }, 50);
        }
        progress.add_partition(0, 5);
        let ground = ReadersOfTopic { progress: Arc::clone(&progress), readers: 2 };
        let range = |from, to| OffsetRange { from, to };
        progress.reached(2, 40);
        assert_eq!(ground.all_of(0), [(0, range(4, 10)), (2, range(4, 40))]);
        assert_eq!(ground.all_of(1), [(1, range(4, 10))]);
        progress.take_on(3);
        progress.reached(3, 2);
        assert_eq!(ground.all_of(1), [(1, range(4, 10)), (3, range(0, 2))]);
        assert_eq!([0, 3, 7].map(|number| ground.published(number)), [30, 0, 0]);
        let all = (0..2).flat_map(|reader| ground.all_of(reader)).collect();
        let positions = progress.positions();
        assert_eq!(
            (&positions.topic[..], positions.cluster.as_deref(), positions.run_start),
            ("t", Some("c"), EventTime(9))
        );
        assert_eq!(ground.positions(&all), SourcePositions::Kafka(positions));
    }

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
