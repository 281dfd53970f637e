//! `sqlite`: a table in a file, the newest state of every item.
//!
//! [`Sink::write`] commits transactions of up to [`ITEMS_A_TRANSACTION`] items, each durable at its commit (WAL with
//! `synchronous=FULL`). Readers
//! in other processes see whole transactions and never wait. The file says what it is (SQLite's
//! application id), in which format (its user version), and in table `meta`,
//! which run of which pipeline filled it, the generation of that run, by what it judged its events, and the newest version it
//! has published; it is never overwritten when it is something else.
//! What is in its tables says [`schema`]; whoever reads items with SQL reads the view `items`.
//!
//! While a run writes, the file is locked for it, and three files belong together: `PATH`, `PATH-wal` and `PATH-shm`.
//! A run that goes on with what an earlier one of its state has published keeps the tables, and the numbers of their features;
//! where its pipeline has other decays by now, the rows of a feature are brought into the new shape with its first item
//! (`reshape.rs`).
//! At a clean end everything is in `PATH`, which is no longer in WAL mode, so that it can be copied, and read
//! by whoever may only read it. A run that was killed leaves what the next to open it needs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::contract::answer_all;
use super::files::{exists, lock};
use super::key_item::KeyItem;
use super::{Desk, ItemBatch, ItemRef, Outcome, Recorded, Sink, SinkError, SinkErrorKind, SinkOptions};
use crate::epoch::Generation;
use crate::file_id::FileId;
use crate::pipeline::{Encoding, Layout, Pipeline};
use crate::telemetry::WarnLimiter;

mod companions;
mod end;
mod error;
mod features;
mod open;
mod reader;
mod reshape;
mod schema;
mod write;

pub(super) use companions::companions;
pub(super) use reader::SqliteReader;

use self::error::sink_error;
use self::features::Features;
use self::open::{Taken, configure, connect, refuse, take_over};

/// How long a write waits for somebody else's lock; then what is newest is written later.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// How often it is told that a write waits.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Bounds what a transaction takes in the `-wal` and in memory: some 40 MB of the one, for rows of three decays.
pub(super) const ITEMS_A_TRANSACTION: usize = 190_000;
/// A call may come with a batch more: one transaction takes it along.
const MOST_ITEMS_A_TRANSACTION: usize = ITEMS_A_TRANSACTION + 10_000;

/// Writes items to the table.
#[derive(Debug)]
pub(super) struct SqliteSink {
    connection: Connection,
    path: PathBuf,
    pipeline: Arc<Pipeline>,
    run_id: String,
    features: Features,
    /// Locked for this run. Dropped after the connection: closing any handle of a file ends the locks that SQLite
    /// holds on it in this process.
    file: File,
    generation: Generation,
    warned_of_lock: WarnLimiter,
}

