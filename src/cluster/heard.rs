//! When something was last heard of a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When something was last heard of a process.
#[derive(Debug)]
pub(super) struct Heard {
    pub name: String,
    started: Instant,
    milliseconds: AtomicU64,
}

impl Heard {
    pub fn of(name: String) -> Arc<Heard> {
        Arc::new(Heard { name, started: Instant::now(), milliseconds: AtomicU64::new(0) })
    }

    /// Something was heard.
    pub fn now(&self) {
        self.milliseconds.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// When that was.
    pub fn at(&self) -> Instant {
        self.started + Duration::from_millis(self.milliseconds.load(Ordering::Relaxed))
    }

    /// How long ago that was.
    pub fn since(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.milliseconds.load(Ordering::Relaxed)))
    }
}
