//! Where items go, and where readers find them.
//!
//! Every sink has the same anatomy: a folder or file of its own with a [`Sink`] that writes batches
//! and, where items can be read back, an [`ItemReader`]. A sink runs on a writer thread of its own;
//! what [`Sink::write`] has returned for is durable, and only that is acknowledged.

mod dead_letters;
mod item;

pub use dead_letters::{DeadLetter, DeadLetterFile, Origin};
pub use item::{Count, Item, ItemBatch, ItemRef, published};

/// Takes items and makes them durable. Items are absolute values, so writing one twice is harmless.
pub trait Sink: Send {
    /// Makes these batches durable, oldest first, and returns how many items that took. Of several
    /// items of one key and feature a table writes only the newest; a log writes each.
    fn write(&mut self, batches: &[ItemBatch]) -> Result<u64, SinkError>;
}

/// Reads items back.
pub trait ItemReader {
    /// The items of `key`, or the one with this feature name, in the order of feature names.
    fn get(&mut self, key: &str, feature_name: Option<&str>) -> Result<Vec<Item>, SinkError>;

    /// Every item, in the order of the bytes of (key, feature name).
    fn each(&mut self, visit: &mut dyn FnMut(Item) -> std::io::Result<()>) -> Result<(), SinkError>;
}

/// How many writers a sink wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// One in the whole cluster: one file, one order.
    OnePerCluster,
    /// One in each process: a remote table.
    OnePerProcess,
}

/// Why a sink cannot go on: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SinkError {
    message: String,
    /// The library's own error.
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl SinkError {
    /// An error of the sink's own finding.
    pub fn new(message: impl Into<String>) -> SinkError {
        SinkError { message: message.into(), source: None }
    }

    /// An error that a library reported while the sink was doing what `message` says.
    pub fn caused_by(
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> SinkError {
        SinkError { message: message.into(), source: Some(source.into()) }
    }
}
