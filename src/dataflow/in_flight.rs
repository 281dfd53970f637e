//! How much has left the workers and is not yet durable, in bytes: sources stop when it is too much.
//!
//! A batch enters where it is made and leaves when its writer is done with it, whatever came of it. Between them stands
//! nothing that waits for a source, so what is in flight always gets less. Only sources wait, and only before they take a block: a
//! batch that is larger than all that may be in flight goes its way alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use timely::scheduling::activate::SyncActivator;

use crate::sink::{DeadLetterBatch, ItemBatch};

/// With so many bytes in flight sources stop. What the blocks make that they have just taken comes on top of it.
const MOST_BYTES: u64 = 64 << 20;

/// What can be in flight.
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

/// What is in flight in a process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct InFlight {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicU64,
    /// One per source.
    activators: Mutex<Vec<SyncActivator>>,
}

/// The bytes of a batch that has arrived at its writer; they leave when it is dropped.
#[derive(Debug)]
pub struct Arrived {
    in_flight: InFlight,
    bytes: u64,
}

impl InFlight {
    /// Takes notice of a batch that is on its way.
    pub fn enter(&self, batch: &impl Weigh) {
        self.shared.bytes.fetch_add(batch.weight(), Ordering::AcqRel);
    }

    /// Takes notice that a batch, which has entered, is with its writer.
    pub fn arrive(&self, batch: &impl Weigh) -> Arrived {
        Arrived { in_flight: self.clone(), bytes: batch.weight() }
    }

    /// Whether sources must wait.
    pub fn is_full(&self) -> bool {
        self.shared.bytes.load(Ordering::Acquire) >= MOST_BYTES
    }

    /// Has this source woken whenever it need not wait any more.
    pub fn register(&self, source: SyncActivator) {
        self.shared.activators.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        let Shared { bytes, activators } = &*self.in_flight.shared;
        let before = bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        if before >= MOST_BYTES && before - self.bytes < MOST_BYTES {
            for source in activators.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                // An error means that the worker is gone, and with it the need to wake it.
                let _ = source.activate();
            }
        }
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
        let arrived = [MOST_BYTES - 1, 1, 10 * MOST_BYTES].map(|bytes| {
            assert!(!in_flight.is_full() || bytes > MOST_BYTES, "one that is too large waits for nobody");
            in_flight.enter(&Bytes(bytes));
            in_flight.arrive(&Bytes(bytes))
        });
        let [first, second, large] = arrived;
        drop(large);
        assert!(in_flight.is_full());
        drop(second);
        assert!(!in_flight.is_full());
        drop(first);
        assert_eq!(in_flight.shared.bytes.load(Ordering::Acquire), 0);
    }
}
