//! How many rows there are of each worth of a key.

use std::cmp::Ordering;

use super::Usage;
use super::worth::{Rank, Worth};

/// Counts rows by the rank of their keys. One pass over all keys makes it; from it follows where to [cut](Census::cut),
/// and a second pass takes away what lies below. So whatever goes is worth no more than whatever stays
/// (within a rank, see [`Rank`]), and no more goes than must.
#[derive(Debug)]
pub(in crate::state) struct Census {
    ranks: Vec<Usage>,
}

/// Where keys are parted into those that go and those that stay.
#[derive(Debug)]
pub(in crate::state) struct Cut {
    /// All below go, all above stay,
    at: Rank,
    /// and at it, until so much has gone.
    rest: Usage,
}

impl Census {
    /// Nothing is counted yet.
    pub fn new() -> Census {
        Census { ranks: vec![Usage::default(); Rank::COUNT] }
    }

    /// Counts a key that would free so much.
    pub fn count(&mut self, worth: Worth, usage: Usage) {
        let rank = &mut self.ranks[usize::from(worth.rank().0)];
        rank.rows += usage.rows;
        rank.bytes += usage.bytes;
    }

    /// Where to cut so that at least so many rows go, and so many bytes with them.
    pub fn cut(&self, excess: Usage) -> Cut {
        let mut rest = excess;
        for (rank, usage) in (0..).zip(&self.ranks) {
            if rest.less(*usage).is_none() {
                return Cut { at: Rank(rank), rest };
            }
            rest = rest.less(*usage);
        }
        // There is not so much: all goes.
        Cut { at: Rank(Rank::COUNT as u16), rest }
    }
}

impl Cut {
    /// Whether a key of this worth goes, which frees so much.
    pub fn takes(&mut self, worth: Worth, usage: Usage) -> bool {
        match worth.rank().cmp(&self.at) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal if self.rest.is_none() => false,
            Ordering::Equal => {
                self.rest = self.rest.less(usage);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Of any rows: what stays is worth no less than what went, within a rank; as much goes as must;
        /// and without the last row that went it would not have been enough.
        #[test]
        fn those_that_are_worth_least_go_and_no_more_than_must(
            rows in prop::collection::vec((prop_oneof![Just(0.0), 1e-140..1e-120f64, 0.0..3.0f64, -1e9..1e9f64], 1..500usize), 0..300),
            excess in (0..200usize, 0..40_000usize),
        ) {
            let excess = Usage { rows: excess.0, bytes: excess.1 };
            let mut census = Census::new();
            rows.iter().for_each(|(value, bytes)| census.count(Worth::of_value(*value), Usage { rows: 1, bytes: *bytes }));
            let mut cut = census.cut(excess);
            let (gone, kept): (Vec<_>, Vec<_>) =
                rows.iter().copied().partition(|(value, bytes)| cut.takes(Worth::of_value(*value), Usage { rows: 1, bytes: *bytes }));
            let size = |value: f64| if value.abs() < 1e-130 { 0.0 } else { value.abs() };
            let largest_gone = gone.iter().map(|(value, _)| size(*value)).fold(0.0, f64::max);
            let least_kept = kept.iter().map(|(value, _)| size(*value)).fold(f64::INFINITY, f64::min);
            prop_assert!(largest_gone <= least_kept * 1.022 + 1e-129, "{} went and {} stayed", largest_gone, least_kept);
            let sum = |rows: &[(f64, usize)]| Usage { rows: rows.len(), bytes: rows.iter().map(|(_, bytes)| bytes).sum() };
            prop_assert!(excess.less(sum(&gone)).is_none() || kept.is_empty());
            let rank = |row: &(f64, usize)| Worth::of_value(row.0).rank();
            if let Some(highest) = gone.iter().map(rank).max() {
                let last_taken = gone.iter().rfind(|row| rank(row) == highest).expect("one of them").1;
                let without = sum(&gone).less(Usage { rows: 1, bytes: last_taken });
                prop_assert!(!excess.less(without).is_none(), "no more goes than must");
            }
        }
    }
}
