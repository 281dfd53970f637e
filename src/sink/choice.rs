//! Which sink a run or a reader takes, which files it writes to, and how many writers it wants.

use std::path::PathBuf;

use super::SinkError;
use super::contract::{Intake, Order};
use super::sqlite::companions;
use super::{dynamodb, sqlite};
use crate::pipeline::{Pipeline, SinkTarget};

/// How many writers a sink wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// One in the whole cluster: one file, one order.
    OnePerCluster,
    /// One in each process: a remote table.
    OnePerProcess,
}

impl SinkTarget {
    /// The sink that was named on the command line, by `flag`, or else in the pipeline file.
    pub fn choose(named: Option<&SinkTarget>, pipeline: &Pipeline, flag: &str) -> Result<SinkTarget, SinkError> {
        named.or(pipeline.sink.as_ref()).cloned().ok_or_else(|| {
            let message = format!("the pipeline {} names no sink: set `sink`, or add {flag} SINK", pipeline.name);
            SinkError::usage(message)
        })
    }

    /// The files that a run writes to, those that SQLite keeps beside its own included.
    pub fn files(&self) -> Vec<PathBuf> {
        match self {
            SinkTarget::Sqlite(path) => std::iter::once(path.clone()).chain(companions(path)).collect(),
            SinkTarget::JsonLines(path) => vec![path.clone()],
            SinkTarget::DynamoDb | SinkTarget::Stdout | SinkTarget::None => Vec::new(),
        }
    }

    /// Whether it can be read while a run writes to it.
    pub fn can_be_read_meanwhile(&self) -> bool {
        self.is_table() && self.can_be_read()
    }

    /// Whether it keeps only the newest state of an item, so that it need not get every change.
    pub fn is_table(&self) -> bool {
        match self {
            SinkTarget::DynamoDb | SinkTarget::Sqlite(_) | SinkTarget::None => true,
            SinkTarget::JsonLines(_) | SinkTarget::Stdout => false,
        }
    }

    /// Whether what is written is paid for by write units.
    pub fn is_dynamodb(&self) -> bool {
        *self == SinkTarget::DynamoDb
    }

    /// How it wants what has changed, as a table.
    pub fn intake(&self) -> Intake {
        let (order, items_at_once, room_bytes) = match self {
            // One transaction, and the next one meanwhile.
            SinkTarget::Sqlite(_) => (Order::Key, sqlite::ITEMS_A_TRANSACTION, 48 << 20),
            SinkTarget::DynamoDb => (Order::Waiting, dynamodb::ITEMS_AT_ONCE, 4 << 20),
            SinkTarget::None | SinkTarget::JsonLines(_) | SinkTarget::Stdout => (Order::Waiting, 65_536, 16 << 20),
        };
        Intake { order, items_at_once, room_bytes }
    }

    /// How many writers it wants.
    pub fn writers(&self) -> Writers {
        match self {
            SinkTarget::DynamoDb | SinkTarget::None => Writers::OnePerProcess,
            SinkTarget::Sqlite(_) | SinkTarget::JsonLines(_) | SinkTarget::Stdout => Writers::OnePerCluster,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures;

    #[test]
    fn the_command_line_beats_the_pipeline() {
        let pipeline =
            |sink: Option<&str>| Pipeline { sink: sink.map(|sink| sink.parse().unwrap()), ..fixtures::pipeline() };
        let choose =
            |named, sink| SinkTarget::choose(named, &pipeline(sink), "--sink").map_err(|error| error.to_string());
        assert_eq!(choose(Some(&SinkTarget::None), Some("dynamodb")), Ok(SinkTarget::None));
        assert_eq!(choose(None, Some("dynamodb")), Ok(SinkTarget::DynamoDb));
        assert!(choose(None, None).unwrap_err().contains("--sink SINK"));
    }

    #[test]
    fn files_have_one_writer_in_the_cluster() {
        let writers = |text: &str| text.parse::<SinkTarget>().unwrap().writers();
        assert_eq!(writers("sqlite:x"), Writers::OnePerCluster);
        assert_eq!(writers("jsonl:-"), Writers::OnePerCluster);
        assert_eq!(writers("dynamodb"), Writers::OnePerProcess);
        assert_eq!(writers("none"), Writers::OnePerProcess);
    }
}
