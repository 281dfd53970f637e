//! Pauses between attempts, and how they are made known.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::telemetry::Metrics;

/// The first pause is at most twice this long.
const BASE: Duration = Duration::from_millis(25);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(20);
/// Warnings are at least this far apart, however many requests fail.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);

/// How long to go on trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// A run waits for the service, however long it is away.
    Endless,
    /// A command that somebody waits for gives up after this many attempts.
    Attempts(u32),
}

impl Patience {
    pub(super) fn ends_after(self, attempt: u32) -> bool {
        matches!(self, Patience::Attempts(most) if attempt >= most)
    }
}

/// Counts retries, and warns of them now and then.
#[derive(Debug)]
pub(super) struct Retries {
    metrics: Arc<Metrics>,
    last_warning: Mutex<Option<Instant>>,
}

impl Retries {
    pub(super) fn new(metrics: Arc<Metrics>) -> Retries {
        Retries { metrics, last_warning: Mutex::new(None) }
    }

    /// Waits before the next attempt, after `failed` ones in a row without any progress.
    pub(super) async fn pause(&self, failed: u32, why: &str) {
        self.metrics.sink_retries.add(1);
        self.warn(why);
        tokio::time::sleep(longest_pause(failed).mul_f64(rand::random())).await;
    }

    fn warn(&self, why: &str) {
        let mut last = self.last_warning.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|time| time.elapsed() >= BETWEEN_WARNINGS) {
            *last = Some(Instant::now());
            let retries = self.metrics.sink_retries.get();
            tracing::warn!(retries, "DynamoDB: trying again: {why}");
        }
    }
}

/// Full jitter (Brooker: "Exponential Backoff And Jitter", 2015): a pause is anything from nothing
/// up to this, so that those who failed together do not come back together.
fn longest_pause(failed: u32) -> Duration {
    BASE.saturating_mul(1_u32.checked_shl(failed).unwrap_or(u32::MAX)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let pauses: Vec<_> = (1..200).map(longest_pause).collect();
        assert_eq!(pauses[..3], [50, 100, 200].map(Duration::from_millis));
        assert!(pauses.is_sorted());
        assert_eq!(pauses.last(), Some(&LONGEST));
    }
}
