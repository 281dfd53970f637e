//! What SQLite's errors mean to a person.

use std::path::Path;

use rusqlite::{ErrorCode, ffi};

use crate::sink::{SinkError, SinkErrorKind};

/// What went wrong with the file, and what to do about it.
pub(super) fn sink_error(path: &Path, error: rusqlite::Error) -> SinkError {
    if has_lost_tables(&error) {
        let message = "has lost its tables (another program has changed it: start over with --replace)";
        return SinkError::caused_by(format!("{} {message}", path.display()), error).of_kind(SinkErrorKind::Gone);
    }
    let (what, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly) if is_half_written(&error) => (
            "was left in the middle of a transaction by a process that was killed",
            "the next run into it takes that back, and so does anybody else who may write",
        ),
        Some(ErrorCode::NotADatabase) => ("is no SQLite database", "it is left as it is: name another file"),
        Some(ErrorCode::DiskFull) => ("cannot grow, the disk is full", "free some space and start again"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ("is locked by another process", "stop that one, or name another file")
        }
        Some(ErrorCode::ReadOnly) => (
            "may not be written to",
            "look at the permissions of the file and its folder; in WAL mode readers write, too",
        ),
        Some(ErrorCode::CannotOpen) => {
            ("cannot be opened", "see that it is a file, that its folder exists, and that both may be written to")
        }
        Some(ErrorCode::DatabaseCorrupt) => ("is damaged", "move it away and start over"),
        _ => ("cannot be used", "see what SQLite says"),
    };
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => SinkErrorKind::InUse,
        Some(ErrorCode::DiskFull) => SinkErrorKind::DiskFull,
        Some(ErrorCode::NotADatabase) => SinkErrorKind::Foreign,
        Some(ErrorCode::DatabaseCorrupt) => SinkErrorKind::Damaged,
        _ => SinkErrorKind::Failed,
    };
    SinkError::caused_by(format!("{} {what} ({hint})", path.display()), error).of_kind(kind)
}

/// Whether a table is missing.
pub(super) fn has_lost_tables(error: &rusqlite::Error) -> bool {
    // SQLite has no code for it.
    error.to_string().contains("no such table")
}

/// Whether somebody else is using the file just now.
pub(super) fn is_in_use(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Whether a transaction is to be taken back that nobody will end, by whoever may only read.
fn is_half_written(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_READONLY_ROLLBACK)
}
