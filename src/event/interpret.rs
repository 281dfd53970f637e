//! The second phase of decoding: from raw JSON texts to name, time, keys and values.
//!
//! Only the tokens that were located are judged, so of several members of one name only the last.

use serde::de::{Deserializer, Visitor};

use super::array::Items;
use super::schema::{DeclaredField, EventSchema};
use super::time;
use super::token::{Slots, Token, TokenKind, Tokens};
use super::{Ahead, Arrival, Reason};
use crate::counter::EventTime;

/// The most different members that an exploded field may have, and the most keys that one event may
/// make in one group: beyond it the event is a dead letter, so that none explodes memory.
pub const MAX_MEMBERS: usize = 1_000;

/// The longest name of an event, in bytes of UTF-8: whoever makes events could else fill the memory with names.
pub const MAX_NAME_BYTES: usize = 1024;

/// A piece of text of an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text {
    /// It stands so in the line, from the first to before the second offset.
    InLine(usize, usize),
    /// It had to be unescaped: likewise, but in [`Contents`].
    Unescaped(usize, usize),
}

impl Text {
    fn len(self) -> usize {
        let (Text::InLine(start, end) | Text::Unescaped(start, end)) = self;
        end - start
    }
}

/// What an event's fields hold. Its room is used again for the next event.
#[derive(Debug, Default)]
pub(super) struct Contents {
    unescaped: Vec<u8>,
    fields: Vec<FieldContent>,
    members: Vec<Text>,
}

/// What one declared field holds, by its roles.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FieldContent {
    pub(super) key: Option<Text>,
    pub(super) value: Option<f64>,
    members: (u32, u32),
}

impl Contents {
    /// The field at this index of the schema.
    #[inline]
    pub(super) fn field(&self, index: usize) -> FieldContent {
        self.fields.get(index).copied().unwrap_or_default()
    }

    /// The different members of the field at this index of the schema.
    #[inline]
    pub(super) fn members(&self, index: usize) -> &[Text] {
        let (start, end) = self.field(index).members;
        &self.members[start as usize..end as usize]
    }

    /// The bytes of a text of this event.
    #[inline]
    pub(super) fn bytes<'a>(&'a self, line: &'a [u8], text: Text) -> &'a [u8] {
        text.bytes(line, &self.unescaped)
    }
}

impl Text {
    #[inline]
    fn bytes<'a>(self, line: &'a [u8], unescaped: &'a [u8]) -> &'a [u8] {
        match self {
            Text::InLine(start, end) => &line[start..end],
            Text::Unescaped(start, end) => &unescaped[start..end],
        }
    }
}

/// One event between the phases.
pub(super) struct Located<'a> {
    pub(super) schema: &'a EventSchema,
    pub(super) slots: &'a Slots,
    pub(super) line: &'a [u8],
    pub(super) tokens: &'a Tokens,
}

