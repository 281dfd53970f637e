//! What groups have of something that is counted in all.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// An amount for each group of the pipeline, by name.
#[derive(Debug, Default)]
pub struct Shares(Mutex<BTreeMap<String, f64>>);

impl Shares {
    /// Adds to the amounts of these groups.
    pub fn add<'a>(&self, shares: impl Iterator<Item = (&'a str, f64)>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (group, amount) in shares {
            match all.get_mut(group) {
                Some(sum) => *sum += amount,
                None => drop(all.insert(group.to_owned(), amount)),
            }
        }
    }

    /// The amount of one.
    pub fn of(&self, group: &str) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(group).copied().unwrap_or_default()
    }
}
