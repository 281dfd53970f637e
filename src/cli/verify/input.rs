//! The events of a recount, and what is known of the run that counted them.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::cli::CliError;
use crate::clock::ArrivalClock;
use crate::counter::EventTime;
use crate::epoch::Epoch;
use crate::pipeline::{ClockKind, Pipeline, TimeShift};
use crate::sink::ItemReader;
use crate::source::log::{LogOptions, LogProgress, LogSource};
use crate::source::{Block, Feed, SourceError, feed};
use crate::telemetry::{InputProgress, Printable};

/// What the sink, or whoever asks, knows of the run.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownOfRun {
    /// When it began.
    pub run_start: Option<EventTime>,
    /// How it moved times.
    pub shift: Option<TimeShift>,
}

impl KnownOfRun {
    /// What is asked for wins over what the sink says.
    pub fn of(_reader: &mut dyn ItemReader, run_start: Option<EventTime>) -> Result<KnownOfRun, CliError> {
        Ok(KnownOfRun { run_start, shift: None })
    }
}

/// Event logs that were found.
pub(super) struct Input {
    source: LogSource,
}

/// Event logs that are being read.
pub(super) struct RunningInput {
    /// One per worker.
    pub feeds: Vec<Feed>,
    /// The same logs, where they can be read again.
    pub again: Option<Arc<LogSource>>,
    progress: Arc<LogProgress>,
    reader: JoinHandle<Result<Vec<String>, SourceError>>,
}

impl Input {
    /// Finds the logs. Those that can be read only once must say themselves when their events arrived.
    pub fn open(paths: &[PathBuf], pipeline: &Pipeline, known: &KnownOfRun) -> Result<Input, CliError> {
        let now = ArrivalClock::of_this_machine(pipeline.event.time_unit);
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
        let source = LogSource::open(paths, options).map_err(|error| CliError::usage(&error))?;
        if let Some(pipe) = source.pipe()
            && pipeline.event.max_ahead.is_some()
            && pipeline.event.arrival_field.is_none()
        {
            return Err(CliError::Usage(format!(
                "{} cannot be verified: its events arrived when the run read them, which nobody knows any more, and `max_ahead` \
                 hangs on that. Name the field with the time of arrival (arrival = \"FIELD\" in [event]), or write the events to a file \
                 and let the run read that",
                Printable(pipe.display())
            )));
        }
        Ok(Input { source })
    }

    /// How the run has moved times: as the sink says, or so that the last event was at `to`.
    pub fn shift(&self, to: Option<EventTime>, known: &KnownOfRun) -> Result<Option<TimeShift>, CliError> {
        let Some(to) = to else { return Ok(known.shift) };
        if let Some(pipe) = self.source.pipe() {
            let pipe = Printable(pipe.display());
            return Err(CliError::Usage(format!(
                "--shift-to: {pipe} can be read only once, and its last event is needed"
            )));
        }
        Ok(self.source.span()?.map(|span| TimeShift { from: span.last, to }))
    }

    /// Starts to read, for so many workers.
    pub fn start(self, workers: usize) -> Result<RunningInput, CliError> {
        let source = Arc::new(self.source);
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
        let reader = thread::Builder::new()
            .name("reader".to_owned())
            .spawn(read)
            .map_err(|error| CliError::Failed(format!("cannot start a reader: {error}")))?;
        Ok(RunningInput {
            feeds: vec![shared; workers],
            progress: source.progress(),
            again: source.pipe().is_none().then_some(source),
            reader,
        })
    }
}

impl RunningInput {
    /// How far it has come.
    pub fn progress(&self) -> InputProgress {
        InputProgress::Bytes { read: self.progress.bytes_read(), total: self.progress.total_bytes() }
    }

    /// Waits for the reader, and gives back what is wrong with logs that are damaged.
    pub fn join(self) -> Result<Vec<String>, CliError> {
        // Nobody takes any more.
        drop(self.feeds);
        let read = self.reader.join().map_err(|_| CliError::Failed("a reader has panicked".to_owned()))?;
        read.map_err(CliError::from)
    }
}
