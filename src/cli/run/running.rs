//! A source that is being read: the threads, the feeds, how far it has come and how it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::cli::{CliError, ErrorCode};
use crate::dataflow::Failure;
use crate::epoch::Epoch;
use crate::peers::Peers;
use crate::source::kafka::{KafkaClock, KafkaProgress, KafkaSource, PartitionLag, RecordArrivals};
use crate::source::log::{LogEnd, LogProgress, LogSource};
use crate::source::{CaughtUp, Cuts, Feed, FeedSender, Followed, Ground, NoterElsewhere, SourceError, TellNote, feed};
use crate::telemetry::{InputProgress, Metrics};

/// A topic, and how it is to be read.
pub struct KafkaInput {
    /// The topic.
    pub source: KafkaSource,
    /// What drives its windows.
    pub clock: KafkaClock,
    /// When messages arrive.
    pub arrivals: RecordArrivals,
    /// Whether reading stops by itself.
    pub until_end: bool,
}

/// A source that is being read.
pub struct RunningInput {
    progress: ProgressOf,
    readers: Vec<JoinHandle<LogEnd>>,
    /// Whether being asked to stop is the ordinary end.
    pub runs_until_stopped: bool,
}

/// How far a source has come, now and later. Cheap to clone.
#[derive(Clone)]
pub struct Reading(ProgressOf);

impl Reading {
    /// How far it has come.
    pub fn progress(&self) -> InputProgress {
        match &self.0 {
            ProgressOf::Log(log) => InputProgress::Bytes { read: log.bytes_read(), total: log.total_bytes() },
            ProgressOf::Kafka(kafka) => InputProgress::Lag(kafka.lag()),
            ProgressOf::HandedOn { metrics, .. } => InputProgress::Bytes { read: metrics.bytes.get(), total: None },
        }
    }

    /// Of a topic, by partition, where the next message is, and where it ends as far as is known.
    pub fn partitions(&self) -> Option<Vec<(i64, i64)>> {
        Some(self.kafka()?.next_and_ends())
    }
}

impl Reading {
    /// Messages of a topic that are still to be read, where that is known.
    pub fn lag(&self) -> Option<u64> {
        self.kafka()?.lag()
    }

    /// Whether the brokers of a topic do not answer.
    pub fn is_without_brokers(&self) -> bool {
        self.kafka().is_some_and(|kafka| kafka.is_without_brokers())
    }

    /// Of a topic, how far behind each partition is.
    pub fn lag_by_partition(&self) -> Option<Vec<PartitionLag>> {
        Some(self.kafka()?.lag_by_partition())
    }

    fn kafka(&self) -> Option<&KafkaProgress> {
        let Reading(ProgressOf::Kafka(kafka)) = self else { return None };
        Some(kafka)
    }
}

#[derive(Clone)]
enum ProgressOf {
    Log(Arc<LogProgress>),
    Kafka(Arc<KafkaProgress>),
    /// What process 0 hands on.
    HandedOn {
        metrics: Arc<Metrics>,
        stop: Arc<AtomicBool>,
    },
}

/// Where readers note how far they are.
pub enum Notes {
    /// Nobody asks.
    Nowhere,
    /// In this process.
    Here(Arc<Cuts>),
    /// At process 0.
    Elsewhere {
        /// Tells it.
        tell: TellNote,
        /// What it announces.
        followed: Arc<Followed>,
    },
}

impl Notes {
    /// In this process, where somebody asks.
    pub fn of(cuts: Option<Arc<Cuts>>) -> Notes {
        cuts.map_or(Notes::Nowhere, Notes::Here)
    }
}

/// Starts to read event logs.
pub fn start_log(
    source: LogSource,
    notes: &Notes,
    first_epoch: Epoch,
    workers: usize,
    stop: &Arc<AtomicBool>,
    failure: &Failure,
) -> Result<(Vec<Feed>, RunningInput), CliError> {
    let (sender, shared) = noting_feed(notes, None, 0, first_epoch);
    let progress = source.progress();
    let stop = Arc::clone(stop);
    let reader = spawn("reader".to_owned(), failure, move || source.run(sender, &stop))?;
    let running =
        RunningInput { progress: ProgressOf::Log(progress), readers: vec![reader], runs_until_stopped: false };
    Ok((vec![shared; workers], running))
}

