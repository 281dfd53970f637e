//! What was lost because memory ran short, and that somebody is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::counter::Counter;
use super::warn_limiter::WarnLimiter;

/// How often it is told, at most.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Rows that were evicted near the pipeline's limits.
#[derive(Debug, Default)]
pub struct Evictions {
    /// How many.
    pub rows: Counter,
    /// Last changes of evicted rows that never reached the table.
    pub unpublished: Counter,
    /// The bits of the largest worth: of numbers that are not negative they have the same order.
    largest_worth: AtomicU64,
    warned: Mutex<Warned>,
}

#[derive(Debug)]
struct Warned {
    limiter: WarnLimiter,
    /// How many rows there were at the last warning.
    rows: u64,
}

impl Default for Warned {
    fn default() -> Warned {
        Warned { limiter: WarnLimiter::new(WARN_EVERY), rows: 0 }
    }
}

impl Evictions {
    /// Counts rows that were evicted, none of them worth more than this when it went, and warns at the first
    /// and then once in a while.
    pub fn observe(&self, rows: u64, largest_worth: f64) {
        self.rows.add(rows);
        self.note_worth(largest_worth);
        if let Some(new_rows) = self.due() {
            tracing::warn!(
                "[limits] is reached: {new_rows} rows were evicted, {} in all, none of them worth more than {}. What starts \
                 again is marked with `since`. To keep more: raise [limits], shorten ttls, or drop features or decays \
                 (check --events says what each group takes)",
                self.rows.get(),
                show_worth(self.largest_worth()),
            );
        }
    }

    /// Some rows that were evicted were worth at most this.
    pub(super) fn note_worth(&self, largest_worth: f64) {
        self.largest_worth.fetch_max(largest_worth.to_bits(), Ordering::Relaxed);
    }

    /// What no evicted row was worth more than, in any of its intervals.
    pub fn largest_worth(&self) -> f64 {
        f64::from_bits(self.largest_worth.load(Ordering::Relaxed))
    }

    /// In words.
    pub fn largest_worth_text(&self) -> String {
        show_worth(self.largest_worth())
    }

    /// How many rows went since the last warning, if it is time for another one.
    fn due(&self) -> Option<u64> {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if !warned.limiter.is_due(Instant::now()) {
            return None;
        }
        let rows = self.rows.get();
        Some(rows.saturating_sub(std::mem::replace(&mut warned.rows, rows)))
    }
}

/// Two digits, rounded up.
fn show_worth(worth: f64) -> String {
    const ALMOST_NOTHING: f64 = 1e-130;
    if worth < ALMOST_NOTHING {
        return "0".to_owned();
    }
    let worth = worth.min(f64::MAX / 10.0);
    let step = 10f64.powf(worth.log10().floor() - 1.0);
    let rounded = (worth / step).ceil() * step;
    if (1e-3..1e6).contains(&rounded) {
        format!("{:.*}", if rounded < 10.0 { (-step.log10()).round().max(0.0) as usize } else { 0 }, rounded)
    } else {
        format!("{rounded:.1e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_eviction_is_told_at_once_and_the_next_ones_later() {
        let evictions = Evictions::default();
        evictions.rows.add(5);
        assert_eq!(evictions.due(), Some(5));
        evictions.observe(7, 0.25);
        evictions.observe(1, 0.125);
        assert_eq!((evictions.due(), evictions.rows.get(), evictions.largest_worth()), (None, 13, 0.25));
    }

    #[test]
    fn a_worth_is_shown_with_two_digits_and_never_smaller_than_it_is() {
        let shown = [0.0, 5e-324, 0.0201, 1.0, 2.31, 14.2, 1_234.0, 0.000_012_3, 4.5e-30].map(show_worth);
        assert_eq!(shown, ["0", "0", "0.021", "1.0", "2.4", "15", "1300", "1.3e-5", "4.5e-30"]);
    }
}
