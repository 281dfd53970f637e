//! The SINK that a person names: `dynamodb`, `sqlite:PATH`, `jsonl:PATH`, `jsonl:-` or `none`.

use std::fmt;
use std::path::{self, Path, PathBuf};
use std::str::FromStr;

use super::{DynamoDbConfig, Pipeline};

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
}

impl SinkTarget {
    /// By what a state knows the sink that it belongs to: the same for the same place, from whatever folder it is named.
    pub fn identity(&self, pipeline: &Pipeline) -> String {
        let absolute = |path: &Path| path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match self {
            SinkTarget::DynamoDb => {
                let DynamoDbConfig { table, endpoint, region, .. } = &pipeline.dynamodb;
                format!("dynamodb:{}/{table}", endpoint.as_ref().unwrap_or(region))
            }
            SinkTarget::Sqlite(path) => SinkTarget::Sqlite(absolute(path)).to_string(),
            SinkTarget::JsonLines(path) => SinkTarget::JsonLines(absolute(path)).to_string(),
            SinkTarget::Stdout | SinkTarget::None => self.to_string(),
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

    #[test]
    fn every_sink_reads_back_as_it_is_shown() {
        for text in ["dynamodb", "sqlite:a/b.db", "sqlite:C:x", "jsonl:out.jsonl", "jsonl:-", "none"] {
            let target: SinkTarget = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn a_sink_is_known_by_its_place() {
        let folder = std::env::current_dir().unwrap();
        let mut pipeline = crate::sink::fixtures::pipeline();
        let identity = |target: &str, pipeline: &Pipeline| target.parse::<SinkTarget>().unwrap().identity(pipeline);
        for kind in ["sqlite", "jsonl"] {
            let absolute = format!("{kind}:{}", folder.join("a/b.db").display());
            for path in ["a/b.db", "./a/b.db", &absolute[kind.len() + 1..]] {
                assert_eq!(identity(&format!("{kind}:{path}"), &pipeline), absolute);
            }
        }
        assert_eq!(identity("jsonl:-", &pipeline), "jsonl:-");
        assert_eq!(identity("none", &pipeline), "none");
        assert_eq!(identity("dynamodb", &pipeline), "dynamodb:us-east-1/UserCounters");
        pipeline.dynamodb.endpoint = Some("http://localhost:8000".to_owned());
        assert_eq!(identity("dynamodb", &pipeline), "dynamodb:http://localhost:8000/UserCounters");
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
}
