//! How a command ends: the exit codes, and the errors behind them.

use std::fmt::Write as _;

use crate::checkpoint::{CheckpointError, CheckpointErrorKind};
use crate::sink::{SinkError, SinkErrorKind};
use crate::source::{SourceError, SourceErrorKind};
use crate::telemetry::Printable;

/// Why a command failed. The text says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Wrong usage, or a pipeline file that is not right: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Failed at run time: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// There is no such item: exit code 1.
    #[error("{0}")]
    NotFound(String),
    /// A peer or service is lost; starting again may help: exit code 75.
    #[error("{0}")]
    Lost(String),
    /// Interrupted before the end of a log: exit code 130.
    #[error("{0}")]
    Interrupted(String),
}

impl CliError {
    /// A failure at run time, told with all its causes.
    pub fn failed(error: &dyn std::error::Error) -> CliError {
        CliError::Failed(with_causes(error))
    }

    /// Wrong usage, told with all its causes.
    pub fn usage(error: &dyn std::error::Error) -> CliError {
        CliError::Usage(with_causes(error))
    }

    /// The code that the process exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Failed(_) | CliError::NotFound(_) => 1,
            CliError::Usage(_) => 2,
            CliError::Lost(_) => 75,
            CliError::Interrupted(_) => 130,
        }
    }
}

impl From<SinkError> for CliError {
    fn from(error: SinkError) -> CliError {
        match error.kind() {
            SinkErrorKind::Usage => CliError::usage(&error),
            SinkErrorKind::ServiceLost => CliError::Lost(with_causes(&error)),
            _ => CliError::failed(&error),
        }
    }
}

impl From<SourceError> for CliError {
    fn from(error: SourceError) -> CliError {
        match error.kind() {
            SourceErrorKind::Usage => CliError::usage(&error),
            SourceErrorKind::ServiceLost => CliError::Lost(with_causes(&error)),
            SourceErrorKind::Failed => CliError::failed(&error),
        }
    }
}

impl From<CheckpointError> for CliError {
    fn from(error: CheckpointError) -> CliError {
        match error.kind() {
            CheckpointErrorKind::Usage | CheckpointErrorKind::Foreign => CliError::usage(&error),
            // A disk that is full, a bucket that does not answer: it may be over when the run is started again.
            CheckpointErrorKind::Failed => CliError::Lost(with_causes(&error)),
            _ => CliError::failed(&error),
        }
    }
}

/// The error and its causes, one after the other, each text once, on one line: names and texts in it come from outside.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let detail = error.to_string();
        if !text.contains(&detail) {
            let _ = write!(text, ": {detail}");
        }
        cause = error.source();
    }
    Printable(text).to_string()
}
