//! What a row is worth.

use crate::counter::{DecayInterval, EventTime};

/// What a row is worth at some time: the largest that any of its counters reads then, whatever its
/// sign, as a binary logarithm. Decay is a subtraction then, and nothing underflows.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(in crate::state) struct Worth(f64);

/// Worths as whole numbers in the same order, for counting.
///
/// Two worths of one rank differ by less than 2.2 %. Rank 0 is nothing: what is published as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::state) struct Rank(pub u16);

/// What is worth less is published as 0, in every sink: `1e-130` is `2^-431.9`.
const LEAST: f64 = -432.0;
/// A rank is a 32nd of a doubling.
const RANKS_PER_DOUBLING: f64 = 32.0;

impl Worth {
    /// Nothing at all.
    pub const NOTHING: Worth = Worth(f64::NEG_INFINITY);

    /// Of a row with these values at its last update, in the order of the intervals. What is behind
    /// the last interval's value does not count. A row that lies in the future reads as it did at its
    /// last update.
    pub fn of_values(values: &[f64], intervals: &[DecayInterval], last_update: EventTime, now: EventTime) -> Worth {
        let elapsed = now.0.saturating_sub(last_update.0).max(0) as f64 * std::f64::consts::LOG2_E;
        let each = values.iter().zip(intervals);
        let worths = each.map(|(value, interval)| value.abs().log2() - elapsed / interval.units() as f64);
        Worth(worths.fold(f64::NEG_INFINITY, f64::max))
    }

    /// Of what reads as this value now.
    pub fn of_value(value: f64) -> Worth {
        Worth(value.abs().log2())
    }

    /// What the counter reads.
    pub fn value(self) -> f64 {
        self.0.exp2()
    }

    /// The larger one.
    pub fn max(self, other: Worth) -> Worth {
        Worth(self.0.max(other.0))
    }

    /// Its place in the order of all worths.
    pub fn rank(self) -> Rank {
        if self.0 < LEAST { Rank::NOTHING } else { Rank(1 + ((self.0 - LEAST) * RANKS_PER_DOUBLING) as u16) }
    }
}

impl Rank {
    /// The rank of what is published as 0.
    pub const NOTHING: Rank = Rank(0);
    /// How many ranks there are: up to that of the largest number, below 2^1024.
    pub const COUNT: usize = 1 + ((1024.0 - LEAST) * RANKS_PER_DOUBLING) as usize + 1;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sink::published;

    fn intervals() -> Vec<DecayInterval> {
        [5, 3_600, 7_776_000].map(|units| DecayInterval::new(units).expect("valid")).to_vec()
    }

    fn worth(values: [f64; 3], elapsed: i64) -> Worth {
        Worth::of_values(&values, &intervals(), EventTime(1_000), EventTime(1_000 + elapsed))
    }

    #[test]
    fn a_row_is_worth_the_largest_that_it_reads_whatever_its_sign() {
        assert!((worth([2.0, -7.0, 3.0], 0).value() - 7.0).abs() < 1e-12);
        assert!((worth([2.0, -7.0, 3.0], 3_600 * 5).value() - 3.0 * (-18_000.0 / 7_776_000.0f64).exp()).abs() < 1e-12);
        assert_eq!(worth([1.0, 1.0, 1.0], -500), worth([1.0, 1.0, 1.0], 0), "the future is not discounted");
        assert_eq!(worth([0.0, -0.0, 0.0], 9), Worth::NOTHING);
    }

    #[test]
    fn what_is_published_as_0_is_nothing_and_all_that_is_more_is_something() {
        assert_eq!(
            [0.0, 1e-300, f64::MIN_POSITIVE, 9e-131].map(|value| Worth::of_value(value).rank()),
            [Rank::NOTHING; 4]
        );
        for value in [1e-130, 1.0, 1e125] {
            assert!(published(value) > 0.0 && Worth::of_value(value).rank() > Rank::NOTHING);
        }
        let highest = Worth::of_value(f64::MAX).rank();
        assert!(usize::from(highest.0) < Rank::COUNT && highest > Worth::of_value(1e300).rank());
        let long_ago = Worth::of_values(&[1e300], &intervals()[..1], EventTime(0), EventTime(i64::MAX));
        assert_eq!(long_ago.rank(), Rank::NOTHING);
        assert_eq!(Worth::of_values(&[1.0], &intervals(), EventTime(0), EventTime(i64::MIN)).value(), 1.0);
    }

    proptest! {
        #[test]
        fn ranks_are_in_the_order_of_what_is_read(a in -500..500i32, b in -500..500i32, more in 1.0..1.03f64) {
            let (a, b) = (1.05f64.powi(a), 1.05f64.powi(b) * more);
            let (first, second) = (Worth::of_value(a).rank(), Worth::of_value(b).rank());
            if first < second {
                prop_assert!(a < b);
            } else if first == second {
                prop_assert!((a / b - 1.0).abs() < 0.0222);
            }
        }
    }
}
