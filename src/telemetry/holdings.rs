//! What the workers of a process hold: keys, rows, bytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Of all workers of a process.
#[derive(Debug, Default)]
pub struct Holdings(Mutex<Vec<Arc<HoldingsGauge>>>);

/// What one worker holds.
#[derive(Debug, Default)]
pub struct HoldingsGauge {
    keys: AtomicU64,
    bytes: AtomicU64,
}

impl Holdings {
    /// One more worker's.
    pub fn register(&self) -> Arc<HoldingsGauge> {
        let gauge = Arc::<HoldingsGauge>::default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&gauge));
        gauge
    }

    /// How many keys.
    pub fn keys(&self) -> u64 {
        self.sum(|gauge| &gauge.keys)
    }

    /// The bytes that are allocated for them and their rows.
    pub fn bytes(&self) -> u64 {
        self.sum(|gauge| &gauge.bytes)
    }

    fn sum(&self, of: impl Fn(&HoldingsGauge) -> &AtomicU64) -> u64 {
        let workers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter().map(|gauge| of(gauge).load(Ordering::Relaxed)).sum()
    }
}

impl HoldingsGauge {
    /// It holds so much now.
    pub fn set(&self, keys: usize, bytes: usize) {
        self.keys.store(keys as u64, Ordering::Relaxed);
        self.bytes.store(bytes as u64, Ordering::Relaxed);
    }
}
