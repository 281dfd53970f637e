//! Where a reader stands in one partition.

use std::time::Instant;

/// One partition that a reader reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) id: i32,
    /// The offset after the last message taken: where the next one is, or somewhere before it, as
    /// compaction and the marks of transactions leave gaps.
    pub(super) next: i64,
    /// Reading ends before this offset.
    pub(super) until: Option<i64>,
    /// Everything before `until` has been taken.
    pub(super) done: bool,
    /// Its beginning was asked for, wherever that is by now: nothing was taken yet.
    pub(super) at_beginning: bool,
    /// The time of the last message taken, in milliseconds since 1970, where it has one.
    pub(super) last_ms: Option<i64>,
    /// Since when nothing more is to be had.
    pub(super) at_end_since: Option<Instant>,
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Take,
    /// It was written after the end found at the start.
    Skip,
    /// It stands before one that was already taken: offsets began anew.
    Backwards,
}

impl Partition {
    pub(super) fn new(id: i32, next: i64, until: Option<i64>) -> Partition {
        let done = until.is_some_and(|until| next >= until);
        Partition { id, next, until, done, at_beginning: false, last_ms: None, at_end_since: None }
    }

    /// Takes notice of the message at this offset.
    pub(super) fn step(&mut self, offset: i64) -> Step {
        self.at_end_since = None;
        if self.until.is_some_and(|until| offset >= until) {
            self.passed_end();
            return Step::Skip;
        }
        if offset < self.next {
            return Step::Backwards;
        }
        self.at_beginning = false;
        self.passed(offset + 1);
        Step::Take
    }

    /// Everything before this offset was seen: the marks of transactions are passed without a message.
    pub(super) fn passed(&mut self, position: i64) {
        self.next = self.next.max(position);
        self.done = self.until.is_some_and(|until| self.next >= until);
    }

    /// Everything before the end was seen, though the last offsets are gone without a trace.
    pub(super) fn passed_end(&mut self) {
        self.passed(self.until.unwrap_or(self.next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_what_stands_before_the_end_and_nothing_after() {
        let mut partition = Partition::new(3, 5, Some(9));
        assert_eq!((partition.step(5), partition.done), (Step::Take, false));
        assert_eq!((partition.step(8), partition.done), (Step::Take, true), "offsets may be missing");
        assert_eq!((partition.step(9), partition.next), (Step::Skip, 9));
    }

    #[test]
    fn a_message_past_the_end_shows_that_the_end_was_passed() {
        let mut partition = Partition::new(3, 5, Some(9));
        assert_eq!((partition.step(12), partition.done, partition.next), (Step::Skip, true, 9));
    }

    #[test]
    fn an_end_without_a_message_is_reached_too() {
        let mut partition = Partition::new(3, 5, Some(9));
        partition.step(6);
        partition.passed(8);
        assert!(!partition.done, "its end on a broker that lags behind is not the end");
        partition.passed(9);
        assert!(partition.done);
        assert!(Partition::new(3, 9, Some(9)).done, "nothing to read from the start");
    }

    #[test]
    fn without_an_end_it_is_never_done() {
        let mut partition = Partition::new(0, 0, None);
        partition.step(7);
        partition.passed_end();
        assert!(!partition.done);
    }

    #[test]
    fn offsets_that_begin_anew_are_noticed() {
        let mut partition = Partition::new(0, 0, None);
        partition.step(7);
        assert_eq!(partition.step(7), Step::Backwards);
        assert_eq!(partition.step(0), Step::Backwards);
    }
}
