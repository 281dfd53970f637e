//! Warnings that come again and again are told now and then.

use std::time::{Duration, Instant};

/// Lets the first of many alike warnings through, and the next one once some time has passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WarnLimiter {
    every: Duration,
    last: Option<Instant>,
}

impl WarnLimiter {
    /// One warning in this time, at most.
    pub(crate) fn new(every: Duration) -> WarnLimiter {
        WarnLimiter { every, last: None }
    }

    /// Whether to warn now; then the time begins to run.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now.saturating_duration_since(last) >= self.every);
        if due {
            self.last = Some(now);
        }
        due
    }

    /// The trouble is over: the next warning is let through at once. Says whether there was one.
    pub(crate) fn reset(&mut self) -> bool {
        self.last.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_warning_is_let_through_and_then_one_in_each_interval() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut limiter = WarnLimiter::new(10 * second);
        let due = [0, 1, 9, 10, 11, 19, 25].map(|at| limiter.is_due(start + at * second));
        assert_eq!(due, [true, false, false, true, false, false, true]);
    }

    #[test]
    fn after_the_trouble_the_next_warning_is_the_first_again() {
        let now = Instant::now();
        let mut limiter = WarnLimiter::new(Duration::from_secs(10));
        assert!(!limiter.reset(), "there was none");
        assert!(limiter.is_due(now) && limiter.reset() && limiter.is_due(now));
    }
}
