//! The decay counter in its textbook form: (interval, last update, value).

use super::{DecayInterval, EventTime};

/// A counter whose value falls by `exp(-dt / lambda)` as time passes.
///
/// Counters of one interval form a commutative monoid under [`DecayCounter::plus`]: the sum has the
/// later of the two update times, and the later one's value plus the earlier one's value decayed up
/// to then. (Exponential forward decay as in Cormode, Shkapenyuk, Srivastava, Xu: "Forward Decay",
/// ICDE 2009, but with the landmark moving along, so that it never overflows.)
///
/// ```
/// use counter_machine::counter::{DecayCounter, DecayInterval, EventTime};
/// let hour = DecayInterval::new(3600)?;
/// let first = DecayCounter { interval: hour, last_update: EventTime(0), value: 1.0 };
/// let second = DecayCounter { interval: hour, last_update: EventTime(3600), value: 2.0 };
/// let sum = first.plus(second)?;
/// assert_eq!(sum.last_update, EventTime(3600));
/// assert_eq!(sum.value, 2.0 + (-1.0f64).exp());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecayCounter {
    /// The time in which the value falls to 1/e.
    pub interval: DecayInterval,
    /// The time of the newest event in it.
    pub last_update: EventTime,
    /// The value at the last update.
    pub value: f64,
}

/// Counters of different intervals were added: their values do not mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("counters with decay intervals {0:?} and {1:?} cannot be added")]
pub struct IntervalMismatch(pub DecayInterval, pub DecayInterval);

impl DecayCounter {
    /// The sum of two counters of one interval; commutative and associative.
    pub fn plus(self, other: DecayCounter) -> Result<DecayCounter, IntervalMismatch> {
        if self.interval != other.interval {
            return Err(IntervalMismatch(self.interval, other.interval));
        }
        let (earlier, later) = if self.last_update <= other.last_update { (self, other) } else { (other, self) };
        let elapsed = later.last_update.0 - earlier.last_update.0;
        Ok(DecayCounter { value: later.value + earlier.value * self.interval.factor(elapsed), ..later })
    }

    /// The value as it reads at `time`. Nothing decays upwards: before the last update, as it reads then.
    pub fn value_at(self, time: EventTime) -> f64 {
        let elapsed = time.0.saturating_sub(self.last_update.0).max(0);
        self.value * self.interval.factor(elapsed)
    }
}
