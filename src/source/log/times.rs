//! The times by which the clock goes: those of events that count.

use std::sync::Arc;

use crate::counter::EventTime;
use crate::event::{Decoder, EventSchema, Reason, Utf8};

/// Reads the times of lines.
#[derive(Debug)]
pub(super) struct LineTimes {
    decoder: Decoder,
    arrival: EventTime,
}

impl LineTimes {
    /// Of logs that were found at `arrival`: a time that is later than the schema then allows is
    /// the time of no event.
    pub(super) fn new(schema: &EventSchema, arrival: EventTime) -> LineTimes {
        LineTimes { decoder: Decoder::new(Arc::new(schema.without_fields())), arrival }
    }

    /// The time of the event on this line, which has no newline; `None` for a blank line.
    pub(super) fn time_of(&mut self, line: &[u8], utf8: Utf8) -> Result<Option<EventTime>, Reason> {
        let event = self.decoder.decode(line, self.arrival, utf8)?;
        Ok(event.map(|event| event.time()))
    }
}
