//! From when to when the events of logs are, found by reading all of them before they are counted.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::LogSource;
use super::cut::Piece;
use super::open::{Log, ReadFailure};
use super::pieces::each_piece;
use super::progress::LogProgress;
use super::times::LineTimes;
use crate::counter::EventTime;
use crate::event::{Arrival, Utf8};
use crate::source::{LogBytes, SourceError};

/// The earliest and the latest time of the events that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSpan {
    /// The earliest.
    pub first: EventTime,
    /// The latest.
    pub last: EventTime,
}

impl LogSource {
    /// The first of the logs that can be read only once.
    pub fn pipe(&self) -> Option<&Path> {
        self.logs.iter().find(|log| log.length().is_none()).map(|log| &*log.name)
    }

    /// Reads all logs; `None` if they hold no event that counts. A damaged log tells what can be read of it.
    pub fn span(&self) -> Result<Option<LogSpan>, SourceError> {
        let mut times = LineTimes::of_whole_events(&self.options.schema);
        let mut span = None;
        for log in &self.logs {
            self.extend_by(log, &mut times, &mut span)?;
        }
        Ok(span)
    }

    fn extend_by(&self, log: &Log, times: &mut LineTimes, span: &mut Option<LogSpan>) -> Result<(), SourceError> {
        let arrival = Arrival::before(self.options.run_start);
        // Not the run's: nothing of this counts as read.
        let progress = Arc::new(LogProgress::new(None));
        let read = each_piece(log, self.limits(), &progress, |piece| {
            extend_by_piece(&piece, arrival, times, span);
            ControlFlow::<()>::Continue(())
        });
        match read {
            Err(ReadFailure::Failed(error)) => Err(error),
            // Whoever counts will say so.
            Err(ReadFailure::Damaged(_)) | Ok(_) => Ok(()),
        }
    }
}

fn extend_by_piece(piece: &Piece, arrival: Arrival, times: &mut LineTimes, span: &mut Option<LogSpan>) {
    let Piece::Lines { bytes: LogBytes::Read(lines), .. } = piece else { return };
    for line in lines.split(|byte| *byte == b'\n') {
        let Ok(Some(time)) = times.time_of(line, arrival, Utf8::Unchecked) else { continue };
        let known = span.unwrap_or(LogSpan { first: time, last: time });
        *span = Some(LogSpan { first: known.first.min(time), last: known.last.max(time) });
    }
}
