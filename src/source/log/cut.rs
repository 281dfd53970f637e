//! Cutting a log into pieces of whole lines: pure, and the same however the bytes come in.
//!
//! A piece ends behind the last newline within `block_bytes` of its beginning; where fewer bytes than
//! that are left, it takes them all. A line that is longer than a block is a piece of its own up to
//! `max_line_bytes`; beyond these it is never held, only measured.

use memchr::{memchr, memrchr};

use crate::source::{HEAD_BYTES, LogBytes};

/// The UTF-8 byte-order mark, which is skipped at a log's beginning.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Where to cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct CutLimits {
    block_bytes: usize,
    max_line_bytes: usize,
}

impl CutLimits {
    /// Blocks of at most `block_bytes`, where lines allow it, and lines of at most `max_line_bytes`.
    pub(super) fn new(block_bytes: usize, max_line_bytes: usize) -> CutLimits {
        // A first block must show whether the log begins with a byte-order mark.
        CutLimits { block_bytes: block_bytes.max(BYTE_ORDER_MARK.len()), max_line_bytes }
    }

    pub(super) fn block_bytes(self) -> usize {
        self.block_bytes
    }

    /// Whether a line of this length, without its newline, fits no block.
    ///
    /// (A line that is shorter than a block and longer than an event may be reaches the decoder,
    /// which refuses it.)
    pub(super) fn too_long(self, length: u64) -> bool {
        length > self.max_line_bytes as u64
    }
}

/// A piece of a log.
#[derive(Debug)]
pub(super) enum Piece {
    /// Whole lines; the last of a log may lack its newline.
    Lines {
        /// Where the first byte stands in the log.
        offset: u64,
        /// The lines, never empty.
        bytes: LogBytes,
    },
    /// A line that is too long.
    LineTooLong {
        /// Where it begins.
        offset: u64,
        /// How long it is, without its newline.
        length: u64,
        /// Its first [`HEAD_BYTES`].
        head: Vec<u8>,
    },
}

impl Piece {
    /// How many of its bytes go to the workers.
    pub(super) fn kept_bytes(&self) -> u64 {
        match self {
            Piece::Lines { bytes, .. } => bytes.length() as u64,
            Piece::LineTooLong { head, .. } => head.len() as u64,
        }
    }
}

/// Cuts a stream of bytes that comes in chunks of any size.
#[derive(Debug)]
pub(super) struct LineCutter {
    limits: CutLimits,
    /// What came in and was not handed out yet.
    buffer: Vec<u8>,
    /// Where the buffer begins in the log.
    offset: u64,
    /// How many bytes of a line that is longer than a block are known to hold no newline.
    scanned: usize,
    /// The line that is too long and whose end has not come yet.
    skipping: Option<SkippedLine>,
    mark_looked_for: bool,
}

#[derive(Debug)]
struct SkippedLine {
    offset: u64,
    length: u64,
    head: Vec<u8>,
}

impl LineCutter {
    /// A cutter at the beginning of a log.
    pub(super) fn new(limits: CutLimits) -> LineCutter {
        LineCutter::at(0, limits)
    }

    /// A cutter that goes on at this offset of a log.
    pub(super) fn at(offset: u64, limits: CutLimits) -> LineCutter {
        let mark_looked_for = offset > 0;
        LineCutter { limits, buffer: Vec::new(), offset, scanned: 0, skipping: None, mark_looked_for }
    }

    /// Takes the log's next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next piece that is certain, whatever comes. To be called until there is none.
    pub(super) fn next_piece(&mut self) -> Option<Piece> {
        if self.skipping.is_some() {
            return self.skip_line();
        }
        if self.buffer.len() < self.limits.block_bytes {
            return None;
        }
        self.skip_byte_order_mark();
        if self.buffer.len() < self.limits.block_bytes {
            return None;
        }
        if self.scanned == 0
            && let Some(newline) = memrchr(b'\n', &self.buffer[..self.limits.block_bytes])
        {
            return Some(self.take(newline + 1));
        }
        self.long_line()
    }

    /// The complete lines that have come, though more may follow. To be called after
    /// [`LineCutter::next_piece`].
    pub(super) fn complete_lines(&mut self) -> Option<Piece> {
        if self.skipping.is_some() || self.scanned > 0 || !self.buffer.contains(&b'\n') {
            return None;
        }
        self.skip_byte_order_mark();
        memrchr(b'\n', &self.buffer).map(|newline| self.take(newline + 1))
    }

