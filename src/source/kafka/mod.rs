//! The Kafka source: every partition of one topic, assigned by hand and never by a consumer group,
//! because state lives with the workers and cannot follow a group's rebalance.
//!
//! [`KafkaSource::connect`] asks for the partitions and decides where each begins (and, for a run
//! until the end, where it ends). [`KafkaSource::into_readers`] gives each worker a [`KafkaReader`]
//! for the partitions `id % workers`, each with a consumer and a thread of its own. What a
//! reader hands over is a prefix of each of its partitions, in order, whatever happens to brokers:
//! librdkafka reconnects and goes on where it was, and where it cannot the reader fails.
//!
//! Offsets need not follow each other: compaction and the marks of transactions leave gaps. So what was
//! read to the end is what librdkafka's position says it is, not what the last message says (`ends.rs`).
//! A [`TopicWatcher`] sees to it that the topic stays the one that was found. The way into a topic is beside the way
//! out of it, as both ask brokers and judge their errors alike: a [`TopicProducer`] fills a topic.

mod arrivals;
mod batch;
mod clock;
mod context;
mod elsewhere;
mod end_wait;
mod ends;
mod go_on;
mod gone;
mod group;
mod partition;
mod poller;
mod probe;
mod problem;
mod producer;
mod progress;
mod range;
mod reader;
mod settings;
mod stamp;
#[cfg(test)]
mod tests;
mod topic_address;
mod topic_id;
mod watcher;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use rdkafka::ClientConfig;
use rdkafka::topic_partition_list::Offset;

pub use arrivals::RecordArrivals;
pub use clock::{FollowedClock, KafkaClock, TellSize};
pub(crate) use elsewhere::TopicStarts;
pub use group::GroupOffsets;
pub use producer::TopicProducer;
pub use progress::{KafkaProgress, PartitionLag};
pub use reader::KafkaReader;
pub use stamp::EventStamper;
pub use watcher::TopicWatcher;

use partition::Partition;
use probe::{Probe, Wait};
use problem::OutageLog;
use progress::{ReadersOfTopic, Start};
use settings::{consumer_settings, watchful};
use topic_address::TopicAddress;

use crate::counter::EventTime;
use crate::peers::Peers;
use crate::pipeline::{KafkaConfig, StartOffset};
use crate::source::{Cuts, Ground, SourceError};

/// How a topic is read.
#[derive(Clone, Copy, Debug)]
pub struct KafkaOptions {
    /// The start of the run, in the unit of the event's time, for its positions.
    pub run_start: EventTime,
    /// Positions will be kept: by what the topic differs from a later one of its name is asked for, which takes a client of its own for
    /// a moment.
    pub keeps_positions: bool,
    /// Read to the ends that the partitions have at the start, and stop.
    pub until_end: bool,
    /// How long to wait for a broker's answer at the start.
    pub connect_within: Duration,
    /// How often to look how long the partitions are, for new ones, and whether the topic is still the same.
    pub look_every: Duration,
    /// How long to wait, at the end, for messages of a transaction that is still open.
    pub transactions_within: Duration,
}

impl Default for KafkaOptions {
    fn default() -> KafkaOptions {
        KafkaOptions {
            run_start: EventTime(0),
            keeps_positions: false,
            until_end: false,
            connect_within: Duration::from_secs(30),
            look_every: Duration::from_secs(2),
            // Twice what producers give a transaction, unless told otherwise; then the broker aborts it.
            transactions_within: Duration::from_secs(120),
        }
    }
}

/// A topic that was found, with the offset where reading each of its partitions begins.
pub struct KafkaSource {
    config: KafkaConfig,
    options: KafkaOptions,
    topic: TopicAddress,
    probe: Probe,
    /// By id.
    partitions: Vec<Partition>,
    /// Where the partitions end.
    ends: Vec<i64>,
    progress: Arc<KafkaProgress>,
}

impl KafkaSource {
    /// Finds the topic, and resolves where reading begins and ends. Setting `stop` ends the wait for brokers.
    pub fn connect(config: &KafkaConfig, options: KafkaOptions, stop: &AtomicBool) -> Result<KafkaSource, SourceError> {
        let wait = Wait { deadline: Instant::now() + options.connect_within, stop };
        let found = FoundTopic::find(config, wait, options.keeps_positions)?;
        let starts = match config.start {
            StartOffset::Earliest => found.offsets(Offset::Beginning, wait)?,
            // Here it is one: what an open transaction commits later comes after the start.
            StartOffset::Latest => found.committed_ends(wait)?,
        };
        let partition = |(id, (start, end)): (i32, (i64, &i64))| {
            let partition = Partition::new(id, start, options.until_end.then_some(*end));
            Start::of(Partition { at_beginning: config.start == StartOffset::Earliest, ..partition })
        };
        let partitions = (0..).zip(starts.into_iter().zip(&found.ends)).map(partition).collect();
        Ok(KafkaSource::of(config, options, found, partitions))
    }

