//! The source of a run: which one, and the threads it reads on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::positions::Reached;
use super::running::{KafkaInput, Notes, RunningInput, start_kafka, start_log};
use super::{Around, RunArgs, open};
use crate::cli::time::show_time;
use crate::cli::{CliError, ErrorCode};
use crate::clock::{ArrivalClock, WallClock};
use crate::counter::EventTime;
use crate::dataflow::Failure;
use crate::epoch::{Epoch, Window};
use crate::event::TimeUnit;
use crate::peers::Peers;
use crate::pipeline::{ClockKind, Pipeline, TimeShift};
use crate::sink::ArrivalSource;
use crate::source::kafka::{
    EventStamper, KafkaClock, KafkaOptions, KafkaProgress, KafkaSource, RecordArrivals, TopicStarts,
};
use crate::source::log::{LogOptions, LogSource, LogSpan};
use crate::source::{CaughtUp, Cuts, Feed, Resume};
use crate::telemetry::{HumanBytes, HumanCount, Printable};

/// A source that was found to be there.
pub struct Input {
    source: Source,
    epochs: RunEpochs,
}

/// What numbers the epochs of a run.
#[derive(Clone, Copy, Debug)]
pub struct RunEpochs {
    clock: ClockKind,
    /// The run begins with it, or with a later one.
    first: Epoch,
}

impl RunEpochs {
    /// Those of a run with these arguments: behind those of the runs before it, where they are known.
    pub fn of(args: &RunArgs, pipeline: &Pipeline, behind: Option<Epoch>) -> RunEpochs {
        let default_clock = if args.events.is_empty() { ClockKind::Wall } else { ClockKind::Event };
        let clock = args.clock.or(pipeline.window.clock).unwrap_or(default_clock);
        let first = match clock {
            ClockKind::Wall => WallClock::epoch_now(pipeline.window.length),
            ClockKind::Event => Epoch(1),
        };
        RunEpochs { clock, first: first.max(behind.unwrap_or_default()).max(Epoch(1)) }
    }

    /// The run begins with this epoch, or with a later one.
    pub fn first(self) -> Epoch {
        self.first
    }

    /// The run's first window.
    pub fn first_window(self) -> Window {
        Window(self.first.0)
    }

    /// The epoch before the first.
    pub fn before(self) -> Epoch {
        Epoch(self.first.0 - 1)
    }
}

enum Source {
    /// Event logs.
    Log(LogSource),
    /// A Kafka topic.
    Kafka(Box<KafkaInput>),
}

impl Input {
    /// Finds the source that the arguments or the pipeline file name, before anything is written. With a state (`kept`) it is read so
    /// that a later run can go on, from where an earlier one has left it.
    /// A `stop` ends the wait for it.
    pub fn open(
        args: &RunArgs,
        pipeline: &Pipeline,
        epochs: RunEpochs,
        kept: Option<Option<&Resume>>,
        run_start: EventTime,
        now: ArrivalClock,
        stop: &AtomicBool,
    ) -> Result<Input, CliError> {
        let source = if args.events.is_empty() {
            open_kafka(args, pipeline, epochs, kept, run_start, now, stop)?
        } else {
            open_log(args, pipeline, epochs, kept, run_start, now)?
        };
        Ok(Input { source, epochs })
    }

    /// The names of the event logs that are read.
    pub fn logs(&self) -> Vec<&Path> {
        match &self.source {
            Source::Log(source) => source.names().collect(),
            Source::Kafka(_) => Vec::new(),
        }
    }

    /// What gives its events their arrival, where no field of theirs does.
    pub fn arrival(&self) -> ArrivalSource {
        match &self.source {
            Source::Log(source) if source.has_pipes() => ArrivalSource::Pipe,
            Source::Log(_) => ArrivalSource::Files,
            Source::Kafka(_) => ArrivalSource::Kafka,
        }
    }

    /// How far it has been read, now and later.
    pub fn reached(&self) -> Reached {
        match &self.source {
            Source::Log(source) => Reached::Logs(source.reached()),
            Source::Kafka(kafka) => Reached::Kafka(kafka.source.progress()),
        }
    }

    /// Whether files are read to their end, which nobody waits for but at the end.
    pub fn is_replay(&self) -> bool {
        matches!(&self.source, Source::Log(source) if source.pipe().is_none())
    }

    /// Where so many readers note up to where they have read.
    pub fn cuts(&self, workers: usize) -> Arc<Cuts> {
        match &self.source {
            Source::Log(source) => source.cuts(),
            Source::Kafka(kafka) => kafka.source.cuts(workers),
        }
    }

    /// So much of it, for people.
    pub fn shown(&self, bytes_or_messages: u64) -> String {
        match &self.source {
            Source::Log(_) => HumanBytes(bytes_or_messages).to_string(),
            Source::Kafka(_) => format!("{} messages", HumanCount(bytes_or_messages)),
        }
    }

    /// What is told when everything is read that there was at the start; of logs, that is only their end.
    pub fn caught_up(&self, workers: usize) -> CaughtUp {
        CaughtUp::new(matches!(self.source, Source::Kafka(_)).then_some(workers))
    }

