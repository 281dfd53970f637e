//! What lines that are no events look like: other forms in which events come, and what makes one JSON object per line
//! of them.

use serde::de::IgnoredAny;

use super::LOOKS_PER_NAME;
use crate::event::Reason;

/// So much of a line is looked at.
const MOST_BYTES: usize = 64 * 1_024;

/// A table has a column for an event's name, one for its time and one for a key, at least.
const MIN_COLUMNS: usize = 3;

/// How input looks that is not one JSON object per line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `[{...},{...}]`, in one line or with a line for each element.
    Array,
    /// Objects that go over several lines.
    Pretty,
    /// Several objects in a line.
    Joined,
    /// Text of two bytes per character.
    Utf16,
    /// Values with separators between them.
    Table,
    /// An object behind something else, as in lines of a log daemon.
    Prefixed,
    /// Lines that are longer than an event may be, and tell nothing else.
    Endless,
}

impl Shape {
    const ALL: [Shape; 7] =
        [Shape::Array, Shape::Pretty, Shape::Joined, Shape::Utf16, Shape::Table, Shape::Prefixed, Shape::Endless];

    /// What it is, and what can be done about it.
    pub fn advice(self) -> &'static str {
        match self {
            Shape::Array => "a JSON array: `jq -c '.[]' FILE` makes lines of it",
            Shape::Pretty => "JSON objects over several lines: `jq -c . FILE` makes one line of each",
            Shape::Joined => "several JSON objects in one line: `jq -c . FILE` makes one line of each",
            Shape::Utf16 => {
                "UTF-16: `iconv -f UTF-16 -t UTF-8 FILE` makes UTF-8 of it (without a byte-order mark, -f UTF-16LE or UTF-16BE)"
            }
            Shape::Table => {
                "CSV or another table: `mlr --icsv --ojsonl cat FILE` makes JSON lines of it (--itsv where tabs separate)"
            }
            Shape::Prefixed => "JSON objects behind other text: `sed 's/^[^{]*//' FILE` takes that away",
            Shape::Endless => "a few very long lines: does each event end with a newline?",
        }
    }

    /// How a line looks that is refused for this reason; of one that is too long its beginning is enough.
    pub(super) fn of(line: &[u8], reason: Reason) -> Option<Shape> {
        let is_whole = line.len() <= MOST_BYTES && reason != Reason::TooLong;
        let line = line[..line.len().min(MOST_BYTES)].trim_ascii();
        if is_utf16(line) {
            return Some(Shape::Utf16);
        }
        let shape = match line {
            [b'[', rest @ ..] if opens_object(rest) => Some(Shape::Array),
            [b',', rest @ ..] if rest.trim_ascii_start().starts_with(b"{") => Some(Shape::Array),
            [b'{'] | [b'}'] | [b'}', b','] => Some(Shape::Pretty),
            [b'{', ..] => after_object(line),
            [b'"', ..] if is_member(line) => Some(Shape::Pretty),
            _ if is_whole && has_object_behind(line) => Some(Shape::Prefixed),
            _ if is_table(line) => Some(Shape::Table),
            _ => None,
        };
        shape.or((reason == Reason::TooLong).then_some(Shape::Endless))
    }
}

/// Every second byte of ASCII is zero there.
fn is_utf16(line: &[u8]) -> bool {
    let zeros = memchr::memchr_iter(0, line).count();
    zeros >= 2 && zeros * 4 >= line.len() && memchr::memmem::find(line, b"\0\0").is_none()
}

/// An array of events begins with an object, perhaps on the next line.
fn opens_object(rest: &[u8]) -> bool {
    matches!(rest.trim_ascii_start(), [] | [b'{', ..])
}

/// What stands behind the line's first object: a comma, or the next object.
fn after_object(line: &[u8]) -> Option<Shape> {
    let mut objects = serde_json::Deserializer::from_slice(line).into_iter::<IgnoredAny>();
    objects.next()?.ok()?;
    match line[objects.byte_offset()..].trim_ascii_start() {
        [b',' | b']', ..] => Some(Shape::Array),
        [b'{', ..] => Some(Shape::Joined),
        _ => None,
    }
}

