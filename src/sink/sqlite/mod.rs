//! `sqlite`: a table in a file, the newest state of every item.
//!
//! One transaction per [`Sink::write`], durable at its commit (WAL with `synchronous=FULL`). Readers
//! in other processes see whole transactions and never wait. The file says what it is (SQLite's
//! application id), in which format (its user version), and in table `meta`,
//! which run of which pipeline filled it, the generation of that run and the newest version it has published; it is never overwritten when it is something else.
//!
//! While a run writes, the file is locked for it, and three files belong together: `PATH`, `PATH-wal` and `PATH-shm`.
//! At a clean end everything is in `PATH`, which is no longer in WAL mode, so that it can be copied, and read
//! by whoever may only read it. A run that was killed leaves what the next to open it needs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior, params};

use super::contract::answer_all;
use super::files::{exists, lock, not_empty};
use super::item::CountsOf;
use super::newest::newest;
use super::{ItemBatch, ItemRef, Outcome, Part, Sink, SinkError, SinkErrorKind, SinkOptions};
use crate::epoch::{Generation, Version};
use crate::file_id::FileId;
use crate::pipeline::Pipeline;

mod companions;
mod end;
mod error;
mod reader;

pub(super) use companions::companions;
pub(super) use reader::SqliteReader;

use self::error::sink_error;

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
    /// Locked for this run. Dropped after the connection: closing any handle of a file ends the locks that SQLite
    /// holds on it in this process.
    file: File,
    generation: Generation,
}

impl SqliteSink {
    /// Items go to the database in this file. Refuses one that is not empty, unless it is to be
    /// replaced, and any file that is something else.
    pub(super) fn open(path: &Path, pipeline: Arc<Pipeline>, options: &SinkOptions) -> Result<Self, SinkError> {
        companions::refuse_strangers(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = connect(path, flags).map_err(|error| sink_error(path, error))?;
        // For reading: some file systems make one kind of locks out of these and SQLite's own, where it is for writing.
        let file = File::open(path).map_err(|error| SinkError::io(format!("cannot open {}", path.display()), error))?;
        lock(&file, path)?;
        // Before anything is changed, the journal mode included.
        refuse(&connection, path, &pipeline.name, options.replace)?;
        make_wal(&connection).map_err(|error| sink_error(path, error))?;
        let generation = start_over(&mut connection, path, &pipeline.name, options)?;
        let run_id = options.run_id.clone();
        Ok(SqliteSink { connection, path: path.to_owned(), pipeline, run_id, file, generation })
    }

    /// Whether [`SqliteSink::open`] would refuse this file.
    pub(super) fn look(path: &Path, pipeline: &str, replace: bool) -> Result<(), SinkError> {
        companions::refuse_strangers(path)?;
        if !exists(path)? {
            return Ok(());
        }
        // Closed after the connection: where it is closed, this process's own locks on the file may go.
        let file = File::open(path).map_err(|error| SinkError::io(format!("cannot open {}", path.display()), error))?;
        lock(&file, path)?;
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| sink_error(path, error))?;
        refuse(&connection, path, pipeline, replace)
    }

    /// An error when the path no longer leads to the file that this run has opened. Then SQLite must not tidy up
    /// either: the `-wal` in this place may belong to another database by now.
    fn require_in_place(&self) -> Result<(), SinkError> {
        if FileId::is_in_place(&self.file, &self.path) {
            return Ok(());
        }
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        Err(SinkError::new(format!(
            "{} was moved, replaced or deleted while this run was writing to it: its items are not there; start again",
            self.path.display()
        ))
        .of_kind(SinkErrorKind::Gone))
    }
}

impl Sink for SqliteSink {
    fn write(&mut self, batches: &[ItemBatch], answer: &mut dyn FnMut(Part)) -> Result<(), SinkError> {
        let failed = |error| sink_error(&self.path, error);
        self.require_in_place()?;
        let items = newest(batches, &self.pipeline);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        require_own(&transaction, &self.path, &self.run_id)?;
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
        record_newest(&transaction, &items).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        answer_all(batches, Outcome::Written, answer);
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), SinkError> {
        self.require_in_place()?;
        require_own(&self.connection, &self.path, &self.run_id)?;
        end::make_whole(&self.connection, &self.path).map_err(|error| sink_error(&self.path, error))?;
        self.connection.close().map_err(|(_, error)| sink_error(&self.path, error))
    }

