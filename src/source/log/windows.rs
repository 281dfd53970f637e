//! Where windows and epochs begin inside a piece of a log, by the time of every line.

use memchr::memchr;

use super::times::LineTimes;
use crate::clock::{EpochPart, SharedClock};
use crate::event::{Arrival, Utf8};

/// Shows the clock every line, and cuts where epochs begin.
pub(super) fn cut_by_epoch(
    lines: &[u8],
    arrival: Arrival,
    clock: &SharedClock,
    times: &mut LineTimes,
) -> Vec<EpochPart> {
    // Over a whole piece this costs next to nothing; line by line it would.
    let utf8 = if std::str::from_utf8(lines).is_ok() { Utf8::Checked } else { Utf8::Unchecked };
    clock.cut(|parts| {
        let mut rest = lines;
        while !rest.is_empty() {
            let newline = memchr(b'\n', rest);
            let length = newline.map_or(rest.len(), |newline| newline + 1);
            match times.time_of(&rest[..newline.unwrap_or(rest.len())], arrival, utf8) {
                Ok(None) => parts.pass(length),
                Ok(time) => parts.add(time, length as u64, length),
                Err(_) => parts.add(None, length as u64, length),
            }
            rest = &rest[length..];
        }
    })
}
