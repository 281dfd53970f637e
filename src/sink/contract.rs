//! What every sink and every reader of items keeps, and how a run opens its sink.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::error::SinkError;
use super::item::ItemBatch;
use crate::epoch::Generation;
use crate::reading::Item;

/// Takes items and makes them durable. Items are absolute values, so writing one twice is harmless.
pub trait Sink: Send {
    /// Makes these batches durable, oldest first, and returns how many items that took. Of several
    /// items of one key and feature a table writes only the newest; a log writes each.
    fn write(&mut self, batches: &[ItemBatch]) -> Result<u64, SinkError>;

    /// Brings what was written into order at the end of a run, and says what could not be. Everything is durable
    /// before.
    fn close(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }

    /// The run's generation, where the sink has a record of earlier runs: above theirs.
    fn generation(&self) -> Option<Generation> {
        None
    }
}

/// Reads items back.
pub trait ItemReader {
    /// The items of `key`, or the one with this feature name, in the order of feature names.
    fn get(&mut self, key: &str, feature_name: Option<&str>) -> Result<Vec<Item>, SinkError>;

    /// Every item, in the order of the bytes of (key, feature name).
    fn each(&mut self, visit: &mut dyn FnMut(Item) -> io::Result<()>) -> Result<(), SinkError>;
}

/// How a run opens its sink.
#[derive(Clone, Debug, Default)]
pub struct SinkOptions {
    /// Empty the sink first, instead of refusing one that is not empty.
    pub replace: bool,
    /// Names the run; the sink keeps it, so that it is known who filled it.
    pub run_id: String,
    /// The run's generation by the clock.
    pub generation: Generation,
    /// The input begins with what is still to come, so that nothing of before is counted again.
    pub starts_at_the_end: bool,
    /// Set by the first signal to stop: a sink that waits for its service then gives up, opening at once and writing
    /// after a while.
    pub stop: Arc<AtomicBool>,
}
