//! The epochs that process 0 announces, for the readers of another process.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::epoch::Epoch;

/// The newest epoch that may be announced, until the readers of all processes have ended.
#[derive(Debug)]
pub struct Followed {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    epoch: Epoch,
    all_ended: bool,
}

impl Followed {
    /// Begins with this epoch.
    pub fn new(first: Epoch) -> Followed {
        Followed { state: Mutex::new(State { epoch: first, all_ended: false }), changed: Condvar::new() }
    }

    /// The newest epoch.
    pub fn epoch(&self) -> Epoch {
        self.lock().epoch
    }

    /// Readers may announce this epoch.
    pub fn announce(&self, epoch: Epoch) {
        let mut state = self.lock();
        state.epoch = state.epoch.max(epoch);
        self.changed.notify_all();
    }

    /// All readers of all processes have ended.
    pub fn end(&self) {
        self.lock().all_ended = true;
        self.changed.notify_all();
    }

    /// Waits for an epoch behind this one; `None`: no reader reads any more.
    pub fn next_behind(&self, epoch: Epoch) -> Option<Epoch> {
        let mut state = self.lock();
        while !state.all_ended && state.epoch <= epoch {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (!state.all_ended).then_some(state.epoch)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn whoever_follows_hears_of_each_newer_epoch_and_of_the_end() {
        let followed = Arc::new(Followed::new(Epoch(3)));
        followed.announce(Epoch(2));
        assert_eq!(followed.epoch(), Epoch(3), "it never goes back");
        let heard = Arc::clone(&followed);
        let hears = std::thread::spawn(move || {
            let mut all = vec![Epoch(3)];
            while let Some(next) = heard.next_behind(*all.last().unwrap()) {
                all.push(next);
            }
            all
        });
        followed.announce(Epoch(9));
        while Arc::strong_count(&followed) < 2 {}
        followed.end();
        let all = hears.join().unwrap();
        assert!(all == [Epoch(3)] || all == [Epoch(3), Epoch(9)], "{all:?}");
    }
}
