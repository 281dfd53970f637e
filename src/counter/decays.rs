//! The intervals of one counter group, and the steps of the algebra on rows that have a value for
//! each of them.

use std::sync::Arc;

use super::factors::{Factors, LANES};
use super::{DecayInterval, EventTime};

/// The decay intervals of a row, in a fixed order, with what it takes to decay them fast.
///
/// A row is one last update and one value per interval; `values[i]` belongs to
/// `intervals()[i]`. Each step works out one factor per interval. A copy shares its tables.
///
/// A row may keep, behind its values, the *squares*: per interval the sum of the squared weights,
/// each decayed by the square of its factor (so with half the interval). From them a reader has the
/// effective sample size, `value^2 / squares`. They are a counter like any other.
#[derive(Clone, Debug)]
pub struct Decays {
    factors: Arc<Factors>,
    has_squares: bool,
}

impl Decays {
    /// Those of these intervals, in this order.
    pub fn new(intervals: Vec<DecayInterval>) -> Decays {
        Decays { factors: Arc::new(Factors::new(intervals)), has_squares: false }
    }

    /// The same intervals, for rows that keep the squares too.
    pub fn with_squares(&self) -> Decays {
        Decays { has_squares: true, ..self.clone() }
    }

    /// The tables that copies share.
    pub(super) fn factors(&self) -> Arc<Factors> {
        Arc::clone(&self.factors)
    }

    /// The intervals, in the order of a row's values.
    pub fn intervals(&self) -> &[DecayInterval] {
        self.factors.intervals()
    }

    /// How many values a row has: one per interval, or two with squares.
    pub fn width(&self) -> usize {
        self.intervals().len() << u32::from(self.has_squares)
    }

    /// Visits, of a row with so many values, each by its index with what it keeps over two times, which are not negative.
    /// Squares stand behind values and keep the square of that.
    #[inline]
    pub fn each_factor(&self, first: i64, second: i64, width: usize, mut visit: impl FnMut(usize, f64, f64)) {
        let intervals = self.intervals().len();
        for chunk in 0..intervals.div_ceil(LANES) {
            let (first, second) = (self.factors.of_chunk(chunk, first), self.factors.of_chunk(chunk, second));
            let start = chunk * LANES;
            for (lane, index) in (start..intervals.min(start + LANES)).enumerate() {
                let (one, other) = (first[lane], second[lane]);
                visit(index, one, other);
                if intervals + index < width {
                    visit(intervals + index, one * one, other * other);
                }
            }
        }
    }

    /// The values of a row that is made by one event of this weight.
    #[inline]
    pub fn begin(&self, values: &mut [f64], weight: f64) {
        let (plain, squares) = values.split_at_mut(self.intervals().len());
        plain.fill(finite(weight));
        squares.fill(finite(weight * weight));
    }

    /// Adds one event of this weight to a row. An event older than the row adds at its discount
    /// and does not move the last update.
    #[inline]
    pub fn add(&self, last_update: &mut EventTime, values: &mut [f64], time: EventTime, weight: f64) {
        self.add_each(last_update, values, time, |_| [weight; LANES], |_| [finite(weight * weight); LANES]);
    }

    /// Merges a row into another one of the same set.
    #[inline]
    pub fn merge(&self, last_update: &mut EventTime, values: &mut [f64], other_update: EventTime, other: &[f64]) {
        let (plain, squares) = other.split_at(self.intervals().len());
        self.add_each(last_update, values, other_update, |chunk| load(plain, chunk), |chunk| load(squares, chunk));
    }

    /// Adds amounts, as they are at `time`, to the values and to the squares; each is asked for the
    /// amounts of the `chunk`th four intervals.
    #[inline]
    fn add_each(
        &self,
        last_update: &mut EventTime,
        values: &mut [f64],
        time: EventTime,
        amounts: impl Fn(usize) -> [f64; LANES],
        square_amounts: impl Fn(usize) -> [f64; LANES],
    ) {
        let (plain, squares) = values.split_at_mut(self.intervals().len());
        let elapsed = time.0 - last_update.0;
        let chunks = plain.len().div_ceil(LANES);
        for chunk in 0..chunks {
            let factors = self.factors.of_chunk(chunk, elapsed.abs());
            change(plain, chunk, amounts(chunk), factors, elapsed);
            if self.has_squares {
                change(squares, chunk, square_amounts(chunk), factors.map(|factor| factor * factor), elapsed);
            }
        }
        *last_update = time.max(*last_update);
    }
}

/// One step for four values: whatever is older, the values or the amounts, is decayed.
#[inline]
fn change(values: &mut [f64], chunk: usize, amounts: [f64; LANES], factors: [f64; LANES], elapsed: i64) {
    let mut sums = load(values, chunk);
    for ((sum, amount), factor) in sums.iter_mut().zip(amounts).zip(factors) {
        *sum = finite(if elapsed >= 0 { *sum * factor + amount } else { *sum + amount * factor });
    }
    let rest = &mut values[chunk * LANES..];
    match rest.first_chunk_mut() {
        Some(four) => *four = sums,
        None => rest.iter_mut().zip(sums).for_each(|(value, sum)| *value = sum),
    }
}

/// Four values; behind the last there are zeros.
#[inline]
fn load(values: &[f64], chunk: usize) -> [f64; LANES] {
    let rest = &values[chunk * LANES..];
    match rest.first_chunk() {
        Some(four) => *four,
        None => {
            let mut four = [0.0; LANES];
            four.iter_mut().zip(rest).for_each(|(lane, value)| *lane = *value);
            four
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
        let hours = Decays::new(vec![interval(3600)]);
        let (mut last_update, mut values) = (EventTime(0), [1.0]);
        hours.add(&mut last_update, &mut values, EventTime(3600), 2.0);
        assert_eq!(last_update, EventTime(3600));
        assert_close(values[0], 2.0 + (-1.0f64).exp(), 1.0);
    }

    #[test]
    fn squares_are_sums_of_squared_weights_that_decay_twice_as_fast() {
        let set = Decays::new(vec![interval(3600), interval(7200)]).with_squares();
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
        let set = Decays::new(vec![interval(5)]);
        let (mut last_update, mut values) = (EventTime(0), [1e308]);
        set.add(&mut last_update, &mut values, EventTime(0), 1e308);
        assert_eq!(values[0], f64::MAX);
        set.add(&mut last_update, &mut values, EventTime(0), -f64::MAX);
        assert_eq!(values[0], 0.0);
    }

    #[test]
    fn squares_of_huge_weights_that_come_late_stay_finite() {
        let set = Decays::new(vec![interval(5)]).with_squares();
        let (mut last_update, mut values) = (EventTime(1_000_000), [1.0, 1.0]);
        set.add(&mut last_update, &mut values, EventTime(0), 1e200);
        assert_eq!(values, [1.0, 1.0]);
        set.add(&mut last_update, &mut values, EventTime(1_000_000), 1e200);
        assert_eq!(values, [1e200, f64::MAX]);
    }

    #[test]
    fn the_widest_span_of_times_stays_finite() {
        let set = Decays::new(vec![interval(1), interval(DecayInterval::MAX_UNITS)]);
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
            let set = Decays::new(intervals.clone());
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
