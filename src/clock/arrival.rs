//! The readers' own clock: it tells when something arrives.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::counter::EventTime;
use crate::event::TimeUnit;

/// Tells when something was read, in the unit of the events' times.
#[derive(Clone)]
pub struct ArrivalClock {
    unit: TimeUnit,
    now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl ArrivalClock {
    /// The clock of this machine.
    pub fn of_this_machine(unit: TimeUnit) -> ArrivalClock {
        ArrivalClock { unit, now: Arc::new(SystemTime::now) }
    }

    /// A clock that shows whatever `now` says, for tests.
    #[cfg(test)]
    pub(crate) fn told(unit: TimeUnit, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> ArrivalClock {
        ArrivalClock { unit, now: Arc::new(now) }
    }

    /// The unit of its times.
    pub fn unit(&self) -> TimeUnit {
        self.unit
    }

    /// What time it is; 0 before 1970.
    pub fn now(&self) -> EventTime {
        let since_1970 = (self.now)().duration_since(UNIX_EPOCH).unwrap_or_default();
        EventTime(self.unit.from_nanoseconds(since_1970.as_nanos() as i128))
    }
}

impl fmt::Debug for ArrivalClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ArrivalClock").field("unit", &self.unit).finish_non_exhaustive()
    }
}
