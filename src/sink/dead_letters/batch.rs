//! Dead letters on their way to their file: those of one block, as plain data that may cross threads and processes.

use std::fmt;

use base64::Engine;
use serde::{Deserialize, Serialize};

use crate::event::Reason;
use crate::sink::RefusedItem;

/// The events of one block that could not be counted. It names the block's log or topic once, and holds their bytes
/// one behind the other.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterBatch {
    source: String,
    letters: Vec<Letter>,
    bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
struct Letter {
    reason: Reason,
    position: Position,
    /// How many of its bytes are kept.
    kept: usize,
    /// How many it has.
    length: u64,
}

/// Where an event stands in its log or topic.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// A line, by where it begins in the (decompressed) log.
    Line(u64),
    /// A message, by its partition and its offset in it.
    Message(i32, i64),
}

/// An event that could not be counted, borrowed from its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLetter<'a> {
    /// Why it could not.
    pub reason: Reason,
    /// The log, as it was named, or the topic.
    pub source: &'a str,
    /// Where it stands in there.
    pub position: Position,
    /// The line or message; of one that was too long, its beginning.
    pub bytes: &'a [u8],
    /// How long the whole line or message is, where `bytes` is only its beginning.
    pub length: Option<u64>,
}

impl DeadLetterBatch {
    /// An empty batch, for a block of this log or topic.
    pub fn new(source: impl Into<String>) -> DeadLetterBatch {
        DeadLetterBatch { source: source.into(), letters: Vec::new(), bytes: Vec::new() }
    }

    /// Adds an event, whole.
    #[cfg(test)]
    pub fn push(&mut self, reason: Reason, position: Position, event: &[u8]) {
        self.push_beginning(reason, position, event, event.len() as u64);
    }

    /// Adds an event of `length` bytes that is kept as its beginning.
    pub fn push_beginning(&mut self, reason: Reason, position: Position, beginning: &[u8], length: u64) {
        self.letters.push(Letter { reason, position, kept: beginning.len(), length });
        self.bytes.extend_from_slice(beginning);
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// The dead letters, in the order in which they were pushed.
    pub fn iter(&self) -> impl Iterator<Item = DeadLetter<'_>> {
        let mut rest = self.bytes.as_slice();
        self.letters.iter().map(move |letter| {
            let (bytes, behind) = rest.split_at(letter.kept);
            rest = behind;
            DeadLetter {
                reason: letter.reason,
                source: &self.source,
                position: letter.position,
                bytes,
                length: (letter.length > letter.kept as u64).then_some(letter.length),
            }
        })
    }

    /// Gives back memory that was kept for more.
    pub fn shrink(&mut self) {
        self.letters.shrink_to_fit();
        self.bytes.shrink_to_fit();
    }

    /// The memory that it takes, in bytes: the same at both ends of an exchange.
    pub fn memory(&self) -> u64 {
        (self.source.len() + size_of_val(self.letters.as_slice()) + self.bytes.len()) as u64
    }
}

impl DeadLetter<'_> {
    /// Where it stands, for people.
    pub(super) fn place(&self) -> String {
        let source = self.source;
        match self.position {
            Position::Line(offset) => format!("{source}, offset {offset}"),
            Position::Message(partition, offset) => format!("topic {source}, partition {partition}, offset {offset}"),
        }
    }

    /// Appends it as a line of JSON.
    pub(super) fn append_line(&self, lines: &mut Vec<u8>) -> serde_json::Result<()> {
        let text = self.text();
        let base64 = match text {
            Some(_) => None,
            None => Some(base64::engine::general_purpose::STANDARD.encode(self.bytes)),
        };
        let (file, topic, partition, offset) = match self.position {
            Position::Line(offset) => (Some(self.source), None, None, offset),
            Position::Message(partition, offset) => (None, Some(self.source), Some(partition), offset.cast_unsigned()),
        };
        let (reason, detail) = (self.reason.as_str(), self.reason.detail());
        let line = Line { reason, file, topic, partition, offset, detail, text, base64, length: self.length };
        serde_json::to_writer(&mut *lines, &line)?;
        lines.push(b'\n');
        Ok(())
    }

    /// The bytes as text, if they are; a character that was cut in two with the rest of a line that is
    /// too long is left out.
    fn text(&self) -> Option<&str> {
        match std::str::from_utf8(self.bytes) {
            Ok(text) => Some(text),
            Err(error) if self.length.is_some() && error.error_len().is_none() => {
                std::str::from_utf8(&self.bytes[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        }
    }
}

/// Its reason, and where it stands.
impl fmt::Display for DeadLetter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.reason, self.place())
    }
}

/// Appends an item that a table will never take as a line of JSON.
pub(super) fn append_refused(item: &&RefusedItem, lines: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *lines, &RefusedLine { reason: "refused_item", item })?;
    lines.push(b'\n');
    Ok(())
}

/// The same, as it stands in the file.
#[derive(Serialize)]
struct RefusedLine<'a> {
    reason: &'static str,
    #[serde(flatten)]
    item: &'a RefusedItem,
}

/// A dead letter as it stands in the file.
#[derive(Serialize)]
struct Line<'a> {
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
}