impl SqliteSink {
    /// Items go to the database in this file. Refuses one that is not empty, unless it is to be
    /// replaced or gone on with, and any file that is something else.
    pub(super) fn open(path: &Path, pipeline: Arc<Pipeline>, options: &SinkOptions) -> Result<Self, SinkError> {
        companions::refuse_strangers(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = connect(path, flags).map_err(|error| sink_error(path, error))?;
        // For reading: some file systems make one kind of locks out of these and SQLite's own, where it is for writing.
        let file = File::open(path).map_err(|error| SinkError::io(format!("cannot open {}", path.display()), error))?;
        lock(&file, path)?;
        // Before anything is changed, the journal mode included.
        refuse(&connection, path, &pipeline, options)?;
        configure(&connection).map_err(|error| sink_error(path, error))?;
        let Taken { generation, features } = take_over(&mut connection, path, &pipeline, options)?;
        let run_id = options.run_id.clone();
        connection.busy_timeout(LOCK_PATIENCE).map_err(|error| sink_error(path, error))?;
        Ok(SqliteSink {
            connection,
            path: path.to_owned(),
            pipeline,
            run_id,
            features,
            file,
            generation,
            warned_of_lock: WarnLimiter::new(WARN_EVERY),
        })
    }

    /// Whether [`SqliteSink::open`] would refuse this file.
    pub(super) fn look(path: &Path, pipeline: &Pipeline, options: &SinkOptions) -> Result<(), SinkError> {
        look_into(path, |connection| refuse(connection, path, pipeline, options)).map(Option::unwrap_or_default)
    }

    /// What this file says of the runs that have filled it.
    pub(super) fn recorded(path: &Path) -> Result<Recorded, SinkError> {
        Ok(look_into(path, |connection| open::recorded(connection, path))?.unwrap_or(Recorded::NOTHING))
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

    /// One transaction.
    fn commit(&mut self, rows: &Rows<'_>) -> Result<(), SinkError> {
        let failed = |error| sink_error(&self.path, error);
        self.require_in_place()?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        require_own(&transaction, &self.path, &self.run_id)?;
        match rows {
            Rows::Features(items) => {
                self.features.record(&transaction).map_err(failed)?;
                write::write_items(&transaction, items).map_err(failed)?;
            }
            Rows::Keys(keys, encoding) => write::write_keys(&transaction, keys, *encoding).map_err(failed)?,
        }
        transaction.commit().map_err(failed)?;
        self.features.recorded();
        Ok(())
    }

    /// Several transactions. When the file is locked, what is not written yet is to be tried again.
    fn commit_all<'a>(&mut self, transactions: impl Iterator<Item = Rows<'a>>) -> Result<Outcome, SinkError> {
        for rows in transactions {
            match self.commit(&rows) {
                Ok(()) => {}
                // It is waited for, and then gets what is newest.
                Err(error) if error.kind() == SinkErrorKind::InUse => {
                    if self.warned_of_lock.is_due(Instant::now()) {
                        tracing::warn!("waiting to publish: {error}");
                    }
                    return Ok(Outcome::NotWritten);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Outcome::Written)
    }
}

/// What `see` sees in the file, which nobody changes meanwhile; `None` where there is no file.
fn look_into<T>(path: &Path, see: impl FnOnce(&Connection) -> Result<T, SinkError>) -> Result<Option<T>, SinkError> {
    companions::refuse_strangers(path)?;
    if !exists(path)? {
        return Ok(None);
    }
    // Closed after the connection: where it is closed, this process's own locks on the file may go.
    let file = File::open(path).map_err(|error| SinkError::io(format!("cannot open {}", path.display()), error))?;
    lock(&file, path)?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| sink_error(path, error))?;
    see(&connection).map(Some)
}

/// What one transaction writes.
enum Rows<'a> {
    /// Items, each with the id of its feature.
    Features(&'a [(u32, ItemRef<'a>)]),
    /// Keys with all their features.
    Keys(&'a [KeyItem<'a>], Encoding),
}

/// Cuts keys into transactions of some [`ITEMS_A_TRANSACTION`] features, or one key that has more.
fn transactions<'a>(mut keys: &'a [KeyItem<'a>], encoding: Encoding) -> impl Iterator<Item = Rows<'a>> {
    std::iter::from_fn(move || {
        let mut features = 0;
        let mut takes = |key: &KeyItem<'_>| {
            features += key.features.len();
            features <= MOST_ITEMS_A_TRANSACTION
        };
        let count = keys.iter().take_while(|key| takes(key)).count().max(1);
        let (some, rest) = keys.split_at_checked(count)?;
        keys = rest;
        Some(Rows::Keys(some, encoding))
    })
}

impl Sink for SqliteSink {
    fn write(&mut self, batches: &[ItemBatch], desk: &mut dyn Desk) -> Result<(), SinkError> {
        let pipeline = Arc::clone(&self.pipeline);
        let outcome = match pipeline.publish.layout {
            Layout::Feature => {
                let items = self.features.newest_of(batches, &pipeline);
                self.commit_all(items.chunks(MOST_ITEMS_A_TRANSACTION).map(Rows::Features))?
            }
            Layout::Key(encoding) => {
                let mut keys: Vec<_> = batches.iter().flat_map(|batch| KeyItem::all_of(batch, &pipeline)).collect();
                // Of one key the newest is written last.
                keys.sort_by(|one, other| {
                    (one.key, &one.fields, one.version).cmp(&(other.key, &other.fields, other.version))
                });
                self.commit_all(transactions(&keys, encoding))?
            }
        };
        answer_all(batches, outcome, desk);
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), SinkError> {
        self.require_in_place()?;
        require_own(&self.connection, &self.path, &self.run_id)?;
        end::make_whole(&self.connection, &self.path).map_err(|error| sink_error(&self.path, error))?;
        self.connection.close().map_err(|(_, error)| sink_error(&self.path, error))
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn generation(&self) -> Option<Generation> {
        Some(self.generation)
    }
}

/// An error when another run has filled the file since.
fn require_own(connection: &Connection, path: &Path, run_id: &str) -> Result<(), SinkError> {
    if schema::is_filled_by(connection, run_id).map_err(|error| sink_error(path, error))? {
        return Ok(());
    }
    let message = "another run has replaced what this one wrote; this one stops";
    Err(SinkError::new(format!("{}: {message}", path.display())).of_kind(SinkErrorKind::Gone))
}

#[cfg(test)]
mod tests;
