//! That workers get on: each counts the steps that it has ended, and says what it waits for.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::resources::{ThreadId, thread_cpu_time};

/// The workers of a process.
#[derive(Debug, Default)]
pub struct Pulse {
    workers: Mutex<Vec<Arc<WorkerPulse>>>,
}

/// One of them.
#[derive(Debug)]
pub struct WorkerPulse {
    thread: ThreadId,
    steps: AtomicU64,
    has_ended: AtomicBool,
    /// Nanoseconds of processor time, once it has ended.
    busy_at_end: AtomicU64,
    done_before: AtomicU64,
    announced: AtomicU64,
    waits_for_writers: AtomicBool,
    waits_for: AtomicU8,
    epochs_in_flight: AtomicU32,
    is_held: AtomicBool,
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

/// What a worker would have to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitsFor {
    /// Nothing: it has something to do.
    #[default]
    Nothing,
    /// Something to read.
    Source,
    /// Epochs that others have not ended: workers, or processes.
    Exchange,
    /// What is being written.
    Writers,
}

/// What a worker is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerState {
    /// What it would have to go on.
    pub waits_for: WaitsFor,
    /// Epochs that its source has begun, and that are not done everywhere.
    pub epochs_in_flight: u32,
    /// It may publish nothing yet.
    pub is_held: bool,
}

/// A worker as it is seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerSeen {
    /// How many steps it has ended.
    pub steps: u64,
    /// It goes on no more.
    pub has_ended: bool,
    /// The processor time that it has had; nothing, where the system does not say.
    pub busy: Option<Duration>,
    /// How far it is.
    pub progress: WorkerProgress,
    /// What it was at, at the end of its last step.
    pub state: WorkerState,
}

impl Pulse {
    /// One more worker's, which is this thread, until it is dropped.
    pub fn register(&self) -> Beating {
        let worker = Arc::new(WorkerPulse {
            thread: ThreadId::this(),
            steps: AtomicU64::default(),
            has_ended: AtomicBool::default(),
            busy_at_end: AtomicU64::default(),
            done_before: AtomicU64::default(),
            announced: AtomicU64::default(),
            waits_for_writers: AtomicBool::default(),
            waits_for: AtomicU8::default(),
            epochs_in_flight: AtomicU32::default(),
            is_held: AtomicBool::default(),
        });
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
        go_on.map(|worker| worker.progress()).collect()
    }

    /// All that there were, in the order in which they came.
    pub fn seen(&self) -> Vec<WorkerSeen> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|worker| worker.seen()).collect()
    }
}

impl WorkerPulse {
    fn progress(&self) -> WorkerProgress {
        WorkerProgress {
            done_before: self.done_before.load(Ordering::Relaxed),
            announced: self.announced.load(Ordering::Relaxed),
            waits_for_writers: self.waits_for_writers.load(Ordering::Relaxed),
        }
    }

    fn seen(&self) -> WorkerSeen {
        // Before it is asked whether it has ended: of a thread that has, the system knows nothing.
        let busy = self.thread.cpu_time();
        let has_ended = self.has_ended.load(Ordering::Acquire);
        let at_end = Duration::from_nanos(self.busy_at_end.load(Ordering::Relaxed));
        WorkerSeen {
            steps: self.steps.load(Ordering::Relaxed),
            has_ended,
            busy: if has_ended { Some(at_end) } else { busy },
            progress: self.progress(),
            state: WorkerState {
                waits_for: WaitsFor::ALL[usize::from(self.waits_for.load(Ordering::Relaxed)) % WaitsFor::ALL.len()],
                epochs_in_flight: self.epochs_in_flight.load(Ordering::Relaxed),
                is_held: self.is_held.load(Ordering::Relaxed),
            },
        }
    }
}

impl WaitsFor {
    /// Each, by its number.
    pub const ALL: [WaitsFor; 4] = [WaitsFor::Nothing, WaitsFor::Source, WaitsFor::Exchange, WaitsFor::Writers];

    /// Its name in metrics. A worker that waits though it has something to do waits for a processor, or sleeps for a moment.
    pub fn as_str(self) -> &'static str {
        match self {
            WaitsFor::Nothing => "other",
            WaitsFor::Source => "source",
            WaitsFor::Exchange => "exchange",
            WaitsFor::Writers => "writers",
        }
    }
}

/// Held by a worker.
#[derive(Debug)]
pub struct Beating(Arc<WorkerPulse>);

impl Beating {
    /// A step has ended, and the worker is so far, and at this.
    pub fn beat(&self, progress: WorkerProgress, state: WorkerState) {
        let Beating(worker) = self;
        worker.steps.fetch_add(1, Ordering::Relaxed);
        worker.done_before.store(progress.done_before, Ordering::Relaxed);
        worker.announced.store(progress.announced, Ordering::Relaxed);
        worker.waits_for_writers.store(progress.waits_for_writers, Ordering::Relaxed);
        worker.waits_for.store(state.waits_for as u8, Ordering::Relaxed);
        worker.epochs_in_flight.store(state.epochs_in_flight, Ordering::Relaxed);
        worker.is_held.store(state.is_held, Ordering::Relaxed);
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        let busy = u64::try_from(thread_cpu_time().as_nanos()).unwrap_or(u64::MAX);
        self.0.busy_at_end.store(busy, Ordering::Relaxed);
        self.0.has_ended.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_seen_from_another_thread_at_work_and_when_it_has_ended() {
        let pulse = Arc::<Pulse>::default();
        let (begun, has_begun) = crossbeam_channel::bounded(0);
        let (end, may_end) = crossbeam_channel::bounded::<()>(0);
        let of_worker = Arc::clone(&pulse);
        let worker = std::thread::spawn(move || {
            let beating = of_worker.register();
            let state = WorkerState { waits_for: WaitsFor::Writers, epochs_in_flight: 3, is_held: true };
            beating.beat(WorkerProgress::default(), state);
            while thread_cpu_time() < Duration::from_millis(20) {}
            begun.send(()).unwrap();
            let _ = may_end.recv();
        });
        has_begun.recv().unwrap();
        let [at_work] = pulse.seen()[..] else { panic!("one worker") };
        assert!(at_work.busy.is_some_and(|busy| busy >= Duration::from_millis(20)), "{at_work:?}");
        assert_eq!((at_work.steps, at_work.has_ended, at_work.state.epochs_in_flight), (1, false, 3));
        assert_eq!((at_work.state.waits_for, at_work.state.is_held), (WaitsFor::Writers, true));
        drop(end);
        worker.join().unwrap();
        let [ended] = pulse.seen()[..] else { panic!("one worker") };
        assert!(ended.has_ended && ended.busy >= at_work.busy, "{ended:?}");
    }
}
