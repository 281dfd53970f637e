//! Pauses between attempts, and how they are made known.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::failed_request::{Cause, FailedRequest};
use super::table_address::TableAddress;
use crate::telemetry::{Metrics, WarnLimiter};

/// The first pause is at most twice this long.
const BASE: Duration = Duration::from_millis(25);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(5);
/// Warnings of one cause are at least this far apart, however many requests fail.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Credentials and clocks that are not right are waited for so long: whoever renews them may need minutes.
const UNTIL_MENDED: Duration = Duration::from_secs(15 * 60);

/// How long to go on trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// A run waits for the service, however long it is away; for credentials and clocks that will be mended, 15 minutes.
    Endless,
    /// A command that somebody waits for gives up after this many attempts.
    Attempts(u32),
}

/// Attempts in a row that failed without any progress.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FailedAttempts {
    count: u32,
    /// When the first of those in a row came that are waited for only so long.
    since: Option<Instant>,
}

impl FailedAttempts {
    pub(super) fn add_one(&mut self, cause: Cause) {
        self.count += 1;
        // An outage has no limit, and behind it, however long it was, credentials and clocks get their full time.
        self.since = if matches!(cause, Cause::Passing | Cause::Throttled) {
            None
        } else {
            self.since.or_else(|| Some(Instant::now()))
        };
    }

    /// How many.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    fn last_for(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Patience {
    /// Whether another attempt is of no use. `answered`: some request was, with the credentials of this process.
    pub(super) fn ends(self, cause: Cause, answered: bool, failed: &FailedAttempts) -> bool {
        let too_often = matches!(self, Patience::Attempts(most) if failed.count >= most);
        match cause {
            Cause::Passing | Cause::Throttled => too_often,
            // What never was right will not become it by waiting.
            Cause::WrongCredentials if !answered => true,
            Cause::ClockSkew | Cause::ExpiredCredentials | Cause::NoCredentialsNow | Cause::WrongCredentials => {
                too_often || failed.last_for() >= UNTIL_MENDED
            }
            Cause::Invalid | Cause::WrongKey | Cause::NoTable | Cause::InUse | Cause::Denied | Cause::Other => true,
        }
    }
}

/// Counts retries, and warns of them now and then.
#[derive(Debug)]
pub(super) struct Retries {
    metrics: Arc<Metrics>,
    table: Arc<TableAddress>,
    warned: Mutex<BTreeMap<Cause, WarnLimiter>>,
}

impl Retries {
    pub(super) fn new(metrics: Arc<Metrics>, table: Arc<TableAddress>) -> Retries {
        Retries { metrics, table, warned: Mutex::default() }
    }

    /// Whether there were none yet.
    pub(super) fn is_empty(&self) -> bool {
        self.metrics.sink_retries.get() == 0
    }

    /// Takes notice of an attempt that is followed by another one.
    pub(super) fn note(&self, why: &FailedRequest) {
        self.metrics.sink_retries.add(1);
        self.metrics.sink_retry_causes.note(why.cause.as_str());
        self.metrics.sink_trouble.set(why.told());
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let limiter = warned.entry(why.cause).or_insert_with(|| WarnLimiter::new(WARN_EVERY));
        if limiter.is_due(Instant::now()) {
            let retries = self.metrics.sink_retries.get();
            tracing::warn!(retries, "DynamoDB: trying again ({}): {}", self.table, why.told());
        }
    }
}

/// How long to wait after so many failures in a row.
pub(super) fn pause(failed: u32) -> Duration {
    longest_pause(failed).mul_f64(rand::random())
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

    #[test]
    fn what_will_be_mended_is_waited_for_and_what_never_was_right_is_not() {
        let after = |count, waited: Duration| FailedAttempts { count, since: Instant::now().checked_sub(waited) };
        let ends = |cause, answered, failed| Patience::Endless.ends(cause, answered, &failed);
        let (soon, late) = (after(1_000, UNTIL_MENDED / 2), after(2, UNTIL_MENDED));
        let mended = [Cause::ClockSkew, Cause::ExpiredCredentials, Cause::NoCredentialsNow, Cause::WrongCredentials];
        for cause in mended {
            assert!(!ends(cause, true, soon) && ends(cause, true, late), "{cause:?}");
            assert_eq!(ends(cause, false, soon), cause == Cause::WrongCredentials);
            assert!(Patience::Attempts(6).ends(cause, true, &after(6, Duration::ZERO)), "{cause:?}");
        }
        assert!(!ends(Cause::Passing, false, late));
        let mut after_an_outage = late;
        after_an_outage.add_one(Cause::Passing);
        after_an_outage.add_one(Cause::ExpiredCredentials);
        assert!(!ends(Cause::ExpiredCredentials, true, after_an_outage));
        for cause in [Cause::Denied, Cause::NoTable, Cause::Invalid, Cause::Other] {
            assert!(ends(cause, true, after(1, Duration::ZERO)), "{cause:?}");
        }
    }
}
