//! Blocks of input -> additions, one by one.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::additions::EventReader;
use super::recount::Shared;
use super::row::{Addition, KeyId, RowId};
use super::stream_end::StreamEnd;
use crate::event::{Arrival, Decoder, Reason, Utf8};
use crate::source::{LogBytes, Payload};
use crate::telemetry::Metrics;

/// The texts of keys.
pub(super) type KeyTexts = HashMap<KeyId, Box<[u8]>, RandomState>;

/// Decodes events and takes their additions. One for each thread.
pub(super) struct BlockReader<'a> {
    metrics: &'a Metrics,
    decoder: Decoder,
    events: EventReader,
    /// As far as this reader has seen.
    end: StreamEnd,
}

impl<'a> BlockReader<'a> {
    /// What it reads is counted in these metrics.
    pub fn new(shared: &Shared, metrics: &'a Metrics) -> BlockReader<'a> {
        BlockReader {
            decoder: Decoder::new(Arc::new(shared.pipeline.event.clone())),
            events: EventReader::new(
                Arc::clone(&shared.pipeline),
                shared.identities,
                shared.sample,
                Arc::clone(&shared.features),
            ),
            end: StreamEnd::default(),
            metrics,
        }
    }

    /// Passes on what the events of a block add, each with how far the stream had come then.
    pub fn read(&mut self, payload: &Payload, add: &mut dyn FnMut(RowId, Addition, i64)) {
        match payload {
            Payload::Lines { bytes: LogBytes::Read(bytes), arrival, .. } => {
                let utf8 = if std::str::from_utf8(bytes).is_ok() { Utf8::Checked } else { Utf8::Unchecked };
                for line in bytes.split(|byte| *byte == b'\n') {
                    self.event(line, *arrival, utf8, add);
                }
                self.metrics.bytes.add(bytes.len() as u64);
            }
            // Nobody makes such blocks for a recount.
            Payload::Lines { bytes: LogBytes::InFile { .. }, .. } => {}
            Payload::LineTooLong { .. } => self.metrics.dead_letters(Reason::TooLong).add(1),
            Payload::Messages { bytes, messages, .. } => {
                for message in messages {
                    let payload = &bytes[message.start..][..message.length];
                    self.event(payload, message.arrival, Utf8::Unchecked, add);
                }
                self.metrics.bytes.add(bytes.len() as u64);
            }
        }
    }

    /// How far the stream has come, and the texts of all keys that came.
    pub fn finish(self) -> (Option<i64>, KeyTexts) {
        (self.end.latest(), self.events.into_key_texts())
    }

    #[inline]
    fn event(&mut self, bytes: &[u8], arrival: Arrival, utf8: Utf8, add: &mut dyn FnMut(RowId, Addition, i64)) {
        let outcome = match self.decoder.decode(bytes, arrival, utf8) {
            Ok(None) => return,
            Ok(Some(event)) => self.events.additions(&event).map(|additions| {
                self.end.observe(event.time().0);
                let latest = self.end.latest().unwrap_or(i64::MIN);
                additions.iter().for_each(|(row, addition)| add(*row, *addition, latest));
            }),
            Err(reason) => Err(reason),
        };
        match outcome {
            Ok(()) => self.metrics.events.add(1),
            Err(reason) => self.metrics.dead_letters(reason).add(1),
        }
    }
}
