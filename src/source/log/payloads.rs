//! The content of event logs without epochs and windows: for whoever counts it by the times of its events alone.

use std::ops::ControlFlow;

use super::LogSource;
use super::chunks::read_chunks;
use super::cut::LineCutter;
use super::open::{Log, ReadFailure};
use super::pieces::each_piece;
use super::stamp::payload;
use super::up_to::shorter;
use crate::event::Arrival;
use crate::source::{LogPart, Payload, SourceError};

/// Why no more of a log is read.
enum Enough {
    /// The rest of it is not wanted.
    OfThisLog,
    /// Nothing more is wanted of any.
    OfAll,
}

impl LogSource {
    /// Calls `each` with all that a run would read (or has read, see [`LogSource::up_to`]), in order, until one call breaks
    /// off. Gives back what is wrong with logs that are truncated or damaged, whose beginnings were passed on.
    pub fn each_payload(
        &self,
        each: &mut dyn FnMut(Payload) -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Vec<String>>, SourceError> {
        let mut damages = Vec::new();
        for (index, log) in self.logs.iter().enumerate() {
            self.progress.begin(&log.name);
            let read = match &self.parts {
                None => self.each_payload_of(log, each),
                Some(parts) => self.each_payload_up_to(log, &parts[index], each).map_err(ReadFailure::Failed),
            };
            match read {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Ok(ControlFlow::Break(())),
                Err(ReadFailure::Damaged(what)) => damages.push(what),
                Err(ReadFailure::Failed(error)) => return Err(error),
            }
        }
        Ok(ControlFlow::Continue(damages))
    }

    fn each_payload_of(
        &self,
        log: &Log,
        each: &mut dyn FnMut(Payload) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ReadFailure> {
        let is_pipe = log.is_pipe();
        let arrival = || {
            if is_pipe { Arrival::at(self.options.now.now()) } else { Arrival::before(self.options.run_start) }
        };
        each_piece(log, self.limits(), &self.progress, |piece| each(payload(&log.name, piece, arrival())))
    }

    /// Reads the parts of a log, each with its own arrival. What is behind them is not looked at, damage included.
    fn each_payload_up_to(
        &self,
        log: &Log,
        parts: &[LogPart],
        each: &mut dyn FnMut(Payload) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, SourceError> {
        let mut cutter = LineCutter::new(self.limits());
        let (mut position, mut parts_to_come) = (0, parts.iter().peekable());
        let read = read_chunks(log, 0, &self.progress, |mut bytes| {
            while let Some(part) = parts_to_come.peek() {
                let arrival = Arrival::before(part.run_start);
                let left = usize::try_from(part.to - position).unwrap_or(usize::MAX);
                let (of_part, rest) = bytes.split_at(left.min(bytes.len()));
                cutter.push(of_part);
                position += of_part.len() as u64;
                let at_end = position == part.to;
                while let Some(piece) = cutter.next_piece().or_else(|| at_end.then(|| cutter.rest()).flatten()) {
                    if each(payload(&log.name, piece, arrival)).is_break() {
                        return ControlFlow::Break(Enough::OfAll);
                    }
                }
                if !at_end {
                    return ControlFlow::Continue(());
                }
                parts_to_come.next();
                bytes = rest;
            }
            ControlFlow::Break(Enough::OfThisLog)
        });
        let to = parts.last().map_or(0, |part| part.to);
        match read {
            Ok(ControlFlow::Break(Enough::OfThisLog)) => Ok(ControlFlow::Continue(())),
            Ok(ControlFlow::Break(Enough::OfAll)) => Ok(ControlFlow::Break(())),
            Ok(ControlFlow::Continue(())) => Err(shorter(&log.name, position, to, None)),
            Err(ReadFailure::Damaged(what)) => Err(shorter(&log.name, position, to, Some(what))),
            Err(ReadFailure::Failed(error)) => Err(error),
        }
    }
}
