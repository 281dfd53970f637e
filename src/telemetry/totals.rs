//! What one process has counted, for the summary of all.

use serde::{Deserialize, Serialize};

use super::{Counter, Metrics};

/// What a process has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    counters: Vec<u64>,
    /// Its bits.
    largest_worth: u64,
}

impl Metrics {
    /// What was counted here that no other process has counted.
    pub fn totals(&self) -> Totals {
        let counters = self.counted_here().iter().map(|counter| counter.get()).collect();
        Totals { counters, largest_worth: self.evictions.largest_worth().to_bits() }
    }

    /// Takes in what another process has counted.
    pub fn add(&self, Totals { counters, largest_worth }: &Totals) {
        for (counter, amount) in self.counted_here().iter().zip(counters) {
            counter.add(*amount);
        }
        self.evictions.note_worth(f64::from_bits(*largest_worth));
    }

    /// In an order that is the same in every process.
    fn counted_here(&self) -> Vec<&Counter> {
        let counters = [
            &self.events,
            &self.missing_keys,
            &self.missing_values,
            &self.tombstones,
            &self.bytes,
            &self.rows,
            &self.rows_expired,
            &self.evictions.rows,
            &self.evictions.unpublished,
            &self.items_written,
            &self.items_refused,
            &self.items_superseded,
            &self.write_units,
            &self.sink_retries,
        ];
        counters.into_iter().chain(self.each_dead_letters()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Reason;

    #[test]
    fn what_processes_have_counted_is_added_up() {
        let (one, all) = (Metrics::default(), Metrics::default());
        one.events.add(5);
        one.dead_letters(Reason::ALL[1]).add(2);
        one.evictions.observe(3, 0.5);
        all.events.add(7);
        all.add(&one.totals());
        assert_eq!((all.events.get(), all.all_dead_letters(), all.evictions.rows.get()), (12, 2, 3));
        assert_eq!(all.evictions.largest_worth(), 0.5);
        assert_eq!(one.totals(), {
            let again = Metrics::default();
            again.add(&one.totals());
            again.totals()
        });
    }
}
