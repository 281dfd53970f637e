//! How a command ends: the exit codes, and the errors behind them.

use std::fmt::Write as _;
use std::io;

use super::ErrorCode;
use crate::checkpoint::{CheckpointError, CheckpointErrorKind};
use crate::pipeline::PipelineError;
use crate::sink::{SinkError, SinkErrorKind};
use crate::source::{SourceError, SourceErrorKind};
use crate::telemetry::Printable;

/// Why a command failed. The text says what, where and what to do; the code, of which [kind](ErrorCode) it is.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct CliError {
    code: ErrorCode,
    exit_code: u8,
    text: String,
}

impl CliError {
    /// An error of this kind.
    pub fn new(code: ErrorCode, text: impl Into<String>) -> CliError {
        CliError { code, exit_code: code.exit_code(), text: text.into() }
    }

    /// Wrong usage.
    pub fn usage(text: impl Into<String>) -> CliError {
        CliError::new(ErrorCode::Usage, text)
    }

    /// An error of this kind, told with all its causes.
    pub fn of(code: ErrorCode, error: &dyn std::error::Error) -> CliError {
        CliError::new(code, with_causes(error))
    }

    /// What `cluster` ends with when a process of it has ended with this exit code.
    pub fn process_ended(exit_code: u8, text: impl Into<String>) -> CliError {
        CliError { exit_code, ..CliError::new(ErrorCode::ProcessEnded, text) }
    }

    /// Of which kind it is.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The code that the process exits with.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl From<PipelineError> for CliError {
    fn from(error: PipelineError) -> CliError {
        let code = match error {
            PipelineError::Unreadable { .. } => ErrorCode::PipelineUnreadable,
            PipelineError::Invalid { .. } => ErrorCode::PipelineInvalid,
        };
        CliError::of(code, &error)
    }
}

impl From<SinkError> for CliError {
    fn from(error: SinkError) -> CliError {
        let code = match error.kind() {
            SinkErrorKind::Failed if is_disk_full(&error) => ErrorCode::SinkDiskFull,
            SinkErrorKind::Failed => ErrorCode::SinkFailed,
            SinkErrorKind::Usage => ErrorCode::Usage,
            SinkErrorKind::InUse => ErrorCode::SinkInUse,
            SinkErrorKind::ServiceLost => ErrorCode::TableLost,
            SinkErrorKind::ClosedPipe => ErrorCode::OutputNotWritten,
            SinkErrorKind::Gone => ErrorCode::SinkGone,
            SinkErrorKind::Foreign => ErrorCode::SinkForeign,
            SinkErrorKind::Damaged => ErrorCode::SinkDamaged,
            SinkErrorKind::DiskFull => ErrorCode::SinkDiskFull,
            SinkErrorKind::Denied => ErrorCode::TableDenied,
            SinkErrorKind::NoTable => ErrorCode::TableMissing,
            SinkErrorKind::WrongKey => ErrorCode::TableKey,
            SinkErrorKind::DeadLetters if is_disk_full(&error) => ErrorCode::SinkDiskFull,
            SinkErrorKind::DeadLetters => ErrorCode::DeadLettersNotKept,
            SinkErrorKind::TooManyDeadLetters => ErrorCode::TooManyDeadLetters,
        };
        CliError::of(code, &error)
    }
}

impl From<SourceError> for CliError {
    fn from(error: SourceError) -> CliError {
        let code = match error.kind() {
            SourceErrorKind::Failed => ErrorCode::InputFailed,
            SourceErrorKind::ServiceLost => ErrorCode::BrokerLost,
            SourceErrorKind::Usage => ErrorCode::Usage,
            SourceErrorKind::Changed => ErrorCode::LogChanged,
            SourceErrorKind::Damaged => ErrorCode::LogDamaged,
            SourceErrorKind::Lost => ErrorCode::InputLost,
            SourceErrorKind::OtherInput => ErrorCode::OtherInput,
            SourceErrorKind::NoTopic => ErrorCode::TopicMissing,
            SourceErrorKind::MadeAnew => ErrorCode::TopicMadeAnew,
            SourceErrorKind::MessagesGone => ErrorCode::MessagesGone,
            SourceErrorKind::Denied => ErrorCode::KafkaDenied,
            SourceErrorKind::Settings => ErrorCode::KafkaSettings,
        };
        CliError::of(code, &error)
    }
}

impl From<CheckpointError> for CliError {
    fn from(error: CheckpointError) -> CliError {
        let code = match error.kind() {
            // A disk that is full, a bucket that does not answer: it may be over when the run is started again.
            CheckpointErrorKind::Failed if is_disk_full(&error) => ErrorCode::StateDiskFull,
            CheckpointErrorKind::Failed => ErrorCode::StateUnreachable,
            CheckpointErrorKind::Usage => ErrorCode::StateUsage,
            CheckpointErrorKind::InUse | CheckpointErrorKind::Exists => ErrorCode::StateInUse,
            CheckpointErrorKind::Missing | CheckpointErrorKind::Damaged => ErrorCode::StateDamaged,
            CheckpointErrorKind::Newer => ErrorCode::StateNewer,
            CheckpointErrorKind::Foreign => ErrorCode::StateForeign,
            CheckpointErrorKind::PipelineChanged => ErrorCode::PipelineChanged,
        };
        CliError::of(code, &error)
    }
}

/// Whether a full disk, or a quota, is behind it.
fn is_disk_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        cause = error.source();
    }
    false
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_found_behind_whatever_stands_before_it() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let sink = CliError::from(SinkError::caused_by("cannot write", full()));
        assert_eq!((sink.code(), sink.exit_code()), (ErrorCode::SinkDiskFull, 1));
        let deep = SinkError::caused_by("an object cannot be written", full());
        let state = CheckpointError::caused_by(CheckpointErrorKind::Failed, "no checkpoint", deep);
        let state = CliError::from(state);
        assert_eq!((state.code(), state.exit_code()), (ErrorCode::StateDiskFull, 75));
        let other = SinkError::caused_by("cannot write", io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(CliError::from(other).code(), ErrorCode::SinkFailed);
    }
}
