//! Positions: up to where a run has read its source, and by what it judged the arrival of what it read. With them whoever
//! counts the same logs or topic again comes to the same counters, though more has been written there since.
//!
//! A *log* is known by its head, the hash of its first bytes as they are stored, not by its path: it may be renamed, and may
//! grow. It has *parts*, one behind the other, each read by one run and judged by the start of that run; none, where
//! nothing of it was read. A pipe has no head: it is named, but cannot be read again. Of a *topic* each partition has a range of
//! offsets.
//!
//! As text they are one line of JSON, with the number of its format.

mod file;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use file::PositionsFile;

use crate::counter::EventTime;
use crate::epoch::Version;
use crate::pipeline::TimeShift;

/// The format of the text below.
const FORMAT: u32 = 1;

/// What a run has read, and what it judged that by. Times are in the unit of the event's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positions {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The largest version that the run can have given an item: what is newer was published by a later run.
    pub version: Version,
    /// How times were moved as they were published.
    pub shift: Option<TimeShift>,
    /// What was read.
    pub source: SourcePositions,
}

/// Positions in the source of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SourcePositions {
    /// Of event logs, in the order in which they were read, those that were not reached included.
    Logs(Vec<LogPositions>),
    /// Of a topic.
    Kafka(KafkaPositions),
}

/// What was read of an event log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "LogText", into = "LogText")]
pub struct LogPositions {
    /// As it was named, as far as that is UTF-8.
    pub path: String,
    /// By what it is known; `None`: it came by a pipe or standard input, and cannot be read again.
    pub head: Option<LogHead>,
    /// What was read of it, from its beginning on.
    pub parts: Vec<LogPart>,
}

impl LogPositions {
    /// How much of it was read, in bytes after decompression.
    pub fn length(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.to)
    }
}

/// What a log begins with, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogHead {
    /// How many bytes were looked at: 4 KiB, or as many as there were.
    pub bytes: u64,
    /// Their 128-bit XXH3.
    #[serde(with = "hexadecimal")]
    pub hash: u128,
}

/// A part of a log that one run has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogPart {
    /// It ends before this byte of the log, after decompression: behind its last line, with or without its newline.
    pub to: u64,
    /// All of its lines arrived before this, the start of the run.
    pub run_start: EventTime,
}

/// What was read of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaPositions {
    /// Its name.
    pub topic: String,
    /// The id of the cluster that has it, where the brokers say one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The id that the topic got when it was made, where the brokers say one: another one of the same name has another.
    #[serde(default, rename = "topicId", skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    /// By the partition's id.
    pub partitions: BTreeMap<i32, OffsetRange>,
    /// When the run started. (Messages arrived when their records say.)
    pub run_start: EventTime,
}

/// What was read of a partition: `from` and what follows it, before `to`. Some of these offsets may carry no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffsetRange {
    /// The first offset.
    pub from: i64,
    /// The offset behind the last.
    pub to: i64,
}

/// Why a text holds no positions.
#[derive(Debug, thiserror::Error)]
pub enum PositionsError {
    /// It is of a release with another format.
    #[error("they are in format {0}, and this program knows format {FORMAT}: use the release that wrote them")]
    UnknownFormat(u64),
    /// It is something else.
    #[error("it holds no positions of a run: {0}")]
    NoPositions(#[from] serde_json::Error),
}

impl Positions {
    /// Reads what [`Positions::to_text`] wrote.
    pub fn from_text(text: &[u8]) -> Result<Positions, PositionsError> {
        #[derive(Deserialize)]
        struct AnyFormat {
            format: u64,
        }
        let AnyFormat { format } = serde_json::from_slice(text)?;
        if format != u64::from(FORMAT) {
            return Err(PositionsError::UnknownFormat(format));
        }
        Ok(serde_json::from_slice::<Text>(text)?.0)
    }

    /// One line.
    pub fn to_text(&self) -> Result<String, PositionsError> {
        let mut text = serde_json::to_string(&Text(self.clone()))?;
        text.push('\n');
        Ok(text)
    }
}

/// Positions with their format.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
#[derive(Clone)]
struct Text(Positions);

/// What stands in the text, in this order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    format: u32,
    pipeline: String,
    version: Version,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shift: Option<TimeShift>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    logs: Option<Vec<LogPositions>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kafka: Option<KafkaPositions>,
}

impl From<Text> for Fields {
    fn from(Text(positions): Text) -> Fields {
        let (logs, kafka) = match positions.source {
            SourcePositions::Logs(logs) => (Some(logs), None),
            SourcePositions::Kafka(kafka) => (None, Some(kafka)),
        };
        let Positions { pipeline, version, shift, .. } = positions;
        Fields { format: FORMAT, pipeline, version, shift, logs, kafka }
    }
}

impl TryFrom<Fields> for Text {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Text, String> {
        let Fields { pipeline, version, shift, logs, kafka, .. } = fields;
        let source = match (logs, kafka) {
            (Some(logs), None) => SourcePositions::Logs(logs),
            (None, Some(kafka)) => SourcePositions::Kafka(kafka),
            _ => return Err("they are of `logs` or of `kafka`, one of them".to_owned()),
        };
        if let SourcePositions::Kafka(kafka) = &source
            && let Some((id, range)) =
                kafka.partitions.iter().find(|(id, range)| **id < 0 || range.from < 0 || range.from > range.to)
        {
            return Err(format!("partition {id} from {} to {} is no range of offsets", range.from, range.to));
        }
        Ok(Text(Positions { pipeline, version, shift, source }))
    }
}

/// A log as it stands in the text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogText {
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    head: Option<LogHead>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pipe: bool,
    parts: Vec<LogPart>,
}

impl From<LogPositions> for LogText {
    fn from(LogPositions { path, head, parts }: LogPositions) -> LogText {
        LogText { path, pipe: head.is_none(), head, parts }
    }
}

impl TryFrom<LogText> for LogPositions {
    type Error = String;

    fn try_from(LogText { path, head, pipe, parts }: LogText) -> Result<LogPositions, String> {
        if head.is_none() != pipe {
            return Err(format!("{path} has a `head`, or is a `pipe`"));
        }
        let begins = parts.first().is_none_or(|part| part.to > 0);
        if !begins || !parts.is_sorted_by(|one, next| one.to < next.to) {
            return Err(format!("the parts of {path} do not follow each other"));
        }
        Ok(LogPositions { path, head, parts })
    }
}

/// 32 hexadecimal digits.
mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let digits = String::deserialize(deserializer)?;
        u128::from_str_radix(&digits, 16).map_err(|error| D::Error::custom(format!("`{digits}`: {error}")))
    }
}

#[cfg(test)]
mod tests;
