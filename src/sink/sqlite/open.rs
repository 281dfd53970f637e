//! How a run makes a file its own: what it refuses, and what it leaves of what was there.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior, params};

use super::error::{has_lost_tables, is_in_use, sink_error};
use super::schema::{Contents, Format, NEWEST_FORMAT, PAGE_BYTES, contents, create, filled_by};
use crate::epoch::Generation;
use crate::pipeline::{Layout, Pipeline};
use crate::sink::files::not_empty;
use crate::sink::{RunRecord, SinkError, SinkOptions};

/// How much of the table is kept in memory.
const CACHE_KIB: i64 = 64 * 1024;
/// How long to wait for somebody else's lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Opens the file itself: not SQLite's names of other things (`:memory:`), which no path can be.
pub(super) fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let connection = Connection::open_with_flags(absolute, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(LOCK_PATIENCE)?;
    Ok(connection)
}

/// An error where a run may not fill what is there.
pub(super) fn refuse(
    connection: &Connection,
    path: &Path,
    pipeline: &Pipeline,
    replace: bool,
) -> Result<(), SinkError> {
    match contents(connection) {
        Ok(Contents::Nothing | Contents::NoItems(_)) => Ok(()),
        Ok(Contents::Items(_)) if replace => Ok(()),
        Ok(Contents::Items(format)) => Err(match filled_by(connection).map_err(|error| sink_error(path, error))? {
            Some(other) if other != pipeline.name => of_another_pipeline(path, &other),
            _ if format.layout() != pipeline.publish.layout => of_another_layout(path, format, pipeline.publish.layout),
            _ if format == Format::One => older_format(path),
            _ => not_empty(path),
        }),
        Ok(Contents::NewerFormat(format)) => Err(newer_format(path, format)),
        Ok(Contents::SomethingElse) => Err(something_else(path)),
        // Which is what the message about them advises.
        Err(error) if replace && has_lost_tables(&error) => Ok(()),
        Err(error) => Err(sink_error(path, error)),
    }
}

/// Sets what must be set before a run writes.
pub(super) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // Before all else: a file keeps what it was made with.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // In WAL mode only FULL makes a commit survive a crash of the machine.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)
}

/// Empty tables that belong to this run. Readers see what was there before until this commits.
pub(super) fn start_over(
    connection: &mut Connection,
    path: &Path,
    pipeline: &Pipeline,
    options: &SinkOptions,
) -> Result<Generation, SinkError> {
    let failed = |error| sink_error(path, error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Another run may have filled it meanwhile.
    refuse(&transaction, path, pipeline, options.replace)?;
    let recorded = recorded_generation(&transaction).map_err(failed)?;
    let generation = options.generation.above(recorded).ok_or_else(|| last_generation(path))?;
    create(&transaction, pipeline.publish.layout).map_err(failed)?;
    let sql = "INSERT INTO meta VALUES ('pipeline', ?1), ('run', ?2), ('generation', ?3)";
    transaction.execute(sql, params![pipeline.name, options.run_id, generation.0.to_string()]).map_err(failed)?;
    for (name, value) in options.record.iter().flat_map(RunRecord::entries) {
        transaction.execute("INSERT INTO meta VALUES (?1, ?2)", [name, &value]).map_err(failed)?;
    }
    transaction.commit().map_err(failed)?;
    make_small(connection).map_err(failed)?;
    Ok(generation)
}

/// What was dropped leaves a file of free pages, which would stay as large as ever. There is next to nothing to copy.
fn make_small(connection: &Connection) -> rusqlite::Result<()> {
    let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    if page_bytes != PAGE_BYTES {
        // A file of other pages gets ours by VACUUM, but not in WAL mode. Where a reader keeps it in that, the pages stay
        // as they are, and writing is slower.
        match connection.pragma_update(None, "journal_mode", "DELETE") {
            Err(error) if !is_in_use(&error) => return Err(error),
            _ => connection.pragma_update(None, "page_size", PAGE_BYTES)?,
        }
    }
    match connection.execute_batch("VACUUM") {
        // The file stays as large as it was.
        Err(error) if !is_in_use(&error) => Err(error),
        _ => connection.pragma_update(None, "journal_mode", "WAL"),
    }
}

/// The generation of the run that filled the tables; the zeroth where there are none, or where that run
/// recorded none.
fn recorded_generation(connection: &Connection) -> rusqlite::Result<Generation> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'meta')";
    if !connection.query_row(sql, [], |row| row.get(0))? {
        return Ok(Generation(0));
    }
    let sql = "SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'generation'";
    let recorded = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    Ok(Generation(recorded.unwrap_or(0)))
}

fn of_another_pipeline(path: &Path, pipeline: &str) -> SinkError {
    SinkError::new(format!(
        "{} holds the items of another pipeline, {pipeline}: name another file with --sink (or empty that one with \
         --replace)",
        path.display()
    ))
}

fn of_another_layout(path: &Path, held: Format, layout: Layout) -> SinkError {
    SinkError::new(format!(
        "{} holds items with {}, and the pipeline has {layout}: name another file with --sink, or start over with --replace \
         (or change [publish])",
        path.display(),
        held.layout(),
    ))
}

fn last_generation(path: &Path) -> SinkError {
    SinkError::new(format!(
        "{} was filled by a run of the last generation there is (its clock was wrong): name another file with --sink",
        path.display()
    ))
}

fn older_format(path: &Path) -> SinkError {
    SinkError::new(format!(
        "{} holds the items of another run in an older format, which can be read but not written to: start over with \
         --replace, or name another file with --sink",
        path.display()
    ))
}

pub(super) fn newer_format(path: &Path, format: i32) -> SinkError {
    let message = "this program knows only formats up to";
    SinkError::new(format!("{} is a table of items in format {format}, {message} {NEWEST_FORMAT}", path.display()))
}

fn something_else(path: &Path) -> SinkError {
    SinkError::new(format!(
        "{} is a database of something else, and is left as it is: name another file with --sink",
        path.display()
    ))
}
