//! One of the threads that read the topic.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crossbeam_channel::Sender;
use rdkafka::ClientConfig;

use super::arrivals::RecordArrivals;
use super::clock::KafkaClock;
use super::partition::Partition;
use super::probe::new_consumer;
use super::problem::{OutageLog, Place};
use super::progress::KafkaProgress;
use super::reading::{Reading, Session};
use crate::source::{FeedSender, SourceError};
use crate::telemetry::Metrics;

/// Reads the partitions whose number is `index` modulo `readers`.
pub struct KafkaReader {
    pub(super) place: Place,
    pub(super) settings: ClientConfig,
    pub(super) index: usize,
    pub(super) readers: usize,
    /// By number; partition `n` stands at `n / readers`.
    pub(super) partitions: Vec<Partition>,
    /// How many partitions the topic has.
    pub(super) partition_count: usize,
    pub(super) until_end: bool,
    pub(super) progress: Arc<KafkaProgress>,
    pub(super) outages: Arc<OutageLog>,
    /// How long messages of a transaction that is open are waited for at the end.
    pub(super) transactions_within: Duration,
    /// Dropped with the reader: without readers there is nothing to watch.
    pub(super) _reading: Sender<()>,
}

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
        stop: &AtomicBool,
    ) -> Result<(), SourceError> {
        let consumer = new_consumer(&self.settings, &self.place)?;
        let session = Session { sender: &sender, clock, arrivals, metrics, stop };
        Reading::new(&consumer, &self, session).run()
    }
}
