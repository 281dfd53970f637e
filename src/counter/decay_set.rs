//! The intervals of one counter group, and the steps of the algebra on rows that have a value for
//! each of them.

use super::{DecayInterval, EventTime};

/// Whole differences up to this many units have their factors in a table. The entries are what
/// [`DecayInterval::factor`] gives, so results do not depend on the table.
const TABLE_UNITS: usize = 1024;

/// The decay intervals of a row, in a fixed order, with what it takes to decay them fast.
///
/// A row is one last update and one value per interval; `values[i]` belongs to
/// `intervals()[i]`. Each step computes one factor per interval.
///
/// A row may keep, behind its values, the *squares*: per interval the sum of the squared weights,
/// each decayed by the square of its factor (so with half the interval). From them a reader has the
/// effective sample size, `value^2 / squares`. They are a counter like any other.
#[derive(Clone, Debug)]
pub struct DecaySet {
    intervals: Vec<DecayInterval>,
    /// How many values a row has: one per interval, or two with squares.
    width: usize,
    /// `table[elapsed * width + i]`: the factor of value `i` after `elapsed` units.
    table: Vec<f64>,
}

impl DecaySet {
    /// The set of these intervals, in this order.
    pub fn new(intervals: Vec<DecayInterval>) -> DecaySet {
        let width = intervals.len();
        DecaySet::of_width(intervals, width)
    }

    /// The same intervals, for rows that keep the squares too.
    pub fn with_squares(&self) -> DecaySet {
        DecaySet::of_width(self.intervals.clone(), 2 * self.intervals.len())
    }

    fn of_width(intervals: Vec<DecayInterval>, width: usize) -> DecaySet {
        let mut set = DecaySet { intervals, width, table: Vec::with_capacity(TABLE_UNITS * width) };
        for elapsed in 0..TABLE_UNITS as i64 {
            for i in 0..width {
                set.table.push(set.factor(i, elapsed));
            }
        }
        set
    }

    /// The intervals, in the order of a row's values.
    pub fn intervals(&self) -> &[DecayInterval] {
        &self.intervals
    }

    /// How many values a row has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The values of a row that is made by one event of this weight.
    #[inline]
    pub fn begin(&self, values: &mut [f64], weight: f64) {
        let (plain, squares) = values.split_at_mut(self.intervals.len());
        plain.fill(finite(weight));
        squares.fill(finite(weight * weight));
    }

    /// Adds one event of this weight to a row. An event older than the row adds at its discount
    /// and does not move the last update.
    #[inline]
    pub fn add(&self, last_update: &mut EventTime, values: &mut [f64], time: EventTime, weight: f64) {
        let plain = self.intervals.len();
        if self.width == plain {
            self.add_each(last_update, values, time, |_| weight);
        } else {
            self.add_each(last_update, values, time, |i| if i < plain { weight } else { weight * weight });
        }
    }

    /// Merges a row into another one of the same set.
    #[inline]
    pub fn merge(&self, last_update: &mut EventTime, values: &mut [f64], other_update: EventTime, other: &[f64]) {
        self.add_each(last_update, values, other_update, |i| other[i]);
    }

    /// Adds `amount(i)`, as it is at `time`, to each value `i`.
    #[inline]
    fn add_each(
        &self,
        last_update: &mut EventTime,
        values: &mut [f64],
        time: EventTime,
        amount: impl Fn(usize) -> f64,
    ) {
        let elapsed = time.0 - last_update.0;
        if elapsed == 0 {
            values.iter_mut().enumerate().for_each(|(i, value)| *value = finite(*value + amount(i)));
        } else if elapsed > 0 {
            self.each_factor(elapsed, values, |value, factor, i| finite(value * factor + amount(i)));
            *last_update = time;
        } else {
            self.each_factor(-elapsed, values, |value, factor, i| finite(value + amount(i) * factor));
        }
    }

    /// Replaces each value by `step(value, its factor, its place)`.
    #[inline]
    fn each_factor(&self, elapsed: i64, values: &mut [f64], step: impl Fn(f64, f64, usize) -> f64) {
        if (elapsed as usize) < TABLE_UNITS {
            let factors = &self.table[elapsed as usize * self.width..][..self.width];
            for (i, (value, factor)) in values.iter_mut().zip(factors).enumerate() {
                *value = step(*value, *factor, i);
            }
        } else {
            for (i, value) in values.iter_mut().enumerate() {
                *value = step(*value, self.factor(i, elapsed), i);
            }
        }
    }

    /// What value `i` keeps over `elapsed` units of time.
    fn factor(&self, i: usize, elapsed: i64) -> f64 {
        match self.intervals.get(i) {
            Some(interval) => interval.factor(elapsed),
            None => self.intervals[i - self.intervals.len()].factor(elapsed).powi(2),
        }
    }
}

