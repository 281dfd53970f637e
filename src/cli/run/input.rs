//! The source of a run: which one, and the threads it reads on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::{RunArgs, open};
use crate::cli::CliError;
use crate::clock::WallClock;
use crate::counter::EventTime;
use crate::epoch::{Epoch, Window};
use crate::pipeline::{ClockKind, Pipeline};
use crate::source::kafka::{EventClock, KafkaClock, KafkaOptions, KafkaProgress, KafkaSource};
use crate::source::log::{LogEnd, LogOptions, LogProgress, LogSource, LogSpan};
use crate::source::{Feed, SourceError, feed};
use crate::telemetry::{InputProgress, Metrics, Printable};

/// A source that was found to be there.
pub struct Input {
    source: Source,
    /// The run begins with it, or with a later one.
    first_epoch: Epoch,
}

enum Source {
    /// Event logs.
    Log(LogSource),
    /// A Kafka topic.
    Kafka {
        /// The topic.
        source: Box<KafkaSource>,
        /// What drives its windows.
        clock: KafkaClock,
        /// Whether reading stops by itself.
        until_end: bool,
    },
}

/// A source that is being read.
pub struct RunningInput {
    progress: ProgressOf,
    readers: Vec<JoinHandle<Result<LogEnd, SourceError>>>,
    /// Whether being asked to stop is the ordinary end.
    pub runs_until_stopped: bool,
}

enum ProgressOf {
    Log(Arc<LogProgress>),
    Kafka(Arc<KafkaProgress>),
}

impl Input {
    /// Finds the source that the arguments or the pipeline file name, before anything is written.
    pub fn open(args: &RunArgs, pipeline: &Pipeline, run_start: EventTime) -> Result<Input, CliError> {
        let default_clock = if args.events.is_empty() { ClockKind::Wall } else { ClockKind::Event };
        let clock = args.clock.or(pipeline.window.clock).unwrap_or(default_clock);
        let first_epoch = match clock {
            ClockKind::Wall => WallClock::epoch_now(pipeline.window.length),
            ClockKind::Event => Epoch(1),
        };
        let source = if args.events.is_empty() {
            open_kafka(args, pipeline, clock, first_epoch)?
        } else {
            open_log(args, pipeline, clock, run_start, first_epoch)?
        };
        Ok(Input { source, first_epoch })
    }

    /// The number of the run's first window.
    pub fn first_window(&self) -> Window {
        Window(self.first_epoch.0)
    }

    /// The names of the event logs that are read.
    pub fn logs(&self) -> Vec<&Path> {
        match &self.source {
            Source::Log(source) => source.names().collect(),
            Source::Kafka { .. } => Vec::new(),
        }
    }

    /// From when to when the events of the logs are, before they are counted: `None` where none counts.
    pub fn span(self, stop: &AtomicBool) -> Result<(Input, Option<LogSpan>), CliError> {
        let Source::Log(source) = self.source else { return Ok((self, None)) };
        if let Some(pipe) = source.pipe() {
            return Err(CliError::Usage(format!(
                "--shift-to: {} can be read only once, so the time of its last event is not known beforehand: write it to a file, \
                 and give that to --events",
                Printable(pipe.display())
            )));
        }
        let (source, span) = open::or_stop("the time of the last event", stop, move || {
            let span = source.span();
            (source, span)
        })?;
        Ok((Input { source: Source::Log(source), ..self }, span?))
    }

    /// Starts to read: one feed per worker.
    pub fn start(
        self,
        workers: usize,
        stop: &Arc<AtomicBool>,
        metrics: &Arc<Metrics>,
    ) -> Result<(Vec<Feed>, RunningInput), CliError> {
        match self.source {
            Source::Log(source) => start_log(source, self.first_epoch, workers, stop),
            Source::Kafka { source, clock, until_end } => {
                let running = start_kafka(*source, clock, self.first_epoch, workers, stop, metrics)?;
                Ok((running.0, RunningInput { runs_until_stopped: !until_end, ..running.1 }))
            }
        }
    }
}

