//! What the additions of a row are worth, by the definition: the sum over its events of `weight * exp(-(last update - time) / interval)`.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::row::{Addition, Counted};
use crate::counter::DecayInterval;
use crate::pipeline::RowShape;

/// A sum and the size of what it was made of, by which its rounding, and that of others, is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Amount {
    pub value: f64,
    /// The sum of the absolute values.
    pub size: f64,
}

/// What a row must show.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Worth {
    /// The latest of its events' times.
    pub last_update: i64,
    /// How many events have made it.
    pub events: i64,
    /// How many different members, of uniques.
    pub members: usize,
    /// By interval, in the order of the intervals.
    pub values: Vec<Amount>,
    /// The decayed sums of squared weights, where the row's shape has them.
    pub squares: Vec<Amount>,
}

/// Neumaier's compensated sum: what each addition rounds off is kept apart.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ExactSum {
    sum: f64,
    rounded_off: f64,
    size: f64,
}

impl ExactSum {
    pub fn add(&mut self, number: f64) {
        let sum = (self.sum + number).clamp(-f64::MAX, f64::MAX);
        self.rounded_off +=
            if self.sum.abs() >= number.abs() { (self.sum - sum) + number } else { (number - sum) + self.sum };
        self.sum = sum;
        self.size += number.abs();
    }

    pub fn amount(self) -> Amount {
        let value = self.sum + self.rounded_off;
        // Numbers near the largest there is cannot be compensated.
        Amount { value: if value.is_finite() { value } else { self.sum }, size: self.size.min(f64::MAX) }
    }
}

impl Worth {
    /// Of these additions, in any order; there is one at least.
    pub fn of(additions: &[Counted], shape: RowShape, intervals: &[DecayInterval]) -> Worth {
        let last_update = additions.iter().map(|counted| counted.addition.time).max().unwrap_or_default();
        let mut sums = Sums::at(last_update, shape, intervals);
        // They come mostly by ascending time: from the end, a member is seen at its latest time first.
        additions.iter().rev().for_each(|counted| sums.add(*counted));
        sums.worth()
    }
}

/// Sums of what is added, as they read at one time.
pub(super) struct Sums<'a> {
    at: i64,
    intervals: &'a [DecayInterval],
    events: i64,
    values: Vec<ExactSum>,
    squares: Vec<ExactSum>,
    /// Of uniques: when each member was last seen.
    members: Option<HashMap<u64, i64, RandomState>>,
}

impl Sums<'_> {
    /// Nothing yet, to be read at `at`, before which everything is that is added.
    pub fn at(at: i64, shape: RowShape, intervals: &[DecayInterval]) -> Sums<'_> {
        let sums = |wanted: bool| vec![ExactSum::default(); if wanted { intervals.len() } else { 0 }];
        Sums {
            at,
            intervals,
            events: 0,
            values: sums(true),
            squares: sums(shape == RowShape::ValuesAndSquares),
            members: (shape == RowShape::Uniques).then(HashMap::default),
        }
    }

    pub fn add(&mut self, counted: Counted) {
        let Counted { addition: Addition { time, amount }, events } = counted;
        self.events += events;
        let Some(members) = &mut self.members else {
            return self.add_weight(time, f64::from_bits(amount), events);
        };
        match members.insert(amount, time) {
            None => self.add_weight(time, 1.0, 1),
            Some(seen) if seen < time => {
                self.add_weight(time, 1.0, 1);
                self.add_weight(seen, -1.0, 1);
            }
            Some(seen) => {
                members.insert(amount, seen);
            }
        }
    }

    fn add_weight(&mut self, time: i64, weight: f64, events: i64) {
        let elapsed = (self.at - time) as f64;
        let events = events as f64;
        for (sum, interval) in self.values.iter_mut().zip(self.intervals) {
            sum.add(finite(weight * events) * (-elapsed / interval.units() as f64).exp());
        }
        for (sum, interval) in self.squares.iter_mut().zip(self.intervals) {
            // Squares fall twice as fast.
            sum.add(finite(weight * weight * events) * (-2.0 * elapsed / interval.units() as f64).exp());
        }
    }

    pub fn worth(&self) -> Worth {
        let amounts = |sums: &[ExactSum]| sums.iter().map(|sum| sum.amount()).collect();
        Worth {
            last_update: self.at,
            events: self.events,
            members: self.members.as_ref().map_or(0, HashMap::len),
            values: amounts(&self.values),
            squares: amounts(&self.squares),
        }
    }
}

fn finite(number: f64) -> f64 {
    number.clamp(-f64::MAX, f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(time: i64, weight: f64, events: i64) -> Counted {
        Counted { addition: Addition { time, amount: weight.to_bits() }, events }
    }

    fn intervals() -> Vec<DecayInterval> {
        [10, 1_000_000_000_000].map(|units| DecayInterval::new(units).unwrap()).to_vec()
    }

    #[test]
    fn events_are_worth_what_the_definition_says() {
        let worth = Worth::of(&[counted(90, 2.0, 3), counted(100, 1.0, 1)], RowShape::ValuesAndSquares, &intervals());
        assert_eq!((worth.last_update, worth.events), (100, 4));
        let e = (-1.0f64).exp();
        assert!((worth.values[0].value - (1.0 + 6.0 * e)).abs() < 1e-15);
        assert!((worth.squares[0].value - (1.0 + 12.0 * e * e)).abs() < 1e-15);
        assert!((worth.values[1].value - 7.0).abs() < 1e-9);
    }

    #[test]
    fn a_member_counts_once_at_its_latest_time() {
        let seen = |time, member| Counted { addition: Addition { time, amount: member }, events: 2 };
        let worth = Worth::of(&[seen(90, 1), seen(100, 1), seen(90, 2)], RowShape::Uniques, &intervals());
        assert_eq!((worth.last_update, worth.events), (100, 6));
        assert!((worth.values[0].value - (1.0 + (-1.0f64).exp())).abs() < 1e-15);
    }

    #[test]
    fn small_numbers_beside_large_ones_are_not_lost() {
        let mut sum = ExactSum::default();
        [1e16, 1.0, -1e16, 1.0].into_iter().for_each(|number| sum.add(number));
        assert_eq!(sum.amount(), Amount { value: 2.0, size: 2e16 + 2.0 });
        let mut largest = ExactSum::default();
        [f64::MAX, f64::MAX].into_iter().for_each(|number| largest.add(number));
        assert_eq!(largest.amount().value, f64::MAX);
    }
}
