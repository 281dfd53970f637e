//! Blocks -> sums of the open window, and dead letters.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::contribution::ContributionBatch;
use super::identity::HashSeed;
use super::route::{RouteTally, Router};
use super::window_sums::WindowSums;
use crate::counter::EventTime;
use crate::epoch::{Epoch, Window};
use crate::event::{Arrival, Decoder, MedianClock, Reason, Utf8};
use crate::pipeline::Pipeline;
use crate::sink::{DeadLetter, Origin};
use crate::source::{Block, LogBytes, Message, Payload, SourceError};
use crate::telemetry::Metrics;

/// What a worker does with the blocks it takes: decode, route and add up, event by event, without a
/// heap allocation for any that counts.
pub struct BlockCounter {
    decoder: Decoder,
    router: Router,
    sums: WindowSums,
    pipeline: Arc<Pipeline>,
    metrics: Arc<Metrics>,
    stream: StreamTime,
    window: Window,
    buffer: Vec<u8>,
    dead_letters: Vec<DeadLetter>,
}

/// What is counted of one block before it is added to the metrics.
#[derive(Default)]
struct Tally {
    events: u64,
    late_events: u64,
    routes: RouteTally,
}

impl BlockCounter {
    /// Counts for this many workers' rows.
    pub fn new(pipeline: Arc<Pipeline>, seed: HashSeed, workers: usize, metrics: Arc<Metrics>) -> BlockCounter {
        BlockCounter {
            decoder: Decoder::new(Arc::new(pipeline.event.clone())),
            router: Router::new(Arc::clone(&pipeline), seed),
            sums: WindowSums::new(workers),
            stream: StreamTime::new(pipeline.window_units()),
            pipeline,
            metrics,
            window: Window::default(),
            buffer: Vec::new(),
            dead_letters: Vec::new(),
        }
    }

    /// Begins an epoch: its first window has its number.
    pub fn begin_epoch(&mut self, epoch: Epoch) {
        self.window = Window(epoch.0);
    }

    /// Ends the epoch: the sums of its events, one batch for each worker.
    pub fn end_epoch(&mut self) -> Vec<ContributionBatch> {
        self.sums.close_window(self.window, &self.pipeline);
        let batches = self.sums.take_epoch(self.stream.clock.now(), self.router.features()).collect();
        self.router.forget_if_many();
        batches
    }

    /// Counts a block of the open epoch, and gives back its dead letters.
    pub fn count(&mut self, block: &Block) -> Result<Vec<DeadLetter>, SourceError> {
        let mut tally = Tally::default();
        match &block.payload {
            Payload::Lines { file, offset, bytes: LogBytes::Read(bytes) } => {
                self.count_lines(file, *offset, bytes, block, &mut tally);
            }
            Payload::Lines { file, offset, bytes: LogBytes::InFile { file: handle, length } } => {
                let mut buffer = std::mem::take(&mut self.buffer);
                buffer.resize(*length, 0);
                handle.read_exact_at(&mut buffer, *offset).map_err(|error| {
                    SourceError::caused_by(format!("{}: cannot read at offset {offset}", file.display()), error)
                })?;
                self.count_lines(file, *offset, &buffer, block, &mut tally);
                self.buffer = buffer;
            }
            Payload::LineTooLong { file, offset, length, head } => {
                self.enter_windows(&block.window_starts, 0);
                self.dead_letters.push(DeadLetter {
                    reason: Reason::TooLong,
                    origin: log_origin(file, *offset),
                    bytes: head.clone(),
                    length: Some(*length),
                });
            }
            Payload::Messages { topic, bytes, messages } => {
                self.count_messages(topic, bytes, messages, &block.window_starts, &mut tally);
            }
        }
        self.sums.make_room(self.window, &self.pipeline, self.router.features());
        self.metrics.events.add(tally.events);
        self.metrics.late_events.add(tally.late_events);
        self.metrics.missing_keys.add(tally.routes.missing_keys);
        self.metrics.missing_values.add(tally.routes.missing_values);
        Ok(std::mem::take(&mut self.dead_letters))
    }

