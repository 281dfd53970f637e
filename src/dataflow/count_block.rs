//! Blocks -> sums of the open window, and dead letters.

use std::sync::Arc;
use std::time::Instant;

use super::sampled_keys::KeySampler;
use crate::clock::TimeSampler;
use crate::epoch::{Epoch, Window};
use crate::event::{Arrival, Decoder, Reason, Utf8};
use crate::findings::{Observations, Observer};
use crate::pipeline::Pipeline;
use crate::sink::{DeadLetterBatch, Position};
use crate::source::{Block, HEAD_BYTES, LogBytes, Message, Payload, SourceError, read_at};
use crate::sums::{ContributionBatch, HashSeed, Router, WindowSums};
use crate::telemetry::Metrics;

/// What a worker does with the blocks it takes: decode, route and add up, event by event, without a
/// heap allocation for any that counts.
pub(crate) struct BlockCounter {
    decoder: Decoder,
    router: Router,
    sums: WindowSums,
    pipeline: Arc<Pipeline>,
    metrics: Arc<Metrics>,
    observer: Observer,
    observations: Arc<Observations>,
    times: TimeSampler,
    hot_keys: KeySampler,
    /// An event is late that arrives by so many time units behind its own time.
    late_by: i64,
    window: Window,
    buffer: Vec<u8>,
}

/// What comes of one block besides sums.
struct Tally {
    events: u64,
    late: u64,
    dead_letters: DeadLetterBatch,
}

/// What became of a line or message.
#[derive(Clone, Copy)]
enum Counted {
    InTime,
    Late,
    /// There was nothing on it.
    Blank,
}

impl Tally {
    #[inline]
    fn add(&mut self, counted: Counted) {
        self.events += u64::from(!matches!(counted, Counted::Blank));
        self.late += u64::from(matches!(counted, Counted::Late));
    }

    /// Keeps an event that does not count; of one that is too long its beginning.
    fn refuse(&mut self, reason: Reason, position: Position, event: &[u8]) {
        let kept = if reason == Reason::TooLong { event.len().min(HEAD_BYTES) } else { event.len() };
        self.dead_letters.push_beginning(reason, position, &event[..kept], event.len() as u64);
    }
}

impl BlockCounter {
    /// Counts for the keys of so many workers.
    pub fn new(
        pipeline: Arc<Pipeline>,
        seed: HashSeed,
        workers: u32,
        metrics: Arc<Metrics>,
        observations: Arc<Observations>,
    ) -> BlockCounter {
        BlockCounter {
            decoder: Decoder::new(Arc::new(pipeline.event.clone())),
            router: Router::new(Arc::clone(&pipeline), seed),
            sums: WindowSums::new(workers),
            times: TimeSampler::default(),
            hot_keys: KeySampler::default(),
            late_by: pipeline.event.time_unit.units_of(pipeline.window.length),
            observer: Observer::new(&pipeline),
            pipeline,
            metrics,
            observations,
            window: Window::default(),
            buffer: Vec::new(),
        }
    }

    /// Begins an epoch: its first window has its number.
    pub fn begin_epoch(&mut self, epoch: Epoch) {
        self.window = Window(epoch.0);
    }

    /// Ends the epoch: the sums of its events, one batch for each worker.
    pub fn end_epoch(&mut self) -> Vec<ContributionBatch> {
        self.sums.close_window(self.window, &self.pipeline);
        let batches = self.sums.take_epoch(&self.times.take(), self.router.features(), &self.pipeline).collect();
        self.router.forget_if_many();
        batches
    }

