//! Reads items back, also while a run is writing them.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::types::Type;
use rusqlite::{Connection, OpenFlags, Row, params};

use super::error::sink_error;
use super::{Contents, connect, contents, filled_by, newer_format};
use crate::counter::EventTime;
use crate::epoch::Version;
use crate::sink::files::open_to_read;
use crate::sink::{Item, ItemReader, SinkError};

const COLUMNS: &str = "SELECT key, featureName, counts, version, expiresAt, since FROM items";

/// Reads items from the table. Writes nothing, not even an empty file.
#[derive(Debug)]
pub(in crate::sink) struct SqliteReader {
    connection: Connection,
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
            Contents::Items | Contents::NoItems => {
                let other = filled_by(&connection).map_err(|error| sink_error(path, error))?;
                if let (Some(pipeline), Some(other)) = (pipeline, other)
                    && pipeline != other
                {
                    tracing::warn!("{} holds the items of the pipeline {other}, not of {pipeline}", path.display());
                }
                Ok(SqliteReader { connection, path: path.to_owned() })
            }
            Contents::NewerFormat(format) => Err(newer_format(path, format)),
            Contents::Nothing | Contents::SomethingElse => {
                Err(SinkError::new(format!("{} is a database, but holds no table of items", path.display())))
            }
        }
    }
}

impl ItemReader for SqliteReader {
    fn get(&mut self, key: &str, feature_name: Option<&str>) -> Result<Vec<Item>, SinkError> {
        let sql = format!("{COLUMNS} WHERE key = ?1 AND (?2 IS NULL OR featureName = ?2) ORDER BY featureName");
        let items = || -> rusqlite::Result<Vec<Item>> {
            self.connection.prepare(&sql)?.query_map(params![key, feature_name], item)?.collect()
        };
        items().map_err(|error| sink_error(&self.path, error))
    }

    fn each(&mut self, visit: &mut dyn FnMut(Item) -> io::Result<()>) -> Result<(), SinkError> {
        let failed = |error| sink_error(&self.path, error);
        // The order is that of the primary key, whose collation compares bytes.
        let mut statement = self.connection.prepare(&format!("{COLUMNS} ORDER BY key, featureName")).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let item = item(row).map_err(failed)?;
            visit(item).map_err(|error| SinkError::stdout("cannot write items to stdout", error))?;
        }
        Ok(())
    }
}

fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let counts = serde_json::from_str(row.get_ref("counts")?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(2, Type::Text, Box::new(error)))?;
    Ok(Item {
        key: row.get("key")?,
        feature_name: row.get("featureName")?,
        counts,
        version: Version(row.get::<_, i64>("version")?.cast_unsigned()),
        expires_at: row.get("expiresAt")?,
        since: row.get::<_, Option<i64>>("since")?.map(EventTime),
    })
}
