//! A reader at work: polls messages, packs them into blocks, and follows the clock.
//!
//! Invariant of the feed: an epoch is announced only once everything read in the epochs before it
//! has been handed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::arrivals::RecordArrivals;
use super::batch::Batch;
use super::clock::KafkaClock;
use super::context::{Context, Report};
use super::partition::{Partition, Step};
use super::probe::ask_offsets;
use super::problem::{describe, passes};
use super::reader::KafkaReader;
use crate::epoch::Epoch;
use crate::source::{Block, Closed, FeedSender, SourceError};
use crate::telemetry::Metrics;

/// A request to stop is noticed at least this often.
const PATIENCE: Duration = Duration::from_millis(50);

/// What a reader works with.
#[derive(Clone, Copy)]
pub(super) struct Session<'a> {
    pub(super) sender: &'a FeedSender,
    pub(super) clock: &'a KafkaClock,
    pub(super) arrivals: &'a RecordArrivals,
    pub(super) metrics: &'a Metrics,
    pub(super) stop: &'a AtomicBool,
}

/// Why a reader ends before everything is read.
enum Ended {
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

pub(super) struct Reading<'a> {
    consumer: &'a BaseConsumer<Context>,
    reader: &'a KafkaReader,
    session: Session<'a>,
    partitions: Vec<Partition>,
    /// How many partitions the topic has, as far as this reader knows.
    partition_count: usize,
    batch: Batch,
    /// The epoch in which the batch is read.
    epoch: Epoch,
    epoch_ends: Instant,
    /// The broker is away.
    waiting: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        consumer: &'a BaseConsumer<Context>,
        reader: &'a KafkaReader,
        session: Session<'a>,
    ) -> Reading<'a> {
        let (epoch, epoch_ends) = session.clock.now();
        Reading {
            consumer,
            reader,
            session,
            partitions: reader.partitions.clone(),
            partition_count: reader.partition_count,
            batch: Batch::new(Arc::from(reader.place.topic.as_str())),
            epoch,
            epoch_ends,
            waiting: false,
        }
    }

    pub(super) fn run(mut self) -> Result<(), SourceError> {
        match self.read() {
            Ok(()) | Err(Ended::Stopped) => Ok(()),
            Err(Ended::Failed(error)) => Err(error),
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
            match self.consumer.poll(self.patience(now)) {
                Some(Ok(message)) => self.take(&message, now)?,
                Some(Err(KafkaError::PartitionEOF(number))) => self.reached_end(number)?,
                Some(Err(error)) => self.judge(error)?,
                None if self.batch.is_empty() => self.session.clock.caught_up(),
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
            .filter(|number| number % self.reader.readers == self.reader.index)
            .map(|number| Partition::new(number as i32, 0, None))
            .collect();
        self.partition_count = count;
        self.partitions.extend(&new);
        Ok(self.assign(&new)?)
    }

    fn assign(&self, partitions: &[Partition]) -> Result<(), SourceError> {
        if partitions.is_empty() {
            return Ok(());
        }
        let failed = |error| SourceError::caused_by(format!("{}: cannot assign partitions", self.reader.place), error);
        let list = self.list(partitions, |partition| Offset::Offset(partition.next)).map_err(failed)?;
        self.consumer.incremental_assign(&list).map_err(failed)
    }

    fn list(&self, partitions: &[Partition], offset: impl Fn(&Partition) -> Offset) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition_offset(&self.reader.place.topic, partition.number, offset(partition))?;
        }
        Ok(list)
    }

    fn partition(&mut self, number: i32) -> Option<&mut Partition> {
        let place = usize::try_from(number).ok()? / self.reader.readers;
        self.partitions.get_mut(place).filter(|partition| partition.number == number)
    }

    fn take(&mut self, message: &BorrowedMessage<'_>, now: Instant) -> Result<(), Ended> {
        if self.waiting {
            self.waiting = false;
            self.reader.outages.found(&self.reader.place);
        }
        let (number, offset) = (message.partition(), message.offset());
        let Some(partition) = self.partition(number).filter(|partition| !partition.done) else { return Ok(()) };
        let expected = partition.next;
        match partition.step(offset) {
            Step::Backwards => return Err(Ended::Failed(self.began_anew(number, offset, expected))),
            Step::Take => match message.payload() {
                Some(payload) => {
                    let timestamp_ms = message.timestamp().to_millis();
                    let arrival = self.session.arrivals.arrival(&self.reader.place, timestamp_ms);
                    self.batch.push(number, offset, arrival, payload, now);
                }
                None => self.session.metrics.tombstones.add(1),
            },
            Step::Skip => {}
        }
        self.unassign_if_done(number)
    }

    fn reached_end(&mut self, number: i32) -> Result<(), Ended> {
        let Some(partition) = self.partition(number).filter(|partition| !partition.done) else { return Ok(()) };
        partition.reached_end();
        self.reader.progress.reached_end(number);
        self.unassign_if_done(number)
    }

    /// Leaves a partition that was read to its end: what comes after it need not be fetched.
    fn unassign_if_done(&mut self, number: i32) -> Result<(), Ended> {
        let Some(partition) = self.partition(number).filter(|partition| partition.done).copied() else { return Ok(()) };
        self.list(&[partition], |_| Offset::Invalid)
            .and_then(|list| self.consumer.incremental_unassign(&list))
            .map_err(|error| {
                SourceError::caused_by(format!("{}: cannot leave a partition", self.reader.place), error)
            })?;
        Ok(())
    }

    /// Goes on where librdkafka does; ends where it would skip something or wait for ever.
    fn judge(&mut self, error: KafkaError) -> Result<(), Ended> {
        let place = &self.reader.place;
        let report = self.consumer.context().take_report();
        let Some(code) = error.rdkafka_error_code() else {
            return Err(Ended::Failed(SourceError::caused_by(place.to_string(), error)));
        };
        let report = report.unwrap_or_else(|| Report { code, text: code.to_string() });
        if matches!(code, RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) {
            return Err(Ended::Failed(self.lost_messages(&report)));
        }
        if !passes(code) {
            return Err(Ended::Failed(describe(place, &report)));
        }
        self.waiting = true;
        self.reader.outages.lost(place, &report);
        Ok(())
    }

    fn lost_messages(&self, report: &Report) -> SourceError {
        let ask = |which| ask_offsets(self.consumer, &self.reader.place.topic, self.partition_count, which);
        let kept = ask(Offset::Beginning).and_then(|begins| Ok((begins, ask(Offset::End)?)));
        let lost = kept.ok().and_then(|(begins, ends)| {
            self.partitions.iter().find_map(|partition| {
                let place = usize::try_from(partition.number).ok()?;
                let (begin, end) = (*begins.get(place)?, *ends.get(place)?);
                let is_lost = partition.next < begin || partition.next > end;
                is_lost.then(|| {
                    format!(
                        "partition {}: offset {} is asked for, {begin} to {end} are there",
                        partition.number, partition.next
                    )
                })
            })
        });
        SourceError::new(format!(
            "{}: {}. Messages were deleted before they were read (by the topic's retention, or with the topic): let \
             the topic keep them longer; to count what is left, start anew",
            self.reader.place,
            lost.unwrap_or_else(|| report.text.clone()),
        ))
    }

    fn began_anew(&self, number: i32, offset: i64, expected: i64) -> SourceError {
        SourceError::new(format!(
            "{}, partition {number}: offset {offset} comes after offset {}. The topic was deleted and made anew, or a \
             broker lost messages; to count what is there now, start anew",
            self.reader.place,
            expected - 1,
        ))
    }

    /// Sends the batch to the workers, and waits for room; a stop ends the waiting.
    fn hand_over(&mut self) -> Result<(), Ended> {
        if !self.batch.is_empty() {
            let payload = self.batch.take();
            for block in self.session.clock.stamp(self.epoch, payload) {
                self.send(block)?;
            }
            // The block may have been the last that its epoch can hold.
            self.epoch_ends = Instant::now();
        }
        for partition in &self.partitions {
            self.reader.progress.reached(partition.number, partition.next);
        }
        Ok(())
    }

    fn send(&self, mut block: Block) -> Result<(), Ended> {
        while let Some(unsent) = self.session.sender.try_send(block, PATIENCE)? {
            if self.session.stop.load(Ordering::Relaxed) {
                return Err(Ended::Stopped);
            }
            block = unsent;
        }
        Ok(())
    }
}
