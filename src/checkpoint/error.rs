//! Why a state cannot be written or read: what, where, and what to do.

use std::error::Error;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::epoch::Generation;

/// Why a checkpoint, a journal entry or a generation could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CheckpointError {
    kind: CheckpointErrorKind,
    message: String,
    /// The library's own error.
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What to make of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckpointErrorKind {
    /// It could not be written or read just now; the same may work later.
    Failed,
    /// What was asked for cannot be: to be told like a wrong flag.
    Usage,
    /// Another run has this state: this one must end.
    InUse,
    /// An object of this name is there already, with other content.
    Exists,
    /// An object that should be there is not.
    Missing,
    /// What was read is not what was once written.
    Damaged,
    /// It was written by a newer version of this program.
    Newer,
    /// It is another pipeline's, or not this program's at all.
    Foreign,
    /// The pipeline has changed in a way that what is counted cannot follow.
    PipelineChanged,
}

impl CheckpointError {
    /// An error of its own finding.
    pub fn new(kind: CheckpointErrorKind, message: impl Into<String>) -> CheckpointError {
        CheckpointError { kind, message: message.into(), source: None }
    }

    /// An error that a library reported while it was done what `message` says.
    pub fn caused_by(
        kind: CheckpointErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> CheckpointError {
        CheckpointError { kind, message: message.into(), source: Some(source.into()) }
    }

    /// Something that is not as it was written: where, and what is wrong there.
    pub(super) fn damaged(place: impl std::fmt::Display, what: impl std::fmt::Display) -> CheckpointError {
        CheckpointError::new(CheckpointErrorKind::Damaged, format!("{place} is damaged: {what}"))
    }

    /// What this run was about to write is there already: another run has written it.
    pub(super) fn taken(place: impl std::fmt::Display, by: Generation, exists: CheckpointError) -> CheckpointError {
        let message =
            format!("{place} was written by another run ({}), which has this state now: this run must end", by.0);
        CheckpointError::caused_by(CheckpointErrorKind::InUse, message, exists)
    }

    /// What to make of it.
    pub fn kind(&self) -> CheckpointErrorKind {
        self.kind
    }

    /// Whether one checkpoint is not whole, so that the one before it is to be taken.
    pub fn is_damage(&self) -> bool {
        matches!(self.kind, CheckpointErrorKind::Damaged | CheckpointErrorKind::Missing)
    }
}

/// As one process tells it to another: with the texts of its causes.
impl Serialize for CheckpointError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = self.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        (self.kind, text).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CheckpointError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CheckpointError, D::Error> {
        let (kind, message) = <(CheckpointErrorKind, String)>::deserialize(deserializer)?;
        Ok(CheckpointError { kind, message, source: None })
    }
}
