//! How long somebody who was asked for something has not done any of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Since when it is waited for.
#[derive(Debug, Default)]
pub struct Silence(Mutex<Option<Instant>>);

impl Silence {
    /// Something is asked for, maybe again.
    pub fn goes_on(&self) {
        self.lock().get_or_insert_with(Instant::now);
    }

    /// Some of it was done: the rest is waited for from now on.
    pub fn begins(&self) {
        *self.lock() = Some(Instant::now());
    }

    /// Nothing is waited for.
    pub fn ends(&self) {
        *self.lock() = None;
    }

    /// For how long something has been waited for, where it is.
    pub fn lasts(&self) -> Option<Duration> {
        self.lock().map(|since| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
