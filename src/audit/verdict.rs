//! Whether an item is what its row is worth.

use std::fmt;

use super::items::ItemView;
use super::worth::{Amount, Worth};
use crate::counter::DecayInterval;
use crate::pipeline::{NOTHING_LEFT_AFTER, Pipeline, RowShape, TimeShift};

use super::row::Feature;

/// An estimate further from the truth than so many of its standard errors is wrong: of 25 million right ones, one is.
const STANDARD_ERRORS: f64 = 5.5;

/// DynamoDB's numbers, and so every item's: what is smaller is 0, what is larger is the largest.
const SMALLEST: f64 = 1e-130;
const LARGEST: f64 = 1e126;

/// What items of one feature are judged by.
#[derive(Clone, Debug)]
pub(super) struct Rules<'a> {
    pub intervals: &'a [DecayInterval],
    pub shape: RowShape,
    /// In the event's unit.
    ttl: Option<i64>,
    /// A row without an event for so long may be gone without a word: its ttl has passed, or `[limits]` made the run evict it and
    /// nobody remembers, as it had come to nothing.
    pub forgotten_after: Option<i64>,
    units_per_second: i64,
    shift: Option<TimeShift>,
    tolerance: f64,
    /// Up to so many members, uniques are exact.
    exact_members: usize,
    /// The relative standard error of the others.
    standard_error: f64,
}

/// The first thing that is wrong with an item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Difference {
    /// It has other intervals than its group, or a count stands under another's.
    Intervals,
    /// Its counts have other last updates than the row.
    LastUpdate,
    /// The value of this interval.
    Value(DecayInterval),
    /// The squares of this interval, or whether there are any.
    Squares(DecayInterval),
    /// The standard error of this interval, or whether there is one.
    Error(DecayInterval),
    /// When it expires.
    ExpiresAt,
}

impl<'a> Rules<'a> {
    pub fn of(feature: &Feature, pipeline: &'a Pipeline, shift: Option<TimeShift>, tolerance: f64) -> Rules<'a> {
        let group = pipeline.group(feature.key.group);
        let uniques = group.other_shapes.uniques.config();
        let comes_to_nothing = group.longest_decay().saturating_mul(NOTHING_LEFT_AFTER);
        Rules {
            intervals: group.decays.intervals(),
            shape: feature.shape,
            ttl: group.ttl,
            forgotten_after: group.ttl.into_iter().chain(pipeline.limits.any().then_some(comes_to_nothing)).min(),
            units_per_second: pipeline.event.time_unit.per_second(),
            shift,
            tolerance,
            exact_members: uniques.exact_members,
            standard_error: 1.0 / (uniques.registers as f64 - 2.0).sqrt(),
        }
    }

    /// The largest relative difference between the item and what it must be, or the first thing that is wrong.
    ///
    /// A difference is relative to the size of what was added up: where weights cancel each other out, what is left may be all
    /// rounding.
    pub fn compare(&self, item: &ItemView<'_>, worth: &Worth) -> Result<f64, Difference> {
        let intervals = item.counts.iter().map(|count| &count.decay_interval);
        if item.is_mislabelled || !intervals.eq(self.intervals) {
            return Err(Difference::Intervals);
        }
        if item.counts.iter().any(|count| count.last_update.0 != worth.last_update) {
            return Err(Difference::LastUpdate);
        }
        if item.expires_at != self.expires_at(worth.last_update) {
            return Err(Difference::ExpiresAt);
        }
        let error = self.error_of(worth);
        let mut worst = 0.0_f64;
        for (place, count) in item.counts.iter().enumerate() {
            let interval = count.decay_interval;
            match (count.error, error) {
                (None, None) => {}
                (Some(told), Some(error)) if (told - error).abs() <= 1e-9 => {}
                _ => return Err(Difference::Error(interval)),
            }
            let tolerance = match error {
                Some(error) if error > 0.0 => STANDARD_ERRORS * error,
                _ => self.tolerance,
            };
            let off = difference(count.value, worth.values[place]);
            if off.is_nan() || off > tolerance {
                return Err(Difference::Value(interval));
            }
            if error.is_none_or(|error| error == 0.0) {
                worst = worst.max(off);
            }
            match (count.squares, worth.squares.get(place)) {
                (None, None) => {}
                (Some(told), Some(squares)) => {
                    let off = difference(told, *squares);
                    if off.is_nan() || off > self.tolerance {
                        return Err(Difference::Squares(interval));
                    }
                    worst = worst.max(off);
                }
                _ => return Err(Difference::Squares(interval)),
            }
        }
        Ok(worst)
    }

    /// How far an estimate with this standard error may be from the truth, relative to it.
    pub fn slack_of(&self, error: f64) -> f64 {
        STANDARD_ERRORS * error.min(self.standard_error) + self.tolerance
    }

    /// The relative standard error that an item must have; `None` where it is no estimate.
    fn error_of(&self, worth: &Worth) -> Option<f64> {
        let is_exact = worth.members <= self.exact_members;
        (self.shape == RowShape::Uniques).then_some(if is_exact { 0.0 } else { self.standard_error })
    }

    /// The first whole second at which its ttl has passed, of a row with this last update.
    pub fn expires_at(&self, last_update: i64) -> Option<i64> {
        let published = i128::from(last_update) + self.shift.map_or(0, |shift| i128::from(shift.by()));
        let end = i64::try_from(published + i128::from(self.ttl?)).ok()?;
        let second = end.div_euclid(self.units_per_second);
        Some(if end.rem_euclid(self.units_per_second) > 0 { second + 1 } else { second })
    }
}

/// How far a published number is from what it must be, relative to the size of what was added up.
pub(super) fn difference(told: f64, amount: Amount) -> f64 {
    let expected = if amount.value.abs() < SMALLEST { 0.0 } else { amount.value.clamp(-LARGEST, LARGEST) };
    let off = (told - expected).abs();
    // Either of the two may have been cut to 0, or to the largest.
    if off <= SMALLEST * 1.01 { 0.0 } else { off / amount.size.min(LARGEST).max(expected.abs()) }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Intervals => write!(f, "its decay intervals"),
            Difference::LastUpdate => write!(f, "its last update"),
            Difference::Value(interval) => write!(f, "the value of interval {}", interval.units()),
            Difference::Squares(interval) => write!(f, "the squares of interval {}", interval.units()),
            Difference::Error(interval) => write!(f, "the standard error of interval {}", interval.units()),
            Difference::ExpiresAt => write!(f, "when it expires"),
        }
    }
}
