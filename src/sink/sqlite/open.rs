//! How a run makes a file its own: what it refuses, and what it leaves of what was there.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};

use super::error::{has_lost_tables, is_in_use, sink_error};
use super::features::Features;
use super::schema::{Contents, Format, NEWEST_FORMAT, PAGE_BYTES, contents, create, filled_by};
use crate::epoch::{Generation, Version};
use crate::pipeline::{Layout, Pipeline};
use crate::sink::files::not_empty;
use crate::sink::{Recorded, RunRecord, SinkError, SinkOptions};

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
    options: &SinkOptions,
) -> Result<(), SinkError> {
    let replace = options.replace;
    match contents(connection) {
        Ok(Contents::Nothing | Contents::NoItems(_)) => Ok(()),
        Ok(Contents::Items(_)) if replace => Ok(()),
        Ok(Contents::Items(format)) => match filled_by(connection).map_err(|error| sink_error(path, error))? {
            Some(other) if other != pipeline.name => Err(of_another_pipeline(path, &other)),
            _ if format.layout() != pipeline.publish.layout => {
                Err(of_another_layout(path, format, pipeline.publish.layout))
            }
            _ if format == Format::One => Err(older_format(path)),
            Some(_) if options.goes_on => Ok(()),
            _ => Err(not_empty(path)),
        },
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

/// What a run has made its own.
pub(super) struct Taken {
    pub generation: Generation,
    /// Those that the tables have already.
    pub features: Features,
}

/// Tables that belong to this run: empty ones, or what an earlier run of its state has filled. Readers see what was there before
/// until this commits.
pub(super) fn take_over(
    connection: &mut Connection,
    path: &Path,
    pipeline: &Pipeline,
    options: &SinkOptions,
) -> Result<Taken, SinkError> {
    let failed = |error| sink_error(path, error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Another run may have filled it meanwhile.
    refuse(&transaction, path, pipeline, options)?;
    let generation = generation(&transaction, path, options)?;
    // What may not be kept was refused.
    let is_kept = options.goes_on && !options.replace && holds_items(&transaction);
    if !is_kept {
        create(&transaction, pipeline.publish.layout).map_err(failed)?;
    }
    let features = match pipeline.publish.layout {
        Layout::Feature if is_kept => Features::load(&transaction).map_err(failed)?,
        _ => Features::default(),
    };
    let (name, run, number) = (pipeline.name.clone(), options.run_id.clone(), generation.0.to_string());
    let record = options.record.iter().flat_map(RunRecord::entries);
    // Of what was kept, the entries stay that this run has none of: the newest version, for one.
    for (name, value) in [("pipeline", name), ("run", run), ("generation", number)].into_iter().chain(record) {
        transaction.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", [name, &value]).map_err(failed)?;
    }
    transaction.commit().map_err(failed)?;
    if !is_kept {
        make_small(connection).map_err(failed)?;
    }
    Ok(Taken { generation, features })
}

fn holds_items(connection: &Connection) -> bool {
    matches!(contents(connection), Ok(Contents::Items(_)))
}

/// The run's generation. One that was claimed is not changed here: what it is claimed in would not know.
fn generation(connection: &Connection, path: &Path, options: &SinkOptions) -> Result<Generation, SinkError> {
    let recorded = recorded_generation(connection).map_err(|error| sink_error(path, error))?;
    match (options.goes_on, recorded) {
        (true, Some(recorded)) if recorded >= options.generation => Err(not_above(path, recorded, options.generation)),
        (true, _) => Ok(options.generation),
        (false, recorded) => {
            options.generation.above(recorded.unwrap_or_default()).ok_or_else(|| last_generation(path))
        }
    }
}

/// What the file says of the runs that have filled it.
pub(super) fn recorded(connection: &Connection, path: &Path) -> Result<Recorded, SinkError> {
    let failed = |error| sink_error(path, error);
    let is_empty = match contents(connection) {
        Ok(Contents::Nothing) => return Ok(Recorded::NOTHING),
        Ok(Contents::NoItems(_)) => true,
        Ok(Contents::Items(_)) => false,
        Ok(Contents::NewerFormat(format)) => return Err(newer_format(path, format)),
        Ok(Contents::SomethingElse) => return Err(something_else(path)),
        // What becomes of such a file says who opens it.
        Err(error) if has_lost_tables(&error) => false,
        Err(error) => return Err(failed(error)),
    };
    let generation = recorded_generation(connection).map_err(failed)?;
    let newest_version = number_in_meta(connection, "newestVersion").map_err(failed)?;
    Ok(Recorded { generation, newest_version: newest_version.map(Version), is_empty })
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

/// The generation of the run that filled the tables; `None` where there are none, or where that run recorded none.
fn recorded_generation(connection: &Connection) -> rusqlite::Result<Option<Generation>> {
    let recorded = number_in_meta(connection, "generation")?;
    Ok(recorded.map(|recorded| Generation(u32::try_from(recorded).unwrap_or(u32::MAX))))
}

/// A number that `meta` keeps under this name.
fn number_in_meta(connection: &Connection, name: &str) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'meta')";
    if !connection.query_row(sql, [], |row| row.get(0))? {
        return Ok(None);
    }
    let sql = "SELECT CAST(value AS INTEGER) FROM meta WHERE name = ?1";
    connection.query_row(sql, [name], |row| row.get::<_, i64>(0).map(i64::cast_unsigned)).optional()
}

fn not_above(path: &Path, recorded: Generation, claimed: Generation) -> SinkError {
    SinkError::foreign(format!(
        "{} was filled by a run of generation {}, and this run of the state is generation {}: another run has filled it since, \
         or it belongs to another state; start over with --replace, or name another file with --sink",
        path.display(),
        recorded.0,
        claimed.0
    ))
}

fn of_another_pipeline(path: &Path, pipeline: &str) -> SinkError {
    SinkError::foreign(format!(
        "{} holds the items of another pipeline, {pipeline}: name another file with --sink (or empty that one with \
         --replace)",
        path.display()
    ))
}

fn of_another_layout(path: &Path, held: Format, layout: Layout) -> SinkError {
    SinkError::foreign(format!(
        "{} holds items with {}, and the pipeline has {layout}: name another file with --sink, or start over with --replace \
         (or change [publish])",
        path.display(),
        held.layout(),
    ))
}

fn last_generation(path: &Path) -> SinkError {
    SinkError::foreign(format!(
        "{} was filled by a run of the last generation there is (its clock was wrong): name another file with --sink",
        path.display()
    ))
}

fn older_format(path: &Path) -> SinkError {
    SinkError::foreign(format!(
        "{} holds the items of another run in an older format, which can be read but not written to: start over with \
         --replace, or name another file with --sink",
        path.display()
    ))
}

pub(super) fn newer_format(path: &Path, format: i32) -> SinkError {
    let message = "this program knows only formats up to";
    SinkError::foreign(format!("{} is a table of items in format {format}, {message} {NEWEST_FORMAT}", path.display()))
}

fn something_else(path: &Path) -> SinkError {
    SinkError::foreign(format!(
        "{} is a database of something else, and is left as it is: name another file with --sink",
        path.display()
    ))
}
