//! What is known of the checkpoints of a run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Counter, Trouble};

/// The checkpoints of a run.
#[derive(Debug, Default)]
pub struct Checkpoints {
    made: Counter,
    failed: Counter,
    bytes: Counter,
    longest_ms: AtomicU64,
    last: Mutex<Option<LastCheckpoint>>,
    /// Why the last one could not be made.
    trouble: Trouble,
}

/// The last one that was made.
#[derive(Clone, Copy, Debug)]
pub struct LastCheckpoint {
    /// When it was durable.
    pub at: Instant,
    /// How long that took, from asking for it.
    pub took: Duration,
    /// With so many bytes of changes.
    pub bytes: u64,
}

impl Checkpoints {
    /// One was made, with so many bytes of changes, from asking for it until it was durable.
    pub fn made(&self, bytes: u64, took: Duration) {
        self.made.add(1);
        self.bytes.add(bytes);
        self.longest_ms.fetch_max(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let last = LastCheckpoint { at: Instant::now(), took, bytes };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        self.trouble.clear();
    }

    /// One could not be made, because of this.
    pub fn failed(&self, why: String) {
        self.failed.add(1);
        self.trouble.set(why);
    }

    /// Why the last one could not be made; `None`: it was, or there was none yet.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.get()
    }

    /// The last one that was made in this run.
    pub fn last(&self) -> Option<LastCheckpoint> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many were made.
    pub fn count(&self) -> u64 {
        self.made.get()
    }

    /// How many could not be made.
    pub fn failures(&self) -> u64 {
        self.failed.get()
    }

    /// How many bytes of changes they have written.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// How long the longest took.
    pub fn longest(&self) -> Duration {
        Duration::from_millis(self.longest_ms.load(Ordering::Relaxed))
    }
}
