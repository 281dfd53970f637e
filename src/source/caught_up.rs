//! Whether readers have reached the ends that were found at the start.

use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::epoch::Epoch;

/// Told by each reader, once, when everything that there was at the start has been handed over.
///
/// In a cluster process 0 knows of all readers; the others tell it of theirs, and are told when all have.
pub struct CaughtUp {
    state: Mutex<State>,
    /// Is told of each reader, and when the last one has got there.
    tells: OnceLock<TellCaughtUp>,
}

/// Tells other processes of a reader that has got there in this epoch, and whether it was the last of all.
pub(crate) type TellCaughtUp = Box<dyn Fn(Epoch, bool) + Send + Sync>;

#[derive(Debug)]
struct State {
    /// How many readers are not there yet.
    missing: usize,
    /// The largest epoch in which one of them got there.
    latest: Epoch,
}

impl CaughtUp {
    /// Of so many readers; of none, where only the end of the input is an end.
    pub fn new(readers: Option<usize>) -> CaughtUp {
        let state = State { missing: readers.unwrap_or(usize::MAX), latest: Epoch(0) };
        CaughtUp { state: Mutex::new(state), tells: OnceLock::new() }
    }

    /// Tells other processes from now on.
    pub(crate) fn tell(&self, tells: TellCaughtUp) {
        let _ = self.tells.set(tells);
    }

    /// All readers of all processes have got there, the last of them in this epoch.
    pub(crate) fn all_reached(&self, epoch: Epoch) {
        *self.lock() = State { missing: 0, latest: epoch };
    }

    /// One more reader has got there; the last of it stands in this epoch.
    pub fn reached(&self, epoch: Epoch) {
        let mut state = self.lock();
        state.missing = state.missing.saturating_sub(1);
        state.latest = state.latest.max(epoch);
        let (is_last, latest) = (state.missing == 0, state.latest);
        drop(state);
        if let Some(tells) = self.tells.get() {
            tells(latest, is_last);
        }
    }

    /// The epoch with which everything is counted that there was at the start; `None`: some reader is not there yet.
    pub fn epoch(&self) -> Option<Epoch> {
        let state = self.lock();
        (state.missing == 0).then_some(state.latest)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CaughtUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CaughtUp").field(&self.state).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reader_counts_and_the_latest_epoch() {
        let caught_up = CaughtUp::new(Some(2));
        caught_up.reached(Epoch(9));
        assert_eq!(caught_up.epoch(), None);
        caught_up.reached(Epoch(5));
        assert_eq!(caught_up.epoch(), Some(Epoch(9)));
        assert_eq!(CaughtUp::new(None).epoch(), None);
    }
}
