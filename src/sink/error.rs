//! Why a sink cannot go on, and what the process should make of it.

use std::io;

/// Why a sink cannot go on: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SinkError {
    kind: SinkErrorKind,
    message: String,
    /// The library's own error.
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkErrorKind {
    /// Writing or reading failed.
    Failed,
    /// What was asked for cannot be done with this sink: to be told like a wrong flag.
    Usage,
    /// Somebody else is using it just now.
    InUse,
    /// A service did not answer; starting again may help.
    ServiceLost,
    /// Whoever read stdout has gone (as `| head` does): reason to end, not to complain. Behind any other pipe
    /// somebody is missing, which is a failure.
    ClosedPipe,
    /// What was written is not there any more: another run has replaced it, or somebody has deleted it.
    Gone,
    /// It holds something else than this run's items, and is left as it is.
    Foreign,
    /// What it holds cannot be read.
    Damaged,
    /// There is no room left.
    DiskFull,
    /// A service does not accept the credentials, or they do not allow it.
    Denied,
    /// There is no such table.
    NoTable,
    /// The table is not one for these items: it has another key.
    WrongKey,
    /// Events that could not be counted could not be kept either.
    DeadLetters,
    /// More events could not be counted than may be.
    TooManyDeadLetters,
}

impl SinkError {
    /// An error of the sink's own finding.
    pub fn new(message: impl Into<String>) -> SinkError {
        SinkError { kind: SinkErrorKind::Failed, message: message.into(), source: None }
    }

    /// A demand that the sink cannot meet.
    pub fn usage(message: impl Into<String>) -> SinkError {
        SinkError { kind: SinkErrorKind::Usage, ..SinkError::new(message) }
    }

    /// What the sink holds is not this run's.
    pub(crate) fn foreign(message: impl Into<String>) -> SinkError {
        SinkError::new(message).of_kind(SinkErrorKind::Foreign)
    }

    /// An error that a library reported while the sink was doing what `message` says.
    pub fn caused_by(
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> SinkError {
        SinkError { source: Some(source.into()), ..SinkError::new(message) }
    }

    /// An input or output error that happened while the sink was doing what `message` says.
    pub fn io(message: impl Into<String>, source: io::Error) -> SinkError {
        match source.kind() {
            io::ErrorKind::BrokenPipe => {
                SinkError::caused_by(format!("{}: whoever read it has gone", message.into()), source)
            }
            io::ErrorKind::StorageFull => {
                let message = format!("{}: the disk is full; free some space and start again", message.into());
                SinkError::caused_by(message, source)
            }
            _ => SinkError::caused_by(message, source),
        }
    }

    /// The same for what goes to stdout.
    pub fn stdout(message: impl Into<String>, source: io::Error) -> SinkError {
        let kind = match source.kind() {
            io::ErrorKind::BrokenPipe => SinkErrorKind::ClosedPipe,
            _ => SinkErrorKind::Failed,
        };
        SinkError::io(message, source).of_kind(kind)
    }

    /// The same error, of another kind.
    pub(crate) fn of_kind(self, kind: SinkErrorKind) -> SinkError {
        SinkError { kind, ..self }
    }

    /// Whose fault it is.
    pub fn kind(&self) -> SinkErrorKind {
        self.kind
    }
}
