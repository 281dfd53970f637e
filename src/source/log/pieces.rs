//! The whole content of a log, cut into pieces.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::chunks::read_chunks;
use super::cut::{CutLimits, LineCutter, Piece};
use super::open::{Log, ReadFailure};
use super::progress::LogProgress;

/// Reads a log and passes on its pieces, until its end or until `each` breaks off. Of a log that is truncated or damaged all that can be
/// read is passed on before that is told.
pub(super) fn each_piece<B>(
    log: &Log,
    limits: CutLimits,
    progress: &Arc<LogProgress>,
    mut each: impl FnMut(Piece) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, ReadFailure> {
    let mut cutter = LineCutter::new(limits);
    let read = read_chunks(log, 0, progress, |bytes| {
        cutter.push(bytes);
        while let Some(piece) = cutter.next_piece() {
            each(piece)?;
        }
        ControlFlow::Continue(())
    });
    match read {
        Ok(ControlFlow::Continue(())) | Err(ReadFailure::Damaged(_)) => {}
        broken_off_or_failed => return broken_off_or_failed,
    }
    if let Some(piece) = cutter.rest()
        && let ControlFlow::Break(reason) = each(piece)
    {
        return Ok(ControlFlow::Break(reason));
    }
    read
}
