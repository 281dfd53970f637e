//! Which segments to merge, and when: a decision over their sizes, without I/O.
//!
//! The oldest segment is the *base*; what follows are *deltas*. Two rules:
//!
//! 1. When all deltas together are larger than the base, everything becomes a new base. So a state takes at most twice its
//!    base, and a new base costs at most as much again as was written since the last one.
//! 2. Else, when a delta is smaller than twice all newer ones together, it is merged with all of these. So a delta is at
//!    least twice as large as all newer ones together: sizes at least triple from one to the next, and there are few. What
//!    is rewritten ends in a segment half as large again, at least: so no byte is rewritten often before it is in
//!    the base.
//!
//! Sizes below a *floor* count as that: 1 MiB or a 20,000th of the base, whichever is larger. So there are never more than
//! 11 segments, however little a checkpoint has, and for such a one a few floors are rewritten.

use std::ops::Range;

use super::merge::Depth;

/// The least that a segment counts as.
const FLOOR_BYTES: u64 = 1 << 20;
/// 3 to the power of 9: nine times three is how the deltas below a base can rise.
const FLOORS_IN_BASE: u64 = 19_683;

/// Segments that are to be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// Which, of those that were asked about, the oldest first. They follow each other.
    pub segments: Range<usize>,
    /// Whether the base is among them.
    pub depth: Depth,
}

/// What to merge of segments of these sizes in bytes, the oldest first; `None`: they are as they should be.
pub fn choose(sizes: &[u64]) -> Option<Compaction> {
    let (&base, deltas) = sizes.split_first()?;
    let floor = FLOOR_BYTES.max(base / FLOORS_IN_BASE);
    if deltas.iter().sum::<u64>() > base.max(floor) {
        return Some(Compaction { segments: 0..sizes.len(), depth: Depth::ToTheBase });
    }
    let counted = |delta: usize| deltas[delta].max(floor);
    let mut newer = 0;
    let mut first = None;
    for delta in (0..deltas.len()).rev() {
        if counted(delta) < 2 * newer {
            first = Some(delta);
        }
        newer += counted(delta);
    }
    first.map(|first| Compaction { segments: first + 1..sizes.len(), depth: Depth::AboveOthers })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What became of a sequence of checkpoints.
    #[derive(Default)]
    struct Played {
        segments: Vec<u64>,
        written: u64,
        rewritten: u64,
    }

    impl Played {
        /// Adds a checkpoint. Of what is merged `kept_percent` are left, but never more than `most_base` in the base.
        fn checkpoint(&mut self, bytes: u64, kept_percent: u64, most_base: u64) {
            self.segments.push(bytes);
            self.written += bytes;
            if let Some(Compaction { segments, depth }) = choose(&self.segments) {
                let all: u64 = self.segments[segments.clone()].iter().sum();
                let largest = self.segments[segments.clone()].iter().copied().max().unwrap_or_default();
                let mut merged = (all * kept_percent / 100).max(largest.min(all));
                if depth == Depth::ToTheBase {
                    merged = merged.min(most_base);
                }
                self.rewritten += merged;
                self.segments.splice(segments, [merged]);
            }
        }

        fn check(&self) {
            assert_eq!(choose(&self.segments), None, "one merge is enough: {:?}", self.segments);
            assert!(self.segments.len() < 12, "{:?}", self.segments);
            let (base, deltas) = self.segments.split_first().unwrap();
            assert!(deltas.iter().sum::<u64>() <= *base.max(&FLOOR_BYTES), "{:?}", self.segments);
        }
    }

    #[test]
    fn a_first_segment_is_the_base_and_small_deltas_meet() {
        assert_eq!(choose(&[]), None);
        assert_eq!(choose(&[5]), None);
        assert_eq!(choose(&[5, 5]), None, "little is below the floor");
        let mib = 1 << 20;
        assert_eq!(choose(&[100 * mib, 10 * mib, mib]), None);
        let last_two = Compaction { segments: 2..4, depth: Depth::AboveOthers };
        assert_eq!(choose(&[100 * mib, 10 * mib, mib, mib]), Some(last_two));
        let all = Compaction { segments: 0..3, depth: Depth::ToTheBase };
        assert_eq!(choose(&[100 * mib, 60 * mib, 41 * mib]), Some(all));
    }

    proptest! {
        #[test]
        fn segments_stay_few_and_small_whatever_comes(
            sizes in proptest::collection::vec((0u32..36, 1u64..1000), 1..400),
            kept_percent in 30u64..=100,
        ) {
            let mut played = Played::default();
            for (magnitude, part) in sizes {
                played.checkpoint((1u64 << magnitude) * part / 1000, kept_percent, u64::MAX);
                played.check();
            }
        }

        #[test]
        fn what_is_rewritten_follows_what_changed(
            base_mib in 1u64..20_000,
            delta in 200u64..2_000_000_000,
            spread in 1u64..100,
        ) {
            // A state that stays as large as it is, of which always about as much changes.
            let base = base_mib << 20;
            let mut played = Played { segments: vec![base], ..Played::default() };
            let checkpoints = 2000;
            for checkpoint in 0..checkpoints {
                played.checkpoint(delta + delta * (checkpoint % spread) / 100, 100, base);
                played.check();
            }
            let floors = FLOOR_BYTES.max(base / FLOORS_IN_BASE) * checkpoints;
            let written = played.written as f64;
            // Each byte moves up through the sizes between the floor and the base, and then once into the base.
            let sizes = (base as f64 / FLOOR_BYTES as f64).max(3.0).log2() + 2.0;
            let bound = (written + floors as f64) * sizes + base as f64;
            prop_assert!((played.rewritten as f64) < bound, "{} of {written}: {}", played.rewritten, played.rewritten as f64 / written);
        }
    }

    #[test]
    fn little_changes_of_a_large_state_cost_little() {
        // 600 MB of which 60 MB change, and of which 60 kB change, each 10,000 times.
        for (delta, most) in [(60_000_000, 6.0), (6_000_000, 9.0), (60_000, 30.0)] {
            let mut played = Played { segments: vec![600_000_000], ..Played::default() };
            for _ in 0..10_000 {
                played.checkpoint(delta, 100, 600_000_000);
                played.check();
            }
            let amplification = played.rewritten as f64 / played.written as f64;
            assert!(amplification < most, "{delta}: each byte is rewritten {amplification} times");
        }
    }
}
