//! The content of event logs without epochs and windows: for whoever counts it by the times of its events alone.

use std::ops::ControlFlow;

use super::LogSource;
use super::chunks::read_chunks;
use super::cut::LineCutter;
use super::open::{Log, ReadFailure};
use super::stamp::payload;
use crate::event::Arrival;
use crate::source::{Payload, SourceError};

impl LogSource {
    /// Calls `each` with all that a run would read, in order, until one call breaks off. Gives back what is wrong with logs
    /// that are truncated or damaged, whose beginnings were passed on.
    pub fn each_payload(
        &self,
        each: &mut dyn FnMut(Payload) -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Vec<String>>, SourceError> {
        let mut damages = Vec::new();
        for log in &self.logs {
            self.progress.begin(&log.name);
            match self.each_payload_of(log, each) {
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
        let mut cutter = LineCutter::new(self.limits());
        let read = read_chunks(log, &self.progress, |bytes| {
            cutter.push(bytes);
            while let Some(piece) = cutter.next_piece() {
                each(payload(&log.name, piece, arrival()))?;
            }
            ControlFlow::Continue(())
        });
        if matches!(read, Ok(ControlFlow::Break(())) | Err(ReadFailure::Failed(_))) {
            return read;
        }
        if let Some(piece) = cutter.rest()
            && each(payload(&log.name, piece, arrival())).is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        read
    }
}
