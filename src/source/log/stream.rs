//! Reading a log from one end to the other and cutting it: pipes, compressed logs, and every log of
//! which all lines are looked at.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::RecvTimeoutError;

use super::chunks::{Chunk, chunks_of};
use super::course::Course;
use super::cut::{CutLimits, LineCutter};
use super::open::{Log, ReadFailure};
use super::progress::LogProgress;
use super::stamp::{STOP_NOTICE, Stamper, Stop};
use crate::counter::EventTime;
use crate::source::SourceError;

/// Reads the log on its course and hands it over.
///
/// What a pipe holds goes out at the latest [`STOP_NOTICE`] after it came, also when it makes no
/// whole block; a file's blocks never depend on how fast it can be read.
pub(super) fn read_stream(
    log: &Log,
    course: &Course,
    limits: CutLimits,
    progress: &Arc<LogProgress>,
    stamper: &mut Stamper<'_>,
) -> Result<(), Stop> {
    let chunks = chunks_of(log, course.from, progress)?;
    let mut stream = Stream::new(log, course, limits, stamper);
    let may_pause = log.length().is_none();
    let mut waiting_since: Option<Instant> = None;
    while !stream.is_finished() {
        if stream.stamper.should_stop() {
            break;
        }
        let patience = STOP_NOTICE.saturating_sub(waiting_since.map(|since| since.elapsed()).unwrap_or_default());
        match chunks.recv_timeout(patience) {
            Ok(Chunk::Bytes(bytes)) => {
                stream.push(&bytes)?;
                waiting_since.get_or_insert_with(Instant::now);
            }
            Ok(Chunk::End) => return stream.finish(),
            Ok(Chunk::Failure(ReadFailure::Damaged(what))) => {
                return Err(match stream.finish_before_damage() {
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
    if stream.is_finished() {
        return Ok(());
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
    course: &'a Course,
    /// What comes behind what is read now: see [`Course::legs`].
    to_come: Vec<Leg>,
    /// Where what is read now ends, unless with the log.
    end: Option<u64>,
    /// Everything before this has come.
    position: u64,
    cutter: LineCutter,
    stamper: &'a mut Stamper<'b>,
}

type Leg = (Option<EventTime>, Option<u64>);

impl<'a, 'b> Stream<'a, 'b> {
    fn new(log: &'a Log, course: &'a Course, limits: CutLimits, stamper: &'a mut Stamper<'b>) -> Stream<'a, 'b> {
        let mut to_come: Vec<Leg> = course.legs().collect();
        to_come.reverse();
        let (cutter, position) = (LineCutter::at(course.from, limits), course.from);
        let mut stream = Stream { log, course, to_come, end: Some(position), position, cutter, stamper };
        stream.begin_leg();
        stream
    }

    /// Goes on with what comes next, where everything has come of what is read now.
    fn begin_leg(&mut self) {
        while self.end == Some(self.position)
            && let Some((run_start, end)) = self.to_come.pop()
        {
            self.stamper.begin_part(run_start);
            self.end = end;
        }
    }

    /// Whether nothing more is to be read, though the log may have more.
    fn is_finished(&self) -> bool {
        self.end == Some(self.position)
    }

    /// Takes bytes, and hands over the pieces that they complete.
    fn push(&mut self, mut bytes: &[u8]) -> Result<(), Stop> {
        while !bytes.is_empty() && !self.is_finished() {
            let left = self.end.map_or(u64::MAX, |end| end - self.position);
            let (of_leg, rest) = bytes.split_at(usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len()));
            self.cutter.push(of_leg);
            self.position += of_leg.len() as u64;
            while let Some(piece) = self.cutter.next_piece() {
                self.stamper.hand_over(&self.log.name, piece)?;
            }
            if self.is_finished() {
                self.hand_over_rest()?;
                self.begin_leg();
            }
            bytes = rest;
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

    fn hand_over_rest(&mut self) -> Result<(), Stop> {
        match self.cutter.rest() {
            Some(piece) => self.stamper.hand_over(&self.log.name, piece),
            None => Ok(()),
        }
    }

    /// Hands over everything that is left: the log has ended.
    fn finish(&mut self) -> Result<(), Stop> {
        self.hand_over_rest()?;
        self.judge_length()
    }

    /// Hands over what there is before the damage. A run that goes on from here finds the rest of the line whole, perhaps.
    fn finish_before_damage(&mut self) -> Result<(), Stop> {
        if !self.course.leaves_torn_lines {
            return self.finish();
        }
        self.hand_over_lines()?;
        self.judge_length()
    }

    fn judge_length(&mut self) -> Result<(), Stop> {
        if self.course.passes_over(&self.log.name, self.position)? {
            self.stamper.nothing_is_left();
        }
        Ok(())
    }
}
