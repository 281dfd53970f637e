//! Reads items back, also while a run is writing them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, OpenFlags, Row, Rows, params};
use serde::de::DeserializeOwned;

use super::error::sink_error;
use super::open::{connect, newer_format};
use super::schema::{Contents, EXPIRES_AT, Format, contents, filled_by, meta};
use crate::counter::{DecayInterval, EventTime};
use crate::epoch::Version;
use crate::reading::KeyHead;
use crate::sink::files::open_to_read;
use crate::sink::{Count, Item, ItemReader, RunRecord, SinkError};

/// Reads items from the table. Writes nothing, not even an empty file.
#[derive(Debug)]
pub(in crate::sink) struct SqliteReader {
    connection: Connection,
    format: Format,
    path: PathBuf,
}

impl SqliteReader {
    /// Items come from the database in this file.
    /// Warns when they are of another pipeline than this one.
    pub(in crate::sink) fn open(path: &Path, pipeline: Option<&str>) -> Result<Self, SinkError> {
        // SQLite says only "unable to open", whatever the reason.
        open_to_read(path)?;
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| sink_error(path, error))?;
        match contents(&connection).map_err(|error| sink_error(path, error))? {
            Contents::Items(format) | Contents::NoItems(format) => {
                let other = filled_by(&connection).map_err(|error| sink_error(path, error))?;
                if let (Some(pipeline), Some(other)) = (pipeline, other)
                    && pipeline != other
                {
                    tracing::warn!("{} holds the items of the pipeline {other}, not of {pipeline}", path.display());
                }
                Ok(SqliteReader { connection, format, path: path.to_owned() })
            }
            Contents::NewerFormat(format) => Err(newer_format(path, format)),
            Contents::Nothing | Contents::SomethingElse => {
                Err(SinkError::foreign(format!("{} is a database, but holds no table of items", path.display())))
            }
        }
    }
}

impl SqliteReader {
    /// A query of items, or in the layout `key` of keys, in the order of the bytes of (key, feature name).
    fn sql(&self, of_a_key: bool) -> String {
        // Not the view, whose texts of counts take longer to make and to take apart than all the rest. The CROSS JOIN keeps
        // the rows in the order of their keys, so that only those of one key need sorting.
        let (columns, tables, key, feature_name) = match self.format {
            Format::One => ("key, featureName, version, expiresAt, since, counts", "items", "key", "featureName"),
            Format::Two => (
                "s.key, f.name, s.version, {expiresAt}, s.since, s.counts, s.lastUpdate, s.more, f.decays, f.more",
                "states AS s CROSS JOIN features AS f ON f.id = s.feature",
                "s.key",
                "f.name",
            ),
            Format::Three(_) => ("key, keyFields, version, since, features", "keys", "key", "keyFields"),
        };
        let columns = columns.replace("{expiresAt}", EXPIRES_AT);
        let wanted = match (of_a_key, self.format) {
            (true, Format::Three(_)) => "WHERE key = ?1".to_owned(),
            (true, _) => format!("WHERE {key} = ?1 AND (?2 IS NULL OR {feature_name} = ?2)"),
            (false, _) => String::new(),
        };
        // The collation of both compares bytes.
        format!("SELECT {columns} FROM {tables} {wanted} ORDER BY {key}, {feature_name}")
    }

    fn item(&self, row: &Row<'_>) -> rusqlite::Result<Item> {
        let counts = match self.format {
            Format::One => json(row, 5)?,
            _ => counts(row)?,
        };
        Ok(Item {
            key: row.get(0)?,
            feature_name: row.get(1)?,
            counts,
            version: Version(row.get::<_, i64>(2)?.cast_unsigned()),
            expires_at: row.get(3)?,
            since: row.get::<_, Option<i64>>(4)?.map(EventTime),
        })
    }
}

