//! A piece of input, whole lines or messages, with all it takes to say where each stood.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::epoch::{Epoch, Window};
use crate::event::Arrival;

/// How much is kept of a line or message that is too long.
pub const HEAD_BYTES: usize = 1_024;

/// A piece of input that one worker decodes.
#[derive(Clone, Debug)]
pub struct Block {
    /// The source's epoch when it read this. Never less than that of an earlier block.
    pub epoch: Epoch,
    /// Where windows begin inside the block: the offset of the first byte (of a log) or the index of the first
    /// message that belongs to the window, ascending. Before the first of these, and where there
    /// are none, everything belongs to the window with the epoch's own number.
    pub window_starts: Vec<(usize, Window)>,
    /// The events.
    pub payload: Payload,
}

/// What a block holds.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Whole lines of an event log, without a byte-order mark. The last one may lack its newline.
    Lines {
        /// The log, as it was named.
        file: Arc<Path>,
        /// Where the first byte stands in the (decompressed) log.
        offset: u64,
        /// The bytes.
        bytes: LogBytes,
        /// When they arrived, in the unit of the events' times.
        arrival: Arrival,
    },
    /// A line that is longer than an event may be.
    LineTooLong {
        /// The log, as it was named.
        file: Arc<Path>,
        /// Where the line begins in the (decompressed) log.
        offset: u64,
        /// How long it is, without its newline.
        length: u64,
        /// Its first [`HEAD_BYTES`].
        head: Vec<u8>,
    },
    /// Kafka messages.
    Messages {
        /// The topic.
        topic: Arc<str>,
        /// Their payloads, one behind the other.
        bytes: Vec<u8>,
        /// The messages, in the order of their payloads.
        messages: Vec<Message>,
    },
}

impl Payload {
    /// The log or the topic, as it was named.
    pub fn source(&self) -> String {
        match self {
            Payload::Lines { file, .. } | Payload::LineTooLong { file, .. } => file.display().to_string(),
            Payload::Messages { topic, .. } => topic.to_string(),
        }
    }
}

/// The bytes of some lines.
#[derive(Clone, Debug)]
pub enum LogBytes {
    /// Already read (from a pipe, or decompressed).
    Read(Vec<u8>),
    /// Still to be read by the worker, from the block's offset on: so the reader need not copy.
    InFile {
        /// The plain file.
        file: Arc<File>,
        /// How many bytes.
        length: usize,
    },
}

impl LogBytes {
    /// How many they are.
    pub fn length(&self) -> usize {
        match self {
            LogBytes::Read(bytes) => bytes.len(),
            LogBytes::InFile { length, .. } => *length,
        }
    }
}

/// A log lost bytes while it was read.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it became shorter while it was read")]
pub struct BecameShorter;

/// Reads so many bytes of a log's file. That they are not there any more is [`BecameShorter`].
pub fn read_at(file: &File, offset: u64, length: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.resize(length, 0);
    file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::other(BecameShorter),
        _ => error,
    })
}

/// One Kafka message of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// When it arrived, in the unit of the events' times.
    pub arrival: Arrival,
    /// Where its payload begins in the block's bytes.
    pub start: usize,
    /// How long its payload is.
    pub length: usize,
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn bytes_that_are_gone_are_told_as_what_they_are() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo\n").unwrap();
        let mut buffer = Vec::new();
        read_at(&file, 4, 4, &mut buffer).unwrap();
        assert_eq!(buffer, b"two\n");
        let error = read_at(&file, 4, 5, &mut buffer).unwrap_err();
        assert!(error.get_ref().is_some_and(|inner| inner.is::<BecameShorter>()), "{error}");
    }
}
