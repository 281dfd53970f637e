//! The times by which the clock goes: those of events that count.

use std::sync::Arc;

use crate::counter::EventTime;
use crate::event::{Arrival, Decoder, EventSchema, Reason, Utf8};

/// Reads the times of lines, and judges them as the workers will.
#[derive(Debug)]
pub(super) struct LineTimes {
    decoder: Decoder,
}

impl LineTimes {
    pub(super) fn new(schema: &EventSchema) -> LineTimes {
        LineTimes { decoder: Decoder::new(Arc::new(schema.without_fields())) }
    }

    /// Looks at keys and values, too: an event in which one is wrong has no time.
    pub(super) fn of_whole_events(schema: &EventSchema) -> LineTimes {
        LineTimes { decoder: Decoder::new(Arc::new(schema.clone())) }
    }

    /// The time at which the event on this line counts. The line has no newline, and arrived so;
    /// `None` for a blank one.
    pub(super) fn time_of(&mut self, line: &[u8], arrival: Arrival, utf8: Utf8) -> Result<Option<EventTime>, Reason> {
        let event = self.decoder.decode(line, arrival, utf8)?;
        Ok(event.map(|event| event.time()))
    }
}