fn open_log(
    args: &RunArgs,
    pipeline: &Pipeline,
    clock: ClockKind,
    run_start: EventTime,
    first_epoch: Epoch,
) -> Result<Source, CliError> {
    let options = LogOptions {
        schema: Arc::new(pipeline.event.clone()),
        clock,
        window_length: pipeline.window.length,
        replay_batch: pipeline.window.replay_batch,
        every_window: args.every_window,
        arrival: run_start,
        first_epoch,
        block_bytes: LogOptions::BLOCK_BYTES,
    };
    Ok(Source::Log(LogSource::open(&args.events, options).map_err(|error| CliError::usage(&error))?))
}

fn open_kafka(args: &RunArgs, pipeline: &Pipeline, clock: ClockKind, first_epoch: Epoch) -> Result<Source, CliError> {
    let Some(config) = &pipeline.kafka else {
        return Err(CliError::Usage(
            "nothing to read: give --events PATH..., or a [kafka] section in the pipeline file".to_owned(),
        ));
    };
    let window = &pipeline.window;
    let clock = match clock {
        ClockKind::Wall => KafkaClock::Wall(WallClock::new(window.length, first_epoch)),
        ClockKind::Event => KafkaClock::Event(EventClock::new(
            &pipeline.event,
            window.length,
            window.replay_batch,
            args.every_window,
            first_epoch,
        )),
    };
    let options = KafkaOptions { until_end: args.until_end, ..KafkaOptions::default() };
    let source = KafkaSource::connect(config, options)?;
    Ok(Source::Kafka { source: Box::new(source), clock, until_end: args.until_end })
}

fn start_log(
    source: LogSource,
    first_epoch: Epoch,
    workers: usize,
    stop: &Arc<AtomicBool>,
) -> Result<(Vec<Feed>, RunningInput), CliError> {
    let (sender, shared) = feed(first_epoch);
    let progress = source.progress();
    let stop = Arc::clone(stop);
    let reader = spawn("reader".to_owned(), move || source.run(sender, &stop))?;
    let running =
        RunningInput { progress: ProgressOf::Log(progress), readers: vec![reader], runs_until_stopped: false };
    Ok((vec![shared; workers], running))
}

fn start_kafka(
    source: KafkaSource,
    clock: KafkaClock,
    first_epoch: Epoch,
    workers: usize,
    stop: &Arc<AtomicBool>,
    metrics: &Arc<Metrics>,
) -> Result<(Vec<Feed>, RunningInput), CliError> {
    let progress = source.progress();
    let clock = Arc::new(clock);
    let (mut feeds, mut readers) = (Vec::new(), Vec::new());
    for (number, reader) in source.into_readers(workers)?.into_iter().enumerate() {
        let (sender, feed) = feed(first_epoch);
        feeds.push(feed);
        let (clock, stop, metrics) = (Arc::clone(&clock), Arc::clone(stop), Arc::clone(metrics));
        let read = move || {
            reader.run(sender, &clock, &metrics, &stop)?;
            Ok(if stop.load(Ordering::Acquire) { LogEnd::Interrupted } else { LogEnd::Finished })
        };
        readers.push(spawn(format!("reader {number}"), read)?);
    }
    Ok((feeds, RunningInput { progress: ProgressOf::Kafka(progress), readers, runs_until_stopped: true }))
}

fn spawn(
    name: String,
    read: impl FnOnce() -> Result<LogEnd, SourceError> + Send + 'static,
) -> Result<JoinHandle<Result<LogEnd, SourceError>>, CliError> {
    let thread = std::thread::Builder::new().name(name).spawn(read);
    thread.map_err(|error| CliError::Failed(format!("cannot start a reader: {error}")))
}

impl RunningInput {
    /// How far it has come.
    pub fn progress(&self) -> InputProgress {
        match &self.progress {
            ProgressOf::Log(log) => InputProgress::Bytes { read: log.bytes_read(), total: log.total_bytes() },
            ProgressOf::Kafka(kafka) => InputProgress::Lag(kafka.lag()),
        }
    }

    /// Waits for the readers, which have ended or are about to, and says how: the worst of their ends.
    pub fn join(self) -> Result<LogEnd, SourceError> {
        let mut end = LogEnd::Finished;
        for reader in self.readers {
            let result = reader.join().unwrap_or_else(|_| Err(SourceError::new("a reader has panicked")));
            match result? {
                LogEnd::Finished => {}
                other => end = other,
            }
        }
        Ok(end)
    }
}