    /// What is left where the log, or what is to be read of it, ends. To be called after [`LineCutter::next_piece`].
    pub(super) fn rest(&mut self) -> Option<Piece> {
        if let Some(line) = self.skipping.take() {
            return Some(line.into_piece());
        }
        self.skip_byte_order_mark();
        if self.buffer.is_empty() { None } else { Some(self.take(self.buffer.len())) }
    }

    /// Looks at the log's first bytes, once.
    fn skip_byte_order_mark(&mut self) {
        if !self.mark_looked_for && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.discard(BYTE_ORDER_MARK.len());
        }
        self.mark_looked_for = true;
    }

    /// The line at the buffer's beginning, which is longer than a block, if its end has come.
    fn long_line(&mut self) -> Option<Piece> {
        let from = self.scanned.max(self.limits.block_bytes);
        if let Some(newline) = memchr(b'\n', &self.buffer[from..])
            && !self.limits.too_long((from + newline) as u64)
        {
            return Some(self.take(from + newline + 1));
        }
        self.scanned = self.buffer.len();
        if !self.limits.too_long(self.scanned as u64) {
            return None;
        }
        self.skipping = Some(SkippedLine { offset: self.offset, length: 0, head: Vec::new() });
        self.scanned = 0;
        self.skip_line()
    }

    /// Discards the bytes of the line that is skipped; the line, if its end has come.
    fn skip_line(&mut self) -> Option<Piece> {
        let newline = memchr(b'\n', &self.buffer);
        let skipped = newline.unwrap_or(self.buffer.len());
        let mut line = self.skipping.take()?;
        line.length += skipped as u64;
        let missing = HEAD_BYTES - line.head.len();
        line.head.extend_from_slice(&self.buffer[..skipped.min(missing)]);
        self.discard(newline.map_or(skipped, |newline| newline + 1));
        if newline.is_some() {
            return Some(line.into_piece());
        }
        self.skipping = Some(line);
        None
    }

    fn discard(&mut self, bytes: usize) {
        self.buffer.drain(..bytes);
        self.offset += bytes as u64;
    }

    /// Hands out the buffer's first bytes.
    fn take(&mut self, length: usize) -> Piece {
        let mut rest = Vec::with_capacity(self.limits.block_bytes + (self.buffer.len() - length));
        rest.extend_from_slice(&self.buffer[length..]);
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(length);
        let offset = self.offset;
        self.offset += length as u64;
        self.scanned = 0;
        Piece::Lines { offset, bytes: LogBytes::Read(bytes) }
    }
}

impl SkippedLine {
    fn into_piece(self) -> Piece {
        Piece::LineTooLong { offset: self.offset, length: self.length, head: self.head }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(piece: Option<Piece>) -> Option<(u64, String)> {
        match piece? {
            Piece::Lines { offset, bytes: LogBytes::Read(bytes) } => Some((offset, String::from_utf8(bytes).unwrap())),
            other => panic!("not lines that were read: {other:?}"),
        }
    }

    #[test]
    fn complete_lines_go_out_early_and_the_rest_follows() {
        let mut cutter = LineCutter::new(CutLimits::new(100, 100));
        cutter.push(b"\xEF\xBB");
        assert_eq!(lines(cutter.complete_lines()), None);
        cutter.push(b"\xBFone\ntwo\nthr");
        assert_eq!(lines(cutter.complete_lines()), Some((3, "one\ntwo\n".into())));
        assert_eq!(lines(cutter.complete_lines()), None);
        cutter.push(b"ee");
        assert_eq!(lines(cutter.rest()), Some((11, "three".into())));
        assert!(cutter.rest().is_none());
    }

    #[test]
    fn a_line_that_is_too_long_is_measured_but_not_held() {
        let mut cutter = LineCutter::new(CutLimits::new(64, 4_096));
        let chunk = [b'x'; 1_000];
        for _ in 0..10_000 {
            cutter.push(&chunk);
            assert!(cutter.next_piece().is_none());
            assert!(cutter.complete_lines().is_none());
            assert!(cutter.buffer.capacity() < 20_000);
        }
        cutter.push(b"\nnext\n");
        let Some(Piece::LineTooLong { offset: 0, length: 10_000_000, head }) = cutter.next_piece() else {
            panic!("the line has ended")
        };
        assert_eq!(head, [b'x'; HEAD_BYTES]);
        assert_eq!(lines(cutter.rest()), Some((10_000_001, "next\n".into())));
    }
}
