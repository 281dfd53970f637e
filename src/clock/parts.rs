//! Where windows and epochs begin inside a piece of a stream.

use std::ops::Range;

use super::{Begins, StreamClock};
use crate::counter::EventTime;
use crate::epoch::{Epoch, Window};

/// What belongs to one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochPart {
    /// The epoch.
    pub epoch: Epoch,
    /// Where windows begin, counted from the part's own beginning; the first one that is the epoch's is left out.
    pub window_starts: Vec<(usize, Window)>,
    /// Which part of the piece, in the unit in which it is measured: bytes of lines, or messages.
    pub range: Range<usize>,
}

/// Shows a clock what a piece consists of, one after the other, and cuts where epochs begin.
#[derive(Debug)]
pub struct Parts<'a> {
    clock: &'a mut StreamClock,
    done: Vec<EpochPart>,
    part: EpochPart,
}

impl<'a> Parts<'a> {
    /// Begins a piece.
    pub(super) fn of(clock: &'a mut StreamClock) -> Parts<'a> {
        let part = begin(clock, 0);
        Parts { clock, done: Vec::new(), part }
    }

    /// Adds an event of so many bytes, or one that has no time by which the clock may go. It takes so much of the piece.
    pub fn add(&mut self, time: Option<EventTime>, bytes: u64, length: usize) {
        let start = self.part.range.end;
        match self.clock.observe(time, bytes) {
            Begins::Nothing => {}
            Begins::Window(window) => {
                let offset = start - self.part.range.start;
                // A window that begins with the part takes the place of the one before it.
                self.part.window_starts.retain(|(start, _)| *start < offset);
                self.part.window_starts.push((offset, window));
            }
            Begins::Epoch(_) => self.done.push(std::mem::replace(&mut self.part, begin(self.clock, start))),
        }
        self.pass(length);
    }

    /// Passes over what is no event, such as a blank line.
    pub fn pass(&mut self, length: usize) {
        self.part.range.end += length;
    }

    /// The parts, none of which is empty.
    pub(super) fn finish(mut self) -> Vec<EpochPart> {
        self.done.push(self.part);
        self.done.retain(|part| !part.range.is_empty());
        self.done
    }
}

/// A part that begins at `start` in the piece, now.
fn begin(clock: &StreamClock, start: usize) -> EpochPart {
    let (epoch, window) = (clock.epoch(), clock.window());
    // Windows of this epoch may have begun in an earlier piece, or in that of another reader.
    let window_starts = if window.0 == epoch.0 { Vec::new() } else { vec![(0, window)] };
    EpochPart { epoch, window_starts, range: start..start }
}