impl Located<'_> {
    /// Fills `contents`, and returns the event's name, its time and when it arrived. Of several reasons against the
    /// event it gives the first in the order of [`Reason::ALL`].
    #[inline]
    pub(super) fn interpret(
        &self,
        arrival: Arrival,
        contents: &mut Contents,
    ) -> Result<(Text, EventTime, Arrival), Reason> {
        contents.unescaped.clear();
        contents.fields.clear();
        contents.members.clear();
        let name = self.name(&mut contents.unescaped)?;
        let arrival = self.arrival(arrival, &mut contents.unescaped);
        let time = self.time(arrival, &mut contents.unescaped)?;
        let mut all_values_are_numbers = true;
        for (field, token) in self.schema.fields.iter().zip(self.tokens.fields(self.slots)) {
            let key = if field.as_key { self.key(token, &mut contents.unescaped)? } else { None };
            let members = if field.as_members { self.members(token, contents)? } else { (0, 0) };
            let value = self.value(field, token).unwrap_or_else(|_| {
                all_values_are_numbers = false;
                None
            });
            contents.fields.push(FieldContent { key, value, members });
        }
        if all_values_are_numbers { Ok((name, time, arrival)) } else { Err(Reason::BadValue) }
    }

    #[inline]
    fn name(&self, unescaped: &mut Vec<u8>) -> Result<Text, Reason> {
        let token = self.tokens.name(self.slots);
        let fits = |text: &Text| text.len() <= MAX_NAME_BYTES;
        self.text(token, unescaped).flatten().filter(fits).ok_or(Reason::BadName)
    }

    #[inline]
    fn time(&self, arrival: Arrival, unescaped: &mut Vec<u8>) -> Result<EventTime, Reason> {
        match (self.units(self.tokens.time(self.slots), unescaped), self.schema.max_ahead) {
            (Ok(units), Some(max_ahead)) if units > arrival.time().0.saturating_add(max_ahead) => self.ahead(arrival),
            (Ok(units), _) => Ok(EventTime(units)),
            (Err(Reason::TimeAhead), _) => self.ahead(arrival),
            (Err(reason), _) => Err(reason),
        }
    }

    /// The event's arrival: what its own field says, or what the source knows where that says nothing
    /// that can be.
    #[inline]
    fn arrival(&self, arrival: Arrival, unescaped: &mut Vec<u8>) -> Arrival {
        let Some(token) = self.tokens.arrival(self.slots) else { return arrival };
        match self.units(token, unescaped) {
            Ok(units) => arrival.with_field(EventTime(units), self.schema.time_unit),
            Err(_) => arrival,
        }
    }

    /// What becomes of an event that is too far ahead of its arrival.
    #[cold]
    fn ahead(&self, arrival: Arrival) -> Result<EventTime, Reason> {
        match self.schema.ahead {
            Ahead::Arrival if arrival.is_known() => Ok(arrival.time()),
            _ => Err(Reason::TimeAhead),
        }
    }

    /// The time that a token says, in the schema's unit.
    #[inline]
    fn units(&self, token: Token, unescaped: &mut Vec<u8>) -> Result<i64, Reason> {
        if token.kind == TokenKind::EscapedText {
            let before = unescaped.len();
            unescape(&self.line[token.start..token.end], unescaped)
                .ok_or(time::fault(self.schema.time_unit, token.kind))?;
            time::read(self.schema.time_unit, token.kind, &unescaped[before..])
        } else {
            time::read(self.schema.time_unit, token.kind, self.content(token))
        }
    }

    #[inline]
    fn key(&self, token: Token, unescaped: &mut Vec<u8>) -> Result<Option<Text>, Reason> {
        match token.kind {
            TokenKind::Absent => Ok(None),
            TokenKind::Text | TokenKind::EscapedText => self.text(token, unescaped).ok_or(Reason::BadKey),
            // `-0` is 0.
            TokenKind::Integer if &self.line[token.start..token.end] == b"-0" => {
                Ok(Some(Text::InLine(token.start + 1, token.end)))
            }
            TokenKind::Integer | TokenKind::Truth => Ok(Some(Text::InLine(token.start, token.end))),
            TokenKind::Decimal | TokenKind::Nested => Err(Reason::BadKey),
        }
    }

    /// The different members of an array, or the one that a plain value is; where they begin and
    /// end in `contents`.
    fn members(&self, token: Token, contents: &mut Contents) -> Result<(u32, u32), Reason> {
        let start = contents.members.len();
        if token.kind != TokenKind::Nested {
            contents.members.extend(self.key(token, &mut contents.unescaped)?);
        } else {
            for item in Items::of(self.line, token).ok_or(Reason::BadKey)? {
                contents.members.extend(self.key(item, &mut contents.unescaped)?);
                // Now and then, so that many that are alike take no room.
                if contents.members.len() - start > 2 * MAX_MEMBERS {
                    self.keep_different(start, contents)?;
                }
            }
            self.keep_different(start, contents)?;
        }
        Ok((start as u32, contents.members.len() as u32))
    }

    /// Leaves one of each of the members from `start` on.
    fn keep_different(&self, start: usize, contents: &mut Contents) -> Result<(), Reason> {
        let Contents { unescaped, members, .. } = contents;
        let bytes = |text: Text| text.bytes(self.line, unescaped);
        members[start..].sort_unstable_by(|one, other| bytes(*one).cmp(bytes(*other)));
        let mut kept = start;
        for index in start..members.len() {
            if kept == start || bytes(members[kept - 1]) != bytes(members[index]) {
                members[kept] = members[index];
                kept += 1;
            }
        }
        members.truncate(kept);
        if kept - start > MAX_MEMBERS { Err(Reason::BadKey) } else { Ok(()) }
    }

    #[inline]
    fn value(&self, field: &DeclaredField, token: Token) -> Result<Option<f64>, Reason> {
        if !field.as_value {
            return Ok(None);
        }
        match token.kind {
            TokenKind::Absent => Ok(None),
            TokenKind::Integer | TokenKind::Decimal => {
                let text = std::str::from_utf8(&self.line[token.start..token.end]).map_err(|_| Reason::BadValue)?;
                let number: f64 = text.parse().map_err(|_| Reason::BadValue)?;
                // Adding 0 makes 0 of -0. (The library cuts exponents beyond 655,359 short; only a
                // number with as many digits before or behind its point could tell.)
                if number.is_finite() { Ok(Some(number + 0.0)) } else { Err(Reason::BadValue) }
            }
            _ => Err(Reason::BadValue),
        }
    }

    /// The text that a string token says: `Some(None)` where it is empty, `None` where the token is
    /// no string or says no Unicode text.
    #[inline]
    fn text(&self, token: Token, unescaped: &mut Vec<u8>) -> Option<Option<Text>> {
        match token.kind {
            TokenKind::Text if token.end - token.start == 2 => Some(None),
            TokenKind::Text => Some(Some(Text::InLine(token.start + 1, token.end - 1))),
            TokenKind::EscapedText => {
                // An escape always stands for a character, so this text is not empty.
                let before = unescaped.len();
                unescape(&self.line[token.start..token.end], unescaped)?;
                Some(Some(Text::Unescaped(before, unescaped.len())))
            }
            _ => None,
        }
    }

    /// A token without the quotes of a string.
    #[inline]
    fn content(&self, token: Token) -> &[u8] {
        match token.kind {
            TokenKind::Text => &self.line[token.start + 1..token.end - 1],
            _ => &self.line[token.start..token.end],
        }
    }
}

