//! The uniques of rows that count different members.

use crate::counter::{EventTime, Uniques, UniquesSet};

/// Holds the uniques of rows. A row of uniques has a single value: the number by which it is found
/// here.
#[derive(Debug, Default)]
pub struct UniquesStore {
    slots: Vec<Uniques>,
    free: Vec<u32>,
    estimates: Vec<f64>,
}

impl UniquesStore {
    /// Stores the uniques of a new row, and returns the row's value.
    pub fn insert(&mut self, uniques: Uniques) -> f64 {
        let place = match self.free.pop() {
            Some(place) => {
                self.slots[place as usize] = uniques;
                place as usize
            }
            None => {
                self.slots.push(uniques);
                self.slots.len() - 1
            }
        };
        place as f64
    }

    /// The uniques of a row with this value.
    pub fn get_mut(&mut self, value: f64) -> &mut Uniques {
        &mut self.slots[value as usize]
    }

    /// Forgets the uniques of a row with this value.
    pub fn remove(&mut self, value: f64) {
        self.slots[value as usize] = Uniques::new();
        self.free.push(value as u32);
    }

    /// What the row with this value publishes: an estimate per interval, and behind them their
    /// relative standard errors.
    pub fn estimates(&mut self, value: f64, set: &UniquesSet, time: EventTime) -> &[f64] {
        let intervals = set.intervals().len();
        self.estimates.clear();
        self.estimates.resize(intervals, 0.0);
        let error = self.slots[value as usize].read_all(set, time, &mut self.estimates);
        self.estimates.resize(2 * intervals, error);
        &self.estimates
    }
}