/// Saturates: a sum of huge weights stays the largest finite number, for an infinity would become
/// NaN at the next retraction, and NaN stays for ever.
#[inline]
fn finite(value: f64) -> f64 {
    value.clamp(-f64::MAX, f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::DecayCounter;
    use proptest::prelude::*;

    fn interval(units: i64) -> DecayInterval {
        DecayInterval::new(units).expect("a valid interval")
    }

    /// What the definition says: every event, decayed up to the newest.
    fn closed_form(events: &[(i64, f64)], interval: DecayInterval) -> (i64, f64) {
        let newest = events.iter().map(|(time, _)| *time).max().expect("an event");
        let value =
            events.iter().map(|(time, weight)| weight * (-((newest - time) as f64) / interval.units() as f64).exp());
        (newest, value.sum())
    }

    fn assert_close(actual: f64, expected: f64, scale: f64) {
        assert!((actual - expected).abs() <= 1e-9 * scale.max(f64::MIN_POSITIVE), "{actual} is not {expected}");
    }

    #[test]
    fn the_textbook_case() {
        let hours = DecaySet::new(vec![interval(3600)]);
        let (mut last_update, mut values) = (EventTime(0), [1.0]);
        hours.add(&mut last_update, &mut values, EventTime(3600), 2.0);
        assert_eq!((last_update, values[0]), (EventTime(3600), 2.0 + (-1.0f64).exp()));
    }

    #[test]
    fn squares_are_sums_of_squared_weights_that_decay_twice_as_fast() {
        let set = DecaySet::new(vec![interval(3600), interval(7200)]).with_squares();
        let (mut last_update, mut values) = (EventTime(0), vec![0.0; set.width()]);
        set.begin(&mut values, -3.0);
        set.add(&mut last_update, &mut values, EventTime(7200), 2.0);
        set.add(&mut last_update, &mut values, EventTime(3600), 1.0);
        let decayed = |dt: f64, lambda: f64| (-dt / lambda).exp();
        let expected = [
            2.0 - 3.0 * decayed(7200.0, 3600.0) + decayed(3600.0, 3600.0),
            2.0 - 3.0 * decayed(7200.0, 7200.0) + decayed(3600.0, 7200.0),
            4.0 + 9.0 * decayed(7200.0, 1800.0) + decayed(3600.0, 1800.0),
            4.0 + 9.0 * decayed(7200.0, 3600.0) + decayed(3600.0, 3600.0),
        ];
        values.iter().zip(expected).for_each(|(value, expected)| assert_close(*value, expected, expected.abs()));
    }

    #[test]
    fn overflowing_weights_saturate_and_can_be_retracted() {
        let set = DecaySet::new(vec![interval(5)]);
        let (mut last_update, mut values) = (EventTime(0), [1e308]);
        set.add(&mut last_update, &mut values, EventTime(0), 1e308);
        assert_eq!(values[0], f64::MAX);
        set.add(&mut last_update, &mut values, EventTime(0), -f64::MAX);
        assert_eq!(values[0], 0.0);
    }

    #[test]
    fn the_widest_span_of_times_stays_finite() {
        let set = DecaySet::new(vec![interval(1), interval(DecayInterval::MAX_UNITS)]);
        let (mut last_update, mut values) = (EventTime(0), [1.0, 1.0]);
        set.add(&mut last_update, &mut values, EventTime(i64::MAX), 1.0);
        set.add(&mut last_update, &mut values, EventTime(0), 1.0);
        assert!(values.iter().all(|value| value.is_finite()));
    }

    fn events() -> impl Strategy<Value = Vec<(i64, f64)>> {
        let time = prop_oneof![0..40i64, 0..5_000i64, 0..2_000_000_000i64];
        let weight = prop_oneof![Just(1.0), Just(-1.0), -1e6..1e6f64];
        prop::collection::vec((time, weight), 1..60)
    }

    proptest! {
        /// Any order, any batching: rows that were built apart and merged equal the fold of `+`
        /// over the single events, which equals the definition.
        #[test]
        fn any_order_and_any_batching_give_the_fold(events in events(), cuts in prop::collection::vec(0..8usize, 60)) {
            let intervals = vec![interval(5), interval(900), interval(1_000_000_000_000)];
            let set = DecaySet::new(intervals.clone());
            let mut batches: Vec<Option<(EventTime, Vec<f64>)>> = vec![None; 8];
            for ((time, weight), batch) in events.iter().zip(&cuts) {
                match &mut batches[*batch] {
                    Some((last_update, values)) => set.add(last_update, values, EventTime(*time), *weight),
                    empty => *empty = Some((EventTime(*time), vec![*weight; set.width()])),
                }
            }
            let mut parts = batches.into_iter().flatten();
            let (mut last_update, mut values) = parts.next().expect("an event");
            for (other_update, other) in parts {
                set.merge(&mut last_update, &mut values, other_update, &other);
            }
            for (i, interval) in intervals.iter().enumerate() {
                let fold = events.iter().map(|(time, weight)| DecayCounter {
                    interval: *interval, last_update: EventTime(*time), value: *weight,
                }).reduce(|sum, one| sum.plus(one).expect("one interval")).expect("an event");
                let (newest, expected) = closed_form(&events, *interval);
                let absolute: Vec<_> = events.iter().map(|(time, weight)| (*time, weight.abs())).collect();
                let (_, scale) = closed_form(&absolute, *interval);
                assert_eq!((last_update.0, fold.last_update.0), (newest, newest));
                assert_close(values[i], expected, scale);
                assert_close(fold.value, expected, scale);
            }
        }
    }
}
