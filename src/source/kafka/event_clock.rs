//! The event clock that the readers of a topic share: windows follow the times of the messages.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::{Begins, MedianClock, StreamClock};
use crate::counter::EventTime;
use crate::epoch::{Epoch, Window};
use crate::event::{Arrival, Decoder, EventSchema, Utf8};
use crate::source::{Block, Message, Payload};

/// Drives the windows of a replay from Kafka.
///
/// A block is stamped when it is handed over: with the epoch in which the shared clock stands then,
/// so each reader's epochs only rise, whatever the others read.
#[derive(Debug)]
pub struct EventClock {
    /// Of the events' names and times alone.
    schema: Arc<EventSchema>,
    window_length: Duration,
    every_window: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    clock: StreamClock,
    /// Since when the current epoch holds something.
    open_since: Option<Instant>,
}

impl EventClock {
    /// A clock whose first epoch is `first`. With `every_window` it looks at every message and
    /// blocks say where each window begins, else it looks at the last messages of each block.
    pub fn new(
        schema: &EventSchema,
        window_length: Duration,
        replay_batch: u64,
        every_window: bool,
        first: Epoch,
    ) -> EventClock {
        let clock = StreamClock::new(window_length, schema.time_unit, replay_batch, first);
        let state = Mutex::new(State { clock, open_since: None });
        EventClock { schema: Arc::new(schema.without_fields()), window_length, every_window, state }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.lock().clock.epoch()
    }

    /// Takes notice that a reader has nothing more to read at present. An epoch that has been open
    /// for one window of wall time ends, so that the counts of a topic that still grows show.
    pub(super) fn caught_up(&self) {
        let mut state = self.lock();
        if state.open_since.is_some_and(|since| since.elapsed() >= self.window_length) {
            state.clock.pause();
            state.open_since = None;
        }
    }

