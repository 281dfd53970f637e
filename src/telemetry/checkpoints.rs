//! What is known of the checkpoints of a run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Counter;

/// The checkpoints of a run.
#[derive(Debug, Default)]
pub struct Checkpoints {
    made: Counter,
    failed: Counter,
    bytes: Counter,
    longest_ms: AtomicU64,
}

impl Checkpoints {
    /// One was made, with so many bytes of changes, from asking for it until it was durable.
    pub fn made(&self, bytes: u64, took: Duration) {
        self.made.add(1);
        self.bytes.add(bytes);
        self.longest_ms.fetch_max(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// One could not be made.
    pub fn failed(&self) {
        self.failed.add(1);
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
