//! Blocks -> sums of the open window, and dead letters.

use std::path::Path;
use std::sync::Arc;

use super::contribution::ContributionBatch;
use super::identity::HashSeed;
use super::route::Router;
use super::window_sums::WindowSums;
use crate::clock::TimeSampler;
use crate::epoch::{Epoch, Window};
use crate::event::{Arrival, Decoder, Reason, Utf8};
use crate::findings::{Observations, Observer};
use crate::pipeline::Pipeline;
use crate::sink::{DeadLetter, Origin};
use crate::source::{Block, HEAD_BYTES, LogBytes, Message, Payload, SourceError, read_at};
use crate::telemetry::Metrics;

/// What a worker does with the blocks it takes: decode, route and add up, event by event, without a
/// heap allocation for any that counts.
pub struct BlockCounter {
    decoder: Decoder,
    router: Router,
    sums: WindowSums,
    pipeline: Arc<Pipeline>,
    metrics: Arc<Metrics>,
    observer: Observer,
    observations: Arc<Observations>,
    times: TimeSampler,
    window: Window,
    buffer: Vec<u8>,
    dead_letters: Vec<DeadLetter>,
}

/// What is counted of one block before it is added to the metrics.
#[derive(Default)]
struct Tally {
    events: u64,
}

impl BlockCounter {
    /// Counts for this many workers' rows.
    pub fn new(
        pipeline: Arc<Pipeline>,
        seed: HashSeed,
        workers: usize,
        metrics: Arc<Metrics>,
        observations: Arc<Observations>,
    ) -> BlockCounter {
        BlockCounter {
            decoder: Decoder::new(Arc::new(pipeline.event.clone())),
            router: Router::new(Arc::clone(&pipeline), seed),
            sums: WindowSums::new(workers),
            times: TimeSampler::default(),
            observer: Observer::new(&pipeline),
            pipeline,
            metrics,
            observations,
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
        let batches = self.sums.take_epoch(&self.times.take(), self.router.features()).collect();
        self.router.forget_if_many();
        batches
    }

    /// Counts a block of the open epoch, and gives back its dead letters.
    pub fn count(&mut self, block: &Block) -> Result<Vec<DeadLetter>, SourceError> {
        let mut tally = Tally::default();
        match &block.payload {
            Payload::Lines { file, offset, bytes: LogBytes::Read(bytes), arrival } => {
                self.count_lines(file, *offset, bytes, *arrival, block, &mut tally);
            }
            Payload::Lines { file, offset, bytes: LogBytes::InFile { file: handle, length }, arrival } => {
                let mut buffer = std::mem::take(&mut self.buffer);
                read_at(handle, *offset, *length, &mut buffer).map_err(|error| {
                    let file = file.display();
                    SourceError::caused_by(format!("cannot read the event log {file} at offset {offset}"), error)
                })?;
                self.count_lines(file, *offset, &buffer, *arrival, block, &mut tally);
                self.buffer = buffer;
            }
            Payload::LineTooLong { file, offset, length, head } => {
                self.enter_windows(&block.window_starts, 0);
                self.observer.refused(head, Reason::TooLong);
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
        let routes = self.router.tally();
        self.metrics.missing_keys.add(routes.missing_keys());
        self.metrics.missing_values.add(routes.missing_values());
        self.observations.add(routes, &mut self.observer);
        Ok(std::mem::take(&mut self.dead_letters))
    }

    fn count_lines(
        &mut self,
        file: &Arc<Path>,
        offset: u64,
        bytes: &[u8],
        arrival: Arrival,
        block: &Block,
        tally: &mut Tally,
    ) {
        let utf8 = check_utf8(bytes);
        let mut starts = block.window_starts.iter().copied().peekable();
        let mut start = 0;
        while start < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |length| start + length);
            while let Some((_, window)) = starts.next_if(|(place, _)| *place <= start) {
                self.enter_window(window);
            }
            let line = &bytes[start..end];
            match self.count_event(line, arrival, utf8) {
                Ok(counted) => tally.events += u64::from(counted),
                Err(reason) => {
                    self.dead_letters.push(dead_letter(reason, log_origin(file, offset + start as u64), line));
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
            match self.count_event(payload, message.arrival, Utf8::Unchecked) {
                Ok(counted) => tally.events += u64::from(counted),
                Err(reason) => {
                    let Message { partition, offset, .. } = *message;
                    let origin = Origin::Kafka { topic: topic.to_string(), partition, offset };
                    self.dead_letters.push(dead_letter(reason, origin, payload));
                }
            }
        }
        self.metrics.bytes.add(bytes.len() as u64);
    }

    /// Counts one event; there is none on a blank line.
    #[inline]
    fn count_event(&mut self, bytes: &[u8], arrival: Arrival, utf8: Utf8) -> Result<bool, Reason> {
        let event = match self.decoder.decode(bytes, arrival, utf8) {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(false),
            Err(reason) => {
                self.observer.refused(bytes, reason);
                return Err(reason);
            }
        };
        self.router.route(&event, &mut self.sums)?;
        if self.router.is_worth_a_look() {
            self.observer.look(bytes, &event);
        }
        self.times.observe(event.time(), event.arrival());
        Ok(true)
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

/// Of what is too long only the beginning is kept.
fn dead_letter(reason: Reason, origin: Origin, bytes: &[u8]) -> DeadLetter {
    let kept = if reason == Reason::TooLong { bytes.len().min(HEAD_BYTES) } else { bytes.len() };
    let length = (kept < bytes.len()).then_some(bytes.len() as u64);
    DeadLetter { reason, origin, bytes: bytes[..kept].to_vec(), length }
}

fn log_origin(file: &Path, offset: u64) -> Origin {
    Origin::Log { file: file.display().to_string(), offset }
}

/// One check of a whole block instead of one per line: a line of valid text is valid text.
fn check_utf8(bytes: &[u8]) -> Utf8 {
    if std::str::from_utf8(bytes).is_ok() { Utf8::Checked } else { Utf8::Unchecked }
}