    fn count_lines(&mut self, file: &Arc<Path>, offset: u64, bytes: &[u8], block: &Block, tally: &mut Tally) {
        let utf8 = check_utf8(bytes);
        let mut starts = block.window_starts.iter().copied().peekable();
        let mut start = 0;
        while start < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |length| start + length);
            while let Some((_, window)) = starts.next_if(|(place, _)| *place <= start) {
                self.enter_window(window);
            }
            let line = &bytes[start..end];
            match self.count_event(line, block.arrival, utf8, &mut tally.routes) {
                Ok(Some(time)) => {
                    tally.events += 1;
                    tally.late_events += u64::from(self.stream.is_late(time));
                }
                Ok(None) => {}
                Err(reason) => {
                    let origin = log_origin(file, offset + start as u64);
                    self.dead_letters.push(DeadLetter { reason, origin, bytes: line.to_vec(), length: None });
                }
            }
            start = end + 1;
        }
        self.metrics.bytes.add(bytes.len() as u64);
    }

    fn count_messages(
        &mut self,
        topic: &Arc<str>,
        bytes: &[u8],
        messages: &[Message],
        window_starts: &[(usize, Window)],
        tally: &mut Tally,
    ) {
        let mut starts = window_starts.iter().copied().peekable();
        for (place, message) in messages.iter().enumerate() {
            while let Some((_, window)) = starts.next_if(|(start, _)| *start <= place) {
                self.enter_window(window);
            }
            let payload = &bytes[message.start..][..message.length];
            match self.count_event(payload, message.arrival, Utf8::Unchecked, &mut tally.routes) {
                Ok(Some(time)) => {
                    tally.events += 1;
                    tally.late_events += u64::from(self.stream.is_late(time));
                }
                Ok(None) => {}
                Err(reason) => self.dead_letters.push(DeadLetter {
                    reason,
                    origin: Origin::Kafka {
                        topic: topic.to_string(),
                        partition: message.partition,
                        offset: message.offset,
                    },
                    bytes: payload.to_vec(),
                    length: None,
                }),
            }
        }
        self.metrics.bytes.add(bytes.len() as u64);
    }

    /// Counts one event and returns its time; `None` for a blank line.
    #[inline]
    fn count_event(
        &mut self,
        bytes: &[u8],
        arrival: Arrival,
        utf8: Utf8,
        tally: &mut RouteTally,
    ) -> Result<Option<EventTime>, Reason> {
        let Some(event) = self.decoder.decode(bytes, arrival, utf8)? else { return Ok(None) };
        self.router.route(&event, &mut self.sums, tally)?;
        Ok(Some(event.time()))
    }

    fn enter_windows(&mut self, window_starts: &[(usize, Window)], place: usize) {
        for (_, window) in window_starts.iter().filter(|(start, _)| *start <= place) {
            self.enter_window(*window);
        }
    }

    fn enter_window(&mut self, window: Window) {
        if window != self.window {
            self.sums.close_window(self.window, &self.pipeline);
            self.window = window;
        }
    }
}

fn log_origin(file: &Path, offset: u64) -> Origin {
    Origin::Log { file: file.display().to_string(), offset }
}

/// One check of a whole block instead of one per line: a line of valid text is valid text.
fn check_utf8(bytes: &[u8]) -> Utf8 {
    if std::str::from_utf8(bytes).is_ok() { Utf8::Checked } else { Utf8::Unchecked }
}

/// The time in the stream, as one worker sees it.
struct StreamTime {
    clock: MedianClock,
    window_units: i64,
    late_before: EventTime,
    events: usize,
}

impl StreamTime {
    /// The clock looks at every so many events: a median for each would cost too much.
    const LOOK_AT_EVERY: usize = 16;

    fn new(window_units: i64) -> StreamTime {
        StreamTime { clock: MedianClock::default(), window_units, late_before: EventTime(i64::MIN), events: 0 }
    }

    /// Takes notice of an event, and says whether it is late: its time lies before the window that
    /// the stream is in, so that a job with windows of event time would drop it.
    #[inline]
    fn is_late(&mut self, time: EventTime) -> bool {
        if self.events.is_multiple_of(Self::LOOK_AT_EVERY) {
            self.clock.observe(time);
            let window_start = |now: EventTime| EventTime(now.0 - now.0.rem_euclid(self.window_units));
            self.late_before = self.clock.now().map_or(self.late_before, window_start);
        }
        self.events += 1;
        time < self.late_before
    }
}
