//! A piece of input, whole lines or messages, with all it takes to say where each stood.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::epoch::{Epoch, Window};

/// A piece of input that one worker decodes.
#[derive(Clone, Debug)]
pub struct Block {
    /// The source's epoch when it read this. Never less than that of an earlier block.
    pub epoch: Epoch,
    /// Where windows begin inside the block: the place of the first byte (of a log) or the first
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
    },
    /// A line that is longer than an event may be.
    LineTooLong {
        /// The log, as it was named.
        file: Arc<Path>,
        /// Where the line begins in the (decompressed) log.
        offset: u64,
        /// How long it is, without its newline.
        length: u64,
        /// Its first bytes.
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

/// One Kafka message of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The record's timestamp, in milliseconds since 1970: when it arrived.
    pub timestamp_ms: i64,
    /// Where its payload begins in the block's bytes.
    pub start: usize,
    /// How long its payload is.
    pub length: usize,
}
