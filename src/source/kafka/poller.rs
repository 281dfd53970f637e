//! A reader at work: polls messages, packs them into blocks, and follows the clock.
//!
//! Invariant of the feed: an epoch is announced only once everything read in the epochs before it
//! has been handed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::arrivals::RecordArrivals;
use super::batch::{Batch, ends_of};
use super::clock::KafkaClock;
use super::context::Context;
use super::end_wait::EndWait;
use super::partition::{Partition, Step};
use super::probe::new_consumer;
use super::problem::made_anew;
use super::reader::KafkaReader;
use crate::epoch::Epoch;
use crate::source::{Block, CaughtUp, Closed, FeedSender, SourceError};
use crate::telemetry::Metrics;

/// A request to stop is noticed at least this often.
const PATIENCE: Duration = Duration::from_millis(50);

impl KafkaReader {
    /// Reads until `stop` is set, the workers are gone or, where the source was told so, the ends
    /// found at the start are reached. Fails with what waiting does not mend: messages that are
    /// lost, a topic or credentials that are no longer valid.
    ///
    /// A broker that is away is waited for. Messages are handed over in the order of their offsets,
    /// stamped with the clock's epoch at the time they were read. A stop hands over what was read
    /// only if there is room for it.
    pub fn run(
        self,
        sender: FeedSender,
        clock: &KafkaClock,
        arrivals: &RecordArrivals,
        metrics: &Metrics,
        caught_up: &CaughtUp,
        stop: &AtomicBool,
    ) -> Result<(), SourceError> {
        let consumer = new_consumer(&self.settings, &self.topic)?;
        let session = Session { sender: &sender, caught_up, clock, arrivals, metrics, stop };
        Poller::new(&consumer, &self, session).run()
    }
}

/// What a reader works with.
#[derive(Clone, Copy)]
struct Session<'a> {
    sender: &'a FeedSender,
    caught_up: &'a CaughtUp,
    clock: &'a KafkaClock,
    arrivals: &'a RecordArrivals,
    metrics: &'a Metrics,
    stop: &'a AtomicBool,
}

/// Why a reader ends before everything is read.
pub(super) enum Ended {
    /// Somebody asked for it, or nobody is left to read for.
    Stopped,
    /// It cannot go on.
    Failed(SourceError),
}

impl From<Closed> for Ended {
    fn from(_: Closed) -> Ended {
        Ended::Stopped
    }
}

impl From<SourceError> for Ended {
    fn from(error: SourceError) -> Ended {
        Ended::Failed(error)
    }
}

pub(super) struct Poller<'a> {
    pub(super) consumer: &'a BaseConsumer<Context>,
    pub(super) reader: &'a KafkaReader,
    session: Session<'a>,
    pub(super) partitions: Vec<Partition>,
    /// How many partitions the topic has, as far as this reader knows.
    pub(super) partition_count: usize,
    batch: Batch,
    /// The epoch in which the batch is read.
    epoch: Epoch,
    epoch_ends: Instant,
    /// The epoch of the newest block that was sent.
    newest_sent: Epoch,
    /// The broker is away.
    pub(super) waiting: bool,
    /// It cannot go on.
    failed: bool,
    /// What there was at the start has been handed over.
    pub(super) has_caught_up: bool,
    pub(super) end_wait: EndWait,
    /// How often in a row offsets were asked for that are not there.
    pub(super) looked_again: usize,
}

impl<'a> Poller<'a> {
    fn new(consumer: &'a BaseConsumer<Context>, reader: &'a KafkaReader, session: Session<'a>) -> Poller<'a> {
        let (epoch, epoch_ends) = session.clock.now();
        Poller {
            consumer,
            reader,
            session,
            partitions: reader.partitions.clone(),
            partition_count: reader.partition_count,
            batch: Batch::new(Arc::from(reader.topic.name.as_str())),
            epoch,
            epoch_ends,
            newest_sent: epoch,
            waiting: false,
            failed: false,
            has_caught_up: false,
            end_wait: EndWait::new(Instant::now()),
            looked_again: 0,
        }
    }

    fn run(mut self) -> Result<(), SourceError> {
        match self.read() {
            Ok(()) | Err(Ended::Stopped) => Ok(()),
            Err(Ended::Failed(error)) => {
                // What was read before still counts, where there is room for it: the error must not wait.
                self.failed = true;
                let _ = self.hand_over();
                Err(error)
            }
        }
    }

    fn read(&mut self) -> Result<(), Ended> {
        self.session.sender.announce(self.epoch);
        let unread: Vec<_> = self.partitions.iter().filter(|partition| !partition.done).copied().collect();
        self.assign(&unread)?;
        while !self.is_finished() && !self.session.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            if now >= self.epoch_ends {
                self.follow_clock()?;
            }
            self.take_new_partitions()?;
            let polled = self.consumer.poll(self.patience(now));
            // Looked for behind the poll: messages of a topic that was made anew come after the news.
            if let Some(finding) = self.consumer.context().made_anew() {
                return Err(made_anew(&self.reader.topic, finding).into());
            }
            match polled {
                Some(Ok(message)) => self.take(&message, now)?,
                Some(Err(KafkaError::PartitionEOF(id))) => self.reached_end(id, now),
                Some(Err(error)) => self.judge(error)?,
                None if self.batch.is_empty() => {
                    self.session.clock.caught_up();
                    self.settle_ends(now)?;
                    self.tell_if_caught_up();
                }
                None => {}
            }
            if self.batch.is_ready(now) {
                self.hand_over()?;
            }
        }
        self.hand_over()
    }