/// Starts to read a topic: as many readers as there are workers.
#[expect(clippy::too_many_arguments, reason = "what a source is started with, once")]
pub fn start_kafka(
    kafka: KafkaInput,
    notes: &Notes,
    first_epoch: Epoch,
    peers: Peers,
    stop: &Arc<AtomicBool>,
    metrics: &Arc<Metrics>,
    caught_up: &Arc<CaughtUp>,
    failure: &Failure,
) -> Result<(Vec<Feed>, RunningInput), CliError> {
    let KafkaInput { source, clock, arrivals, until_end } = kafka;
    let progress = source.progress();
    let (clock, arrivals) = (Arc::new(clock), Arc::new(arrivals));
    let (mut feeds, mut readers) = (Vec::new(), Vec::new());
    let ground = source.ground(peers.workers() as usize);
    let (kafka_readers, watcher) = source.readers_of(peers)?;
    for (index, reader) in peers.worker_indices_here().map(|worker| worker.0 as usize).zip(kafka_readers) {
        let (sender, feed) = noting_feed(notes, Some(&ground), index, first_epoch);
        feeds.push(feed);
        let (clock, stop, metrics) = (Arc::clone(&clock), Arc::clone(stop), Arc::clone(metrics));
        let (arrivals, caught_up) = (Arc::clone(&arrivals), Arc::clone(caught_up));
        let read = move || {
            reader.run(sender, &clock, &arrivals, &metrics, &caught_up, &stop)?;
            Ok(if stop.load(Ordering::Acquire) { LogEnd::Interrupted } else { LogEnd::Finished })
        };
        readers.push(spawn(format!("reader {index}"), failure, read)?);
    }
    readers.push(spawn("kafka-watcher".to_owned(), failure, move || watcher.run().map(|()| LogEnd::Finished))?);
    Ok((feeds, RunningInput { progress: ProgressOf::Kafka(progress), readers, runs_until_stopped: !until_end }))
}

/// The feed of this reader, of so many of a topic.
fn noting_feed(
    notes: &Notes,
    ground: Option<&Arc<dyn Ground>>,
    reader: usize,
    first_epoch: Epoch,
) -> (FeedSender, Feed) {
    let (sender, feed) = feed(first_epoch);
    let sender = match (notes, ground) {
        (Notes::Here(cuts), _) => sender.noting(cuts.noter(reader)),
        (Notes::Elsewhere { tell, followed }, Some(ground)) => {
            let (ground, tell, followed) = (Arc::clone(ground), Arc::clone(tell), Arc::clone(followed));
            sender.noting(NoterElsewhere { reader, ground, tell, followed })
        }
        (Notes::Elsewhere { .. }, None) | (Notes::Nowhere, _) => sender,
    };
    (sender, feed)
}

/// What process 0 hands on of event logs, for so many workers; and where it comes in.
pub fn handed_on(
    first_epoch: Epoch,
    workers: usize,
    stop: &Arc<AtomicBool>,
    metrics: &Arc<Metrics>,
) -> (FeedSender, Vec<Feed>, RunningInput) {
    let (sender, shared) = feed(first_epoch);
    let progress = ProgressOf::HandedOn { metrics: Arc::clone(metrics), stop: Arc::clone(stop) };
    (sender, vec![shared; workers], RunningInput { progress, readers: Vec::new(), runs_until_stopped: false })
}

/// Starts a thread that reads, whose error is heard at once: nobody joins it before the run is over.
fn spawn(
    name: String,
    failure: &Failure,
    read: impl FnOnce() -> Result<LogEnd, SourceError> + Send + 'static,
) -> Result<JoinHandle<LogEnd>, CliError> {
    let failure = failure.clone();
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        read().unwrap_or_else(|error| {
            failure.source(error);
            LogEnd::Interrupted
        })
    });
    thread.map_err(|error| CliError::new(ErrorCode::SystemRefuses, format!("cannot start a reader: {error}")))
}

impl RunningInput {
    /// How far it has come.
    pub fn progress(&self) -> InputProgress {
        self.reading().progress()
    }

    /// The same, now and later.
    pub fn reading(&self) -> Reading {
        Reading(self.progress.clone())
    }

    /// Waits for the readers, which have ended or are about to, and says how: the worst of their ends. Their errors are
    /// told to [`Failure`].
    pub fn join(self) -> Result<LogEnd, CliError> {
        let mut end = match &self.progress {
            ProgressOf::HandedOn { stop, .. } if stop.load(Ordering::Acquire) => LogEnd::Interrupted,
            _ => LogEnd::Finished,
        };
        for reader in self.readers {
            match reader.join().map_err(|_| CliError::new(ErrorCode::Bug, "a reader has panicked"))? {
                LogEnd::Finished => {}
                other => end = other,
            }
        }
        Ok(end)
    }
}
