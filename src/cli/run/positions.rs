//! `--positions`: where a run leaves up to where it has read, once everything of that is published.

use std::sync::Arc;

use super::end::{Part, RunEnd};
use crate::cli::CliError;
use crate::epoch::Version;
use crate::pipeline::Pipeline;
use crate::source::kafka::KafkaProgress;
use crate::source::log::LogReached;
use crate::source::{Positions, PositionsFile, SourcePositions};
use crate::telemetry::Printable;

/// How far the source of a run has been read, now and later.
pub enum Reached {
    /// Event logs.
    Logs(Arc<LogReached>),
    /// A topic.
    Kafka(Arc<KafkaProgress>),
}

/// What a run was, for whoever counts the same again.
pub struct WhichRun<'a> {
    pub pipeline: &'a Pipeline,
    /// The largest version that it can have given an item.
    pub version: Version,
}

/// Writes the positions of a run that has ended so, where what it has read is what stands in the sink. Gives back how the
/// run ended with that.
pub fn write(file: &PositionsFile, reached: &Reached, run: &WhichRun<'_>, end: RunEnd) -> RunEnd {
    if let Err(why) = end.stands_at_its_positions() {
        tracing::warn!("no positions are written to {}: {why}", Printable(file.name().display()));
        return end;
    }
    let positions = Positions {
        pipeline: run.pipeline.name.clone(),
        version: run.version,
        shift: run.pipeline.shift,
        source: reached.positions(),
    };
    match (file.write(&positions), end) {
        (Ok(()), end) => end,
        // How it failed before is the last that it says.
        (Err(error), end @ RunEnd::Failed { .. }) => {
            tracing::warn!("{}", CliError::from(error));
            end
        }
        (Err(error), _) => RunEnd::failed(Part::Positions, error),
    }
}

impl Reached {
    fn positions(&self) -> SourcePositions {
        match self {
            Reached::Logs(logs) => SourcePositions::Logs(logs.positions()),
            Reached::Kafka(progress) => SourcePositions::Kafka(progress.positions()),
        }
    }
}
