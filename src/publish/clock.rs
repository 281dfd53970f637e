//! The time by which marks are dated and rounds begin.

use std::time::{Duration, Instant};

use super::publisher::Next;
use crate::state::Moment;

/// Wall time since the run began, the same for all threads of a process. It never goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunClock(Instant);

impl RunClock {
    pub fn since(started: Instant) -> RunClock {
        RunClock(started)
    }

    pub fn now(self) -> Moment {
        Moment(self.0.elapsed().as_millis() as u64)
    }

    /// How long until there is something to do.
    pub fn until(self, next: Next) -> Duration {
        match next {
            Next::Wait(moment) => Duration::from_millis(moment.0.saturating_sub(self.now().0)),
            Next::More => Duration::ZERO,
            Next::Done => Duration::MAX,
        }
    }
}
