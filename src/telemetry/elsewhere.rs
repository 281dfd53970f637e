//! How other processes of the run are getting on, as far as this one has heard.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Metrics;

/// How a process is getting on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauges {
    /// Events that it has counted.
    pub events: u64,
    /// Rows that it holds.
    pub rows: u64,
    /// Items that have changed, and are not known to be in the table.
    pub waiting: u64,
    /// For how long the oldest of them has waited, in milliseconds.
    pub oldest_ms: Option<u64>,
}

/// The others, by index.
#[derive(Debug, Default)]
pub struct Elsewhere(Mutex<Vec<Gauges>>);

impl Elsewhere {
    /// The other process with this number, from 0, is getting on so.
    pub fn hear(&self, other: usize, gauges: Gauges) {
        let mut all = self.lock();
        if all.len() <= other {
            all.resize(other + 1, Gauges::default());
        }
        all[other] = gauges;
    }

    /// All that were heard of.
    pub fn all(&self) -> Vec<Gauges> {
        self.lock().clone()
    }

    /// The events that they have counted.
    pub fn events(&self) -> u64 {
        self.lock().iter().map(|gauges| gauges.events).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Gauges>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics {
    /// How this process is getting on.
    pub fn gauges(&self) -> Gauges {
        Gauges {
            events: self.events.get(),
            rows: self.rows.get(),
            waiting: self.waiting.items(),
            oldest_ms: self.waiting.oldest().map(|oldest: Duration| oldest.as_millis() as u64),
        }
    }
}
