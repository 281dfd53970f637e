//! When an event arrived: what `max_ahead` is measured from.

use serde::{Deserialize, Serialize};

use super::TimeUnit;
use crate::counter::EventTime;

/// What a source knows of the arrival of an event, in the unit of the event's time.
///
/// The event itself may say more, in the schema's arrival field; see `Arrival::with_field`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    time: EventTime,
    read: EventTime,
    is_known: bool,
}

impl Arrival {
    /// Some time before this: the arrival of the lines of a file that was found then.
    pub const fn before(found: EventTime) -> Arrival {
        Arrival { time: found, read: found, is_known: false }
    }

    /// When it was read: the arrival of what is read as it comes.
    pub const fn at(read: EventTime) -> Arrival {
        Arrival { time: read, read, is_known: true }
    }

    /// At `time`, as a record that was read later says.
    pub const fn recorded(time: EventTime, read: EventTime) -> Arrival {
        Arrival { time, read, is_known: true }
    }

    /// The time from which `max_ahead` counts; where the arrival is not known, the latest it can be.
    #[inline]
    pub fn time(self) -> EventTime {
        self.time
    }

    /// Whether it is known, and later than an event's own time by more than so many time units.
    #[inline]
    pub fn is_later(self, time: EventTime, by: i64) -> bool {
        self.is_known & (self.time.0.saturating_sub(time.0) > by)
    }

    /// Whether [`Arrival::time`] is the arrival, so that an event may count then.
    pub(super) fn is_known(self) -> bool {
        self.is_known
    }

    /// The arrival of an event whose arrival field says so; unchanged where that cannot be.
    pub(super) fn with_field(self, time: EventTime, unit: TimeUnit) -> Arrival {
        let is_possible = time >= earliest_arrival(unit) && time <= self.read;
        if is_possible { Arrival { time, is_known: true, ..self } } else { self }
    }
}

/// The beginning of the year 2000, in seconds since 1970.
pub const YEAR_2000: i64 = 946_684_800;

/// The beginning of the year 2000: nothing that collectors or brokers wrote arrived before it. (A
/// time of 1970 is none, or one in another unit.)
pub fn earliest_arrival(unit: TimeUnit) -> EventTime {
    EventTime(YEAR_2000 * unit.per_second())
}
