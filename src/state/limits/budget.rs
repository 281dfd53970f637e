//! When rows must go, and how many.

/// Some rows, and the bytes that they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::state) struct Usage {
    /// How many rows.
    pub rows: usize,
    /// How many bytes.
    pub bytes: usize,
}

impl Usage {
    const UNLIMITED: Usage = Usage { rows: usize::MAX, bytes: usize::MAX };

    /// Whether it is nothing at all.
    pub fn is_none(self) -> bool {
        self == Usage::default()
    }

    /// Takes away, down to nothing.
    pub fn less(self, other: Usage) -> Usage {
        self.with(other, usize::saturating_sub)
    }

    fn with(self, other: Usage, both: impl Fn(usize, usize) -> usize) -> Usage {
        Usage { rows: both(self.rows, other.rows), bytes: both(self.bytes, other.bytes) }
    }

    fn map(self, each: impl Fn(usize) -> usize) -> Usage {
        Usage { rows: each(self.rows), bytes: each(self.bytes) }
    }

    fn exceeds(self, other: Usage) -> bool {
        self.rows > other.rows || self.bytes > other.bytes
    }
}

/// A worker's share of the limits, and how fast its rows have been growing.
///
/// Rows go when another epoch like the largest of the last few would pass the limit. Then so many go that
/// there is room for such an epoch, and at least a sixteenth of the limit; but epochs that are
/// larger than half of the limit get no more room than that.
#[derive(Clone, Debug)]
pub(in crate::state) struct Budget {
    limit: Usage,
    /// What the largest epoch of late has added.
    growth: Usage,
    /// What was there after the last epoch.
    left: Usage,
    /// It was said that rows will have to go soon, and none has gone since.
    has_warned: bool,
}

impl Budget {
    /// With these limits; `None` is none.
    pub fn new(rows: Option<usize>, bytes: Option<usize>) -> Budget {
        let Usage { rows: any_rows, bytes: any_bytes } = Usage::UNLIMITED;
        let limit = Usage { rows: rows.unwrap_or(any_rows), bytes: bytes.unwrap_or(any_bytes) };
        Budget { limit, growth: Usage::default(), left: Usage::default(), has_warned: false }
    }

    /// Raises the limit by bytes that are there without any row.
    pub fn allow_beside(&mut self, bytes: usize) {
        self.limit.bytes = self.limit.bytes.saturating_add(bytes);
    }

    /// Whether bytes are limited: else nobody needs to count them.
    pub fn counts_bytes(&self) -> bool {
        self.limit.bytes < Usage::UNLIMITED.bytes
    }

    /// Takes notice of what is there when an epoch has been applied.
    pub fn observe_epoch(&mut self, used: Usage) {
        // What was large fades: half of it after five epochs.
        let faded = self.growth.map(|growth| growth - growth.div_ceil(8));
        self.growth = used.less(self.left).with(faded, usize::max);
        self.left = used;
    }

    /// Takes notice of what is there after rows have gone.
    pub fn observe_eviction(&mut self, used: Usage) {
        self.left = used;
        self.has_warned = false;
    }

    /// Whether rows will have to go soon; said once, until some have gone.
    pub fn warns(&mut self) -> bool {
        let room = self.growth.with(self.limit.map(|limit| limit / 16), usize::max);
        let soon = self.left.with(room.map(|room| 2 * room), usize::saturating_add).exceeds(self.limit);
        let first = soon && !self.has_warned;
        self.has_warned = soon;
        first
    }

    /// What must go; `None` if there is room.
    pub fn excess(&self) -> Option<Usage> {
        let room = self.growth.with(self.limit.map(|limit| limit / 2), usize::min);
        if !self.left.with(room, usize::saturating_add).exceeds(self.limit) {
            return None;
        }
        let room = room.with(self.limit.map(|limit| limit / 16), usize::max);
        Some(self.left.less(self.limit.less(room)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(rows: usize) -> Usage {
        Usage { rows, bytes: 100 * rows }
    }

    #[test]
    fn nothing_goes_while_there_is_room_for_another_epoch() {
        let mut budget = Budget::new(Some(1_000), None);
        assert!(!budget.counts_bytes());
        for epoch in 1..=9 {
            budget.observe_epoch(rows(100 * epoch));
            assert_eq!(budget.excess(), None, "{epoch}");
        }
        // The next one may add 87: an eighth less than the largest.
        budget.observe_epoch(rows(950));
        assert_eq!(budget.excess(), Some(Usage { rows: 950 - (1_000 - 87), bytes: 0 }));
    }

    #[test]
    fn epochs_that_are_larger_than_the_limit_leave_half_of_it() {
        let mut budget = Budget::new(None, Some(1_000));
        budget.observe_epoch(rows(50));
        assert_eq!(budget.excess(), Some(Usage { rows: 0, bytes: 4_500 }));
        budget.observe_eviction(rows(5));
        assert_eq!(budget.excess(), None);
    }

    #[test]
    fn a_single_row_may_be_the_limit() {
        let mut budget = Budget::new(Some(1), None);
        for (held, excess) in [(1, None), (5, Some(4)), (2, Some(1))] {
            budget.observe_epoch(rows(held));
            assert_eq!(budget.excess().map(|excess| excess.rows), excess);
            budget.observe_eviction(rows(1));
        }
    }

    proptest! {
        /// Whatever comes, the limit is passed by no more than what one epoch adds, and where epochs
        /// are all alike and small, not at all.
        #[test]
        fn the_limit_is_passed_by_no_more_than_an_epoch(
            limit in 1..10_000usize,
            growths in prop::collection::vec(0..2_000usize, 1..200),
            steady in any::<bool>(),
        ) {
            let mut budget = Budget::new(Some(limit), None);
            let mut held = 0;
            for growth in &growths {
                let growth = if steady { growths[0].min(limit / 2) } else { *growth };
                held += growth;
                prop_assert!(held <= limit + growth);
                prop_assert!(!steady || held <= limit);
                budget.observe_epoch(rows(held));
                if let Some(excess) = budget.excess() {
                    prop_assert!(0 < excess.rows && excess.rows <= held);
                    held -= excess.rows;
                    budget.observe_eviction(rows(held));
                    prop_assert_eq!(budget.excess(), None);
                }
            }
        }
    }
}
