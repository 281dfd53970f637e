//! How much is under way behind the sources, in bytes: they stop when it is too much.
//!
//! - *Batches* for writers, from where they are made until their writer is done with them, whatever came of it. While there are too
//!   many bytes of these, no source takes a block.
//! - *Sums* for rows, from the end of their epoch on a worker until they are applied. While there are too many, a source
//!   takes only blocks of the oldest epoch that is not done: applying one takes that all workers have ended it.
//!
//! Neither can wait for itself: between a batch and its writer, and between the sums of the oldest epoch and their
//! rows, stands nothing that waits for more than that. A batch that is larger than all that may be under way goes its
//! way alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use timely::scheduling::activate::SyncActivator;

use crate::sink::{DeadLetterBatch, ItemBatch};
use crate::sums::ContributionBatch;

/// So many bytes of either kind are too many. What comes of the blocks that were just taken is on top of it.
const MOST_BYTES: u64 = 48 << 20;

/// What a writer gets.
pub trait Weigh {
    /// The memory that it takes, in bytes: the same at both ends of an exchange.
    fn weight(&self) -> u64;
}

impl Weigh for ItemBatch {
    fn weight(&self) -> u64 {
        self.memory()
    }
}

impl Weigh for DeadLetterBatch {
    fn weight(&self) -> u64 {
        self.memory()
    }
}

/// What is under way in a process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct InFlight {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    batches: Gauge,
    sums: Gauge,
    /// One per source.
    activators: Mutex<Vec<SyncActivator>>,
}

/// So many bytes.
#[derive(Debug, Default)]
struct Gauge(AtomicU64);

/// The bytes of a batch that has arrived at its writer; they are under way no more when it is dropped.
#[derive(Debug)]
pub struct Arrived {
    in_flight: InFlight,
    bytes: u64,
}

impl InFlight {
    /// Has this source woken whenever it need not wait any more.
    pub fn register(&self, source: SyncActivator) {
        self.shared.activators.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    /// A batch was made.
    pub fn batch_is_made(&self, batch: &impl Weigh) {
        self.shared.batches.add(batch.weight());
    }

    /// A batch, which was made before, is with its writer.
    pub fn batch_has_arrived(&self, batch: &impl Weigh) -> Arrived {
        Arrived { in_flight: self.clone(), bytes: batch.weight() }
    }

    /// Whether writers have too much to do.
    pub fn too_many_batches(&self) -> bool {
        self.shared.batches.is_full()
    }

    /// Sums leave for their rows.
    pub fn sums_are_made(&self, sums: &[ContributionBatch]) {
        self.shared.sums.add(sums.iter().map(ContributionBatch::memory).sum());
    }

    /// Sums, which were made before, are applied.
    pub fn sums_are_applied(&self, sums: &[ContributionBatch]) {
        if self.shared.sums.subtract(sums.iter().map(ContributionBatch::memory).sum()) {
            self.shared.wake_sources();
        }
    }

    /// Whether too many sums wait for the end of their epoch.
    pub fn too_many_sums(&self) -> bool {
        self.shared.sums.is_full()
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        if self.in_flight.shared.batches.subtract(self.bytes) {
            self.in_flight.shared.wake_sources();
        }
    }
}

impl Shared {
    fn wake_sources(&self) {
        for source in self.activators.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // An error means that the worker is gone, and with it the need to wake it.
            let _ = source.activate();
        }
    }
}

impl Gauge {
    fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Whether these were too many until now.
    fn subtract(&self, bytes: u64) -> bool {
        let before = self.0.fetch_sub(bytes, Ordering::AcqRel);
        before >= MOST_BYTES && before - bytes < MOST_BYTES
    }

    fn is_full(&self) -> bool {
        self.0.load(Ordering::Acquire) >= MOST_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of so many bytes.
    struct Bytes(u64);

    impl Weigh for Bytes {
        fn weight(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn sources_wait_until_less_is_in_flight() {
        let in_flight = InFlight::default();
        let sent = |bytes| {
            in_flight.batch_is_made(&Bytes(bytes));
            in_flight.batch_has_arrived(&Bytes(bytes))
        };
        let first = sent(MOST_BYTES - 1);
        assert!(!in_flight.too_many_batches());
        let larger_than_all = sent(10 * MOST_BYTES);
        assert!(in_flight.too_many_batches());
        drop(larger_than_all);
        assert!(!in_flight.too_many_batches());
        drop(first);
        assert_eq!(in_flight.shared.batches.0.load(Ordering::Acquire), 0);
    }

    #[test]
    fn only_whoever_makes_room_wakes_the_sources() {
        let gauge = Gauge::default();
        gauge.add(MOST_BYTES + 7);
        let wakes = [5, 2, 1, 1].map(|bytes| gauge.subtract(bytes));
        assert_eq!(wakes, [false, false, true, false]);
    }
}
