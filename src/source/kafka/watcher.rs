//! Watches the topic while it is read: how far there is to go, new partitions, and whether it is still the same topic.
//!
//! A topic that was deleted and made anew, or a broker that came back with an empty disk, answers like any other, and a
//! reader that waits behind the new end waits for ever. Three things give it away: another cluster's id, a partition
//! that ends before what was read of it, and a partition or a whole topic that is missing. (A fourth, the topic's own id,
//! only the readers' clients learn, see [`Context`](super::context::Context).)

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::probe::Probe;
use super::problem::made_anew;
use super::progress::KafkaProgress;
use super::topic_address::TopicAddress;
use crate::source::SourceError;

/// A broker that has just become a leader may not know all of its log yet: only what is found so many times, one after
/// the other, is believed.
const FINDINGS: u32 = 3;

/// Looks after a topic until its readers have ended.
pub struct TopicWatcher {
    pub(super) probe: Probe,
    pub(super) topic: TopicAddress,
    pub(super) progress: Arc<KafkaProgress>,
    pub(super) look_every: Duration,
    /// New partitions and later ends are not read, or told from elsewhere.
    pub(super) is_told: bool,
    /// The cluster of the start.
    pub(super) cluster_id: Option<String>,
    /// The last end of each partition that was heard of.
    pub(super) ends: Vec<i64>,
    /// Disconnected when the readers have ended.
    pub(super) finished: Receiver<()>,
}

impl TopicWatcher {
    /// Watches until the readers have ended; fails when the topic is not the one that they began to read.
    pub fn run(mut self) -> Result<(), SourceError> {
        let mut findings = 0;
        while self.finished.recv_timeout(self.look_every) == Err(RecvTimeoutError::Timeout) {
            // A broker that does not answer is the readers' to tell of.
            let answer = self.look();
            self.progress.set_ends_known(answer.is_ok());
            let finding = answer.ok().flatten();
            findings = if finding.is_some() { findings + 1 } else { 0 };
            if let Some(finding) = finding.filter(|_| findings >= FINDINGS) {
                return Err(made_anew(&self.topic, &finding));
            }
            self.probe.hear_reports(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Looks once. What shows that the topic is another one, if anything does.
    fn look(&mut self) -> KafkaResult<Option<String>> {
        let read_before: Vec<_> = (0..).zip(&self.ends).map(|(id, _)| self.progress.next(id)).collect();
        let count = match self.probe.ask_partition_count() {
            Ok(count) => count,
            Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)) => {
                return Ok(Some(self.other_cluster().unwrap_or_else(|| "there is no such topic any more".to_owned())));
            }
            Err(error) => return Err(error),
        };
        if let Some(finding) = self.other_cluster() {
            return Ok(Some(finding));
        }
        if count < self.ends.len() {
            return Ok(Some(format!("it had {} partitions and has {count}", self.ends.len())));
        }
        let ends = self.probe.ask_offsets(count, Offset::End)?;
        for (id, (end, (last, read))) in ends.iter().zip(self.ends.iter().zip(read_before)).enumerate() {
            let was = (*last).max(read);
            if *end < was {
                return Ok(Some(format!("partition {id} ended at offset {was} and ends at {end} now")));
            }
        }
        for (id, end) in (0..).zip(&ends) {
            self.progress.is_seen_to_end_at(id, *end);
        }
        if !self.is_told {
            self.note(&ends)?;
        }
        Ok(None)
    }

    fn other_cluster(&self) -> Option<String> {
        let (was, is) = (self.cluster_id.as_ref()?, self.probe.cluster_id()?);
        (is != *was).then(|| format!("the cluster's id was {was} and is {is}"))
    }

    /// Tells the readers of later ends and of new partitions.
    fn note(&mut self, ends: &[i64]) -> KafkaResult<()> {
        if ends.len() > self.ends.len() {
            let begins = self.probe.ask_offsets(ends.len(), Offset::Beginning)?;
            for (id, (begin, end)) in begins.iter().zip(ends).enumerate().skip(self.ends.len()) {
                tracing::info!("Kafka topic \"{}\": found the new partition {id}", self.topic.name);
                self.progress.add_partition(*begin, *end);
            }
        }
        for (id, end) in (0..).zip(ends) {
            self.progress.ends_at(id, *end);
        }
        self.ends = ends.to_vec();
        Ok(())
    }
}
