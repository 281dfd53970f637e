//! That no more is to be read: any process may be told so, and then all are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// This process's word that no more is to be read, and whether the others have it.
pub(crate) struct StopRelay {
    stop: Arc<AtomicBool>,
    signalled: Arc<AtomicBool>,
    /// What the others know: nothing, 1 that it is to stop, and 2 that a signal said so.
    told: Mutex<u8>,
}

impl StopRelay {
    /// Of the run that ends its input on `stop`, and waits for its writers only so long once it is `signalled`.
    pub fn new(stop: Arc<AtomicBool>, signalled: Arc<AtomicBool>) -> StopRelay {
        StopRelay { stop, signalled, told: Mutex::new(0) }
    }

    /// No more is to be read.
    pub fn is_wanted(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Another process says it.
    pub fn hear(&self, by_signal: bool) {
        if by_signal {
            self.signalled.store(true, Ordering::Release);
        }
        self.stop.store(true, Ordering::Release);
    }

    /// Nobody needs to be told that any more.
    pub fn is_known(&self, by_signal: bool) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = 1 + u8::from(by_signal);
    }

    /// Tells it where it is news. `try_tell` does not wait; where it has no room it is asked again the next time.
    pub fn relay(&self, try_tell: impl FnOnce(bool) -> bool) {
        let wanted = u8::from(self.is_wanted()) + u8::from(self.signalled.load(Ordering::Acquire));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted > *told && try_tell(wanted > 1) {
            *told = wanted;
        }
    }
}
