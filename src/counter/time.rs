//! Points and lengths of event time, in the unit of the event's time field.

use serde::{Deserialize, Serialize};

/// A point in event time: a whole number of the event's time unit since 1970, never negative for
/// an event that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventTime(pub i64);

/// A decay interval lambda: the time in which a counter falls to 1/e of its value, in the event's
/// time unit. (A half-life is `lambda * ln 2`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct DecayInterval(i64);

/// A decay interval that is not positive, or so long that times added to it could overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a decay interval must be from 1 to {max} time units, not {0}", max = DecayInterval::MAX_UNITS)]
pub struct InvalidInterval(pub i64);

impl DecayInterval {
    /// The longest interval, in units: 64 of them still fit an [`EventTime`].
    pub const MAX_UNITS: i64 = i64::MAX / 64;

    /// An interval of `units` time units.
    pub fn new(units: i64) -> Result<DecayInterval, InvalidInterval> {
        if (1..=Self::MAX_UNITS).contains(&units) { Ok(DecayInterval(units)) } else { Err(InvalidInterval(units)) }
    }

    /// The interval in time units.
    pub fn units(self) -> i64 {
        self.0
    }

    /// What one unit of value is worth after `elapsed` units of time: `exp(-elapsed / lambda)`.
    ///
    /// `elapsed` must not be negative.
    pub fn factor(self, elapsed: i64) -> f64 {
        debug_assert!(elapsed >= 0);
        (-(elapsed as f64) / self.0 as f64).exp()
    }
}

impl TryFrom<i64> for DecayInterval {
    type Error = InvalidInterval;
    fn try_from(units: i64) -> Result<Self, Self::Error> {
        DecayInterval::new(units)
    }
}

impl From<DecayInterval> for i64 {
    fn from(interval: DecayInterval) -> i64 {
        interval.0
    }
}