    /// Counts a block of the open epoch, and gives back its dead letters.
    pub fn count(&mut self, block: &Block) -> Result<DeadLetterBatch, SourceError> {
        let mut tally = Tally { events: 0, late: 0, dead_letters: DeadLetterBatch::new(block.payload.source()) };
        match &block.payload {
            Payload::Lines { offset, bytes: LogBytes::Read(bytes), arrival, .. } => {
                self.count_lines(*offset, bytes, *arrival, &block.window_starts, &mut tally);
            }
            Payload::Lines { file, offset, bytes: LogBytes::InFile { file: handle, length }, arrival } => {
                let mut buffer = std::mem::take(&mut self.buffer);
                read_at(handle, *offset, *length, &mut buffer).map_err(|error| {
                    let file = file.display();
                    SourceError::caused_by(format!("cannot read the event log {file} at offset {offset}"), error)
                })?;
                self.count_lines(*offset, &buffer, *arrival, &block.window_starts, &mut tally);
                self.buffer = buffer;
            }
            Payload::LineTooLong { offset, length, head, .. } => {
                self.enter_windows(&block.window_starts, 0);
                self.observer.refused(head, Reason::TooLong);
                tally.dead_letters.push_beginning(Reason::TooLong, Position::Line(*offset), head, *length);
            }
            Payload::Messages { bytes, messages, .. } => {
                self.count_messages(bytes, messages, &block.window_starts, &mut tally);
            }
        }
        self.metrics.events.add(tally.events);
        self.metrics.late_events.add(tally.late);
        self.hot_keys.end_block(tally.events, &self.metrics.hot_keys, Instant::now());
        let routes = self.router.tally();
        self.metrics.missing_keys.add(routes.missing_keys());
        self.metrics.missing_values.add(routes.missing_values());
        self.observations.add(routes, &mut self.observer);
        tally.dead_letters.shrink();
        Ok(tally.dead_letters)
    }

    fn count_lines(
        &mut self,
        offset: u64,
        bytes: &[u8],
        arrival: Arrival,
        window_starts: &[(usize, Window)],
        tally: &mut Tally,
    ) {
        let utf8 = check_utf8(bytes);
        let mut starts = window_starts.iter().copied().peekable();
        let mut start = 0;
        while start < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |length| start + length);
            while let Some((_, window)) = starts.next_if(|(place, _)| *place <= start) {
                self.enter_window(window);
            }
            let line = &bytes[start..end];
            match self.count_event(line, arrival, utf8) {
                Ok(counted) => tally.add(counted),
                Err(reason) => tally.refuse(reason, Position::Line(offset + start as u64), line),
            }
            start = end + 1;
        }
        self.metrics.bytes.add(bytes.len() as u64);
    }

    fn count_messages(
        &mut self,
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
            match self.count_event(payload, message.arrival, Utf8::Unchecked) {
                Ok(counted) => tally.add(counted),
                Err(reason) => {
                    tally.refuse(reason, Position::Message(message.partition, message.offset), payload);
                }
            }
        }
        self.metrics.bytes.add(bytes.len() as u64);
    }

    /// Counts one event; there is none on a blank line.
    #[inline]
    fn count_event(&mut self, bytes: &[u8], arrival: Arrival, utf8: Utf8) -> Result<Counted, Reason> {
        let event = match self.decoder.decode(bytes, arrival, utf8) {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(Counted::Blank),
            Err(reason) => {
                self.observer.refused(bytes, reason);
                return Err(reason);
            }
        };
        self.router.route(&event, &mut self.sums)?;
        if self.sums.is_full() {
            self.sums.make_room(self.window, &self.pipeline, self.router.features());
        }
        if self.router.is_worth_a_look() {
            self.observer.look(bytes, &event);
        }
        // Few events are looked at for their times, and few of these for their keys.
        if self.times.observe(event.time(), event.arrival().time()) && self.hot_keys.is_due() {
            self.hot_keys.look(self.router.last_keys(&event));
        }
        let is_late = event.arrival().is_later(event.time(), self.late_by);
        Ok(if is_late { Counted::Late } else { Counted::InTime })
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

/// One check of a whole block instead of one per line: a line of valid text is valid text.
fn check_utf8(bytes: &[u8]) -> Utf8 {
    if std::str::from_utf8(bytes).is_ok() { Utf8::Checked } else { Utf8::Unchecked }
}
