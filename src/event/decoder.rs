//! The decoder: one line or message in, one event or one reason out.

use std::sync::Arc;

use super::interpret::{Contents, Located, Text};
use super::scanner::Scanner;
use super::token::{Slots, Tokens};
use super::{Arrival, EventSchema, FieldId, Reason, careful};
use crate::counter::EventTime;

/// Turns bytes into events. One for each thread: it remembers what the last event looked like.
#[derive(Debug)]
pub struct Decoder {
    schema: Arc<EventSchema>,
    slots: Slots,
    scanner: Scanner,
    tokens: Tokens,
    contents: Contents,
}

/// Whether the caller has already found the bytes to be valid UTF-8. Over a whole block that costs
/// next to nothing; line by line it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Utf8 {
    /// It has. Should that be wrong, names and keys may be invalid UTF-8 as well, and no worse.
    Checked,
    /// It has not: the decoder must.
    Unchecked,
}

/// One event that counts. It borrows from the line and from the decoder.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    line: &'a [u8],
    contents: &'a Contents,
    name: Text,
    time: EventTime,
    arrival: Arrival,
}

impl Decoder {
    /// A decoder for events of this schema.
    pub fn new(schema: Arc<EventSchema>) -> Decoder {
        let slots = Slots::of(&schema);
        let tokens = Tokens::for_slots(&slots);
        Decoder { schema, slots, scanner: Scanner::default(), tokens, contents: Contents::default() }
    }

    /// Decodes one line without its newline (a carriage return at its end is white space), or one
    /// message. `Ok(None)` is a blank one. `arrival` is what the source knows of it.
    ///
    /// Of several reasons against an event it gives the first in the order of [`Reason::ALL`]:
    /// what is wrong with the line before what is wrong with a field.
    #[inline]
    pub fn decode<'a>(
        &'a mut self,
        bytes: &'a [u8],
        arrival: Arrival,
        utf8: Utf8,
    ) -> Result<Option<Event<'a>>, Reason> {
        self.check(bytes, utf8)?;
        if self.scanner.locate(bytes, &self.slots, &mut self.tokens).is_none() {
            if is_blank(bytes) {
                return Ok(None);
            }
            careful::locate(bytes, &self.slots, &mut self.tokens)?;
        }
        self.interpret(bytes, arrival).map(Some)
    }

    /// The same by the careful path alone: for tests that hold one path against the other.
    #[cfg(test)]
    pub(super) fn decode_carefully<'a>(
        &'a mut self,
        bytes: &'a [u8],
        arrival: Arrival,
        utf8: Utf8,
    ) -> Result<Option<Event<'a>>, Reason> {
        self.check(bytes, utf8)?;
        if is_blank(bytes) {
            return Ok(None);
        }
        careful::locate(bytes, &self.slots, &mut self.tokens)?;
        self.interpret(bytes, arrival).map(Some)
    }

    #[inline]
    fn check(&self, bytes: &[u8], utf8: Utf8) -> Result<(), Reason> {
        if bytes.len() > self.schema.max_bytes {
            return Err(Reason::TooLong);
        }
        if utf8 == Utf8::Unchecked && std::str::from_utf8(bytes).is_err() {
            return Err(Reason::InvalidUtf8);
        }
        Ok(())
    }

    #[inline]
    fn interpret<'a>(&'a mut self, line: &'a [u8], arrival: Arrival) -> Result<Event<'a>, Reason> {
        let located = Located { schema: &self.schema, slots: &self.slots, line, tokens: &self.tokens };
        let (name, time, arrival) = located.interpret(arrival, &mut self.contents)?;
        Ok(Event { line, contents: &self.contents, name, time, arrival })
    }
}

impl<'a> Event<'a> {
    /// The event's name: not empty, valid UTF-8.
    #[inline]
    pub fn name(&self) -> &'a [u8] {
        self.contents.bytes(self.line, self.name)
    }

    /// The time at which the event counts: its own, or that of its arrival; not negative.
    #[inline]
    pub fn time(&self) -> EventTime {
        self.time
    }

    /// When it arrived, as far as that is known.
    #[inline]
    pub fn arrival(&self) -> Arrival {
        self.arrival
    }

    /// What the field adds to a key: text as it stands, an integer in decimal, `true` or `false`;
    /// valid UTF-8. `None` where it is missing, null or empty, or not declared as part of a key.
    #[inline]
    pub fn key(&self, field: FieldId) -> Option<&'a [u8]> {
        let text = self.contents.field(usize::from(field.0)).key?;
        Some(self.contents.bytes(self.line, text))
    }

    /// How many different members an exploded field has: none where it is missing, null, empty or an
    /// array without members that count, or not declared as exploded; one where it is no array.
    #[inline]
    pub fn member_count(&self, field: FieldId) -> usize {
        self.contents.members(usize::from(field.0)).len()
    }

    /// What one of these members adds to a key, like [`Event::key`].
    #[inline]
    pub fn member(&self, field: FieldId, index: usize) -> Option<&'a [u8]> {
        let text = self.contents.members(usize::from(field.0)).get(index)?;
        Some(self.contents.bytes(self.line, *text))
    }

    /// The field's number: finite. `None` where it is missing or null, or not declared as a value.
    #[inline]
    pub fn value(&self, field: FieldId) -> Option<f64> {
        self.contents.field(usize::from(field.0)).value
    }
}

/// Whether there is nothing but white space.
#[cold]
fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}
