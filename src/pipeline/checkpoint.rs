//! `[checkpoint]`: how often the state is kept, and where.

use std::time::Duration;

use super::checks::duration;
use super::error::Fault;
use super::raw::RawCheckpoint;

/// `[checkpoint]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointConfig {
    /// The time from one checkpoint to the next, at least [`CheckpointConfig::LEAST_EVERY`].
    pub every: Duration,
    /// Where the state of runs from Kafka is kept: a folder, or `s3://BUCKET/PREFIX`. Event logs are counted without one, if
    /// no flag says otherwise: who replays a log wants to count it, and not what is new in it.
    pub dir: Option<String>,
}

impl CheckpointConfig {
    /// Each costs a few files: more often would be of no use to anybody.
    pub const LEAST_EVERY: Duration = Duration::from_secs(1);
    const DEFAULT_EVERY: Duration = Duration::from_secs(30);

    /// What the section means. An empty `dir`, as of a variable that is not set, is none.
    pub(super) fn expand(raw: RawCheckpoint) -> Result<CheckpointConfig, Fault> {
        let every = match raw.every {
            None => Self::DEFAULT_EVERY,
            Some(text) => {
                let every = duration(&text)?;
                if every < Self::LEAST_EVERY {
                    let written = text.get_ref();
                    let message = format!("the time from one checkpoint to the next is at least 1s, not {written}");
                    return Err(Fault::new(text.span(), message));
                }
                every
            }
        };
        Ok(CheckpointConfig { every, dir: raw.dir.filter(|dir| !dir.is_empty()) })
    }
}

impl Default for CheckpointConfig {
    fn default() -> CheckpointConfig {
        CheckpointConfig { every: Self::DEFAULT_EVERY, dir: None }
    }
}
