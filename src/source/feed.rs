//! The bounded hand-over from a source's thread to the workers.
//!
//! Invariant: the announced epoch is never above that of a block that is still to be sent. A worker
//! therefore reads the announced epoch *before* it looks for a block: when there is none, it may
//! release every epoch before the announced one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};
use timely::scheduling::activate::SyncActivator;

use super::{Block, Noting};
use crate::epoch::Epoch;

/// How many blocks wait in a feed: enough that no worker waits for the reader, few enough that
/// memory stays small.
const BLOCKS_IN_FEED: usize = 4;

/// The worker's end: several workers may share one feed, each block goes to one of them.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Blocks, in the order of their epochs. Disconnected: the source has ended.
    pub blocks: Receiver<Block>,
    shared: Arc<Shared>,
}

/// The source's end. Dropping it ends the stream.
#[derive(Debug)]
pub struct FeedSender {
    blocks: Option<Sender<Block>>,
    shared: Arc<Shared>,
    noter: Option<Box<dyn Noting>>,
}

#[derive(Debug, Default)]
struct Shared {
    announced: AtomicU64,
    has_ended: AtomicBool,
    /// One per worker that takes from the feed.
    activators: Mutex<Vec<SyncActivator>>,
}

/// A feed that begins with this epoch.
pub fn feed(first: Epoch) -> (FeedSender, Feed) {
    let (sender, blocks) = bounded(BLOCKS_IN_FEED);
    let shared = Arc::new(Shared { announced: AtomicU64::new(first.0), ..Shared::default() });
    (FeedSender { blocks: Some(sender), shared: Arc::clone(&shared), noter: None }, Feed { blocks, shared })
}

impl Feed {
    /// No block that is still to be sent has an epoch below this.
    pub fn announced(&self) -> Epoch {
        self.shared.announced()
    }

    /// Once all is counted that was handed over, everything before this is done.
    pub fn could_be_done_before(&self) -> Epoch {
        if self.shared.has_ended.load(Ordering::Acquire) { Epoch(u64::MAX) } else { self.announced() }
    }

    /// Has this worker woken for every block and every announcement.
    pub fn register(&self, activator: SyncActivator) {
        self.shared.activators.lock().unwrap_or_else(PoisonError::into_inner).push(activator);
        self.shared.wake();
    }
}

impl Shared {
    fn announced(&self) -> Epoch {
        Epoch(self.announced.load(Ordering::Acquire))
    }

    fn announce(&self, epoch: Epoch) {
        self.announced.fetch_max(epoch.0, Ordering::AcqRel);
        self.wake();
    }

    fn wake(&self) {
        for activator in self.activators.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // An error means that the worker is gone, and with it the need to wake it.
            let _ = activator.activate();
        }
    }
}

/// The workers are gone: nobody will ever take a block again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl FeedSender {
    /// The same, and from now on the reader's positions are noted each time before a later epoch is announced, and before
    /// the stream ends.
    pub fn noting(mut self, noter: impl Noting + 'static) -> FeedSender {
        noter.begins(self.shared.announced());
        self.noter = Some(Box::new(noter));
        self
    }

    /// Hands over a block; waits while the feed is full. Announces the block's epoch first.
    pub fn send(&self, block: Block) -> Result<(), Closed> {
        self.announce(block.epoch);
        let Some(sender) = &self.blocks else { return Err(Closed) };
        sender.send(block).map_err(|_| Closed)?;
        self.shared.wake();
        Ok(())
    }

    /// Hands over a block if there is room within `patience`; else gives it back.
    pub fn try_send(&self, block: Block, patience: Duration) -> Result<Option<Block>, Closed> {
        self.announce(block.epoch);
        let Some(sender) = &self.blocks else { return Err(Closed) };
        match sender.send_timeout(block, patience) {
            Ok(()) => {
                self.shared.wake();
                Ok(None)
            }
            Err(SendTimeoutError::Timeout(block)) => Ok(Some(block)),
            Err(SendTimeoutError::Disconnected(_)) => Err(Closed),
        }
    }

    /// Says that every later block has at least this epoch. Never goes back.
    pub fn announce(&self, epoch: Epoch) {
        if epoch <= self.shared.announced() {
            return;
        }
        // Before any worker can know of it: a checkpoint of the epoch that ends here must not come too late.
        if let Some(noter) = &self.noter {
            noter.announces(epoch);
        }
        self.shared.announce(epoch);
    }
}

impl Drop for FeedSender {
    fn drop(&mut self) {
        let (noter, blocks, shared) = (self.noter.take(), self.blocks.take(), Arc::clone(&self.shared));
        let waits = noter.as_ref().is_some_and(|noter| noter.waits());
        let end = move || {
            if let Some(noter) = noter {
                noter.ends(&|epoch| shared.announce(epoch));
            }
            // Workers see the end only once the channel is disconnected, so that comes first.
            drop(blocks);
            shared.has_ended.store(true, Ordering::Release);
            shared.wake();
        };
        if waits {
            // Whoever has ended has more to say than that. A system that refuses a thread drops the closure, which ends the stream.
            let _ = thread::Builder::new().name("follow".to_owned()).spawn(end);
        } else {
            end();
        }
    }
}
