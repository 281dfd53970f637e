//! The lines of event logs, one by one, for whoever wants no blocks.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cut::{CutLimits, Piece};
use super::find::find_logs;
use super::open::{Log, ReadFailure};
use super::options::LogOptions;
use super::pieces::each_piece;
use super::progress::LogProgress;
use crate::source::{LogBytes, SourceError, SourceErrorKind};

/// One line of an event log.
#[derive(Clone, Copy, Debug)]
pub struct LogLine<'a> {
    /// The log, as it was named.
    pub log: &'a Path,
    /// Where the line begins in the (decompressed) log.
    pub offset: u64,
    /// The line, without its end; not blank.
    pub bytes: &'a [u8],
}

/// Calls `each` with every line of these logs, in order, until one call fails. Paths are those of
/// [`LogSource`](super::LogSource). A line longer than `max_line_bytes` is an error, and so is a
/// truncated log, once its lines were seen.
pub fn for_each_line<E: From<SourceError>>(
    paths: &[PathBuf],
    max_line_bytes: usize,
    each: &mut dyn FnMut(LogLine<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let progress = Arc::new(LogProgress::new(None));
    for log in find_logs(paths)? {
        read_lines(&log, max_line_bytes, &progress, each)?;
    }
    Ok(())
}

fn read_lines<E: From<SourceError>>(
    log: &Log,
    max_line_bytes: usize,
    progress: &Arc<LogProgress>,
    each: &mut dyn FnMut(LogLine<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let limits = CutLimits::new(LogOptions::BLOCK_BYTES, max_line_bytes);
    let read = each_piece(log, limits, progress, |piece| match each_line_of(&log.name, max_line_bytes, piece, each) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    });
    match read {
        Ok(ControlFlow::Continue(())) => Ok(()),
        Ok(ControlFlow::Break(error)) => Err(error),
        Err(ReadFailure::Damaged(what)) => Err(SourceError::new(what).of_kind(SourceErrorKind::Damaged).into()),
        Err(ReadFailure::Failed(error)) => Err(error.into()),
    }
}

fn each_line_of<E: From<SourceError>>(
    log: &Path,
    max_line_bytes: usize,
    piece: Piece,
    each: &mut dyn FnMut(LogLine<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let too_long = |offset: u64| {
        let log = log.display();
        SourceError::new(format!("a line of {log}, at byte {offset}, is longer than {max_line_bytes} bytes"))
    };
    let (mut offset, lines) = match piece {
        Piece::Lines { offset, bytes: LogBytes::Read(lines) } => (offset, lines),
        Piece::Lines { offset, .. } | Piece::LineTooLong { offset, .. } => return Err(too_long(offset).into()),
    };
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let bytes = line.strip_suffix(b"\n").unwrap_or(line);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if bytes.len() > max_line_bytes {
            return Err(too_long(offset).into());
        }
        if !bytes.trim_ascii().is_empty() {
            each(LogLine { log, offset, bytes })?;
        }
        offset += line.len() as u64;
    }
    Ok(())
}
