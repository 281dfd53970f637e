//! Cutting a plain file without reading it: only the last bytes of each block are looked at, for
//! its last newline; the workers read the rest. The pieces are those of
//! [`LineCutter`](super::cut::LineCutter).

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use memchr::{memchr, memrchr};

use super::cut::{BYTE_ORDER_MARK, CutLimits, Piece};
use super::open::unreadable;
use crate::source::{HEAD_BYTES, LogBytes, SourceError, read_at};

/// How much is read at first to find a block's last newline.
const FIRST_LOOK_BYTES: u64 = 4 * 1_024;

/// How much of a line that is longer than a block is read at once.
const SCAN_BYTES: u64 = 64 * 1_024;

/// A plain file that is cut into pieces.
pub(super) struct PlainFile<'a> {
    name: &'a Path,
    file: Arc<File>,
    end: u64,
    /// Where the next piece begins.
    offset: u64,
    limits: CutLimits,
    buffer: Vec<u8>,
}

impl PlainFile<'_> {
    /// A file of which these bytes are cut.
    pub(super) fn new(
        name: &Path,
        file: Arc<File>,
        Range { start, end }: Range<u64>,
        limits: CutLimits,
    ) -> Result<PlainFile<'_>, SourceError> {
        let mut plain = PlainFile { name, file, end, offset: start, limits, buffer: Vec::new() };
        plain.load(0..end.min(BYTE_ORDER_MARK.len() as u64))?;
        if start == 0 && plain.buffer == BYTE_ORDER_MARK {
            plain.offset = BYTE_ORDER_MARK.len() as u64;
        }
        Ok(plain)
    }

    /// Where the next piece begins.
    pub(super) fn position(&self) -> u64 {
        self.offset
    }

    /// Whether there is no next piece.
    pub(super) fn is_finished(&self) -> bool {
        self.offset == self.end
    }

    /// The next piece, unless the file is finished; `None` when `stop` is set and a long line is not
    /// worth looking for its end.
    pub(super) fn next_piece(&mut self, stop: &AtomicBool) -> Result<Option<Piece>, SourceError> {
        let block_bytes = self.limits.block_bytes() as u64;
        if self.end - self.offset < block_bytes {
            return Ok(Some(self.take(self.end - self.offset)));
        }
        let block = self.offset..self.offset + block_bytes;
        read_back(&self.file, block.clone(), |bytes| bytes.contains(&b'\n'), &mut self.buffer)
            .map_err(|error| unreadable(self.name, error))?;
        match memrchr(b'\n', &self.buffer) {
            Some(newline) => {
                let behind = (self.buffer.len() - newline - 1) as u64;
                Ok(Some(self.take(block_bytes - behind)))
            }
            None => self.long_line(block.end, stop),
        }
    }

    /// The line that begins the rest of the file and has no newline before `searched`.
    fn long_line(&mut self, searched: u64, stop: &AtomicBool) -> Result<Option<Piece>, SourceError> {
        let mut searched = searched;
        let mut newline = None;
        while newline.is_none() && searched < self.end {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            self.load(searched..self.end.min(searched + SCAN_BYTES))?;
            newline = memchr(b'\n', &self.buffer).map(|offset| searched + offset as u64);
            searched += self.buffer.len() as u64;
        }
        let line_end = newline.unwrap_or(self.end);
        let length = line_end - self.offset;
        let with_newline = length + u64::from(newline.is_some());
        if !self.limits.too_long(length) {
            return Ok(Some(self.take(with_newline)));
        }
        self.load(self.offset..self.offset + length.min(HEAD_BYTES as u64))?;
        let piece = Piece::LineTooLong { offset: self.offset, length, head: self.buffer.clone() };
        self.offset += with_newline;
        Ok(Some(piece))
    }

    fn take(&mut self, length: u64) -> Piece {
        let offset = self.offset;
        self.offset += length;
        let bytes = LogBytes::InFile { file: Arc::clone(&self.file), length: length as usize };
        Piece::Lines { offset, bytes }
    }

    fn load(&mut self, range: Range<u64>) -> Result<(), SourceError> {
        read_range(&self.file, range, &mut self.buffer).map_err(|error| unreadable(self.name, error))
    }
}

/// Reads so much of the range's end that it is `enough`, or else the whole range.
pub(super) fn read_back(
    file: &File,
    range: Range<u64>,
    enough: impl Fn(&[u8]) -> bool,
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    let mut look_bytes = FIRST_LOOK_BYTES;
    loop {
        let start = range.end.saturating_sub(look_bytes).max(range.start);
        read_range(file, start..range.end, buffer)?;
        if start == range.start || enough(buffer) {
            return Ok(());
        }
        look_bytes *= 4;
    }
}

