//! The events of a recount, and what is known of the run that counted them.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};

use crossbeam_channel::Receiver;

use crate::cli::run::{KafkaInput, Notes, RunningInput as RunningTopic, start_kafka};
use crate::cli::{CliError, ErrorCode};
use crate::clock::{ArrivalClock, WallClock};
use crate::counter::EventTime;
use crate::dataflow::{Failure, RunError};
use crate::epoch::{Epoch, Version};
use crate::peers::Peers;
use crate::pipeline::{ClockKind, Pipeline, TimeShift};
use crate::sink::{ArrivalSource, ItemReader, RunRecord};
use crate::source::kafka::{KafkaClock, KafkaOptions, KafkaSource, RecordArrivals};
use crate::source::log::{LogOptions, LogProgress, LogSource};
use crate::source::{Block, CaughtUp, Feed, Positions, SourceError, SourcePositions, feed};
use crate::telemetry::{InputProgress, Metrics, Printable};

/// What is known of the run: by who asks, by its positions, or by what the sink keeps of it.
#[derive(Debug)]
pub(super) struct KnownOfRun {
    /// When it began.
    pub run_start: Option<EventTime>,
    /// What gave its events their arrival.
    arrival: Option<ArrivalSource>,
    shift: Option<TimeShift>,
    positions: Option<Positions>,
}

impl KnownOfRun {
    /// What is asked for wins over what positions say, and that over the sink's own record.
    pub fn of(
        reader: &mut dyn ItemReader,
        run_start: Option<EventTime>,
        until: Option<&Path>,
        pipeline: &Pipeline,
    ) -> Result<KnownOfRun, CliError> {
        let record = reader.record()?;
        let positions =
            until.map(Positions::read).transpose().map_err(|error| CliError::of(ErrorCode::Usage, &error))?;
        if let Some(other) = positions.as_ref().map(|known| &known.pipeline).filter(|name| **name != pipeline.name) {
            let (other, own) = (Printable(other), Printable(&pipeline.name));
            return Err(CliError::usage(format!("--until: these are positions of the pipeline {other}, not of {own}")));
        }
        let of_positions = positions.as_ref().and_then(|known| match &known.source {
            SourcePositions::Logs(logs) => logs.iter().flat_map(|log| &log.parts).map(|part| part.run_start).max(),
            SourcePositions::Kafka(topic) => Some(topic.run_start),
        });
        Ok(KnownOfRun {
            run_start: run_start.or(of_positions).or(record.map(|record| record.run_start)),
            arrival: record.map(|RunRecord { arrival, .. }| arrival),
            shift: match &positions {
                Some(positions) => positions.shift,
                None => record.and_then(|record| record.shift),
            },
            positions,
        })
    }

    /// The largest version that the run can have given an item, where its positions say so.
    pub fn last_version(&self) -> Option<Version> {
        self.positions.as_ref().map(|positions| positions.version)
    }

