//! What happened to items, one effect after the other, and what must never happen.

use std::collections::VecDeque;
use std::time::Duration;

use super::table::Identity;

/// How many effects are kept unless a test says otherwise.
const MOST_EFFECTS: usize = 200_000;
/// How many of those that must not be are kept; there is no use in more.
const MOST_WRONG: usize = 100;

/// One write of one item, carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// Since the start of the fake.
    pub at: Duration,
    /// Counts all effects.
    pub sequence: u64,
    pub table: String,
    pub key: Identity,
    /// The `version` of the item before, and after; none where there is no item or no version.
    pub before: Option<u64>,
    pub after: Option<u64>,
    /// Carried out after whoever sent it was let go.
    pub late: bool,
    pub units: u64,
}

/// The newest effects, those that took an item back, and sums over all.
#[derive(Debug)]
pub struct Record {
    /// How many effects to keep: the oldest go first; 0 in long runs and benchmarks.
    pub most_effects: usize,
    pub effects: VecDeque<Effect>,
    pub(super) went_back: Vec<Effect>,
    count: u64,
    units_by_second: Vec<u64>,
}

impl Record {
    pub fn new() -> Record {
        Record {
            most_effects: MOST_EFFECTS,
            effects: VecDeque::new(),
            went_back: Vec::new(),
            count: 0,
            units_by_second: Vec::new(),
        }
    }

    /// How many effects there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The write units that were allowed in each second since the start.
    pub fn units_by_second(&self) -> &[u64] {
        &self.units_by_second
    }

    pub(super) fn add_units(&mut self, at: Duration, units: u64) {
        let second = at.as_secs() as usize;
        if self.units_by_second.len() <= second {
            self.units_by_second.resize(second + 1, 0);
        }
        self.units_by_second[second] += units;
    }

    /// `is_back`: it left the item with a smaller version than it had, or once had.
    pub(super) fn add(&mut self, effect: impl FnOnce(u64) -> Effect, is_back: bool) {
        let sequence = self.count;
        self.count += 1;
        if self.most_effects == 0 && !is_back {
            return;
        }
        let effect = effect(sequence);
        if is_back && self.went_back.len() < MOST_WRONG {
            self.went_back.push(effect.clone());
        }
        self.effects.push_back(effect);
        while self.effects.len() > self.most_effects {
            self.effects.pop_front();
        }
    }
}