    /// Whether everything was read that is to be read.
    fn is_finished(&self) -> bool {
        self.reader.until_end && self.partitions.iter().all(|partition| partition.done)
    }

    /// How long to wait for a message.
    fn patience(&self, now: Instant) -> Duration {
        let until = self.batch.due().map_or(self.epoch_ends, |due| due.min(self.epoch_ends));
        // librdkafka counts whole milliseconds.
        until.saturating_duration_since(now).clamp(Duration::from_millis(1), PATIENCE)
    }

    fn follow_clock(&mut self) -> Result<(), Ended> {
        let (epoch, ends) = self.session.clock.now();
        if epoch > self.epoch {
            self.hand_over()?;
            self.epoch = epoch;
            self.session.sender.announce(epoch);
        }
        self.epoch_ends = ends;
        Ok(())
    }

    /// Reads partitions that were added to the topic from their beginning.
    fn take_new_partitions(&mut self) -> Result<(), Ended> {
        if self.reader.until_end {
            return Ok(());
        }
        let count = self.reader.progress.partition_count();
        if count == self.partition_count {
            return Ok(());
        }
        let new: Vec<_> = (self.partition_count..count)
            .filter(|id| id % self.reader.readers == self.reader.index)
            .map(|id| {
                let begin = self.reader.progress.next(id as i32);
                Partition { at_beginning: true, ..Partition::new(id as i32, begin, None) }
            })
            .collect();
        self.partition_count = count;
        self.partitions.extend(&new);
        for partition in &new {
            self.reader.progress.take_on(partition.id);
        }
        self.assign(&new)
    }

    fn assign(&self, partitions: &[Partition]) -> Result<(), Ended> {
        if partitions.is_empty() {
            return Ok(());
        }
        self.list(partitions, |partition| Offset::Offset(partition.next))
            .and_then(|list| self.consumer.incremental_assign(&list))
            .map_err(|error| self.cannot("assign partitions", error))
    }

    pub(super) fn list(
        &self,
        partitions: &[Partition],
        offset: impl Fn(&Partition) -> Offset,
    ) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition_offset(&self.reader.topic.name, partition.id, offset(partition))?;
        }
        Ok(list)
    }

    pub(super) fn partition(&mut self, id: i32) -> Option<&mut Partition> {
        let index = usize::try_from(id).ok()? / self.reader.readers;
        self.partitions.get_mut(index).filter(|partition| partition.id == id)
    }

    fn take(&mut self, message: &BorrowedMessage<'_>, now: Instant) -> Result<(), Ended> {
        if self.waiting {
            self.waiting = false;
            self.reader.outages.found(&self.reader.topic);
        }
        self.looked_again = 0;
        let (id, offset) = (message.partition(), message.offset());
        let Some(partition) = self.partition(id).filter(|partition| !partition.done) else { return Ok(()) };
        let expected = partition.next;
        let step = partition.step(offset);
        if step == Step::Take {
            partition.last_ms = message.timestamp().to_millis().or(partition.last_ms);
        }
        match step {
            Step::Backwards => return Err(Ended::Failed(self.began_anew(id, offset, expected))),
            Step::Take => match message.payload() {
                Some(payload) => {
                    let timestamp_ms = message.timestamp().to_millis();
                    let arrival = self.session.arrivals.arrival(&self.reader.topic, timestamp_ms);
                    self.batch.push(id, offset, arrival, payload, now);
                }
                None => self.session.metrics.tombstones.add(1),
            },
            Step::Skip => {}
        }
        self.unassign_if_done(id)
    }

    /// Leaves a partition that was read to its end: what comes after it need not be fetched.
    pub(super) fn unassign_if_done(&mut self, id: i32) -> Result<(), Ended> {
        let Some(partition) = self.partition(id).filter(|partition| partition.done).copied() else { return Ok(()) };
        self.list(&[partition], |_| Offset::Invalid)
            .and_then(|list| self.consumer.incremental_unassign(&list))
            .map_err(|error| self.cannot("leave a partition", error))
    }

    pub(super) fn cannot(&self, what: &str, error: KafkaError) -> Ended {
        Ended::Failed(SourceError::caused_by(format!("{}: cannot {what}", self.reader.topic), error))
    }

    /// Sends the batch to the workers, and waits for room; a stop or a failure ends the waiting.
    fn hand_over(&mut self) -> Result<(), Ended> {
        if !self.batch.is_empty() {
            let payload = self.batch.take();
            for block in self.session.clock.stamp(self.epoch, payload) {
                self.newest_sent = self.newest_sent.max(block.epoch);
                let ends = ends_of(&block.payload);
                self.send(block)?;
                // The next one may find no room at the end of a run.
                for (id, end) in ends {
                    self.reader.progress.reached(id, end);
                }
            }
            // The block may have been the last that its epoch can hold.
            self.epoch_ends = Instant::now();
        }
        for partition in &self.partitions {
            self.reader.progress.reached(partition.id, partition.next);
            self.reader.progress.read_of(partition.id, partition.last_ms);
        }
        self.tell_if_caught_up();
        Ok(())
    }

    pub(super) fn batch_is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    pub(super) fn tell_caught_up(&self) {
        self.session.caught_up.reached(self.newest_sent);
    }

    fn send(&self, mut block: Block) -> Result<(), Ended> {
        while let Some(unsent) = self.session.sender.try_send(block, PATIENCE)? {
            if self.failed || self.session.stop.load(Ordering::Relaxed) {
                return Err(Ended::Stopped);
            }
            block = unsent;
        }
        Ok(())
    }
}
