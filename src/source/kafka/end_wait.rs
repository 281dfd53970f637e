//! When a reader that has come to the ends of its partitions looks again, asks why, and says what it waits for.

use std::time::{Duration, Instant};

use crate::telemetry::WarnLimiter;

/// How often a reader without messages asks for its position.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often it asks what holds it up before the end.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How often it says that a transaction is open.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// What a reader that waits before the end has to remember.
#[derive(Debug)]
pub(super) struct EndWait {
    look_at: Instant,
    ask_at: Instant,
    /// Since when transactions are known to be open.
    open_since: Option<Instant>,
    warned: WarnLimiter,
}

impl EndWait {
    pub(super) fn new(now: Instant) -> EndWait {
        EndWait { look_at: now, ask_at: now, open_since: None, warned: WarnLimiter::new(WARN_EVERY) }
    }

    pub(super) fn look_at_once(&mut self, now: Instant) {
        self.look_at = now;
    }

    /// Whether it is time to look at the position.
    pub(super) fn may_look(&self, now: Instant) -> bool {
        now >= self.look_at
    }

    pub(super) fn looked(&mut self, now: Instant) {
        self.look_at = now + LOOK_EVERY;
    }

    /// Whether it is time to ask the brokers; then the time to the next question begins to run.
    pub(super) fn may_ask(&mut self, now: Instant) -> bool {
        let may = now >= self.ask_at;
        if may {
            self.ask_at = now + ASK_EVERY;
        }
        may
    }

    pub(super) fn no_transaction_is_open(&mut self) {
        self.open_since = None;
    }

    /// For how long by now, as far as is known.
    pub(super) fn transaction_is_open_for(&mut self, now: Instant) -> Duration {
        now - *self.open_since.get_or_insert(now)
    }

    pub(super) fn may_warn(&mut self, now: Instant) -> bool {
        self.warned.is_due(now)
    }
}
