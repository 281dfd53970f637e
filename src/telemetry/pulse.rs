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
    done_before: AtomicU64,
    announced: AtomicU64,
    waits_for_writers: AtomicBool,
}

/// How far a worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerProgress {
    /// All epochs before this are done, everywhere.
    pub done_before: u64,
    /// All epochs before this could be: its source has announced it, or has ended.
    pub announced: u64,
    /// Something is with a writer, and not durable yet.
    pub waits_for_writers: bool,
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

    /// How far each is that goes on.
    pub fn progress(&self) -> Vec<WorkerProgress> {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let go_on = workers.iter().filter(|worker| !worker.has_ended.load(Ordering::Acquire));
        let progress = go_on.map(|worker| WorkerProgress {
            done_before: worker.done_before.load(Ordering::Relaxed),
            announced: worker.announced.load(Ordering::Relaxed),
            waits_for_writers: worker.waits_for_writers.load(Ordering::Relaxed),
        });
        progress.collect()
    }
}

/// Held by a worker.
#[derive(Debug)]
pub struct Beating(Arc<WorkerPulse>);

impl Beating {
    /// A step has ended, and the worker is so far.
    pub fn beat(&self, progress: WorkerProgress) {
        let Beating(worker) = self;
        worker.steps.fetch_add(1, Ordering::Relaxed);
        worker.done_before.store(progress.done_before, Ordering::Relaxed);
        worker.announced.store(progress.announced, Ordering::Relaxed);
        worker.waits_for_writers.store(progress.waits_for_writers, Ordering::Relaxed);
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Release);
    }
}
