//! What the workers of a process are told of cuts, wherever these are decided.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::epoch::Epoch;

/// Which cut is to be a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Counts them, from 1. At the end of the input several may be at the end of one epoch.
    pub number: u64,
    /// The last epoch that it holds.
    pub epoch: Epoch,
}

/// The newest cut, and whether all is read again that was published before.
#[derive(Debug, Default)]
pub struct KnownCuts {
    /// How many checkpoints have got their cut.
    number: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cut: Option<Cut>,
    passed: Option<Epoch>,
}

impl KnownCuts {
    /// The cut of the newest checkpoint that was asked for; `None` before the first.
    pub fn cut(&self) -> Option<Cut> {
        self.lock().cut
    }

    /// The same, if it has come behind the one with this number. Cheap: workers ask before each epoch.
    #[inline]
    pub fn behind(&self, number: u64) -> Option<Cut> {
        if self.number.load(Ordering::Acquire) == number { None } else { self.cut() }
    }

    /// See [`Cuts::passed`](super::Cuts::passed).
    pub fn passed(&self) -> Option<Epoch> {
        self.lock().passed
    }

    /// This is the newest cut, unless a newer one is known: it may be told in two ways.
    pub(crate) fn cut_at(&self, cut: Cut) {
        let mut state = self.lock();
        if state.cut.is_none_or(|known| known.number < cut.number) {
            state.cut = Some(cut);
            self.number.store(cut.number, Ordering::Release);
        }
    }

    /// From the end of this epoch on all is read again.
    pub(crate) fn passed_at(&self, epoch: Epoch) {
        self.lock().passed = Some(epoch);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
