//! The SINK that a person names: `dynamodb`, `sqlite:PATH`, `jsonl:PATH`, `jsonl:-` or `none`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::sqlite::companions;
use super::{SinkError, Writers};
use crate::pipeline::Pipeline;

/// Where items go to or come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkTarget {
    /// `dynamodb`: the table that the pipeline file names.
    DynamoDb,
    /// `sqlite:PATH`: a table in a file.
    Sqlite(PathBuf),
    /// `jsonl:PATH`: every published item, one line each.
    JsonLines(PathBuf),
    /// `jsonl:-`: the same on stdout.
    Stdout,
    /// `none`: items are counted and forgotten.
    None,
}

/// A text that names no sink.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no sink: give dynamodb, sqlite:PATH, jsonl:PATH, jsonl:- or none")]
pub struct UnknownSink(String);

impl SinkTarget {
    /// Whether items can be read back from it.
    pub fn can_be_read(&self) -> bool {
        matches!(self, SinkTarget::DynamoDb | SinkTarget::Sqlite(_) | SinkTarget::JsonLines(_))
    }

    /// The sink that was named on the command line, by `flag`, or else in the pipeline file.
    pub fn choose(named: Option<&SinkTarget>, pipeline: &Pipeline, flag: &str) -> Result<SinkTarget, SinkError> {
        if let Some(target) = named {
            return Ok(target.clone());
        }
        let Some(text) = &pipeline.sink else {
            let message = format!("the pipeline {} names no sink: set `sink`, or add {flag} SINK", pipeline.name);
            return Err(SinkError::usage(message));
        };
        text.parse().map_err(|error: UnknownSink| SinkError::usage(format!("the pipeline {}: {error}", pipeline.name)))
    }

    /// The files that a run writes to, those that SQLite keeps beside its own included.
    pub fn files(&self) -> Vec<PathBuf> {
        match self {
            SinkTarget::Sqlite(path) => std::iter::once(path.clone()).chain(companions(path)).collect(),
            SinkTarget::JsonLines(path) => vec![path.clone()],
            SinkTarget::DynamoDb | SinkTarget::Stdout | SinkTarget::None => Vec::new(),
        }
    }

    /// How many writers it wants.
    pub fn writers(&self) -> Writers {
        match self {
            SinkTarget::DynamoDb | SinkTarget::None => Writers::OnePerProcess,
            SinkTarget::Sqlite(_) | SinkTarget::JsonLines(_) | SinkTarget::Stdout => Writers::OnePerCluster,
        }
    }
}

impl FromStr for SinkTarget {
    type Err = UnknownSink;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "dynamodb" => Ok(SinkTarget::DynamoDb),
            None if text == "none" => Ok(SinkTarget::None),
            Some(("sqlite", path)) if !path.is_empty() => Ok(SinkTarget::Sqlite(path.into())),
            Some(("jsonl", "-" | "/dev/stdout")) => Ok(SinkTarget::Stdout),
            Some(("jsonl", path)) if !path.is_empty() => Ok(SinkTarget::JsonLines(path.into())),
            _ => Err(UnknownSink(text.to_owned())),
        }
    }
}

impl fmt::Display for SinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SinkTarget::DynamoDb => f.write_str("dynamodb"),
            SinkTarget::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            SinkTarget::JsonLines(path) => write!(f, "jsonl:{}", path.display()),
            SinkTarget::Stdout => f.write_str("jsonl:-"),
            SinkTarget::None => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures;

    #[test]
    fn every_sink_reads_back_as_it_is_shown() {
        for text in ["dynamodb", "sqlite:a/b.db", "sqlite:C:x", "jsonl:out.jsonl", "jsonl:-", "none"] {
            let target: SinkTarget = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn stdout_is_one_sink_by_either_name() {
        assert_eq!("jsonl:/dev/stdout".parse(), Ok(SinkTarget::Stdout));
    }

    #[test]
    fn anything_else_is_refused_with_the_choices() {
        for text in ["", "sqlite", "sqlite:", "jsonl:", "None", "dynamodb:Table", "redis:x", "users.db"] {
            let error = text.parse::<SinkTarget>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("sqlite:PATH"), "{error}");
        }
    }

    #[test]
    fn the_command_line_beats_the_pipeline() {
        let pipeline = |sink: Option<&str>| Pipeline { sink: sink.map(str::to_owned), ..fixtures::pipeline() };
        let choose =
            |named, sink| SinkTarget::choose(named, &pipeline(sink), "--sink").map_err(|error| error.to_string());
        assert_eq!(choose(Some(&SinkTarget::None), Some("dynamodb")), Ok(SinkTarget::None));
        assert_eq!(choose(None, Some("dynamodb")), Ok(SinkTarget::DynamoDb));
        assert!(choose(None, Some("mongo")).unwrap_err().contains("user_counters"));
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