/// Appends what a JSON string, given with its quotes, says. `None`, and perhaps a part of it
/// appended, when it says no Unicode text: when half of a surrogate pair lacks the other.
pub(super) fn unescape(quoted: &[u8], unescaped: &mut Vec<u8>) -> Option<()> {
    serde_json::Deserializer::from_slice(quoted).deserialize_str(AppendTo(unescaped)).ok()
}

struct AppendTo<'a>(&'a mut Vec<u8>);

impl Visitor<'_> for AppendTo<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("a JSON string")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{FieldPath, TimeUnit, careful};

    #[test]
    fn what_one_event_needed_is_room_for_the_next() {
        let schema = EventSchema {
            name_field: FieldPath::top_level("eventName"),
            time_field: FieldPath::top_level("eventTs"),
            time_unit: TimeUnit::Seconds,
            max_ahead: None,
            ahead: Ahead::DeadLetter,
            arrival_field: None,
            max_bytes: 1 << 20,
            fields: vec![DeclaredField { as_key: true, ..DeclaredField::unused(FieldPath::top_level("userId")) }],
        };
        let line = br#"{"eventName":"l\u0069ke","userId":"\u0031234","eventTs":"\u0031"}"#;
        let slots = Slots::of(&schema);
        let mut tokens = Tokens::for_slots(&slots);
        careful::locate(line, &slots, &mut tokens).unwrap();
        let mut contents = Contents::default();
        for _ in 0..1_000 {
            let located = Located { schema: &schema, slots: &slots, line, tokens: &tokens };
            located.interpret(Arrival::before(EventTime(0)), &mut contents).unwrap();
        }
        assert_eq!((contents.fields.len(), contents.unescaped.as_slice()), (1, &b"like11234"[..]));
    }
}
