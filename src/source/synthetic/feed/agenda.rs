//! What is still to come, in the order of its time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::visit::Happening;

/// More is never planned: what comes on top does not happen. With a thousand events per second some
/// thousands are planned.
const MOST_PLANNED: usize = 1 << 20;

/// What is planned, the next first; of what has the same time, what was planned first.
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda {
    planned: BinaryHeap<Reverse<Planned>>,
    planned_so_far: u64,
}

/// Compared by time and turn alone: no two have the same turn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Planned {
    due: i64,
    turn: u64,
    happening: Happening,
}

impl Agenda {
    /// Plans something for this time.
    pub(super) fn plan(&mut self, due: i64, happening: Happening) {
        if self.planned.len() < MOST_PLANNED {
            self.planned.push(Reverse(Planned { due, turn: self.planned_so_far, happening }));
            self.planned_so_far += 1;
        }
    }

    /// Takes what is due next, with the time it was planned for, if that has come.
    pub(super) fn take_due(&mut self, now: i64) -> Option<(i64, Happening)> {
        self.planned.peek().filter(|next| next.0.due <= now)?;
        self.planned.pop().map(|Reverse(next)| (next.due, next.happening))
    }
}