    fn generation(&self) -> Option<Generation> {
        Some(self.generation)
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
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let connection = Connection::open_with_flags(absolute, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(LOCK_PATIENCE)?;
    Ok(connection)
}

fn refuse(connection: &Connection, path: &Path, pipeline: &str, replace: bool) -> Result<(), SinkError> {
    match contents(connection).map_err(|error| sink_error(path, error))? {
        Contents::Nothing | Contents::NoItems => Ok(()),
        Contents::Items if replace => Ok(()),
        Contents::Items => Err(match filled_by(connection).map_err(|error| sink_error(path, error))? {
            Some(other) if other != pipeline => of_another_pipeline(path, &other),
            _ => not_empty(path),
        }),
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
    options: &SinkOptions,
) -> Result<Generation, SinkError> {
    let failed = |error| sink_error(path, error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Another run may have filled it meanwhile.
    refuse(&transaction, path, pipeline, options.replace)?;
    let recorded = recorded_generation(&transaction).map_err(failed)?;
    let generation = options.generation.above(recorded).ok_or_else(|| last_generation(path))?;
    let create = || {
        transaction.execute_batch("DROP TABLE IF EXISTS items; DROP TABLE IF EXISTS meta;")?;
        transaction.execute_batch(CREATE_TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.execute(
            "INSERT INTO meta VALUES ('pipeline', ?1), ('run', ?2), ('generation', ?3)",
            params![pipeline, options.run_id, generation.0.to_string()],
        )
    };
    create().map_err(failed)?;
    transaction.commit().map_err(failed)?;
    // What was dropped leaves a file of free pages, which would stay as large as ever. There is next to nothing to copy.
    connection.execute_batch("VACUUM").map_err(failed)?;
    Ok(generation)
}

/// The generation of the run that filled the tables; the zeroth where there are none, or where that run
/// recorded none.
fn recorded_generation(connection: &Connection) -> rusqlite::Result<Generation> {
    if matches!(contents(connection)?, Contents::Nothing) {
        return Ok(Generation(0));
    }
    let sql = "SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'generation'";
    let recorded = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    Ok(Generation(recorded.unwrap_or(0)))
}

/// Records the newest version that was published: by it one sees later which state of the run a copy of the file has.
fn record_newest(connection: &Connection, items: &[ItemRef<'_>]) -> rusqlite::Result<()> {
    let Some(Version(newest)) = items.iter().map(|item| item.version).max() else { return Ok(()) };
    let sql = "INSERT OR REPLACE INTO meta VALUES ('newestVersion', ?1)";
    connection.prepare_cached(sql)?.execute([newest.to_string()])?;
    Ok(())
}

/// An error when another run has filled the file since.
fn require_own(connection: &Connection, path: &Path, run_id: &str) -> Result<(), SinkError> {
    if is_filled_by(connection, run_id).map_err(|error| sink_error(path, error))? {
        return Ok(());
    }
    let message = "another run has replaced what this one wrote; this one stops";
    Err(SinkError::new(format!("{}: {message}", path.display())).of_kind(SinkErrorKind::Gone))
}

fn is_filled_by(connection: &Connection, run_id: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM meta WHERE name = 'run' AND value = ?1)";
    connection.prepare_cached(sql)?.query_row([run_id], |row| row.get(0))
}

/// The name of the pipeline whose items these are.
fn filled_by(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT value FROM meta WHERE name = 'pipeline'";
    connection.query_row(sql, [], |row| row.get(0)).optional()
}

fn of_another_pipeline(path: &Path, pipeline: &str) -> SinkError {
    SinkError::new(format!(
        "{} holds the items of another pipeline, {pipeline}: name another file with --sink (or empty that one with \
         --replace)",
        path.display()
    ))
}

fn last_generation(path: &Path) -> SinkError {
    SinkError::new(format!(
        "{} was filled by a run of the last generation there is (its clock was wrong): name another file with --sink",
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

#[cfg(test)]
mod tests;
