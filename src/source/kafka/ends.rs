//! When a partition has been read to its end.
//!
//! That librdkafka is at the end says little: a replica may lag behind its leader, and with `read_committed` reading stops
//! where the oldest open transaction begins. That the last message was taken says little, too: behind it may stand marks
//! of transactions, which are no messages. librdkafka's *position* passes the marks, so it is what counts.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::Offset;

use super::end_wait::EndWait;
use super::partition::Partition;
use super::poller::{Ended, Poller};
use super::probe::ask_offsets;
use crate::source::SourceError;

/// Compaction can leave the last offsets without a trace: a leader that has had nothing for so long has nothing.
const LEADER_SILENCE: Duration = Duration::from_secs(5);

/// The same of a replica (`client.rack`): twice the time in which one that lags behind is no longer asked.
const REPLICA_SILENCE: Duration = Duration::from_secs(60);

impl Poller<'_> {
    /// Nothing more is to be had of a partition at present.
    pub(super) fn reached_end(&mut self, id: i32, now: Instant) {
        if let Some(partition) = self.partition(id) {
            partition.at_end_since.get_or_insert(now);
        }
        if self.reader.until_end {
            self.end_wait.look_at_once(now);
        }
    }

    /// To be called while there are no messages: looks how far the partitions are that have come to an end.
    pub(super) fn settle_ends(&mut self, now: Instant) -> Result<(), Ended> {
        let is_short = |partition: &Partition| {
            let end = partition.until.unwrap_or_else(|| self.reader.progress.end(partition.id));
            partition.at_end_since.is_some() && partition.next < end
        };
        if !self.end_wait.may_look(now) || !self.partitions.iter().any(is_short) {
            return Ok(());
        }
        self.end_wait.looked(now);
        let positions = self.consumer.position().map_err(|error| self.cannot("tell the position", error))?;
        for element in positions.elements() {
            let Offset::Offset(position) = element.offset() else { continue };
            let id = element.partition();
            let Some(partition) = self.partition(id).filter(|partition| partition.at_end_since.is_some()) else {
                continue;
            };
            partition.passed(position);
            self.reader.progress.reached(id, position);
            self.unassign_if_done(id)?;
        }
        if self.reader.until_end { self.wait_for_ends(now) } else { Ok(()) }
    }

    /// Finds out why partitions are at an end that is not the end to be reached.
    fn wait_for_ends(&mut self, now: Instant) -> Result<(), Ended> {
        let waits = |partition: &&Partition| !partition.done && partition.at_end_since.is_some();
        if !self.partitions.iter().any(|partition| waits(&partition)) {
            self.end_wait = EndWait::new(now);
            return Ok(());
        }
        if !self.end_wait.may_ask(now) {
            return Ok(());
        }
        // Where committed messages end.
        let ends = ask_offsets(self.consumer, &self.reader.topic.name, self.partition_count, Offset::End);
        let Ok(ends) = ends else {
            // Only the silence of brokers that answer says something.
            for since in self.partitions.iter_mut().filter_map(|partition| partition.at_end_since.as_mut()) {
                *since = now;
            }
            return Ok(());
        };
        let waiting: Vec<_> = self.partitions.iter().filter(waits).copied().collect();
        let mut held_up = None;
        for partition in waiting {
            let end = usize::try_from(partition.id).ok().and_then(|id| ends.get(id)).copied();
            if end < partition.until {
                held_up = held_up.or(Some(partition));
            } else if partition.at_end_since.is_some_and(|since| now - since >= self.silence()) {
                self.leave_at_end(partition.id)?;
            }
        }
        self.wait_for_transaction(held_up, now)
    }

    /// Says, once, when everything has been handed over that there was at the start. Where the last offsets of a partition have
    /// left no trace, or belong to a transaction that is open, that nothing comes is enough.
    pub(super) fn tell_if_caught_up(&mut self) {
        if self.has_caught_up || !self.batch_is_empty() {
            return;
        }
        let silence = self.silence();
        let is_there = |partition: &Partition| {
            let end = usize::try_from(partition.id).ok().and_then(|id| self.reader.ends.get(id)).copied();
            end.is_none_or(|end| partition.next >= end)
                || partition.at_end_since.is_some_and(|since| since.elapsed() >= silence)
        };
        if self.partitions.iter().all(is_there) {
            self.has_caught_up = true;
            self.tell_caught_up();
        }
    }

    fn silence(&self) -> Duration {
        if self.reader.settings.get("client.rack").is_some() { REPLICA_SILENCE } else { LEADER_SILENCE }
    }

    fn leave_at_end(&mut self, id: i32) -> Result<(), Ended> {
        if let Some(partition) = self.partition(id) {
            partition.passed_end();
            let end = partition.next;
            self.reader.progress.reached(id, end);
        }
        self.unassign_if_done(id)
    }

    /// Says what is waited for, and ends when that takes too long.
    fn wait_for_transaction(&mut self, held_up: Option<Partition>, now: Instant) -> Result<(), Ended> {
        let Some(Partition { id, next, until: Some(until), .. }) = held_up else {
            self.end_wait.no_transaction_is_open();
            return Ok(());
        };
        let patience = self.reader.transactions_within;
        let what =
            format!("{}, partition {id}: an open transaction holds back offsets {next} to {until}", self.reader.topic);
        if self.end_wait.transaction_is_open_for(now) >= patience {
            return Err(Ended::Failed(SourceError::service_lost(format!(
                "{what}, for {} s by now. Brokers abort a transaction after its producer's transaction.timeout.ms: start \
                 again when it has ended, or without --until-end",
                patience.as_secs()
            ))));
        }
        if self.end_wait.may_warn(now) {
            tracing::warn!("{what}; waiting for its end, for at most {} s", patience.as_secs());
        }
        Ok(())
    }
}
