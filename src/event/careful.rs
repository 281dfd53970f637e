//! The path that is right about every line: the only one that makes a dead letter of a line.
//!
//! serde_json walks the members and finds where each value ends; it does so without recursion, so
//! that no number of brackets overflows the stack. What is not needed is checked for its grammar
//! and no further: a half surrogate pair in it, or a number that nothing can hold, is ignored.

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::interpret::unescape;
use super::token::{ObjectId, Slots, Token, TokenKind, Tokens};
use super::{MAX_LEVELS, Reason};

/// Finds the needed fields in a line that is not blank.
pub(super) fn locate(line: &[u8], slots: &Slots, tokens: &mut Tokens) -> Result<(), Reason> {
    let text = std::str::from_utf8(line).map_err(|_| Reason::InvalidUtf8)?;
    tokens.clear();
    let mut too_deep = false;
    let members = Members { line, slots, object: ObjectId::EVENT, tokens, too_deep: &mut too_deep };
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(members).and_then(|()| json.end()).map_err(|_| Reason::NotAnObject)?;
    if too_deep { Err(Reason::TooDeep) } else { Ok(()) }
}

/// Visits the members of the event's own object, or of one that a path leads through.
struct Members<'a> {
    line: &'a [u8],
    slots: &'a Slots,
    object: ObjectId,
    tokens: &'a mut Tokens,
    too_deep: &'a mut bool,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let mut unescaped = Vec::new();
        while let Some((name, value)) = members.next_entry::<&RawValue, &RawValue>()? {
            let token = token_of(self.line, value.get());
            if token.kind == TokenKind::Nested && 1 + levels(value.get().as_bytes()) > MAX_LEVELS {
                *self.too_deep = true;
            }
            if let Some(name) = plain_name(name.get().as_bytes(), &mut unescaped) {
                let needed = self.slots.named(self.object, name);
                if let Some(object) = needed.object {
                    self.enter(object, value.get()).map_err(A::Error::custom)?;
                }
                if let Some(slot) = needed.slot {
                    self.tokens.set(slot, token);
                }
            }
        }
        Ok(())
    }
}

impl Members<'_> {
    /// Finds the needed fields in a value through which paths lead: the paths bound how deep this
    /// goes, not the event. An earlier object of the same name is forgotten, whatever the value is.
    fn enter(&mut self, object: ObjectId, value: &str) -> Result<(), serde_json::Error> {
        self.tokens.forget_inside(self.slots, object);
        if !value.starts_with('{') {
            return Ok(());
        }
        let (line, slots) = (self.line, self.slots);
        let inner = Members { line, slots, object, tokens: self.tokens, too_deep: self.too_deep };
        serde_json::Deserializer::from_str(value).deserialize_map(inner)
    }
}

/// A member's name without its quotes and escapes; `None` for one that is no Unicode text, which
/// no declared field can have.
fn plain_name<'a>(quoted: &'a [u8], unescaped: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if quoted.contains(&b'\\') {
        unescaped.clear();
        unescape(quoted, unescaped)?;
        Some(unescaped)
    } else {
        Some(&quoted[1..quoted.len() - 1])
    }
}

/// The token of a value that serde_json has found well-formed inside the line.
fn token_of(line: &[u8], value: &str) -> Token {
    let kind = match value.as_bytes()[0] {
        b'"' if value.contains('\\') => TokenKind::EscapedText,
        b'"' => TokenKind::Text,
        b'{' | b'[' => TokenKind::Nested,
        b't' | b'f' => TokenKind::Truth,
        b'n' => TokenKind::Absent,
        _ if value.contains(['.', 'e', 'E']) => TokenKind::Decimal,
        _ => TokenKind::Integer,
    };
    // The value borrows from the line, so its address says where it stands.
    let start = value.as_ptr().addr() - line.as_ptr().addr();
    Token { kind, start, end: start + value.len() }
}

/// How many arrays and objects stand inside each other, at most, in a well-formed value.
fn levels(value: &[u8]) -> usize {
    let mut open = 0_usize;
    let mut deepest = 0;
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' => open = open.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

/// Goes past the closing quote of a string whose opening quote was just read.
fn skip_string(bytes: &mut std::slice::Iter<u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => _ = bytes.next(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted_outside_strings_only() {
        assert_eq!(levels(b"[]"), 1);
        assert_eq!(levels(br#"{"a":[{"b":1},[2]],"c":{}}"#), 3);
        assert_eq!(levels(br#"["[[[","\"[[\\",{}]"#), 2);
    }
}
