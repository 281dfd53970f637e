//! The tables and the view of a file, and what stands in a file that SQLite can open.
//!
//! Format 2, of today: `states` has one narrow row per item, in the order of (key, feature); `features` has once what all
//! rows of a feature share. The view `items` puts the published item together from both. Format 1 had all of that in each
//! row of a table `items`, of the same columns as the view has.
//!
//! Format 3 is that of the layout `key`: `keys` has one row per key with all its features, as `meta` says in `encoding`: packed,
//! or as a map, of which the view `items` makes items. (A number of its own: programs that do not know it say so.)

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension as _};

use crate::pipeline::{Encoding, Layout};

/// "cntr": marks a database of ours.
pub(super) const APPLICATION_ID: i32 = 0x636e_7472;
/// The format of the tables below that have a row per item.
const FORMAT_2: i32 = 2;
/// The format of those that have a row per key.
const FORMAT_3: i32 = 3;
/// The newest.
pub(super) const NEWEST_FORMAT: i32 = FORMAT_3;
/// The format with a table `items`: it is read, not written.
const FORMAT_1: i32 = 1;
/// Larger than SQLite's own: where rows have no rowid, one of more than a quarter of a page lies beside the tree, in
/// pages of its own.
pub(super) const PAGE_BYTES: i64 = 16 * 1024;
/// Rows of one INSERT.
pub(super) const ROWS_AT_ONCE: usize = 50;
/// What a row of `states` has.
pub(super) const COLUMNS: usize = 7;

/// `counts` holds the values in the order of the feature's `decays`, `more` what the feature's `more` names, likewise;
/// a last number stands for all that follow it.
const CREATE_TABLES: &str = "
    CREATE TABLE states (
        key TEXT NOT NULL,
        feature INTEGER NOT NULL,
        version INTEGER NOT NULL,
        lastUpdate INTEGER NOT NULL,
        since INTEGER,
        counts TEXT NOT NULL,
        more TEXT,
        PRIMARY KEY (key, feature)
    ) WITHOUT ROWID;
    CREATE TABLE features (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        decays TEXT NOT NULL,
        ttl INTEGER,
        unitsPerSecond INTEGER NOT NULL,
        more TEXT
    );";

/// `features` is a text (a map) or a blob (packed). Rows of many features are longer than a page takes without a rowid.
const CREATE_KEYS: &str = "
    CREATE TABLE keys (
        key TEXT NOT NULL,
        keyFields TEXT NOT NULL,
        version INTEGER NOT NULL,
        expiresAt INTEGER,
        since INTEGER,
        features NOT NULL,
        PRIMARY KEY (key, keyFields)
    ) WITHOUT ROWID;";

const CREATE_META: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;";

/// The items of maps, in the columns that items have in format 2. Number texts are passed on as they stand, as there.
const CREATE_VIEW_OF_KEYS: &str = r#"
    CREATE VIEW items AS SELECT
        k.key AS key,
        f.key AS featureName,
        (SELECT '{' || group_concat(
            '"' || v.key || '":{"decayInterval":' || v.key || ',"lastUpdate":' || (f.value -> '$.lastUpdate')
            || ',"value":' || (f.value -> '$.values' -> v.key)
            || coalesce(',"squares":' || (f.value -> '$.squares' -> v.key), '')
            || coalesce(',"error":' || (f.value -> '$.errors' -> v.key), '')
            || '}', ',') || '}'
            FROM json_each(f.value, '$.values') AS v) AS counts,
        k.version AS version,
        f.value ->> '$.expiresAt' AS expiresAt,
        k.since AS since
    FROM keys AS k CROSS JOIN json_each(k.features) AS f;"#;

/// `expiresAt` of a row `s` of a feature `f`: the second in which its ttl ends, rounded up as it lives that out in full.
/// A sum that does not fit would become a fraction here: such a row never expires.
pub(super) const EXPIRES_AT: &str = "CASE WHEN s.lastUpdate <= 9223372036854775807 - f.ttl THEN
            (s.lastUpdate + f.ttl) / f.unitsPerSecond + ((s.lastUpdate + f.ttl) % f.unitsPerSecond > 0) END";

/// The number texts are passed on as they stand (`->`): as REAL values they would be written anew, by some versions of SQLite
/// not exactly. No joins, but look-ups: SQLite puts together all rows of a view that joins, before it joins it to anything
/// on its left.
static CREATE_VIEW: LazyLock<String> = LazyLock::new(|| {
    format!(
        r#"
    CREATE VIEW items AS SELECT
        s.key AS key,
        (SELECT f.name FROM features AS f WHERE f.id = s.feature) AS featureName,
        (SELECT '{{' || group_concat(
            '"' || d.value || '":{{"decayInterval":' || d.value || ',"lastUpdate":' || s.lastUpdate
            || ',"value":' || coalesce(s.counts -> d.key, s.counts -> '$[#-1]')
            || CASE WHEN s.more IS NULL THEN '' ELSE
                ',"' || f.more || '":' || coalesce(s.more -> d.key, s.more -> '$[#-1]') END
            || '}}', ',') || '}}'
            FROM features AS f CROSS JOIN json_each(f.decays) AS d WHERE f.id = s.feature) AS counts,
        s.version AS version,
        (SELECT {EXPIRES_AT}
            FROM features AS f WHERE f.id = s.feature) AS expiresAt,
        s.since AS since
    FROM states AS s;"#
    )
});

