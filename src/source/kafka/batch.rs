//! Messages on their way into a block.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::Arrival;
use crate::source::{Message, Payload};

/// A block is handed over when it has this many bytes of payload.
const FULL_BYTES: usize = 1 << 20;

/// Or this many messages, so that empty ones take no more memory than others.
const FULL_MESSAGES: usize = 1 << 15;

/// A block waits no longer than this for more messages.
const LINGER: Duration = Duration::from_millis(20);

/// The messages read since the last block.
#[derive(Debug)]
pub(super) struct Batch {
    topic: Arc<str>,
    bytes: Vec<u8>,
    messages: Vec<Message>,
    due: Option<Instant>,
}

impl Batch {
    pub(super) fn new(topic: Arc<str>) -> Batch {
        Batch { topic, bytes: Vec::new(), messages: Vec::new(), due: None }
    }

    pub(super) fn push(&mut self, partition: i32, offset: i64, arrival: Arrival, payload: &[u8], now: Instant) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.messages.push(Message { partition, offset, arrival, start, length: payload.len() });
        self.due.get_or_insert(now + LINGER);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// When it must be handed over at the latest; `None` while it is empty.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it must be handed over now.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.bytes.len() >= FULL_BYTES || self.messages.len() >= FULL_MESSAGES || self.due.is_some_and(|due| due <= now)
    }

    /// Takes the messages out, and leaves room for as many again.
    pub(super) fn take(&mut self) -> Payload {
        let bytes = Vec::with_capacity(self.bytes.len());
        let messages = Vec::with_capacity(self.messages.len());
        self.due = None;
        Payload::Messages {
            topic: Arc::clone(&self.topic),
            bytes: std::mem::replace(&mut self.bytes, bytes),
            messages: std::mem::replace(&mut self.messages, messages),
        }
    }
}

/// The offset behind the last message of each partition in a block.
pub(super) fn ends_of(payload: &Payload) -> Vec<(i32, i64)> {
    let Payload::Messages { messages, .. } = payload else { return Vec::new() };
    let mut ends: Vec<(i32, i64)> = Vec::new();
    for message in messages {
        // Those of one partition mostly come together.
        match ends.iter_mut().rfind(|(id, _)| *id == message.partition) {
            Some((_, end)) => *end = message.offset + 1,
            None => ends.push((message.partition, message.offset + 1)),
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::EventTime;

    const ARRIVAL: Arrival = Arrival::at(EventTime(1_000));

    #[test]
    fn payloads_are_found_where_the_messages_say() {
        let mut batch = Batch::new(Arc::from("events"));
        let now = Instant::now();
        for (offset, payload) in [b"one".as_slice(), b"", b"three"].into_iter().enumerate() {
            batch.push(7, offset as i64, ARRIVAL, payload, now);
        }
        let Payload::Messages { bytes, messages, .. } = batch.take() else { panic!("messages") };
        let payloads: Vec<_> =
            messages.iter().map(|message| &bytes[message.start..message.start + message.length]).collect();
        assert_eq!(payloads, [b"one".as_slice(), b"", b"three"]);
        assert!(batch.is_empty() && batch.due().is_none());
    }

    #[test]
    fn the_last_message_of_each_partition_says_where_a_block_ends() {
        let mut batch = Batch::new(Arc::from("events"));
        for (partition, offset) in [(7, 3), (7, 9), (2, 0), (7, 11), (2, 4)] {
            batch.push(partition, offset, ARRIVAL, b"x", Instant::now());
        }
        assert_eq!(ends_of(&batch.take()), [(7, 12), (2, 5)]);
    }

    #[test]
    fn it_is_ready_when_full_or_when_its_first_message_has_waited() {
        let mut batch = Batch::new(Arc::from("events"));
        let now = Instant::now();
        assert!(!batch.is_ready(now + LINGER), "an empty one never is");
        batch.push(0, 0, ARRIVAL, b"x", now);
        batch.push(0, 1, ARRIVAL, b"x", now + LINGER / 2);
        assert!(!batch.is_ready(now) && batch.is_ready(now + LINGER));
        batch.push(0, 2, ARRIVAL, &vec![0; FULL_BYTES], now);
        assert!(batch.is_ready(now));
        batch.take();
        for offset in 0..FULL_MESSAGES as i64 {
            batch.push(0, offset, ARRIVAL, b"", now);
        }
        assert!(batch.is_ready(now));
    }
}
