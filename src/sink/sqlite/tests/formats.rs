//! Files of the formats before and after this program's, and files that somebody has changed.

use super::*;
use crate::sink::fixtures::LAST_UPDATE;

/// A file as runs left it that wrote format 1, with these rows.
fn file_of_format_1(path: &Path, rows: &[Row]) {
    let database = Connection::open(path).unwrap();
    let sql = "CREATE TABLE items (
            key TEXT NOT NULL, featureName TEXT NOT NULL, counts TEXT NOT NULL, version INTEGER NOT NULL, expiresAt INTEGER,
            since INTEGER, PRIMARY KEY (key, featureName)
        ) WITHOUT ROWID;
        CREATE TABLE meta (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
        INSERT INTO meta VALUES ('pipeline', 'user_counters'), ('run', 'an old run'), ('generation', '77');
        PRAGMA application_id = 0x636e7472;
        PRAGMA user_version = 1;";
    database.execute_batch(sql).unwrap();
    let (pipeline, batch) = (pipeline(), batch(rows));
    for item in batch.items(&pipeline) {
        let counts = serde_json::to_string(&item.to_item().counts).unwrap();
        let version = item.version.0.cast_signed();
        let row = (item.key_text(), item.feature_name, counts, version, item.expires_at, item.since.map(|time| time.0));
        database.execute("INSERT INTO items VALUES (?1, ?2, ?3, ?4, ?5, ?6)", row).unwrap();
    }
}

fn rows() -> [Row; 3] {
    [Row::new("b", "view").value(0.1), Row::new("a", "view").since(LAST_UPDATE.0), Row::new("a", "like").version(9)]
}

fn pragma(path: &Path, name: &str) -> i64 {
    Connection::open(path).unwrap().pragma_query_value(None, name, |row| row.get(0)).unwrap()
}

#[test]
fn a_file_of_the_older_format_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    file_of_format_1(&path, &rows());
    let (pipeline, batch) = (pipeline(), batch(&rows()));
    let mut expected: Vec<_> = batch.items(&pipeline).map(|item| item.to_item()).collect();
    expected.sort_by(|a, b| (&a.key, &a.feature_name).cmp(&(&b.key, &b.feature_name)));
    assert_eq!(all(&path), expected);
    let mut reader = SqliteReader::open(&path, None).unwrap();
    assert_eq!(reader.get("a", None).unwrap(), expected[..2]);
    assert_eq!(reader.get("a", Some("view")).unwrap(), expected[1..2]);
    assert_eq!(reader.get("c", None).unwrap(), []);
    assert_eq!(reader.record().unwrap(), None);
}

#[test]
fn a_file_of_the_older_format_is_written_to_only_when_it_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    file_of_format_1(&path, &rows());
    let before = std::fs::read(&path).unwrap();
    for error in [open(&path, false).unwrap_err(), SqliteSink::look(&path, &pipeline(), &replacing(false)).unwrap_err()]
    {
        let error = error.to_string();
        let told = ["items.db", "older format", "--replace", "--sink"];
        assert!(told.iter().all(|told| error.contains(told)), "{error}");
    }
    let feed = Pipeline { name: "feed".to_owned(), ..pipeline() };
    let error = SqliteSink::look(&path, &feed, &replacing(false)).unwrap_err().to_string();
    assert!(error.contains("another pipeline, user_counters"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);

    SqliteSink::look(&path, &pipeline(), &replacing(true)).unwrap();
    let mut sink = open(&path, true).unwrap();
    assert_eq!(sink.generation(), Some(Generation(78)));
    sink.write_all(&[one_item()]).unwrap();
    Box::new(sink).close().unwrap();
    assert_eq!(all(&path).len(), 1);
    assert_eq!((pragma(&path, "user_version"), pragma(&path, "page_size")), (2, 16_384));
}

#[test]
fn an_empty_file_of_the_older_format_is_filled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    file_of_format_1(&path, &[]);
    open(&path, false).unwrap().write_all(&[one_item()]).unwrap();
    assert_eq!(all(&path).len(), 1);
    assert_eq!(pragma(&path, "user_version"), 2);
}

#[test]
fn a_reader_of_the_older_format_lives_through_its_replacement() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    file_of_format_1(&path, &rows());
    // As a killed run leaves it: then readers need not go for a run to begin.
    Connection::open(&path).unwrap().pragma_update(None, "journal_mode", "WAL").unwrap();
    let mut reader = SqliteReader::open(&path, None).unwrap();
    let mut other = Connection::open(&path).unwrap();
    let reading = other.transaction().unwrap();
    let count = |connection: &Connection| -> i64 {
        connection.query_row("SELECT count(*) FROM items", [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count(&reading), reader.get("a", None).unwrap().len()), (3, 2));
    let mut sink = open(&path, true).unwrap();
    sink.write_all(&[one_item()]).unwrap();
    assert_eq!((count(&reading), reader.get("a", None).unwrap().len()), (3, 1));
    reading.commit().unwrap();
    assert_eq!(count(&other), 1);
    drop((other, reader));
    Box::new(sink).close().unwrap();
    assert_eq!(all(&path).len(), 1);
}

#[test]
fn a_file_of_a_newer_format_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    Box::new(open(&path, false).unwrap()).close().unwrap();
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 4).unwrap();
    let before = std::fs::read(&path).unwrap();
    for replace in [false, true] {
        let error = open(&path, replace).unwrap_err().to_string();
        assert!(error.contains("format 4") && error.contains("up to 3"), "{error}");
    }
    assert!(SqliteReader::open(&path, None).unwrap_err().to_string().contains("format 4"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_has_lost_its_tables_can_be_replaced() {
    for table in ["states", "features", "meta"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.db");
        let mut sink = open(&path, false).unwrap();
        sink.write_all(&[one_item()]).unwrap();
        Connection::open(&path).unwrap().execute_batch(&format!("DROP TABLE {table}")).unwrap();
        // The second one has a new feature.
        let error = sink.write_all(&[batch(&[Row::new("a", "a new one")])]).unwrap_err();
        assert!(error.to_string().contains("lost its tables"), "{table}: {error}");
        assert_eq!(error.kind(), SinkErrorKind::Gone);
        drop(sink);
        assert!(open(&path, false).is_err(), "{table}");
        open(&path, true).unwrap().write_all(&[one_item()]).unwrap();
        assert_eq!(all(&path).len(), 1);
    }
}
