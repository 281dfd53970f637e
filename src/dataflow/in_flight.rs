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
//!
//! In a cluster what is made here may be applied or written elsewhere, and nobody says when. So there, sums are under way until their epoch
//! is done everywhere, and batches only from where they have arrived. What another process sends is bounded by its own sums, and, of batches, by
//! the epochs that may be in flight.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use timely::scheduling::activate::SyncActivator;

use crate::epoch::Epoch;
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
#[derive(Clone, Debug)]
pub struct InFlight {
    shared: Arc<Shared>,
    in_cluster: bool,
}

#[derive(Debug, Default)]
struct Shared {
    batches: Gauge,
    sums: Gauge,
    /// In a cluster, of which epochs the sums are.
    sums_of_epochs: Mutex<BTreeMap<Epoch, u64>>,
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
    /// Of a process that is one of several, or is not.
    pub fn new(in_cluster: bool) -> InFlight {
        InFlight { shared: Arc::default(), in_cluster }
    }

    /// Has this source woken whenever it need not wait any more.
    pub fn register(&self, source: SyncActivator) {
        self.shared.activators.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    /// A batch was made.
    pub fn batch_is_made(&self, batch: &impl Weigh) {
        if !self.in_cluster {
            self.shared.batches.add(batch.weight());
        }
    }

    /// A batch, which was made before, is with its writer.
    pub fn batch_has_arrived(&self, batch: &impl Weigh) -> Arrived {
        let bytes = batch.weight();
        if self.in_cluster {
            self.shared.batches.add(bytes);
        }
        Arrived { in_flight: self.clone(), bytes }
    }

    /// Whether something is with a writer, or on its way there.
    pub fn has_batches(&self) -> bool {
        self.shared.batches.0.load(Ordering::Acquire) > 0
    }

    /// Whether writers have too much to do.
    pub fn too_many_batches(&self) -> bool {
        self.shared.batches.is_full()
    }

    /// Sums of an epoch leave for their rows.
    pub fn sums_are_made(&self, epoch: Epoch, sums: &[ContributionBatch]) {
        let bytes = sums.iter().map(ContributionBatch::memory).sum();
        self.shared.sums.add(bytes);
        if self.in_cluster {
            *self.sums_of_epochs().entry(epoch).or_default() += bytes;
        }
    }

    /// Sums, which were made before, are applied.
    pub fn sums_are_applied(&self, sums: &[ContributionBatch]) {
        if !self.in_cluster {
            self.sums_are_gone(sums.iter().map(ContributionBatch::memory).sum());
        }
    }

    /// In a cluster: the sums of all epochs are applied for which this holds.
    pub fn epochs_are_done(&self, is_done: impl Fn(Epoch) -> bool) {
        if !self.in_cluster {
            return;
        }
        let mut epochs = self.sums_of_epochs();
        let mut bytes = 0;
        while let Some(first) = epochs.first_entry().filter(|first| is_done(*first.key())) {
            bytes += first.remove();
        }
        drop(epochs);
        if bytes > 0 {
            self.sums_are_gone(bytes);
        }
    }

    fn sums_are_gone(&self, bytes: u64) {
        if self.shared.sums.subtract(bytes) {
            self.shared.wake_sources();
        }
    }

    fn sums_of_epochs(&self) -> MutexGuard<'_, BTreeMap<Epoch, u64>> {
        self.shared.sums_of_epochs.lock().unwrap_or_else(PoisonError::into_inner)
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
        let in_flight = InFlight::new(false);
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
