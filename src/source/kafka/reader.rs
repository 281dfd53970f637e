//! One of the threads that read the topic.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use crossbeam_channel::bounded;
use rdkafka::ClientConfig;

use super::arrivals::RecordArrivals;
use super::clock::KafkaClock;
use super::partition::Partition;
use super::probe::{Probe, new_consumer};
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
    /// The first reader of a run without an end also watches the topic.
    pub(super) watcher: Option<Watcher>,
}

/// Looks for new partitions and for the ends of all.
pub(super) struct Watcher {
    pub(super) probe: Probe,
    pub(super) look_for_partitions_every: Duration,
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
        mut self,
        sender: FeedSender,
        clock: &KafkaClock,
        arrivals: &RecordArrivals,
        metrics: &Metrics,
        stop: &AtomicBool,
    ) -> Result<(), SourceError> {
        let watcher = self.watcher.take();
        let progress = Arc::clone(&self.progress);
        let consumer = new_consumer(&self.settings, &self.place)?;
        thread::scope(|scope| {
            // Disconnected when this reader ends, however it ends; then the watcher ends too.
            let (_reading, finished) = bounded(0);
            if let Some(Watcher { probe, look_for_partitions_every }) = watcher {
                thread::Builder::new()
                    .name("kafka-watcher".to_owned())
                    .spawn_scoped(scope, move || probe.watch(&progress, look_for_partitions_every, &finished))
                    .map_err(|error| SourceError::caused_by("cannot start a thread for Kafka", error))?;
            }
            let session = Session { sender: &sender, clock, arrivals, metrics, stop };
            Reading::new(&consumer, &self, session).run()
        })
    }
}
