//! The Kafka source: every partition of one topic, assigned by hand and never by a consumer group,
//! because state lives with the workers and cannot follow a group's rebalance.
//!
//! [`KafkaSource::connect`] asks for the partitions and decides where each begins (and, for a run
//! until the end, where it ends). [`KafkaSource::into_readers`] gives each worker a [`KafkaReader`]
//! for the partitions `number % workers`, each with a consumer and a thread of its own. What a
//! reader hands over is a prefix of each of its partitions, in order, whatever happens to brokers:
//! librdkafka reconnects and goes on where it was, and where it cannot the reader fails.
//!
//! Offsets need not follow each other: compaction and the marks of transactions leave gaps. So the
//! end of a partition is where librdkafka says it is, not where offsets have been counted up to.

mod arrivals;
mod batch;
mod clock;
mod context;
mod partition;
mod probe;
mod problem;
mod progress;
mod reader;
mod reading;
mod settings;
mod stamp;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::topic_partition_list::Offset;

pub use arrivals::RecordArrivals;
pub use clock::KafkaClock;
pub use progress::KafkaProgress;
pub use reader::KafkaReader;
pub use stamp::EventStamper;
pub use writer::TopicWriter;

use partition::Partition;
use probe::Probe;
use problem::{OutageLog, Place};
use reader::Watcher;
use settings::consumer_settings;

use crate::pipeline::{KafkaConfig, StartOffset};
use crate::source::SourceError;

/// How a topic is read.
#[derive(Clone, Copy, Debug)]
pub struct KafkaOptions {
    /// Read to the ends that the partitions have at the start, and stop.
    pub until_end: bool,
    /// How long to wait for a broker's answer at the start.
    pub connect_within: Duration,
    /// How often to look for partitions that were added to the topic.
    pub look_for_partitions_every: Duration,
}

impl Default for KafkaOptions {
    fn default() -> KafkaOptions {
        KafkaOptions {
            until_end: false,
            connect_within: Duration::from_secs(30),
            look_for_partitions_every: Duration::from_secs(30),
        }
    }
}

/// A topic that was found, with the place where reading each of its partitions begins.
pub struct KafkaSource {
    config: KafkaConfig,
    options: KafkaOptions,
    place: Place,
    probe: Probe,
    /// By number.
    partitions: Vec<Partition>,
    progress: Arc<KafkaProgress>,
}

impl KafkaSource {
    /// Finds the topic, and resolves where reading begins and ends.
    pub fn connect(config: &KafkaConfig, options: KafkaOptions) -> Result<KafkaSource, SourceError> {
        let deadline = Instant::now() + options.connect_within;
        let place = Place { brokers: config.brokers.clone(), topic: config.topic.clone() };
        let probe = Probe::new(consumer_settings(config, 1)?, place.clone())?;
        let count = probe.partition_count(deadline)?;
        let ends = probe.offsets(count, Offset::End, deadline)?;
        let starts = match config.start {
            StartOffset::Earliest => probe.offsets(count, Offset::Beginning, deadline)?,
            StartOffset::Latest => ends.clone(),
        };
        let progress = Arc::new(KafkaProgress::default());
        let mut partitions = Vec::with_capacity(count);
        for (number, (start, end)) in (0..).zip(starts.into_iter().zip(ends)) {
            partitions.push(Partition::new(number, start, options.until_end.then_some(end)));
            progress.add_partition(start, end);
        }
        Ok(KafkaSource { config: config.clone(), options, place, probe, partitions, progress })
    }

    /// How many partitions the topic has.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// How far the readers are; lives as long as they do and longer.
    pub fn progress(&self) -> Arc<KafkaProgress> {
        Arc::clone(&self.progress)
    }

    /// One reader per worker, in the order of the workers. A worker beyond the number of partitions
    /// has nothing to read, but its reader still tells it the time.
    pub fn into_readers(self, workers: usize) -> Result<Vec<KafkaReader>, SourceError> {
        let settings = consumer_settings(&self.config, workers)?;
        let outages = Arc::new(OutageLog::default());
        let watcher = Watcher { probe: self.probe, look_for_partitions_every: self.options.look_for_partitions_every };
        let mut watcher = (!self.options.until_end).then_some(watcher);
        let readers = (0..workers).map(|index| KafkaReader {
            place: self.place.clone(),
            settings: settings.clone(),
            index,
            readers: workers,
            partitions: self.partitions.iter().skip(index).step_by(workers).copied().collect(),
            partition_count: self.partitions.len(),
            until_end: self.options.until_end,
            progress: Arc::clone(&self.progress),
            outages: Arc::clone(&outages),
            watcher: watcher.take(),
        });
        Ok(readers.collect())
    }
}
