//! The pipeline file: what a person writes, checked and expanded into what the dataflow runs.
//!
//! A file goes through four steps, each in a file of its own: `environment` fills in `${NAME}`,
//! `raw` takes the TOML apart, `expand` (with `counters`, `condition`, `event_map` and `fields`) makes
//! the `model` of it: its meaning with its defaults; `names` sees to it that no two features have the same name. Then
//! `selection` takes away what no kept feature needs, and `ratio` checks ratios against the features.
//! `meaning` says what gives rows their meaning, `changes` what has become of it since a state was written, and `beginnings` since when
//! what was added counts.
//! What is wrong is said with its line. A [`Pipeline`] that was made here keeps what its types and
//! fields promise.

mod beginnings;
mod bytes;
mod changes;
mod checkpoint;
mod checks;
mod choices;
mod condition;
mod counters;
mod duration;
mod environment;
mod error;
mod event_map;
mod expand;
mod explain;
mod fields;
mod group;
mod http;
mod limits;
mod meaning;
mod model;
mod names;
mod pattern;
mod publish;
mod ratio;
mod raw;
mod schema;
mod sections;
mod selection;
#[cfg(test)]
mod shipped;
mod sink_target;
#[cfg(test)]
mod tests;

pub use beginnings::{Beginnings, GroupBeginnings};
pub use bytes::{Bytes, InvalidBytes};
pub use changes::{Changes, FeatureChanges, GroupChange, recorded_time_unit};
pub use checkpoint::CheckpointConfig;
pub use choices::{ClockKind, Encoding, RatioKind, StartOffset};
pub use condition::Condition;
pub use duration::{InvalidDuration, format_duration, from_units, parse_duration, to_units};
pub use environment::Environment;
pub use error::{PipelineError, did_you_mean, nearest};
pub use event_map::{EventMap, MappedEvent};
pub use expand::DEFAULT_MAX_AHEAD;
pub use group::{
    EventSelector, FeatureKey, FeatureTemplate, Group, GroupId, Measure, MeasureId, NOTHING_LEFT_AFTER, OtherShapes,
    RowShape,
};
pub use http::{HttpAddress, HttpConfig, InvalidHttpAddress};
pub use limits::{Limits, RowLimit};
pub use model::{DeadLetterConfig, DynamoDbConfig, KafkaConfig, Pipeline, TimeShift, WindowConfig};
pub(crate) use names::MAX_FEATURE_NAME_BYTES;
pub use publish::{HoldBack, Layout, OwnPublish, PublishConfig, Rhythm};
pub use ratio::{DroppedRatio, Prior, Ratio};
pub use schema::json_schema;
pub use selection::FeatureSelection;
pub use sink_target::{SinkTarget, UnknownSink};

use std::path::Path;

use serde::Deserialize;
use toml::de::{DeTable, Deserializer};

impl Pipeline {
    /// Reads a pipeline file.
    pub fn load(path: &Path, environment: Environment<'_>) -> Result<Pipeline, PipelineError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| PipelineError::Unreadable { path: path.to_owned(), source })?;
        Pipeline::parse(&text, &path.display().to_string(), environment)
    }

    /// Takes a pipeline from its text; `file` stands in the messages.
    pub fn parse(text: &str, file: &str, environment: Environment<'_>) -> Result<Pipeline, PipelineError> {
        Pipeline::understand(text, environment).map_err(|fault| fault.in_file(file, text))
    }

    fn understand(text: &str, environment: Environment<'_>) -> Result<Pipeline, error::Fault> {
        let mut table = DeTable::parse(text).map_err(|error| explain::explain(&error, text))?;
        sections::refuse_wrong_brackets(table.get_ref())?;
        environment::substitute(table.get_mut(), environment)?;
        let raw =
            raw::RawPipeline::deserialize(Deserializer::from(table)).map_err(|error| explain::explain(&error, text))?;
        expand::expand(raw)
    }
}
