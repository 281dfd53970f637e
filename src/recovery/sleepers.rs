//! Who sleeps while it waits for the threads that keep the state.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;

/// Threads that may be asleep, and are to be woken. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sleepers {
    threads: Arc<Mutex<Vec<Thread>>>,
}

impl Sleepers {
    /// Has this thread woken from now on.
    pub fn add(&self, thread: Thread) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }

    /// Wakes all.
    pub fn wake(&self) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(Thread::unpark);
    }
}
