//! A count for each of a few causes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How often what came about because of what. The causes are the program's own: no name from outside makes one.
#[derive(Debug, Default)]
pub struct Causes(Mutex<BTreeMap<&'static str, u64>>);

impl Causes {
    /// Once more because of this.
    pub fn note(&self, cause: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(cause).or_default() += 1;
    }

    /// All that there were, by name.
    pub fn all(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
