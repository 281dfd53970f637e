//! Moving the times of what is published.

use crate::counter::EventTime;

/// Moves all times alike, so that what was at `from` is at `to`.
///
/// Only what leaves for a sink is moved. Counting goes by the log's own times, so windows, values, and what is
/// refused or forgotten are those of a run that moves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeShift {
    /// The time of the log's last event.
    pub from: EventTime,
    /// The time at which it is published.
    pub to: EventTime,
}

impl TimeShift {
    /// Where a time of the log is moved to.
    pub fn moved(self, time: EventTime) -> EventTime {
        let by = self.to.0.saturating_sub(self.from.0);
        EventTime(time.0.saturating_add(by))
    }
}
