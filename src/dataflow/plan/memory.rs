//! What rows would take in memory.

use super::super::rows::{UniquesStore, row_bytes};
use crate::counter::{EventTime, MemberHash, Uniques};
use crate::pipeline::{Group, RowShape};

/// The different members of a row of uniques, as far as memory hangs on their number: up to some 200 it can be
/// told within a tenth (linear counting: Whang, Vander-Zanden, Taylor, TODS 1990), and that is when a set has long
/// become a sketch, which does not grow any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MemberBits(u64);

impl MemberBits {
    /// A single member by its hash, or none.
    pub(super) fn of(member: Option<u64>) -> MemberBits {
        MemberBits(member.map_or(0, |hash| 1 << (hash >> 58)))
    }

    /// Adds the members of another one.
    pub(super) fn add(&mut self, other: MemberBits) {
        self.0 |= other.0;
    }

    /// How many there are, about.
    fn estimate(self) -> usize {
        const BITS: f64 = 64.0;
        // That all bits are taken is what some 300 members make likely.
        let empty = f64::from(self.0.count_zeros()).max(0.5);
        (BITS * (BITS / empty).ln()).round() as usize
    }
}

/// How much the rows of one group take, by what they hold.
pub(super) struct RowMemory {
    values: usize,
    squares: usize,
    /// Of uniques beside the row itself, by the number of their members; the last number stands for more.
    uniques: Vec<usize>,
}

impl RowMemory {
    /// Asks the stores themselves.
    pub(super) fn of(group: &Group) -> RowMemory {
        let set = &group.other_shapes.uniques;
        let mut uniques = Uniques::new();
        let more_than_exact = set.config().exact_members + 1;
        let bytes_with = |member: usize| {
            if member > 0 {
                uniques.add(set, MemberHash((member as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)), EventTime(0));
            }
            UniquesStore::bytes_of(&uniques)
        };
        RowMemory {
            values: group.decays_of(RowShape::Values).width(),
            squares: group.decays_of(RowShape::ValuesAndSquares).width(),
            uniques: (0..=more_than_exact).map(bytes_with).collect(),
        }
    }

    /// The bytes of a row with a key of this length.
    pub(super) fn row(&self, shape: RowShape, key_bytes: usize, members: MemberBits) -> usize {
        match shape {
            RowShape::Values => row_bytes(self.values, key_bytes),
            RowShape::ValuesAndSquares => row_bytes(self.squares, key_bytes),
            RowShape::Uniques => row_bytes(1, key_bytes) + self.uniques[members.estimate().min(self.uniques.len() - 1)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::group;
    use xxhash_rust::xxh3::xxh3_64;

    fn bits(members: u64) -> MemberBits {
        let mut bits = MemberBits::default();
        (0..members).for_each(|member| bits.add(MemberBits::of(Some(xxh3_64(&member.to_le_bytes())))));
        bits
    }

    #[test]
    fn members_are_counted_as_well_as_memory_asks_for() {
        assert_eq!([0, 1].map(|members| bits(members).estimate()), [0, 1]);
        for members in [5, 20, 50, 100, 150] {
            let estimate = bits(members).estimate() as f64;
            assert!((estimate / members as f64 - 1.0).abs() < 0.3, "{estimate} of {members}");
        }
        assert!(bits(1_000_000).estimate() > 200);
    }

    #[test]
    fn a_row_takes_what_its_values_squares_or_members_take() {
        let group = group("user", &[0], "{event}");
        let memory = RowMemory::of(&group);
        let row = |shape, members| memory.row(shape, 8, bits(members));
        assert_eq!(row(RowShape::Values, 0), row_bytes(3, 8));
        assert_eq!(row(RowShape::ValuesAndSquares, 0), row_bytes(6, 8));
        // One member lies in the row's own 24 bytes, a few take 16 each, and a sketch a byte per register and interval.
        assert_eq!(row(RowShape::Uniques, 1), row_bytes(1, 8) + 24);
        assert!(row(RowShape::Uniques, 10) > row_bytes(1, 8) + 24 + 9 * 16);
        assert!((3 * 256..3 * 256 + 300).contains(&(row(RowShape::Uniques, 300) - row_bytes(1, 8))));
    }
}
