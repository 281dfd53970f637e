//! What was at stake: how often it happened what a rule is there for. A simulator that never comes to it proves nothing.

use std::collections::BTreeMap;

/// What happened how often.
#[derive(Debug, Default)]
pub(super) struct Stakes(BTreeMap<&'static str, u64>);

impl Stakes {
    pub fn note(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub fn note_if(&mut self, happened: bool, what: &'static str) {
        self.add(what, u64::from(happened));
    }

    pub fn add(&mut self, what: &'static str, times: u64) {
        *self.0.entry(what).or_default() += times;
    }

    pub fn add_all(&mut self, other: &Stakes) {
        other.0.iter().for_each(|(what, times)| self.add(what, *times));
    }

    pub fn times(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }
}