    /// An error where nobody knows any more by what the run judged its events.
    fn require_arrival(&self, pipeline: &Pipeline) -> Result<(), CliError> {
        match self.arrival.filter(|_| needs_arrival(pipeline)) {
            Some(ArrivalSource::Pipe) => Err(cannot_be_verified("what a run has read from a pipe")),
            Some(ArrivalSource::Kafka) if self.positions.is_none() => {
                tracing::warn!(
                    "the run has read a topic, and judged what is too far ahead by the times of its records, which these logs do \
                     not hold: nothing up to the run's start is too far ahead here"
                );
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Whether what becomes of an event hangs on when it arrived, which it does not say itself.
fn needs_arrival(pipeline: &Pipeline) -> bool {
    pipeline.event.max_ahead.is_some() && pipeline.event.arrival_field.is_none()
}

fn cannot_be_verified(what: &str) -> CliError {
    CliError::usage(format!(
        "{what} cannot be verified: its events arrived when the run read them, which nobody knows any more, and `max_ahead` hangs \
         on that. Name the field with the time of arrival (arrival = \"FIELD\" in [event]), or write the events to a file and let \
         the run read that"
    ))
}

/// Events that were found.
pub(super) enum Input {
    /// In logs.
    Logs(LogSource),
    /// In the pipeline's topic.
    Topic(Box<KafkaInput>),
}

/// Events that are being read.
pub(super) struct RunningInput {
    /// One per worker.
    pub feeds: Vec<Feed>,
    /// The same logs, where they can be read again.
    pub again: Option<Arc<LogSource>>,
    reader: Reader,
}

enum Reader {
    Logs { progress: Arc<LogProgress>, thread: JoinHandle<Result<Vec<String>, SourceError>> },
    Topic { topic: RunningTopic, errors: Receiver<RunError> },
}

impl Input {
    /// Finds the logs, or where none are named the topic up to the run's positions. What can be read only once must say itself when its
    /// events arrived.
    pub fn open(paths: &[PathBuf], pipeline: &Pipeline, known: &KnownOfRun) -> Result<Input, CliError> {
        known.require_arrival(pipeline)?;
        let now = ArrivalClock::of_this_machine(pipeline.event.time_unit);
        if paths.is_empty() {
            return open_topic(pipeline, known, now);
        }
        let options = LogOptions {
            schema: Arc::new(pipeline.event.clone()),
            clock: ClockKind::Event,
            window_length: pipeline.window.length,
            replay_batch: pipeline.window.replay_batch,
            every_window: false,
            run_start: known.run_start.unwrap_or_else(|| now.now()),
            now,
            first_epoch: Epoch(1),
            block_bytes: LogOptions::BLOCK_BYTES,
        };
        let source = LogSource::open(paths, options).map_err(|error| CliError::of(ErrorCode::LogUnreadable, &error))?;
        if let Some(pipe) = source.pipe()
            && needs_arrival(pipeline)
        {
            return Err(cannot_be_verified(&Printable(pipe.display()).to_string()));
        }
        Ok(Input::Logs(match &known.positions {
            Some(positions) => {
                source.up_to(positions).map_err(|error| CliError::of(ErrorCode::LogUnreadable, &error))?
            }
            None => source,
        }))
    }

    /// How the run has moved times: so that the last event was at `to`, or as is known.
    pub fn shift(&self, to: Option<EventTime>, known: &KnownOfRun) -> Result<Option<TimeShift>, CliError> {
        let (Some(to), Input::Logs(source)) = (to, self) else { return Ok(known.shift) };
        if let Some(pipe) = source.pipe() {
            let pipe = Printable(pipe.display());
            return Err(CliError::usage(format!(
                "--shift-to: {pipe} can be read only once, and its last event is needed"
            )));
        }
        Ok(source.span()?.map(|span| TimeShift { from: span.last, to }))
    }

    /// Starts to read, for so many workers.
    pub fn start(self, workers: usize, metrics: &Arc<Metrics>) -> Result<RunningInput, CliError> {
        match self {
            Input::Logs(source) => start_logs(source, workers),
            Input::Topic(topic) => {
                let stop = Arc::new(AtomicBool::new(false));
                let (failure, errors) = Failure::new(Arc::clone(&stop));
                let caught_up = Arc::new(CaughtUp::new(Some(workers)));
                // What is decoded is counted by whoever decodes; readers count what they leave out.
                let (feeds, topic) = start_kafka(
                    *topic,
                    &Notes::Nowhere,
                    Epoch(1),
                    Peers::alone(workers as u32),
                    &stop,
                    metrics,
                    &caught_up,
                    &failure,
                )?;
                Ok(RunningInput { feeds, again: None, reader: Reader::Topic { topic, errors } })
            }
        }
    }
}

fn open_topic(pipeline: &Pipeline, known: &KnownOfRun, now: ArrivalClock) -> Result<Input, CliError> {
    let Some(positions) = &known.positions else {
        return Err(CliError::usage(
            "nothing to recount: give the event logs with --events PATH..., or with --until the positions that a run from Kafka has \
             left (`run --positions FILE`)"
                .to_owned(),
        ));
    };
    let SourcePositions::Kafka(topic) = &positions.source else {
        return Err(CliError::usage(
            "these are positions in event logs: name the logs, too, with --events PATH...".to_owned(),
        ));
    };
    let Some(config) = &pipeline.kafka else {
        return Err(CliError::usage(
            "these are positions in a topic, and the pipeline file has no [kafka] section that says where it is"
                .to_owned(),
        ));
    };
    let source = KafkaSource::connect_up_to(config, topic, KafkaOptions::default(), &AtomicBool::new(false))?;
    let clock = KafkaClock::Wall(WallClock::new(pipeline.window.length, Epoch(1)).into());
    Ok(Input::Topic(Box::new(KafkaInput { source, clock, arrivals: RecordArrivals::new(now), until_end: true })))
}

fn start_logs(source: LogSource, workers: usize) -> Result<RunningInput, CliError> {
    let source = Arc::new(source);
    let (sender, shared) = feed(Epoch(1));
    let reading = Arc::clone(&source);
    let read = move || {
        let mut each = |payload| {
            let block = Block { epoch: Epoch(1), window_starts: Vec::new(), payload };
            if sender.send(block).is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        Ok(match reading.each_payload(&mut each)? {
            ControlFlow::Continue(damages) => damages,
            ControlFlow::Break(()) => Vec::new(),
        })
    };
    let thread = thread::Builder::new()
        .name("reader".to_owned())
        .spawn(read)
        .map_err(|error| CliError::new(ErrorCode::SystemRefuses, format!("cannot start a reader: {error}")))?;
    Ok(RunningInput {
        feeds: vec![shared; workers],
        reader: Reader::Logs { progress: source.progress(), thread },
        again: source.pipe().is_none().then_some(source),
    })
}

impl RunningInput {
    /// How far it has come.
    pub fn progress(&self) -> InputProgress {
        match &self.reader {
            Reader::Logs { progress, .. } => {
                InputProgress::Bytes { read: progress.bytes_read(), total: progress.total_bytes() }
            }
            Reader::Topic { topic, .. } => topic.progress(),
        }
    }

    /// Waits for the readers, and gives back what is wrong with logs that are damaged.
    pub fn join(self) -> Result<Vec<String>, CliError> {
        // Nobody takes any more.
        drop(self.feeds);
        match self.reader {
            Reader::Logs { thread, .. } => {
                let read = thread.join().map_err(|_| CliError::new(ErrorCode::Bug, "a reader has panicked"))?;
                read.map_err(CliError::from)
            }
            Reader::Topic { topic, errors } => {
                topic.join()?;
                match errors.try_iter().next() {
                    Some(RunError::Source(error) | RunError::Block(error)) => Err(error.into()),
                    Some(error) => Err(CliError::new(ErrorCode::Bug, error.to_string())),
                    None => Ok(Vec::new()),
                }
            }
        }
    }
}
