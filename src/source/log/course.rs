//! From where to where a log is read, and by which start.

use std::path::Path;

use super::go_on::published_and_gone;
use crate::counter::EventTime;
use crate::source::{LogPart, SourceError};

/// How one log is read by one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// What is before this is counted.
    pub(super) from: u64,
    /// What follows and may have been published, as it was judged then.
    pub(super) parts: Vec<LogPart>,
    /// Where it ends; `None`: with the log.
    pub(super) end: Option<u64>,
    /// Of a damaged log only whole lines are read.
    pub(super) leaves_torn_lines: bool,
    /// That less than the parts can be read is no error.
    pub(super) skips_lost: bool,
}

impl Course {
    /// What is read, one behind the other: by which start it is judged, unless by that of this run, and where it ends,
    /// unless with the log.
    pub(super) fn legs(&self) -> impl Iterator<Item = (Option<EventTime>, Option<u64>)> {
        let parts = self.parts.iter().map(|part| (Some(part.run_start), Some(part.to)));
        parts.chain([(None, self.end)])
    }

    /// An error where a log that has ended here should have had more. Says whether something is passed over.
    pub(super) fn passes_over(&self, log: &Path, position: u64) -> Result<bool, SourceError> {
        match self.parts.last() {
            Some(last) if position < last.to && !self.skips_lost => Err(published_and_gone(log, position, last.to)),
            Some(last) => Ok(position < last.to),
            None => Ok(false),
        }
    }
}
