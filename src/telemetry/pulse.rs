//! That workers get on: each counts the steps that it has ended.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The workers of a process.
#[derive(Debug, Default)]
pub struct Pulse {
    workers: Mutex<Vec<Arc<WorkerPulse>>>,
}

/// One of them.
#[derive(Debug, Default)]
pub struct WorkerPulse {
    steps: AtomicU64,
    has_ended: AtomicBool,
}

impl Pulse {
    /// One more worker's, until it is dropped.
    pub fn register(&self) -> Beating {
        let worker = Arc::<WorkerPulse>::default();
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&worker));
        Beating(worker)
    }

    /// How many steps each has ended; `None`: it will end no more.
    pub fn steps(&self) -> Vec<Option<u64>> {
        let steps = |worker: &Arc<WorkerPulse>| {
            (!worker.has_ended.load(Ordering::Acquire)).then(|| worker.steps.load(Ordering::Relaxed))
        };
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).iter().map(steps).collect()
    }
}

/// Held by a worker.
#[derive(Debug)]
pub struct Beating(Arc<WorkerPulse>);

impl Beating {
    /// A step has ended.
    pub fn beat(&self) {
        self.0.steps.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Release);
    }
}
