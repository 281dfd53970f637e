//! `--shift-to`: a log is published as if its last event were at another time.

use std::sync::atomic::AtomicBool;

use super::input::Input;
use crate::cli::CliError;
use crate::cli::time::show_time;
use crate::counter::EventTime;
use crate::event::TimeUnit;
use crate::pipeline::TimeShift;
use crate::source::log::LogSpan;

/// What moves the last event of the input to this time; nothing, where there is no event.
pub fn find(
    input: Input,
    to: EventTime,
    unit: TimeUnit,
    stop: &AtomicBool,
) -> Result<(Input, Option<TimeShift>), CliError> {
    let (input, span) = input.span(stop)?;
    Ok((input, span.map(|span| shift(span, to, unit)).transpose()?))
}

fn shift(span: LogSpan, to: EventTime, unit: TimeUnit) -> Result<TimeShift, CliError> {
    let shift = TimeShift { from: span.last, to };
    if shift.moved(span.first).0 >= 0 {
        return Ok(shift);
    }
    let [to, first, last] = [to, span.first, span.last].map(|time| show_time(time.0, unit));
    Err(CliError::Usage(format!(
        "--shift-to {to}: with the last event there, the first one would be before 1970, since they are from {first} to \
         {last}: give a later time"
    )))
}