/// Puts this many rows into `states`. An older version never replaces a newer one.
pub(super) fn upsert(rows: usize) -> String {
    let row = format!("({})", ["?"; COLUMNS].join(","));
    let rows = vec![row; rows].join(",");
    format!(
        "INSERT INTO states (key, feature, version, lastUpdate, since, counts, more) VALUES {rows}
        ON CONFLICT (key, feature) DO UPDATE SET
            version = excluded.version, lastUpdate = excluded.lastUpdate, since = excluded.since,
            counts = excluded.counts, more = excluded.more
        WHERE excluded.version >= states.version"
    )
}

/// Puts one row into `keys`. An older version never replaces a newer one.
pub(super) const UPSERT_KEY: &str = "
    INSERT INTO keys (key, keyFields, version, expiresAt, since, features) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (key, keyFields) DO UPDATE SET
        version = excluded.version, expiresAt = excluded.expiresAt, since = excluded.since, features = excluded.features
    WHERE excluded.version >= keys.version";

pub(super) const PUT_FEATURE: &str = "
    INSERT OR REPLACE INTO features (id, name, decays, ttl, unitsPerSecond, more) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

pub(super) const SELECT_FEATURES: &str = "SELECT id, name, decays, ttl, unitsPerSecond, more FROM features";

/// The newest version that was published: by it one sees later which state of the run a copy of the file has.
pub(super) const PUT_NEWEST: &str = "
    INSERT INTO meta VALUES ('newestVersion', ?1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE CAST(excluded.value AS INTEGER) > CAST(meta.value AS INTEGER)";

/// A format of which this program knows the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A table `items`.
    One,
    /// `states`, `features`, and a view `items`.
    Two,
    /// `keys`, and of maps a view `items`.
    Three(Encoding),
}

impl Format {
    /// That of a file which is written in this layout.
    fn of(layout: Layout) -> Format {
        match layout {
            Layout::Feature => Format::Two,
            Layout::Key(encoding) => Format::Three(encoding),
        }
    }

    /// The layout of what is in it.
    pub fn layout(self) -> Layout {
        match self {
            Format::One | Format::Two => Layout::Feature,
            Format::Three(encoding) => Layout::Key(encoding),
        }
    }

    fn number(self) -> i32 {
        match self {
            Format::One => FORMAT_1,
            Format::Two => FORMAT_2,
            Format::Three(_) => FORMAT_3,
        }
    }
}

/// What is in a file that SQLite can open.
pub(super) enum Contents {
    Nothing,
    NoItems(Format),
    Items(Format),
    NewerFormat(i32),
    SomethingElse,
}

pub(super) fn contents(connection: &Connection) -> rusqlite::Result<Contents> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let application_id = pragma("application_id")?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application_id != APPLICATION_ID {
        return Ok(if application_id == 0 && tables == 0 { Contents::Nothing } else { Contents::SomethingElse });
    }
    let (format, table) = match pragma("user_version")? {
        FORMAT_1 => (Format::One, "items"),
        FORMAT_2 => (Format::Two, "states"),
        FORMAT_3 => (Format::Three(encoding(connection)?), "keys"),
        format => return Ok(Contents::NewerFormat(format)),
    };
    let filled = format!("SELECT EXISTS (SELECT 1 FROM {table})");
    let filled = connection.query_row(&filled, [], |row| row.get(0))?;
    Ok(if filled { Contents::Items(format) } else { Contents::NoItems(format) })
}

fn encoding(connection: &Connection) -> rusqlite::Result<Encoding> {
    let name = meta(connection, "encoding")?;
    let is_map = name.as_deref() == Layout::Key(Encoding::Map).encoding_name();
    Ok(if is_map { Encoding::Map } else { Encoding::Packed })
}

/// Empty tables of this layout in the place of those of any format.
pub(super) fn create(connection: &Connection, layout: Layout) -> rusqlite::Result<()> {
    // `items` may be the one or the other, and SQLite drops only what is called by its kind.
    let sql = "SELECT type FROM sqlite_schema WHERE name = 'items' AND type IN ('table', 'view')";
    let kind: Option<String> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    if let Some(kind) = kind {
        connection.execute_batch(&format!("DROP {kind} items"))?;
    }
    for table in ["states", "features", "keys", "meta"] {
        connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
    }
    connection.execute_batch(CREATE_META)?;
    match layout {
        Layout::Feature => {
            connection.execute_batch(CREATE_TABLES)?;
            connection.execute_batch(&CREATE_VIEW)?;
        }
        Layout::Key(encoding) => {
            connection.execute_batch(CREATE_KEYS)?;
            if encoding == Encoding::Map {
                connection.execute_batch(CREATE_VIEW_OF_KEYS)?;
            }
            let sql = "INSERT INTO meta VALUES ('layout', ?1), ('encoding', ?2)";
            connection.execute(sql, [Some(layout.name()), layout.encoding_name()])?;
        }
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", Format::of(layout).number())
}

/// The name of the pipeline whose items these are.
pub(super) fn filled_by(connection: &Connection) -> rusqlite::Result<Option<String>> {
    meta(connection, "pipeline")
}

/// What `meta` says of this name.
pub(super) fn meta(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()
}

/// Whether these are the items of this run.
pub(super) fn is_filled_by(connection: &Connection, run_id: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM meta WHERE name = 'run' AND value = ?1)";
    connection.prepare_cached(sql)?.query_row([run_id], |row| row.get(0))
}
