//! How long a sink goes on once the run is asked to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What was read is written for so long after the run was asked to stop. A supervisor often kills after ten seconds.
pub(super) const STOP_WITHIN: Duration = Duration::from_secs(8);

/// How often it is looked whether the run is asked to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The wish to stop, and the time that is left from then on.
#[derive(Debug)]
pub(super) struct Stopping {
    stop: Arc<AtomicBool>,
    patience: Duration,
    since: Option<Instant>,
}

impl Stopping {
    /// Time is up when the run has been asked to stop for as long as `patience`.
    pub(super) fn new(stop: Arc<AtomicBool>, patience: Duration) -> Stopping {
        Stopping { stop, patience, since: None }
    }

    /// What comes of `work`, or `None` when time was up before.
    pub(super) async fn unless_time_is_up<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(LOOK_EVERY, work.as_mut()).await {
                return Some(done);
            }
            if self.stop.load(Ordering::Acquire)
                && self.since.get_or_insert_with(Instant::now).elapsed() >= self.patience
            {
                return None;
            }
        }
    }
}