    /// Stamps messages, and moves on by their times.
    pub(super) fn stamp(&self, topic: &Arc<str>, read: Arrival, bytes: Vec<u8>, messages: Vec<Message>) -> Vec<Block> {
        // Decoding is done before the clock is taken, so that readers do not wait for each other.
        let looked_at = if self.every_window { 0 } else { messages.len().saturating_sub(MedianClock::SAMPLES) };
        let times = self.times_of(&bytes, &messages[looked_at..]);
        let mut state = self.lock();
        let epoch = state.clock.epoch();
        let blocks = if self.every_window {
            let lengths = messages.iter().map(|message| message.length as u64);
            let parts = split_by_epoch(&mut state.clock, times.into_iter().zip(lengths));
            split_messages(topic, read, bytes, messages, parts)
        } else {
            state.clock.after_block(messages.len() as u64, bytes.len() as u64, times.into_iter().flatten());
            let payload = Payload::Messages { topic: Arc::clone(topic), bytes, messages };
            vec![Block { epoch, window_starts: Vec::new(), arrival: read, payload }]
        };
        let ended = state.clock.epoch() > epoch;
        state.open_since = match (ended, self.every_window) {
            (false, _) => state.open_since.or_else(|| Some(Instant::now())),
            // What came before the epoch's end fills the epoch before it,
            (true, false) => None,
            // but here the end is inside, and what came after it fills the new one.
            (true, true) => Some(Instant::now()),
        };
        blocks
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Messages of one epoch.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    epoch: Epoch,
    /// Where windows begin, counted from the part's first message.
    window_starts: Vec<(usize, Window)>,
    messages: usize,
}

impl Part {
    fn begin(clock: &StreamClock) -> Part {
        let (epoch, window) = (clock.epoch(), clock.window());
        // Another reader's messages may have begun windows of this epoch.
        let window_starts = if window.0 == epoch.0 { Vec::new() } else { vec![(0, window)] };
        Part { epoch, window_starts, messages: 0 }
    }
}

/// Shows the clock every message, by its time and its length, and cuts where epochs begin.
fn split_by_epoch(clock: &mut StreamClock, messages: impl Iterator<Item = (Option<EventTime>, u64)>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut part = Part::begin(clock);
    for (time, bytes) in messages {
        match clock.observe(time, bytes) {
            Begins::Nothing => {}
            Begins::Window(window) => {
                let place = part.messages;
                part.window_starts.retain(|(start, _)| *start < place);
                part.window_starts.push((place, window));
            }
            Begins::Epoch(_) => parts.push(std::mem::replace(&mut part, Part::begin(clock))),
        }
        part.messages += 1;
    }
    parts.push(part);
    parts.retain(|part| part.messages > 0);
    parts
}

fn split_messages(
    topic: &Arc<str>,
    read: Arrival,
    bytes: Vec<u8>,
    messages: Vec<Message>,
    parts: Vec<Part>,
) -> Vec<Block> {
    let mut left = VecDeque::from(messages);
    let whole = parts.len() == 1;
    let mut bytes = bytes;
    let mut blocks = Vec::with_capacity(parts.len());
    for Part { epoch, window_starts, messages } in parts {
        let mut messages: Vec<_> = left.drain(..messages).collect();
        let bytes = if whole { std::mem::take(&mut bytes) } else { take_payloads(&bytes, &mut messages) };
        let payload = Payload::Messages { topic: Arc::clone(topic), bytes, messages };
        blocks.push(Block { epoch, window_starts, arrival: read, payload });
    }
    blocks
}

/// Copies the payloads of some neighbouring messages, which then say where they stand in the copy.
fn take_payloads(bytes: &[u8], messages: &mut [Message]) -> Vec<u8> {
    let begin = messages.first().map_or(0, |message| message.start);
    let end = messages.last().map_or(0, |message| message.start + message.length);
    for message in messages {
        message.start -= begin;
    }
    bytes[begin..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Ahead, FieldPath, TimeUnit};
    use crate::source::kafka::batch::Batch;

    const ARRIVED: Arrival = Arrival::at(EventTime(1_000));

    fn clock(replay_batch: u64, every_window: bool) -> EventClock {
        let schema = EventSchema {
            name_field: FieldPath::top_level("n"),
            time_field: FieldPath::top_level("t"),
            time_unit: TimeUnit::Seconds,
            max_ahead: Some(10),
            ahead: Ahead::DeadLetter,
            arrival_field: None,
            max_bytes: 1 << 20,
            fields: Vec::new(),
        };
        EventClock::new(&schema, Duration::from_secs(5), replay_batch, every_window, Epoch(7))
    }

    /// Stamps messages with these times that arrived at second 1,000.
    fn stamp(clock: &EventClock, seconds: impl IntoIterator<Item = i64>) -> Vec<Block> {
        let mut batch = Batch::new(Arc::from("events"));
        for (offset, second) in (0..).zip(seconds) {
            let payload = format!("{{\"n\":\"like\",\"t\":{second}}}");
            batch.push(0, offset, ARRIVED, payload.as_bytes(), Instant::now());
        }
        let Payload::Messages { topic, bytes, messages } = batch.take() else { panic!("messages") };
        clock.stamp(&topic, ARRIVED, bytes, messages)
    }

    fn payloads(block: &Block) -> Vec<String> {
        let Payload::Messages { bytes, messages, .. } = &block.payload else { panic!("messages") };
        let text = |message: &Message| String::from_utf8_lossy(&bytes[message.start..][..message.length]).into_owned();
        messages.iter().map(text).collect()
    }

    #[test]
    fn by_blocks_the_last_messages_move_the_epoch_of_all_readers() {
        let clock = clock(20, false);
        assert_eq!(stamp(&clock, 100..110)[0].epoch, Epoch(7));
        let blocks = stamp(&clock, 200..220);
        assert_eq!((blocks.len(), blocks[0].epoch), (1, Epoch(7)), "a block has the epoch in which it was read");
        assert!(clock.epoch() > Epoch(7));
        let moved_to = clock.epoch();
        assert_eq!(stamp(&clock, [220])[0].epoch, moved_to);
    }

    #[test]
    fn times_that_no_event_may_have_do_not_move_it() {
        let clock = clock(0, false);
        stamp(&clock, 100..110);
        stamp(&clock, [2_000; 20]);
        assert_eq!(clock.epoch(), Epoch(7), "later than their arrival and the limit");
    }

    #[test]
    fn with_every_window_blocks_are_cut_where_epochs_begin() {
        let clock = clock(12, true);
        let blocks = stamp(&clock, 0..30);
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

    #[test]
    fn a_block_says_in_which_window_of_the_epoch_it_begins() {
        let clock = clock(1_000, true);
        stamp(&clock, 0..30);
        let blocks = stamp(&clock, [30]);
        assert_eq!((blocks[0].epoch, blocks[0].window_starts[0].0), (Epoch(7), 0));
        assert!(blocks[0].window_starts[0].1 > Window(7));
    }

    #[test]
    fn an_epoch_does_not_end_while_it_has_been_open_for_less_than_a_window() {
        let clock = clock(1_000, false);
        clock.caught_up();
        stamp(&clock, [1]);
        clock.caught_up();
        assert_eq!(clock.epoch(), Epoch(7));
        clock.lock().open_since = Instant::now().checked_sub(Duration::from_secs(5));
        clock.caught_up();
        clock.caught_up();
        assert_eq!(clock.epoch(), Epoch(8), "it ends once");
    }
}
