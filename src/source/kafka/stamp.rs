//! Stamping a replay's messages: by the times of the last of each block, or of every one.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{MedianClock, SharedClock};
use crate::counter::EventTime;
use crate::epoch::Epoch;
use crate::event::{Decoder, EventSchema, Utf8};
use crate::source::split::split_by_epoch;
use crate::source::{Block, Message, Payload};

/// Stamps the messages of all readers by one event clock.
#[derive(Debug)]
pub struct EventStamper {
    /// Of the events' names and times alone.
    schema: Arc<EventSchema>,
    every_window: bool,
    clock: SharedClock,
}

impl EventStamper {
    /// With a clock whose first epoch is `first`. With `every_window` it looks at every message and
    /// blocks say where each window begins, else it looks at the last messages of each block.
    pub fn new(
        schema: &EventSchema,
        window_length: Duration,
        replay_batch: u64,
        every_window: bool,
        first: Epoch,
    ) -> EventStamper {
        let clock = SharedClock::new(window_length, schema.time_unit, replay_batch, first);
        EventStamper { schema: Arc::new(schema.without_fields()), every_window, clock }
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Stamps messages, and moves on by their times.
    pub(super) fn stamp(&self, topic: Arc<str>, bytes: Vec<u8>, messages: Vec<Message>) -> Vec<Block> {
        // Decoding is done before the clock is taken, so that readers do not wait for each other.
        let looked_at = if self.every_window { 0 } else { messages.len().saturating_sub(MedianClock::SAMPLES) };
        let times = self.times_of(&bytes, &messages[looked_at..]);
        if self.every_window {
            let parts = self.clock.cut(|parts| {
                for (time, message) in times.into_iter().zip(&messages) {
                    parts.add(time, message.length as u64, 1);
                }
            });
            return split_by_epoch(Payload::Messages { topic, bytes, messages }, parts).collect();
        }
        let epoch = self.clock.after_block(messages.len() as u64, bytes.len() as u64, times.into_iter().flatten());
        vec![Block { epoch, window_starts: Vec::new(), payload: Payload::Messages { topic, bytes, messages } }]
    }

    /// The times of those messages that are events.
    fn times_of(&self, bytes: &[u8], messages: &[Message]) -> Vec<Option<EventTime>> {
        let mut decoder = Decoder::new(Arc::clone(&self.schema));
        let time_of = |message: &Message| {
            let payload = bytes.get(message.start..message.start + message.length)?;
            let event = decoder.decode(payload, message.arrival, Utf8::Unchecked).ok()?;
            event.map(|event| event.time())
        };
        messages.iter().map(time_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::epoch::Window;
    use crate::event::Arrival;
    use crate::source::kafka::batch::Batch;

    const ARRIVED: Arrival = Arrival::at(EventTime(1_000));

    fn stamper(replay_batch: u64, every_window: bool) -> EventStamper {
        let schema = EventSchema::of_seconds("n", "t");
        EventStamper::new(&schema, Duration::from_secs(5), replay_batch, every_window, Epoch(7))
    }

    /// Stamps messages with these times that arrived at second 1,000.
    fn stamp(stamper: &EventStamper, seconds: impl IntoIterator<Item = i64>) -> Vec<Block> {
        let mut batch = Batch::new(Arc::from("events"));
        for (offset, second) in (0..).zip(seconds) {
            let payload = format!("{{\"n\":\"like\",\"t\":{second}}}");
            batch.push(0, offset, ARRIVED, payload.as_bytes(), Instant::now());
        }
        let Payload::Messages { topic, bytes, messages } = batch.take() else { panic!("messages") };
        stamper.stamp(topic, bytes, messages)
    }

    fn payloads(block: &Block) -> Vec<String> {
        let Payload::Messages { bytes, messages, .. } = &block.payload else { panic!("messages") };
        let text = |message: &Message| String::from_utf8_lossy(&bytes[message.start..][..message.length]).into_owned();
        messages.iter().map(text).collect()
    }

    #[test]
    fn times_that_no_event_may_have_do_not_move_it() {
        let stamper = stamper(0, false);
        stamp(&stamper, 100..110);
        stamp(&stamper, [2_000; 20]);
        assert_eq!(stamper.clock().epoch(), Epoch(7), "later than their arrival and the limit");
    }

    #[test]
    fn with_every_window_blocks_are_cut_where_epochs_begin() {
        let stamper = stamper(12, true);
        let blocks = stamp(&stamper, 0..30);
        let together: Vec<_> = blocks.iter().flat_map(payloads).collect();
        let expected: Vec<_> = (0..30).map(|second| format!("{{\"n\":\"like\",\"t\":{second}}}")).collect();
        assert_eq!(together, expected, "nothing is lost or doubled by the cut");
        // The median trails by four seconds.
        let stamps: Vec<_> =
            blocks.iter().map(|block| (block.epoch, block.window_starts.clone(), payloads(block).len())).collect();
        assert_eq!(
            stamps,
            [
                (Epoch(7), vec![(9, Window(8))], 14),
                (Epoch(9), vec![(5, Window(10)), (10, Window(11))], 15),
                (Epoch(12), vec![], 1),
            ]
        );
    }
}
