//! One of the threads that read the topic.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use rdkafka::ClientConfig;

use super::partition::Partition;
use super::problem::OutageLog;
use super::progress::KafkaProgress;
use super::topic_address::TopicAddress;

/// Reads the partitions whose id is `index` modulo `readers`.
pub struct KafkaReader {
    pub(super) topic: TopicAddress,
    pub(super) settings: ClientConfig,
    pub(super) index: usize,
    pub(super) readers: usize,
    /// By id; partition `n` stands at `n / readers`.
    pub(super) partitions: Vec<Partition>,
    /// How many partitions the topic has.
    pub(super) partition_count: usize,
    pub(super) until_end: bool,
    /// Where the partitions ended at the start, by id.
    pub(super) ends: Arc<[i64]>,
    pub(super) progress: Arc<KafkaProgress>,
    pub(super) outages: Arc<OutageLog>,
    /// How long messages of a transaction that is open are waited for at the end.
    pub(super) transactions_within: Duration,
    /// Dropped with the reader: without readers there is nothing to watch.
    pub(super) _reading: Sender<()>,
}
