//! Where items go, and where readers find them.
//!
//! Every sink has the same anatomy: a folder or file of its own with a [`Sink`] that writes batches
//! and, where items can be read back, an [`ItemReader`]. A sink runs on a writer thread of its own;
//! what [`Sink::write`] has returned for is durable, and only that is acknowledged.

mod choice;
mod dead_letters;
pub mod dynamodb;
mod error;
mod files;
#[cfg(test)]
pub(crate) mod fixtures;
mod item;
mod jsonl;
mod newest;
mod none;
mod sqlite;

pub use dead_letters::{DeadLetter, DeadLetterBatch, DeadLetterFile, Position};
pub use error::{SinkError, SinkErrorKind};
pub use item::{ItemBatch, ItemRef, published};

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use crate::pipeline::{SinkTarget, UnknownSink};
pub use crate::reading::{Count, Item};

use crate::epoch::Generation;
use crate::pipeline::Pipeline;
use crate::telemetry::Metrics;

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

/// How a run opens its sink.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
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

/// Opens a sink for a run to write to. Refuses one that another run has filled.
pub fn open(
    target: &SinkTarget,
    pipeline: &Arc<Pipeline>,
    options: &OpenOptions,
    metrics: &Arc<Metrics>,
) -> Result<Box<dyn Sink>, SinkError> {
    let pipeline = Arc::clone(pipeline);
    Ok(match target {
        SinkTarget::DynamoDb => Box::new(dynamodb::DynamoDbSink::open(pipeline, options, Arc::clone(metrics))?),
        SinkTarget::Sqlite(path) => Box::new(sqlite::SqliteSink::open(path, pipeline, options)?),
        SinkTarget::JsonLines(path) => Box::new(jsonl::JsonLinesSink::open(path, pipeline, options)?),
        SinkTarget::Stdout => Box::new(jsonl::JsonLinesSink::stdout(pipeline)),
        SinkTarget::None => Box::new(none::NoSink),
    })
}

/// Opens a sink to read items from it, also while a run is writing. `dynamodb` needs the pipeline.
pub fn open_reader(target: &SinkTarget, pipeline: Option<&Pipeline>) -> Result<Box<dyn ItemReader>, SinkError> {
    let cannot_read = |why: &str| {
        let hint = "give dynamodb, sqlite:PATH or jsonl:PATH";
        Err(SinkError::usage(format!("items cannot be read from `{target}`, {why}: {hint}")))
    };
    Ok(match target {
        SinkTarget::DynamoDb => match pipeline {
            Some(pipeline) => Box::new(dynamodb::DynamoDbReader::open(&pipeline.dynamodb)?),
            None => return Err(SinkError::usage("`dynamodb` is the table that a pipeline names: add --pipeline FILE")),
        },
        SinkTarget::Sqlite(path) => {
            Box::new(sqlite::SqliteReader::open(path, pipeline.map(|pipeline| pipeline.name.as_str()))?)
        }
        SinkTarget::JsonLines(path) => Box::new(jsonl::JsonLinesReader::open(path)?),
        SinkTarget::Stdout => return cannot_read("which is a stream"),
        SinkTarget::None => return cannot_read("which keeps none"),
    })
}
