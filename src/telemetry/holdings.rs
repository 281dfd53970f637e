//! What the workers of a process hold: keys, rows, bytes; in all and of each group.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Of all workers of a process.
#[derive(Debug, Default)]
pub struct Holdings(Mutex<Vec<Arc<HoldingsGauge>>>);

/// What one worker holds.
#[derive(Debug, Default)]
pub struct HoldingsGauge {
    keys: AtomicU64,
    bytes: AtomicU64,
    groups: Mutex<Vec<GroupHoldings>>,
}

/// What is held of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupHoldings {
    /// How many rows.
    pub rows: u64,
    /// What these take, in bytes, with the sketches of uniques; without their keys, which groups share.
    pub bytes: u64,
    /// How many keys, where the group is the first of those that are keyed alike; else 0.
    pub keys: u64,
}

impl Holdings {
    /// One more worker's.
    pub fn register(&self) -> Arc<HoldingsGauge> {
        let gauge = Arc::<HoldingsGauge>::default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&gauge));
        gauge
    }

    /// How many keys.
    pub fn keys(&self) -> u64 {
        self.sum(|gauge| gauge.keys.load(Ordering::Relaxed))
    }

    /// The bytes that are allocated for them and their rows.
    pub fn bytes(&self) -> u64 {
        self.sum(|gauge| gauge.bytes.load(Ordering::Relaxed))
    }

    /// Of one group, by its place in the pipeline file.
    pub fn of_group(&self, index: usize) -> GroupHoldings {
        let of = |gauge: &HoldingsGauge| {
            gauge.groups.lock().unwrap_or_else(PoisonError::into_inner).get(index).copied().unwrap_or_default()
        };
        GroupHoldings {
            rows: self.sum(|gauge| of(gauge).rows),
            bytes: self.sum(|gauge| of(gauge).bytes),
            keys: self.sum(|gauge| of(gauge).keys),
        }
    }

    fn sum(&self, of: impl Fn(&HoldingsGauge) -> u64) -> u64 {
        let workers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter().map(|gauge| of(gauge)).sum()
    }
}

impl HoldingsGauge {
    /// It holds so much now, and of the groups that it knows so much.
    pub fn set(&self, keys: usize, bytes: usize, groups: &[GroupHoldings]) {
        self.keys.store(keys as u64, Ordering::Relaxed);
        self.bytes.store(bytes as u64, Ordering::Relaxed);
        let mut told = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        told.clear();
        told.extend_from_slice(groups);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_hold_is_added_up_whatever_groups_they_know() {
        let holdings = Holdings::default();
        let (one, other) = (holdings.register(), holdings.register());
        let group = |rows, bytes, keys| GroupHoldings { rows, bytes, keys };
        one.set(5, 700, &[group(3, 90, 5)]);
        other.set(2, 300, &[group(1, 30, 2), group(4, 200, 0)]);
        assert_eq!((holdings.keys(), holdings.bytes()), (7, 1_000));
        assert_eq!(
            [0, 1, 2].map(|index| holdings.of_group(index)),
            [group(4, 120, 7), group(4, 200, 0), GroupHoldings::default()]
        );
        one.set(0, 0, &[]);
        assert_eq!(holdings.of_group(0), group(1, 30, 2));
    }
}
