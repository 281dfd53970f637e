//! How far a replay has come, for whoever shows it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How much of the logs was read: of a compressed log, its compressed bytes.
#[derive(Debug)]
pub struct LogProgress {
    bytes_read: AtomicU64,
    total_bytes: Option<u64>,
    current: Mutex<Option<Arc<Path>>>,
}

impl LogProgress {
    pub(super) fn new(total_bytes: Option<u64>) -> LogProgress {
        LogProgress { bytes_read: AtomicU64::new(0), total_bytes, current: Mutex::new(None) }
    }

    /// Bytes that were read from all logs so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Bytes of all logs together; `None` where one of them is a pipe.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// The log that is read just now, as it was named; `None` before the first.
    pub fn current(&self) -> Option<Arc<Path>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn begin(&self, log: &Arc<Path>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(log));
    }

    pub(super) fn add(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }
}
