//! `sqlite`: a table in a file, the newest state of every item.
//!
//! One transaction per [`Sink::write`], durable at its commit (WAL with `synchronous=FULL`). Readers
//! in other processes see whole transactions and never wait. The file says what it is (SQLite's
//! application id), in which format (its user version), and which run of which pipeline filled it
//! (table `meta`); it is never overwritten when it is something else.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};

use super::item::CountsOf;
use super::newest::newest;
use super::{ItemBatch, OpenOptions, Sink, SinkError};
use crate::pipeline::Pipeline;

mod reader;

pub(super) use reader::SqliteReader;

/// "cntr": marks a database of ours.
const APPLICATION_ID: i32 = 0x636e_7472;
/// The format of the tables below.
const FORMAT: i32 = 1;
/// How much of the table is kept in memory.
const CACHE_KIB: i64 = 64 * 1024;
/// How long to wait for somebody else's lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

const CREATE_TABLES: &str = "
    CREATE TABLE items (
        key TEXT NOT NULL,
        featureName TEXT NOT NULL,
        counts TEXT NOT NULL,
        version INTEGER NOT NULL,
        expiresAt INTEGER,
        since INTEGER,
        PRIMARY KEY (key, featureName)
    ) WITHOUT ROWID;
    CREATE TABLE meta (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;";

const UPSERT: &str = "
    INSERT INTO items (key, featureName, counts, version, expiresAt, since) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (key, featureName) DO UPDATE SET
        counts = excluded.counts, version = excluded.version, expiresAt = excluded.expiresAt, since = excluded.since";

/// Writes items to the table.
#[derive(Debug)]
pub(super) struct SqliteSink {
    connection: Connection,
    path: PathBuf,
    pipeline: Arc<Pipeline>,
    run_id: String,
}

impl SqliteSink {
    /// Items go to the database in this file. Refuses one that is not empty, unless it is to be
    /// replaced, and any file that is something else.
    pub(super) fn open(path: &Path, pipeline: Arc<Pipeline>, options: &OpenOptions) -> Result<Self, SinkError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = connect(path, flags).map_err(|error| failed(path, error))?;
        // Before anything is changed, the journal mode included.
        refuse(&connection, path, options.replace)?;
        make_wal(&connection).map_err(|error| failed(path, error))?;
        start_over(&mut connection, path, &pipeline.name, options)?;
        Ok(SqliteSink { connection, path: path.to_owned(), pipeline, run_id: options.run_id.clone() })
    }
}

impl Sink for SqliteSink {
    fn write(&mut self, batches: &[ItemBatch]) -> Result<u64, SinkError> {
        let failed = |error| failed(&self.path, error);
        let items = newest(batches, &self.pipeline);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        if !is_filled_by(&transaction, &self.run_id).map_err(failed)? {
            let message = "another run has replaced what this one wrote; this one stops";
            return Err(SinkError::new(format!("{}: {message}", self.path.display())));
        }
        {
            let mut upsert = transaction.prepare_cached(UPSERT).map_err(failed)?;
            let mut counts = Vec::new();
            for item in &items {
                counts.clear();
                serde_json::to_writer(&mut counts, &CountsOf(*item))
                    .map_err(|error| SinkError::caused_by("cannot write counts as JSON", error))?;
                let counts = String::from_utf8_lossy(&counts);
                let version = item.version.0.cast_signed();
                let since = item.since.map(|since| since.0);
                upsert
                    .execute(params![item.key_text(), item.feature_name, counts, version, item.expires_at, since])
                    .map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)?;
        Ok(items.len() as u64)
    }
}

/// What is in a file that SQLite can open.
enum Contents {
    Nothing,
    NoItems,
    Items,
    NewerFormat(i32),
    SomethingElse,
}

fn contents(connection: &Connection) -> rusqlite::Result<Contents> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let application_id = pragma("application_id")?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application_id != APPLICATION_ID {
        return Ok(if application_id == 0 && tables == 0 { Contents::Nothing } else { Contents::SomethingElse });
    }
    match pragma("user_version")? {
        FORMAT => {}
        format => return Ok(Contents::NewerFormat(format)),
    }
    let filled = connection.query_row("SELECT EXISTS (SELECT 1 FROM items)", [], |row| row.get(0))?;
    Ok(if filled { Contents::Items } else { Contents::NoItems })
}

/// Opens the file itself: not SQLite's names of other things (`:memory:`), which no path can be.
fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let place = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let connection = Connection::open_with_flags(place, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(LOCK_PATIENCE)?;
    Ok(connection)
}

fn refuse(connection: &Connection, path: &Path, replace: bool) -> Result<(), SinkError> {
    match contents(connection).map_err(|error| failed(path, error))? {
        Contents::Nothing | Contents::NoItems => Ok(()),
        Contents::Items if replace => Ok(()),
        Contents::Items => Err(not_empty(path)),
        Contents::NewerFormat(format) => Err(newer_format(path, format)),
        Contents::SomethingElse => Err(something_else(path)),
    }
}

fn make_wal(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // In WAL mode only FULL makes a commit survive a crash of the machine.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)
}

/// Empty tables that belong to this run. Readers see what was there before until this commits.
fn start_over(
    connection: &mut Connection,
    path: &Path,
    pipeline: &str,
    options: &OpenOptions,
) -> Result<(), SinkError> {
    let failed = |error| failed(path, error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Another run may have filled it meanwhile.
    refuse(&transaction, path, options.replace)?;
    let create = || {
        transaction.execute_batch("DROP TABLE IF EXISTS items; DROP TABLE IF EXISTS meta;")?;
        transaction.execute_batch(CREATE_TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.execute("INSERT INTO meta VALUES ('pipeline', ?1), ('run', ?2)", [pipeline, &options.run_id])
    };
    create().map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn is_filled_by(connection: &Connection, run_id: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM meta WHERE name = 'run' AND value = ?1)";
    connection.prepare_cached(sql)?.query_row([run_id], |row| row.get(0))
}

fn not_empty(path: &Path) -> SinkError {
    SinkError::new(format!(
        "{} holds the items of another run, which this run does not continue: start over with --replace, or name another \
         file with --sink",
        path.display()
    ))
}

fn newer_format(path: &Path, format: i32) -> SinkError {
    let message = "this program knows only format";
    SinkError::new(format!("{} is a table of items in format {format}, {message} {FORMAT}", path.display()))
}

fn something_else(path: &Path) -> SinkError {
    SinkError::new(format!(
        "{} is a database of something else, and is left as it is: name another file with --sink",
        path.display()
    ))
}

/// What went wrong with the file, and what to do about it.
fn failed(path: &Path, error: rusqlite::Error) -> SinkError {
    let (what, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => ("is no SQLite database", "it is left as it is: name another file"),
        Some(ErrorCode::DiskFull) => ("cannot grow, the disk is full", "free some space and start again"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ("is locked by another process", "stop that one, or name another file")
        }
        Some(ErrorCode::ReadOnly) => ("may not be written to", "look at the permissions of the file and its folder"),
        Some(ErrorCode::CannotOpen) => {
            ("cannot be opened", "see that it is a file, that its folder exists, and that both may be written to")
        }
        Some(ErrorCode::DatabaseCorrupt) => ("is damaged", "move it away and start over"),
        _ => ("cannot be used", "see what SQLite says"),
    };
    SinkError::caused_by(format!("{} {what} ({hint})", path.display()), error)
}

#[cfg(test)]
mod tests;
