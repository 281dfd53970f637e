//! How long somebody who was asked has not answered.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Since when an answer is waited for.
#[derive(Debug, Default)]
pub struct Silence(Mutex<Option<Instant>>);

impl Silence {
    /// Something was asked, or answered in part: what is waited for is waited for from now on.
    pub fn begins(&self) {
        *self.lock() = Some(Instant::now());
    }

    /// Nothing is waited for.
    pub fn ends(&self) {
        *self.lock() = None;
    }

    /// For how long an answer has been waited for, where one is.
    pub fn lasts(&self) -> Option<Duration> {
        self.lock().map(|since| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