    fn of(config: &KafkaConfig, options: KafkaOptions, found: FoundTopic, starts: Vec<Start>) -> KafkaSource {
        let FoundTopic { address, probe, topic_id, ends, .. } = found;
        let progress = KafkaProgress::of(&address.name, probe.cluster_id(), options.run_start).with_topic_id(topic_id);
        for (start, end) in starts.iter().zip(&ends) {
            progress.begin_partition(start, *end);
        }
        let (progress, partitions) = (Arc::new(progress), starts.into_iter().map(|start| start.partition).collect());
        KafkaSource { config: config.clone(), options, topic: address, probe, partitions, ends, progress }
    }

    /// How many partitions the topic has.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// How far the readers are; lives as long as they do and longer.
    pub fn progress(&self) -> Arc<KafkaProgress> {
        Arc::clone(&self.progress)
    }

    /// What so many readers note as they read; for one run.
    pub fn cuts(&self, readers: usize) -> Arc<Cuts> {
        Arc::new(Cuts::new(Box::new(ReadersOfTopic { progress: self.progress(), readers }), readers))
    }

    /// What they note about.
    pub(crate) fn ground(&self, readers: usize) -> Arc<dyn Ground> {
        Arc::new(ReadersOfTopic { progress: self.progress(), readers })
    }

    /// The readers of so many workers of a single process: see [`KafkaSource::readers_of`].
    pub fn into_readers(self, workers: usize) -> Result<(Vec<KafkaReader>, TopicWatcher), SourceError> {
        self.readers_of(Peers::alone(workers as u32))
    }

    /// One reader per worker of this process, in the order of the workers, and the one that watches the topic for them; each is to run
    /// on a thread of its own. A worker beyond the number of partitions has nothing to read, but its reader still tells
    /// it the time.
    pub fn readers_of(self, peers: Peers) -> Result<(Vec<KafkaReader>, TopicWatcher), SourceError> {
        let readers = peers.workers() as usize;
        let settings = watchful(consumer_settings(&self.config, peers.workers_here() as usize)?);
        let outages = Arc::new(OutageLog::default());
        let (reading, finished) = bounded(0);
        let ends: Arc<[i64]> = self.ends.as_slice().into();
        let reader = |index: usize| KafkaReader {
            topic: self.topic.clone(),
            settings: settings.clone(),
            index,
            readers,
            partitions: self.partitions.iter().skip(index).step_by(readers).copied().collect(),
            partition_count: self.partitions.len(),
            until_end: self.options.until_end,
            ends: Arc::clone(&ends),
            progress: Arc::clone(&self.progress),
            outages: Arc::clone(&outages),
            transactions_within: self.options.transactions_within,
            _reading: reading.clone(),
        };
        let readers = peers.worker_indices_here().map(|worker| reader(worker.0 as usize)).collect();
        let watcher = TopicWatcher {
            cluster_id: self.probe.cluster_id(),
            probe: self.probe,
            topic: self.topic,
            progress: self.progress,
            look_every: self.options.look_every,
            // Process 0 finds new partitions, for all.
            is_told: self.options.until_end || peers.process() > 0,
            ends: self.ends,
            finished,
        };
        Ok((readers, watcher))
    }
}

/// A topic that is there.
struct FoundTopic {
    address: TopicAddress,
    settings: ClientConfig,
    probe: Probe,
    /// The id that it got when it was made; old brokers say none.
    topic_id: Option<String>,
    /// Where its partitions end, by id. Messages of open transactions are there, too: where those begin is no end.
    ends: Vec<i64>,
}

impl FoundTopic {
    fn find(config: &KafkaConfig, wait: Wait<'_>, with_id: bool) -> Result<FoundTopic, SourceError> {
        let address = TopicAddress::of(config);
        let settings = consumer_settings(config, 1)?;
        let mut all_messages = settings.clone();
        all_messages.set("isolation.level", "read_uncommitted");
        let probe = Probe::new(all_messages, address.clone())?;
        let count = probe.partition_count(wait)?;
        // Before the ends: of a topic that is made anew in between, these are short.
        let topic_id = if with_id { topic_id::find(&settings, &address, wait)? } else { None };
        let ends = probe.offsets(count, Offset::End, wait)?;
        Ok(FoundTopic { address, settings, probe, topic_id, ends })
    }

    fn offsets(&self, which: Offset, wait: Wait<'_>) -> Result<Vec<i64>, SourceError> {
        self.probe.offsets(self.ends.len(), which, wait)
    }

    /// Where messages end that are not of an open transaction.
    fn committed_ends(&self, wait: Wait<'_>) -> Result<Vec<i64>, SourceError> {
        let probe = Probe::new(self.settings.clone(), self.address.clone())?;
        probe.offsets(self.ends.len(), Offset::End, wait)
    }
}

/// Whether this Kafka's options are ones that a run takes, without asking any broker.
pub fn check_options(config: &KafkaConfig) -> Result<(), SourceError> {
    let topic = TopicAddress::of(config);
    let mut settings = consumer_settings(config, 1)?;
    settings.remove("bootstrap.servers");
    Probe::new(settings, topic).map(drop)
}
