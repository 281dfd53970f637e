//! Where items go, and where readers find them.
//!
//! Every sink has the same anatomy: a folder or file of its own with a [`Sink`] that writes batches
//! and, where items can be read back, an [`ItemReader`]. A sink runs on a writer thread of its own. What it promises,
//! and what it is promised, is its `contract`.

mod choice;
mod contract;
mod dead_letters;
mod destination;
pub mod dynamodb;
mod error;
mod files;
#[cfg(test)]
pub(crate) mod fixtures;
mod item;
mod jsonl;
mod key_item;
mod newest;
mod none;
mod record;
mod sqlite;

pub use choice::Writers;
pub use contract::{Desk, Intake, ItemReader, Order, Outcome, Part, RefusedItem, STOP_WITHIN, Sink, SinkOptions};
pub use dead_letters::{DeadLetter, DeadLetterBatch, DeadLetterFile, Known, LetterMark, LetterMarker, Position};
pub(crate) use destination::Destination;
pub use destination::Sample;
pub use error::{SinkError, SinkErrorKind};
pub use item::{ItemBatch, ItemRef};
pub use record::{ArrivalSource, Recorded, RunRecord};

use std::sync::Arc;

pub use crate::pipeline::{SinkTarget, UnknownSink};
pub use crate::reading::{Count, Item, published};

use crate::pipeline::Pipeline;
use crate::telemetry::Metrics;

/// Opens a sink for a run to write to. Refuses one that another run has filled, unless this one goes on with what that has
/// published.
pub fn open(
    target: &SinkTarget,
    pipeline: &Arc<Pipeline>,
    options: &SinkOptions,
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

/// Looks whether [`open`] would refuse the sink, and changes nothing in it: for whoever has long work to do before.
pub fn look(
    target: &SinkTarget,
    pipeline: &Pipeline,
    options: &SinkOptions,
    metrics: &Arc<Metrics>,
) -> Result<(), SinkError> {
    match target {
        SinkTarget::DynamoDb => dynamodb::DynamoDbSink::look(pipeline, options, Arc::clone(metrics)),
        SinkTarget::Sqlite(path) => sqlite::SqliteSink::look(path, pipeline, options),
        SinkTarget::JsonLines(path) => jsonl::JsonLinesSink::look(path, options),
        SinkTarget::Stdout | SinkTarget::None => Ok(()),
    }
}

/// What a sink knows of the runs that have filled it. Changes nothing in it; an error where a run is filling it now, or where
/// it is something else. Waits for a service.
pub fn recorded(target: &SinkTarget, pipeline: &Pipeline, metrics: &Arc<Metrics>) -> Result<Recorded, SinkError> {
    match target {
        SinkTarget::DynamoDb => dynamodb::DynamoDbSink::recorded(pipeline, Arc::clone(metrics)),
        SinkTarget::Sqlite(path) => sqlite::SqliteSink::recorded(path),
        SinkTarget::JsonLines(path) => jsonl::JsonLinesSink::recorded(path),
        SinkTarget::Stdout | SinkTarget::None => Ok(Recorded::NOTHING),
    }
}

/// Opens a sink to read items from it, also while a run is writing. `dynamodb` needs the pipeline.
pub fn open_reader(target: &SinkTarget, pipeline: Option<&Pipeline>) -> Result<Box<dyn ItemReader>, SinkError> {
    let cannot_read = |why: &str| {
        let hint = "give dynamodb, sqlite:PATH or jsonl:PATH";
        Err(SinkError::usage(format!("items cannot be read from `{target}`, {why}: {hint}")))
    };
    Ok(match target {
        SinkTarget::DynamoDb => match pipeline {
            Some(pipeline) => Box::new(dynamodb::DynamoDbReader::open(pipeline)?),
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