/// `"name": ...`, as on the lines of an object that goes over several.
fn is_member(line: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(line).into_iter::<IgnoredAny>();
    values.next().is_some_and(|name| name.is_ok()) && line[values.byte_offset()..].trim_ascii_start().starts_with(b":")
}

fn has_object_behind(line: &[u8]) -> bool {
    let Some(start) = memchr::memchr(b'{', line) else { return false };
    let is_object = || serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&line[start..]);
    start > 0 && line.ends_with(b"}") && is_object().is_ok_and(|object| !object.is_empty())
}

/// Enough columns, no braces, and no sentence: in a table no space follows a separator.
fn is_table(line: &[u8]) -> bool {
    let is_text = std::str::from_utf8(line).is_ok_and(|text| !text.contains(['{', '}', '[', ']']));
    let separates = |separator: &u8| {
        let columns: Vec<&[u8]> = line.split(|byte| byte == separator).collect();
        columns.len() >= MIN_COLUMNS && !columns.iter().any(|column| column.starts_with(b" "))
    };
    is_text && [b',', b'\t', b';', b'|'].iter().any(separates)
}

/// How the lines look that are no events: all are counted, and the first are looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Shapes {
    refused: u64,
    lines: u64,
    looks_left: u32,
    looked: u32,
    counts: [u32; Shape::ALL.len()],
}

impl Default for Shapes {
    fn default() -> Shapes {
        Shapes { refused: 0, lines: 0, looks_left: LOOKS_PER_NAME, looked: 0, counts: Default::default() }
    }
}

impl Shapes {
    /// Takes notice of a refused line. Only of one that is refused for what it is, and not for what it says, does the form matter.
    pub(super) fn look(&mut self, line: &[u8], reason: Reason) {
        self.refused += 1;
        if !matches!(reason, Reason::TooLong | Reason::InvalidUtf8 | Reason::NotAnObject) {
            return;
        }
        self.lines += 1;
        let Some(left) = self.looks_left.checked_sub(1) else { return };
        self.looks_left = left;
        self.looked += 1;
        if let Some(shape) = Shape::of(line, reason) {
            self.counts[shape as usize] += 1;
        }
    }

    /// How many lines were refused, for whatever reason.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How many lines were refused for what they are.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// What most of those look like that were looked at.
    pub fn likely(&self) -> Option<Shape> {
        let of = |shape: Shape| self.counts[shape as usize];
        let mut shape = Shape::ALL.into_iter().max_by_key(|shape| of(*shape))?;
        let mut count = of(shape);
        // The elements of an array may go over several lines, or be the only thing on theirs.
        if matches!(shape, Shape::Pretty | Shape::Array) && of(Shape::Array) > 0 {
            shape = Shape::Array;
            count = of(Shape::Array) + of(Shape::Pretty);
        }
        (count > self.looked / 2).then_some(shape)
    }

    /// What the input looks like of which so many events count, if that is next to nothing: not one
    /// line in a hundred, or just one (the last element of an array has no comma behind it). `None` where most lines
    /// are refused for what they say.
    pub fn instead_of(&self, events: u64) -> Option<Shape> {
        let next_to_nothing = events == 0 || self.lines > 2 && (events - 1) * 100 < self.lines;
        self.likely().filter(|_| next_to_nothing && self.lines > self.refused / 2)
    }

