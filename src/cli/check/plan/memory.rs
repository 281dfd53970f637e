//! What keys and their rows would take in memory.

use crate::counter::{EventTime, MemberHash, Uniques};
use crate::pipeline::{Group, Pipeline, RowShape};
use crate::state::{UniquesStore, shown_words};

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
    /// Whether what items show is kept, too.
    remembers: bool,
    /// Of uniques beside the row itself, by the number of their members; the last number stands for more.
    uniques: Vec<usize>,
}

impl RowMemory {
    /// Asks the stores themselves.
    pub(super) fn of(group: &Group, pipeline: &Pipeline) -> RowMemory {
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
            remembers: pipeline.remembers(group),
            uniques: (0..=more_than_exact).map(bytes_with).collect(),
        }
    }

    /// How many words a row has in its key's block.
    pub(super) fn words(&self, shape: RowShape, single: bool) -> usize {
        let shown = |values: usize| if self.remembers { shown_words(values) } else { 0 };
        match shape {
            _ if single => 1,
            RowShape::Values => self.values + shown(self.values),
            RowShape::ValuesAndSquares => self.squares + shown(self.squares),
            RowShape::Uniques => 1 + shown(self.values),
        }
    }

    /// The bytes that a row has beside that.
    pub(super) fn beside(&self, shape: RowShape, single: bool, members: MemberBits) -> usize {
        if shape != RowShape::Uniques || single {
            return 0;
        }
        self.uniques[members.estimate().min(self.uniques.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{group, pipeline};
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
        let memory = RowMemory::of(&group, &pipeline());
        assert_eq!(RowShape::ALL.map(|shape| memory.words(shape, false)), [3, 6, 1]);
        assert_eq!(RowShape::ALL.map(|shape| memory.words(shape, true)), [1, 1, 1]);
        let beside = |members| memory.beside(RowShape::Uniques, false, bits(members));
        assert_eq!(
            memory.beside(RowShape::Uniques, true, bits(1)) + memory.beside(RowShape::Values, false, bits(0)),
            0
        );
        // A few members take 16 bytes each beside their 24, and a sketch a byte per register and interval.
        assert!(beside(10) > 24 + 9 * 16);
        assert!((3 * 256..3 * 256 + 300).contains(&beside(300)));
    }
}
