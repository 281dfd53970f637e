//! Whether readers have reached the ends that were found at the start.

use std::sync::Mutex;
use std::sync::PoisonError;

use crate::epoch::Epoch;

/// Told by each reader, once, when everything that there was at the start has been handed over.
#[derive(Debug)]
pub struct CaughtUp(Mutex<State>);

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
        CaughtUp(Mutex::new(State { missing: readers.unwrap_or(usize::MAX), latest: Epoch(0) }))
    }

    /// One more reader has got there; the last of it stands in this epoch.
    pub fn reached(&self, epoch: Epoch) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.missing = state.missing.saturating_sub(1);
        state.latest = state.latest.max(epoch);
    }

    /// The epoch with which everything is counted that there was at the start; `None`: some reader is not there yet.
    pub fn epoch(&self) -> Option<Epoch> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.missing == 0).then_some(state.latest)
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
