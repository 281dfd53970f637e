//! Opening a table ends when the run is asked to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often it is looked whether the run is asked to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What comes of `work`, or `None` when the run was asked to stop before.
pub(super) async fn unless_asked_to_stop<T>(stop: &AtomicBool, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        if let Ok(done) = tokio::time::timeout(LOOK_EVERY, work.as_mut()).await {
            return Some(done);
        }
        if stop.load(Ordering::Acquire) {
            return None;
        }
    }
}
