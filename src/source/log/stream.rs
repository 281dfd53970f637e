//! Reading a log from one end to the other and cutting it: pipes, compressed logs, and every log of
//! which all lines are looked at.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::RecvTimeoutError;

use super::chunks::{Chunk, chunks_of};
use super::cut::{CutLimits, LineCutter};
use super::open::{Log, ReadFailure};
use super::progress::LogProgress;
use super::stamp::{STOP_NOTICE, Stamper, Stop};
use crate::source::SourceError;

/// Reads the log and hands it over.
///
/// What a pipe holds goes out at the latest [`STOP_NOTICE`] after it came, also when it makes no
/// whole block; a file's blocks never depend on how fast it can be read.
pub(super) fn read_stream(
    log: &Log,
    limits: CutLimits,
    progress: &Arc<LogProgress>,
    stamper: &mut Stamper<'_>,
) -> Result<(), Stop> {
    let chunks = chunks_of(log, progress)?;
    let mut stream = Stream { log, cutter: LineCutter::new(limits), stamper };
    let may_pause = log.length().is_none();
    let mut waiting_since: Option<Instant> = None;
    while !stream.stamper.should_stop() {
        let patience = STOP_NOTICE.saturating_sub(waiting_since.map(|since| since.elapsed()).unwrap_or_default());
        match chunks.recv_timeout(patience) {
            Ok(Chunk::Bytes(bytes)) => {
                stream.push(&bytes)?;
                waiting_since.get_or_insert_with(Instant::now);
            }
            Ok(Chunk::End) => return stream.finish(),
            Ok(Chunk::Failure(ReadFailure::Damaged(what))) => {
                return Err(match stream.finish() {
                    Ok(()) => Stop::Damaged(what),
                    Err(stop) => {
                        tracing::warn!("{what}");
                        stop
                    }
                });
            }
            Ok(Chunk::Failure(ReadFailure::Failed(error))) => {
                // What came before it still counts, where there is room for it: the error must neither wait nor become
                // an interruption.
                stream.stamper.give_up_waiting();
                let _ = stream.hand_over_lines();
                return Err(Stop::Failed(error));
            }
            Err(RecvTimeoutError::Timeout) => {
                waiting_since = None;
                if may_pause {
                    stream.catch_up()?;
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                let log = log.name.display();
                return Err(SourceError::new(format!("the thread that read {log} is gone")).into());
            }
        }
    }
    if may_pause {
        // So that whoever follows a growing log with a pipe and then stops has the last lines too,
        // though they make no whole block. (Of a pipe that is still busy, what was not cut is lost.)
        stream.catch_up()?;
    }
    Err(Stop::Interrupted)
}

/// A log while it is cut.
struct Stream<'a, 'b> {
    log: &'a Log,
    cutter: LineCutter,
    stamper: &'a mut Stamper<'b>,
}

impl Stream<'_, '_> {
    /// Takes bytes, and hands over the pieces that they complete.
    fn push(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.cutter.push(bytes);
        while let Some(piece) = self.cutter.next_piece() {
            self.stamper.hand_over(&self.log.name, piece)?;
        }
        Ok(())
    }

    /// Hands over the lines that are complete. There is nothing else to do for now.
    fn catch_up(&mut self) -> Result<(), Stop> {
        self.hand_over_lines()?;
        self.stamper.caught_up();
        Ok(())
    }

    fn hand_over_lines(&mut self) -> Result<(), Stop> {
        match self.cutter.complete_lines() {
            Some(piece) => self.stamper.hand_over(&self.log.name, piece),
            None => Ok(()),
        }
    }

    /// Hands over everything that is left.
    fn finish(&mut self) -> Result<(), Stop> {
        match self.cutter.rest() {
            Some(piece) => self.stamper.hand_over(&self.log.name, piece),
            None => Ok(()),
        }
    }
}