impl SqliteReader {
    /// Passes on the items of each row, those of one key together and in the order of their names.
    fn rows(
        &self,
        mut rows: Rows<'_>,
        wanted: &dyn Fn(&str) -> bool,
        visit: &mut dyn FnMut(Item) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let failed = |error| sink_error(&self.path, error);
        // The features of a key, where one key's text may be that of keys of several fields.
        let mut of_key: Vec<Item> = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            if !row.get_ref(0).map_err(failed)?.as_str().is_ok_and(wanted) {
                continue;
            }
            if !matches!(self.format, Format::Three(_)) {
                visit(self.item(row).map_err(failed)?)?;
                continue;
            }
            let items = key_items(row).map_err(failed)?;
            if of_key.first().zip(items.first()).is_some_and(|(one, other)| one.key != other.key) {
                std::mem::take(&mut of_key).into_iter().try_for_each(&mut *visit)?;
            }
            let is_sorted = of_key.is_empty();
            of_key.extend(items);
            if !is_sorted {
                of_key.sort_by(|one, other| one.feature_name.cmp(&other.feature_name));
            }
        }
        of_key.into_iter().try_for_each(visit)
    }
}

impl ItemReader for SqliteReader {
    fn get(&mut self, key: &str, feature_name: Option<&str>) -> Result<Vec<Item>, SinkError> {
        let failed = |error| sink_error(&self.path, error);
        let mut statement = self.connection.prepare(&self.sql(true)).map_err(failed)?;
        let rows = match self.format {
            Format::Three(_) => statement.query([key]),
            _ => statement.query(params![key, feature_name]),
        };
        let mut items = Vec::new();
        self.rows(rows.map_err(failed)?, &|_| true, &mut |item| {
            if feature_name.is_none_or(|name| item.feature_name == name) {
                items.push(item);
            }
            Ok(())
        })?;
        Ok(items)
    }

    fn each_of(
        &mut self,
        wanted: &dyn Fn(&str) -> bool,
        visit: &mut dyn FnMut(Item) -> io::Result<()>,
    ) -> Result<(), SinkError> {
        let failed = |error| sink_error(&self.path, error);
        let mut statement = self.connection.prepare(&self.sql(false)).map_err(failed)?;
        let rows = statement.query([]).map_err(failed)?;
        self.rows(rows, wanted, &mut |item| {
            visit(item).map_err(|error| SinkError::stdout("cannot write items to stdout", error))
        })
    }

    fn record(&mut self) -> Result<Option<RunRecord>, SinkError> {
        RunRecord::of_entries(|name| meta(&self.connection, name).map_err(|error| sink_error(&self.path, error)))
    }
}

/// The items of a row of format 3.
fn key_items(row: &Row<'_>) -> rusqlite::Result<Vec<Item>> {
    let key: String = row.get(0)?;
    let version = Version(row.get::<_, i64>(2)?.cast_unsigned());
    let head = KeyHead { key: &key, version, since: row.get::<_, Option<i64>>(3)?.map(EventTime) };
    match row.get_ref(4)? {
        ValueRef::Blob(bytes) => head.unpack(bytes).map_err(|damaged| {
            let detail = format!("key `{key}`: the packed features are damaged: {damaged}");
            rusqlite::Error::FromSqlConversionFailure(4, Type::Blob, detail.into())
        }),
        _ => Ok(head.items_of(json(row, 4)?)),
    }
}

/// The counts of a row of format 2.
fn counts(row: &Row<'_>) -> rusqlite::Result<BTreeMap<DecayInterval, Count>> {
    let values: Vec<f64> = json(row, 5)?;
    let last_update = EventTime(row.get(6)?);
    let more: Vec<f64> = if row.get_ref(7)? == ValueRef::Null { Vec::new() } else { json(row, 7)? };
    let decays: Vec<DecayInterval> = json(row, 8)?;
    let is_error = row.get_ref(9)? == ValueRef::Text(b"error");
    // The last stands for all that follow it.
    let nth = |numbers: &[f64], index: usize| numbers.get(index).or(numbers.last()).copied();
    let count = |(index, decay_interval)| {
        let value = nth(&values, index).ok_or_else(|| not_as_written(5, "there is no value".into()))?;
        let more = nth(&more, index);
        let (squares, error) = if is_error { (None, more) } else { (more, None) };
        Ok((decay_interval, Count { decay_interval, last_update, value, squares, error }))
    };
    decays.into_iter().enumerate().map(count).collect()
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| not_as_written(column, error.into()))
}

fn not_as_written(column: usize, error: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error)
}
