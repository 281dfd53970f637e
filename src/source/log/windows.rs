//! Where windows and epochs begin inside a piece of a log, by the time of every line.

use std::ops::Range;

use memchr::memchr;

use super::times::LineTimes;
use crate::clock::{Begins, StreamClock};
use crate::epoch::{Epoch, Window};
use crate::event::{Arrival, Utf8};

/// Lines of one epoch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EpochPart {
    pub(super) epoch: Epoch,
    /// Where windows begin, counted from the part's own beginning.
    pub(super) window_starts: Vec<(usize, Window)>,
    /// Which bytes of the piece.
    pub(super) range: Range<usize>,
}

impl EpochPart {
    /// A part that begins at `start` in the piece, now.
    pub(super) fn begin(clock: &StreamClock, start: usize) -> EpochPart {
        let (epoch, window) = (clock.epoch(), clock.window());
        let window_starts = if window.0 == epoch.0 { Vec::new() } else { vec![(0, window)] };
        EpochPart { epoch, window_starts, range: start..start }
    }
}

/// Shows the clock every line, and cuts where epochs begin.
pub(super) fn split_by_epoch(
    lines: &[u8],
    arrival: Arrival,
    clock: &mut StreamClock,
    times: &mut LineTimes,
) -> Vec<EpochPart> {
    // Over a whole piece this costs next to nothing; line by line it would.
    let utf8 = if std::str::from_utf8(lines).is_ok() { Utf8::Checked } else { Utf8::Unchecked };
    let mut parts = Vec::new();
    let mut part = EpochPart::begin(clock, 0);
    while part.range.end < lines.len() {
        let line_start = part.range.end;
        let rest = &lines[line_start..];
        let newline = memchr(b'\n', rest);
        let length = newline.map_or(rest.len(), |newline| newline + 1);
        let begins = match times.time_of(&rest[..newline.unwrap_or(rest.len())], arrival, utf8) {
            Ok(None) => Begins::Nothing,
            Ok(time) => clock.observe(time, length as u64),
            Err(_) => clock.observe(None, length as u64),
        };
        match begins {
            Begins::Nothing => {}
            Begins::Window(window) => part.begin_window(line_start, window),
            Begins::Epoch(_) => {
                let next = EpochPart::begin(clock, line_start);
                parts.push(std::mem::replace(&mut part, next));
            }
        }
        part.range.end += length;
    }
    parts.push(part);
    parts.retain(|part| !part.range.is_empty());
    parts
}

impl EpochPart {
    fn begin_window(&mut self, line_start: usize, window: Window) {
        let place = line_start - self.range.start;
        // A window that begins with the part's first line takes the place of the one before it.
        self.window_starts.retain(|(start, _)| *start < place);
        self.window_starts.push((place, window));
    }
}
