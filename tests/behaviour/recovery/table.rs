//! The table of a run, looked at from outside.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde_json::Value;

use super::lines::Name;
use crate::dynamodb_fake::{FakeDynamoDb, Fault, State};

/// What an item shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown {
    pub version: u64,
    /// What it counts, where its feature is of those that hardly decay.
    pub count: Option<u64>,
}

/// Items by name.
pub type Items = BTreeMap<Name, Shown>;

/// Where a run publishes.
pub enum Table {
    Sqlite(PathBuf),
    DynamoDb(Box<FakeDynamoDb>),
    /// The same, every write of it with a condition.
    Fenced(Box<FakeDynamoDb>),
}

/// The keys that are looked at while a run goes on.
pub const WATCHED: [&str; 12] = ["u0", "u1", "u2", "u3", "u5", "u7", "u11", "u13", "u17", "u19", "p0", "p7"];

impl Table {
    pub fn dynamodb(fence: bool) -> Table {
        let fake = Box::new(FakeDynamoDb::start(|_| Fault::None));
        if fence { Table::Fenced(fake) } else { Table::DynamoDb(fake) }
    }

    /// The service behind it.
    pub fn fake(&self) -> Option<&FakeDynamoDb> {
        match self {
            Table::Sqlite(_) => None,
            Table::DynamoDb(fake) | Table::Fenced(fake) => Some(fake),
        }
    }

    /// As `--sink` and `--from` name it.
    pub fn name(&self) -> &'static str {
        match self {
            Table::Sqlite(_) => "sqlite:items.db",
            Table::DynamoDb(_) | Table::Fenced(_) => "dynamodb",
        }
    }

    /// What a pipeline file says of it.
    pub fn section(&self) -> String {
        match self {
            Table::Sqlite(_) => String::new(),
            Table::DynamoDb(fake) | Table::Fenced(fake) => {
                let fence = matches!(self, Table::Fenced(_));
                let endpoint = fake.endpoint();
                format!(
                    "[dynamodb]\ntable = \"Fake\"\nendpoint = \"{endpoint}\"\nsettle = \"200ms\"\n\
                     request_timeout = \"1s\"\nfence = {fence}\n"
                )
            }
        }
    }

    /// All of it.
    pub fn items(&self) -> Items {
        match self {
            Table::Sqlite(path) => {
                let reads = OpenFlags::SQLITE_OPEN_READ_ONLY;
                let items = read_sqlite(path, &[], reads).or_else(|error| match error.sqlite_error_code() {
                    // A run was killed while its file was not in WAL mode: a journal lies beside it, which whoever may write
                    // rolls back at first.
                    Some(ErrorCode::ReadOnly) => read_sqlite(path, &[], OpenFlags::SQLITE_OPEN_READ_WRITE),
                    _ => Err(error),
                });
                items.expect("a table that nobody writes can be read")
            }
            Table::DynamoDb(fake) | Table::Fenced(fake) => {
                fake.state().items().into_iter().map(shown_of_dynamodb).collect()
            }
        }
    }

    /// What some keys show just now; `None`: it cannot be read just now.
    pub fn glance(&self) -> Option<Items> {
        match self {
            Table::Sqlite(path) => read_sqlite(path, &WATCHED, OpenFlags::SQLITE_OPEN_READ_ONLY).ok(),
            Table::DynamoDb(fake) | Table::Fenced(fake) => Some(glance_at_dynamodb(&fake.state())),
        }
    }

    /// What it has seen itself.
    pub fn assert_fair(&self) {
        if let Some(fake) = self.fake() {
            let state = fake.state();
            assert_eq!((state.went_back(), &state.violations[..]), (&[][..], &[][..]));
        }
    }
}

/// The items of these keys, or all. Waits for nobody for long.
fn read_sqlite(path: &PathBuf, keys: &[&str], flags: OpenFlags) -> rusqlite::Result<Items> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_millis(100))?;
    let keys: Vec<String> = keys.iter().map(|key| format!("'{key}'")).collect();
    let wanted = if keys.is_empty() { String::new() } else { format!("WHERE key IN ({})", keys.join(",")) };
    let mut rows = connection.prepare(&format!("SELECT key, featureName, version, counts FROM items {wanted}"))?;
    let rows = rows.query_map([], |row| {
        let (key, feature, counts): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(3)?);
        let counts: Value = serde_json::from_str(&counts).expect("counts are JSON");
        let version = row.get::<_, i64>(2)?.unsigned_abs();
        Ok(shown(key, feature, version, &counts))
    })?;
    rows.collect()
}

/// An item with these counts, by decay.
pub fn shown(key: String, feature: String, version: u64, counts: &Value) -> (Name, Shown) {
    let count = counts.as_object().and_then(|counts| counts.values().next()?["value"].as_f64());
    let count = count_of(&feature, count);
    ((key, feature), Shown { version, count })
}

fn glance_at_dynamodb(state: &State) -> Items {
    let features = ["user.view", "user.like", "user.share", "post.count", "post.uniques_userId"];
    let names = WATCHED.iter().flat_map(|key| features.map(|feature| ((*key).to_owned(), feature.to_owned())));
    names.filter_map(|name| Some(shown_of_dynamodb((name.clone(), state.item(&name)?)))).collect()
}

fn shown_of_dynamodb((name, item): (Name, Value)) -> (Name, Shown) {
    let version = item["version"]["N"].as_str().and_then(|version| version.parse().ok()).expect("a version");
    let counts = item["counts"]["M"].as_object().expect("counts");
    let value = counts.values().next().and_then(|count| count["M"]["value"]["N"].as_str()?.parse().ok());
    let count = count_of(&name.1, value);
    (name, Shown { version, count })
}

/// What hardly decays is nearly a whole number.
fn count_of(feature: &str, value: Option<f64>) -> Option<u64> {
    let value = value.filter(|_| feature.starts_with("user."))?;
    assert!((value - value.round()).abs() < 1e-3, "{feature}: {value} is no count");
    Some(value.round() as u64)
}
