//! The live clock: the epoch follows the wall clock, window by window.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::epoch::Epoch;

/// Tells every source thread of a process the current epoch.
///
/// Each window of the wall clock is an epoch. The next epoch is the larger of the wall clock's
/// window and the last one + 1, and its time is told by the monotonic clock: a wall clock that is
/// set back neither takes epochs back nor stops them.
#[derive(Debug)]
pub struct WallClock {
    length: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    epoch: Epoch,
    ends: Instant,
}

impl WallClock {
    /// A clock with windows of this length, whose first epoch is at least `first`.
    pub fn new(length: Duration, first: Epoch) -> WallClock {
        let epoch = wall_window(SystemTime::now(), length).max(first);
        WallClock { length, state: Mutex::new(State { epoch, ends: window_end(length) }) }
    }

    /// The current epoch, and when it ends.
    pub fn now(&self) -> (Epoch, Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if Instant::now() >= state.ends {
            let next = Epoch(state.epoch.0 + 1);
            *state =
                State { epoch: wall_window(SystemTime::now(), self.length).max(next), ends: window_end(self.length) };
        }
        (state.epoch, state.ends)
    }
}

/// The number of the window that `time` lies in; 0 before 1970.
fn wall_window(time: SystemTime, length: Duration) -> Epoch {
    let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Epoch((since_1970.as_nanos() / length.as_nanos()) as u64)
}

/// When the wall clock's current window ends, by the monotonic clock.
fn window_end(length: Duration) -> Instant {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let into_window = since_1970.as_nanos() % length.as_nanos();
    Instant::now() + Duration::from_nanos((length.as_nanos() - into_window) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_rise_from_a_first_one_that_the_wall_clock_has_not_reached() {
        let ahead = Epoch(u64::MAX / 2);
        let clock = WallClock::new(Duration::from_millis(20), ahead);
        let (first, ends) = clock.now();
        assert_eq!(first, ahead);
        std::thread::sleep(ends.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        assert_eq!(clock.now().0, Epoch(ahead.0 + 1));
    }
}