    /// What moves the last event of the logs to this time, before any is counted; nothing, where none counts.
    pub fn shift_to(
        self,
        to: EventTime,
        unit: TimeUnit,
        stop: &AtomicBool,
    ) -> Result<(Input, Option<TimeShift>), CliError> {
        let Source::Log(source) = self.source else { return Ok((self, None)) };
        let (source, span) = open::or_stop("the time of the last event", stop, move || {
            let span = source.span();
            (source, span)
        })?;
        let shift = span?.map(|span| shift(span, to, unit)).transpose()?;
        Ok((Input { source: Source::Log(source), ..self }, shift))
    }

    /// Refuses input that `--shift-to` cannot be used with: it has to be read twice.
    pub fn refuse_shift(&self) -> Result<(), CliError> {
        let Source::Log(source) = &self.source else { return Ok(()) };
        match source.pipe() {
            None => Ok(()),
            Some(pipe) => Err(CliError::usage(format!(
                "--shift-to: {} can be read only once, so the time of its last event is not known beforehand: write it to a file, \
                 and give that to --events",
                Printable(pipe.display())
            ))),
        }
    }

    /// Starts to read: one feed per worker of this process. A reader that cannot go on tells `failure`.
    pub fn start(
        self,
        peers: Peers,
        around: &Around,
        caught_up: &Arc<CaughtUp>,
        failure: &Failure,
        notes: &Notes,
    ) -> Result<(Vec<Feed>, RunningInput), CliError> {
        let Around { stop, metrics, .. } = around;
        let (first, workers) = (self.epochs.first, peers.workers_here() as usize);
        match self.source {
            Source::Log(source) => start_log(source, notes, first, workers, stop, failure),
            Source::Kafka(kafka) => start_kafka(*kafka, notes, first, peers, stop, metrics, caught_up, failure),
        }
    }

    /// Whether it is a topic.
    pub fn is_topic(&self) -> bool {
        matches!(self.source, Source::Kafka(_))
    }

    /// Of a topic, as it was found.
    pub fn topic_starts(&self) -> Option<TopicStarts> {
        let Source::Kafka(kafka) = &self.source else { return None };
        Some(kafka.source.starts())
    }

    /// Of a topic, how far it is read, and the wall clock by which that goes.
    pub fn topic(&self) -> Option<(Arc<KafkaProgress>, Arc<WallClock>)> {
        let Source::Kafka(kafka) = &self.source else { return None };
        let KafkaClock::Wall(clock) = &kafka.clock else { return None };
        Some((kafka.source.progress(), Arc::clone(clock)))
    }
}

fn shift(span: LogSpan, to: EventTime, unit: TimeUnit) -> Result<TimeShift, CliError> {
    let shift = TimeShift { from: span.last, to };
    if shift.moved(span.first).0 >= 0 {
        return Ok(shift);
    }
    let [to, first, last] = [to, span.first, span.last].map(|time| show_time(time.0, unit));
    Err(CliError::usage(format!(
        "--shift-to {to}: with the last event there, the first one would be before 1970, since they are from {first} to \
         {last}: give a later time"
    )))
}

fn open_log(
    args: &RunArgs,
    pipeline: &Pipeline,
    epochs: RunEpochs,
    kept: Option<Option<&Resume>>,
    run_start: EventTime,
    now: ArrivalClock,
) -> Result<Source, CliError> {
    let options = LogOptions {
        schema: Arc::new(pipeline.event.clone()),
        clock: epochs.clock,
        window_length: pipeline.window.length,
        replay_batch: pipeline.window.replay_batch,
        every_window: args.every_window,
        run_start,
        now,
        first_epoch: epochs.first,
        block_bytes: LogOptions::BLOCK_BYTES,
    };
    let source =
        LogSource::open(&args.events, options).map_err(|error| CliError::of(ErrorCode::LogUnreadable, &error))?;
    Ok(Source::Log(match kept {
        None => source,
        Some(None) => source.keeping_state()?,
        Some(Some(resume)) => source.go_on(resume)?,
    }))
}

fn open_kafka(
    args: &RunArgs,
    pipeline: &Pipeline,
    epochs: RunEpochs,
    kept: Option<Option<&Resume>>,
    run_start: EventTime,
    now: ArrivalClock,
    stop: &AtomicBool,
) -> Result<Source, CliError> {
    let Some(config) = &pipeline.kafka else {
        return Err(CliError::usage(
            "nothing to read: give --events PATH..., or a [kafka] section in the pipeline file".to_owned(),
        ));
    };
    let window = &pipeline.window;
    let clock = match epochs.clock {
        ClockKind::Wall => KafkaClock::Wall(Arc::new(WallClock::new(window.length, epochs.first))),
        ClockKind::Event => KafkaClock::Event(Box::new(EventStamper::new(
            &pipeline.event,
            window.length,
            window.replay_batch,
            args.every_window,
            epochs.first,
        ))),
    };
    let keeps_positions = kept.is_some() || args.positions.is_some();
    let options = KafkaOptions { run_start, keeps_positions, until_end: args.until_end, ..KafkaOptions::default() };
    tracing::info!(
        "reading topic \"{}\" of Kafka at {} (event logs are named with --events)",
        config.topic,
        config.brokers
    );
    let source = match kept.flatten() {
        Some(resume) => KafkaSource::connect_from(config, options, stop, resume)?,
        None => KafkaSource::connect(config, options, stop)?,
    };
    let arrivals = RecordArrivals::new(now);
    Ok(Source::Kafka(Box::new(KafkaInput { source, clock, arrivals, until_end: args.until_end })))
}
