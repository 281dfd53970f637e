//! The live clock: the epoch follows the wall clock, window by window.
//!
//! A window in which very much comes is more than one epoch: see [`EpochSize`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::EpochSize;
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
    size: EpochSize,
}

impl WallClock {
    /// A clock with windows of this length, whose first epoch is at least `first`.
    pub fn new(length: Duration, first: Epoch) -> WallClock {
        let epoch = WallClock::epoch_now(length).max(first);
        WallClock { length, state: Mutex::new(State { epoch, ends: window_end(length), size: EpochSize::default() }) }
    }

    /// The epoch that a clock with windows of this length would begin with now.
    pub fn epoch_now(length: Duration) -> Epoch {
        wall_window(SystemTime::now(), length)
    }

    /// The current epoch, and when it ends.
    pub fn now(&self) -> (Epoch, Instant) {
        let mut state = self.lock();
        if Instant::now() >= state.ends {
            let epoch = WallClock::epoch_now(self.length).max(Epoch(state.epoch.0 + 1));
            *state = State { epoch, ends: window_end(self.length), size: EpochSize::default() };
        }
        (state.epoch, state.ends)
    }

    /// Takes notice of a block that was read in this epoch. If it is the last one that the epoch can hold, the epoch and
    /// its window end here, and the next epoch begins: `now` then says so.
    pub fn after_block(&self, epoch: Epoch, events: u64, bytes: u64) {
        let mut state = self.lock();
        if state.epoch != epoch {
            return;
        }
        state.size.add(events, bytes);
        if state.size.is_full(EpochSize::MOST_EVENTS) {
            state.epoch.0 += 1;
            state.size = EpochSize::default();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn an_epoch_that_grows_too_large_ends_before_its_window() {
        let clock = WallClock::new(Duration::from_secs(1_000_000), Epoch(5_000_000_000));
        let (first, ends) = clock.now();
        clock.after_block(first, EpochSize::MOST_EVENTS - 1, 1);
        assert_eq!(clock.now(), (first, ends));
        clock.after_block(first, 1, 1);
        assert_eq!(clock.now(), (Epoch(first.0 + 1), ends));
        clock.after_block(first, 1, EpochSize::MOST_BYTES);
        assert_eq!(clock.now().0, Epoch(first.0 + 1), "what another reader read in the epoch before does not count");
        clock.after_block(Epoch(first.0 + 1), 1, EpochSize::MOST_BYTES);
        assert_eq!(clock.now().0, Epoch(first.0 + 2));
    }

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
