//! What is still to come, in the order of its time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// More is never planned: what comes on top does not happen. With a thousand events per second some
/// thousands are planned.
const MOST_PLANNED: usize = 1 << 20;

/// What is planned, the next first; of what has the same time, what was planned first.
#[derive(Clone, Debug)]
pub(super) struct Agenda<T> {
    planned: BinaryHeap<Reverse<Planned<T>>>,
    planned_so_far: u64,
}

/// Compared by time and turn alone: no two have the same turn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Planned<T> {
    due: i64,
    turn: u64,
    what: T,
}

impl<T: Ord> Agenda<T> {
    pub(super) fn new() -> Agenda<T> {
        Agenda { planned: BinaryHeap::new(), planned_so_far: 0 }
    }

    /// Plans something for this time.
    pub(super) fn plan(&mut self, due: i64, what: T) {
        if self.planned.len() < MOST_PLANNED {
            self.planned.push(Reverse(Planned { due, turn: self.planned_so_far, what }));
            self.planned_so_far += 1;
        }
    }

    /// Takes what is due next, with the time it was planned for, if that has come.
    pub(super) fn take_due(&mut self, now: i64) -> Option<(i64, T)> {
        self.planned.peek().filter(|next| next.0.due <= now)?;
        self.planned.pop().map(|Reverse(next)| (next.due, next.what))
    }
}
