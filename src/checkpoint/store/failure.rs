//! What a failure of the object store means, and what to do about it.

use std::error::Error;
use std::io;

use object_store::Error as ObjectError;

use crate::checkpoint::error::{CheckpointError, CheckpointErrorKind};

/// The error that tells this failure.
pub(super) fn told(doing: String, error: ObjectError) -> CheckpointError {
    let kind = match error {
        ObjectError::NotFound { .. } => CheckpointErrorKind::Missing,
        _ => CheckpointErrorKind::Failed,
    };
    let advice = advice(&error).map(|advice| format!(": {advice}")).unwrap_or_default();
    CheckpointError::caused_by(kind, format!("{doing}{advice}"), error)
}

fn advice(error: &ObjectError) -> Option<&'static str> {
    match (error, io_cause(error)) {
        (_, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) => {
            Some("the disk is full; free some space")
        }
        (_, Some(io::ErrorKind::ReadOnlyFilesystem)) => Some("the file system is read-only"),
        (_, Some(io::ErrorKind::PermissionDenied)) => Some("this user may not do that there"),
        (_, Some(io::ErrorKind::NotADirectory)) => Some("a file is where a folder should be"),
        (ObjectError::NotFound { .. }, _) => Some("it is not there"),
        (ObjectError::Unauthenticated { .. }, _) => {
            Some("the credentials are missing or wrong (AWS_ACCESS_KEY_ID and so on)")
        }
        (ObjectError::PermissionDenied { .. }, _) => Some("these credentials may not do that"),
        _ => None,
    }
}

/// The kind of the input or output error behind it.
fn io_cause(error: &ObjectError) -> Option<io::ErrorKind> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
}

/// Whether trying again may help.
pub(super) fn may_pass(error: &ObjectError) -> bool {
    matches!(error, ObjectError::Generic { .. } | ObjectError::AlreadyExists { .. } | ObjectError::JoinError { .. })
}