    /// Takes over what another look has seen. The other one goes on with what is left to it.
    pub(super) fn absorb(&mut self, other: &mut Shapes) {
        self.refused += std::mem::take(&mut other.refused);
        self.lines += std::mem::take(&mut other.lines);
        self.looked += std::mem::take(&mut other.looked);
        for (count, other) in self.counts.iter_mut().zip(&mut other.counts) {
            *count += std::mem::take(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a log looks like whose lines are all refused.
    fn of(log: &[u8]) -> Option<Shape> {
        let mut shapes = Shapes::default();
        for line in log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            shapes.look(line, Reason::NotAnObject);
        }
        shapes.likely()
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn forms_of_json_that_are_no_lines_are_known() {
        let event = r#"{"n":"like","u":7,"p":{"a":[1,{}]}}"#;
        for array in [
            format!("[{event},{event}]"),
            format!("[\n{event},\n{event},\n"),
            format!("[{event}\n,{event}\n,{event}\n"),
            format!("  [ {event},\r\n  {event},\r\n"),
            "[\n  {\n    \"n\": \"like\",\n    \"u\": 7\n  },\n  {\n    \"n\": \"like\",\n    \"u\": 7\n  }\n]"
                .to_owned(),
        ] {
            assert_eq!(of(array.as_bytes()), Some(Shape::Array), "{array}");
        }
        let pretty = "{\n  \"n\": \"like\",\n  \"tags\": [\n    \"a\"\n  ],\n  \"u\": {\n    \"i\\\"d\": 1\n  }\n}\n";
        assert_eq!(of(pretty.repeat(9).as_bytes()), Some(Shape::Pretty));
        for joined in [format!("{event}{event}"), format!("{event} {event}"), format!("{event}\r{event}\r")] {
            assert_eq!(of(joined.as_bytes()), Some(Shape::Joined));
        }
        for before in ["Feb 10 22:53:19 host app[7]: ", "data: ", "\u{1e}", "2024-02-10 INFO a, b "] {
            assert_eq!(of(format!("{before}{event}").as_bytes()), Some(Shape::Prefixed));
        }
    }

    #[test]
    fn other_encodings_and_tables_are_known() {
        let log = "{\"n\":\"like\",\"u\":\"Ζωή\"}\n".repeat(9);
        let bom = format!("\u{feff}{log}");
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            assert_eq!(of(&utf16(&log, bytes)), Some(Shape::Utf16));
            assert_eq!(of(&utf16(&bom, bytes)), Some(Shape::Utf16));
        }
        for table in ["name,user,time\nlike,7,1707605599\n", "like\t7\t17\n", "like;7;17\n", "\"like\",\"a b\",17\n"] {
            assert_eq!(of(table.as_bytes()), Some(Shape::Table), "{table}");
        }
    }

    #[test]
    fn lines_that_are_just_broken_look_like_nothing() {
        for line in [
            "nonsense",
            "a sentence, with commas, and more",
            "{\"n\":\"like\",\"u\":",
            "{\"n\":\"like\"}}",
            "[1,2]",
            "[INFO] started",
            "7",
            "\"text\"",
            "{}x",
            "\0\0\0\0\0\0\0\0",
        ] {
            assert_eq!(of(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn of_a_line_without_end_its_beginning_tells() {
        let of = |line: &str| Shape::of(line.as_bytes(), Reason::TooLong);
        assert_eq!(of("[{\"n\":\"like\",\"u"), Some(Shape::Array));
        assert_eq!(of("{\"n\":\"like\"}{\"n\":\"like\""), Some(Shape::Joined));
        assert_eq!(of("{\"n\":\"like\",\"text\":\"aaaa"), Some(Shape::Endless));
    }

    #[test]
    fn next_to_nothing_is_one_event_or_one_line_in_a_hundred() {
        let mut shapes = Shapes::default();
        let mut instead_of = |lines: u64, events| {
            while shapes.lines() < lines {
                shapes.look(b"a,b,c", Reason::NotAnObject);
            }
            shapes.instead_of(events)
        };
        assert_eq!((instead_of(2, 0), instead_of(2, 1)), (Some(Shape::Table), None));
        assert_eq!((instead_of(3, 1), instead_of(3, 2)), (Some(Shape::Table), None));
        assert_eq!((instead_of(1_000, 10), instead_of(1_000, 11)), (Some(Shape::Table), None));
        for _ in 0..1_000 {
            shapes.look(b"{\"n\":\"like\"}", Reason::TimeAhead);
        }
        assert_eq!(shapes.instead_of(0), None, "as many are refused for their time");
    }
}