fn read_range(file: &File, range: Range<u64>, buffer: &mut Vec<u8>) -> io::Result<()> {
    read_at(file, range.start, (range.end - range.start) as usize, buffer)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::FileExt as _;

    use proptest::prelude::*;

    use super::super::cut::LineCutter;
    use super::*;

    /// A piece with its bytes, as both cutters must make it.
    #[derive(Debug, PartialEq)]
    enum Cut {
        Lines(u64, Vec<u8>),
        TooLong(u64, u64, Vec<u8>),
    }

    fn cut(piece: Piece) -> Cut {
        match piece {
            Piece::LineTooLong { offset, length, head } => Cut::TooLong(offset, length, head),
            Piece::Lines { offset, bytes: LogBytes::Read(bytes) } => Cut::Lines(offset, bytes),
            Piece::Lines { offset, bytes: LogBytes::InFile { file, length } } => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, offset).unwrap();
                Cut::Lines(offset, bytes)
            }
        }
    }

    fn from_file(log: &[u8], limits: CutLimits) -> Vec<Cut> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(log).unwrap();
        let mut plain = PlainFile::new(Path::new("log"), Arc::new(file), 0..log.len() as u64, limits).unwrap();
        let mut cuts = Vec::new();
        while !plain.is_finished() {
            cuts.extend(plain.next_piece(&AtomicBool::new(false)).unwrap().map(cut));
        }
        cuts
    }

    fn from_chunks(log: &[u8], limits: CutLimits, chunk_bytes: usize) -> Vec<Cut> {
        let mut cutter = LineCutter::new(limits);
        let mut cuts = Vec::new();
        for chunk in log.chunks(chunk_bytes) {
            cutter.push(chunk);
            cuts.extend(std::iter::from_fn(|| cutter.next_piece()).map(cut));
        }
        cuts.extend(cutter.rest().map(cut));
        cuts
    }

    /// The rule of the cut, written down once more: by what stands where.
    fn by_the_rule(log: &[u8], block_bytes: usize, max_line_bytes: usize) -> Vec<Cut> {
        let mut cuts = Vec::new();
        let mut start = if log.starts_with(BYTE_ORDER_MARK) { 3 } else { 0 };
        while start < log.len() {
            let rest = &log[start..];
            let newline_in_block = rest.iter().take(block_bytes).rposition(|byte| *byte == b'\n');
            let line_length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let length = match newline_in_block {
                _ if rest.len() < block_bytes => rest.len(),
                Some(newline) => newline + 1,
                None => rest.len().min(line_length + 1),
            };
            let too_long = line_length > max_line_bytes && line_length >= block_bytes;
            cuts.push(match too_long {
                true => Cut::TooLong(start as u64, line_length as u64, rest[..line_length.min(HEAD_BYTES)].to_vec()),
                false => Cut::Lines(start as u64, rest[..length].to_vec()),
            });
            start += length;
        }
        cuts
    }

    fn logs() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            8 => "[ -~]{0,12}",
            2 => "[ -~]{12,70}",
            1 => (60..2_500_usize).prop_map(|length| "x".repeat(length)),
        ];
        let mark = prop_oneof![Just("".to_string()), Just("\u{FEFF}".to_string())];
        (mark, prop::collection::vec(line, 0..40), any::<bool>()).prop_map(|(mark, lines, newline)| {
            (mark + &lines.join("\n") + if newline { "\n" } else { "" }).into_bytes()
        })
    }

    proptest! {
        #[test]
        fn a_file_and_a_stream_are_cut_alike_and_by_the_rule(
            log in logs(), block_bytes in 3..200_usize, max_line_bytes in 1..1_500_usize, chunk_bytes in 1..300_usize,
        ) {
            let limits = CutLimits::new(block_bytes, max_line_bytes);
            let expected = by_the_rule(&log, block_bytes, max_line_bytes);
            prop_assert_eq!(&from_file(&log, limits), &expected);
            prop_assert_eq!(&from_chunks(&log, limits, chunk_bytes), &expected);
        }
    }

    #[test]
    fn blocks_larger_than_one_look_are_cut_at_their_last_newline() {
        let log = format!("{}\n{}\n{}", "a".repeat(10), "b".repeat(50_000), "c".repeat(100_000)).into_bytes();
        let limits = CutLimits::new(60_000, 1 << 20);
        assert_eq!(from_file(&log, limits), by_the_rule(&log, 60_000, 1 << 20));
        assert_eq!(from_file(&log, limits).len(), 2);
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error_that_names_it() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo\n").unwrap();
        let mut plain =
            PlainFile::new(Path::new("events.jsonl"), Arc::new(file), 0..100, CutLimits::new(10, 10)).unwrap();
        let error = plain.next_piece(&AtomicBool::new(false)).unwrap_err();
        assert!(error.to_string().contains("events.jsonl"));
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("shorter"), "{cause}");
    }
}
