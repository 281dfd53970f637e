//! What the table promises, to writers and to readers.

use std::time::Duration;

use super::*;
use crate::counter::EventTime;
use crate::pipeline::TimeShift;
use crate::sink::fixtures::{Row, WriteAll as _, batch, pipeline};
use crate::sink::{ArrivalSource, Item, ItemReader, Part, RunRecord, SinkErrorKind};

mod formats;
mod going_on;
mod keys;
mod shape;

fn open_as(path: &Path, replace: bool, run_id: &str) -> Result<SqliteSink, SinkError> {
    SqliteSink::open(
        path,
        Arc::new(pipeline()),
        &SinkOptions { replace, run_id: run_id.to_owned(), ..SinkOptions::default() },
    )
}

fn replacing(replace: bool) -> SinkOptions {
    SinkOptions { replace, ..SinkOptions::default() }
}

fn open(path: &Path, replace: bool) -> Result<SqliteSink, SinkError> {
    open_as(path, replace, "a run")
}

fn all(path: &Path) -> Vec<Item> {
    let mut items = Vec::new();
    let visit = &mut |item| {
        items.push(item);
        Ok(())
    };
    SqliteReader::open(path, None).unwrap().each(visit).unwrap();
    items
}

fn one_item() -> ItemBatch {
    batch(&[Row::new("a", "like")])
}

#[test]
fn items_read_back_as_they_were_written_while_the_run_is_writing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut sink = open(&path, false).unwrap();
    let mut reader = SqliteReader::open(&path, None).unwrap();
    let first = batch(&[Row::new("b", "view"), Row::new("ü\0|", "like"), Row::new("B", "like").value(0.1).since(3)]);
    assert_eq!(sink.write_all(std::slice::from_ref(&first)).unwrap(), 3);
    let pipeline = pipeline();
    let mut expected: Vec<_> = first.items(&pipeline).map(|item| item.to_item()).collect();
    expected.sort_by(|a, b| (&a.key, &a.feature_name).cmp(&(&b.key, &b.feature_name)));
    assert_eq!(all(&path), expected);

    let second = batch(&[Row::new("b", "like").version(2).value(9.0), Row::new("b", "like").version(1)]);
    sink.write_all(&[second]).unwrap();
    let items = reader.get("b", None).unwrap();
    let names: Vec<_> = items.iter().map(|item| (item.feature_name.as_str(), item.version.0)).collect();
    assert_eq!(names, [("like", 2), ("view", 1)]);
    assert_eq!(reader.get("b", Some("view")).unwrap().len(), 1);
    assert_eq!(reader.get("b", Some("click")).unwrap(), []);
}

#[test]
fn counts_are_shown_in_the_published_shape() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    open_as(&path, false, "run 7").unwrap().write_all(&[one_item()]).unwrap();
    let database = Connection::open(&path).unwrap();
    let counts: String = database.query_row("SELECT counts FROM items", [], |row| row.get(0)).unwrap();
    assert!(counts.starts_with(r#"{"5":{"decayInterval":5,"lastUpdate":1707605599,"value":1.0},"10":"#), "{counts}");
    let rows = "SELECT group_concat(name || '=' || value, ',') FROM (SELECT * FROM meta ORDER BY name)";
    let meta: String = database.query_row(rows, [], |row| row.get(0)).unwrap();
    assert_eq!(meta, "generation=1,newestVersion=1,pipeline=user_counters,run=run 7");
}

#[test]
fn what_a_run_judged_by_is_kept_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let record_of = |path: &Path| SqliteReader::open(path, None).unwrap().record().unwrap();
    open(&path, false).unwrap();
    assert_eq!(record_of(&path), None, "as of a file of before there were records");
    let shift = Some(TimeShift { from: EventTime(5), to: EventTime(1_790_000_000) });
    for shift in [shift, None] {
        let record = RunRecord { run_start: EventTime(1_790_000_000), arrival: ArrivalSource::Files, shift };
        let options = SinkOptions { replace: true, record: Some(record), ..SinkOptions::default() };
        let mut sink = SqliteSink::open(&path, Arc::new(pipeline()), &options).unwrap();
        sink.write_all(&[one_item()]).unwrap();
        assert_eq!(record_of(&path), Some(record), "while the run is writing");
        Box::new(sink).close().unwrap();
        assert_eq!(record_of(&path), Some(record));
    }
}

#[test]
fn a_table_that_is_not_empty_is_refused_unless_it_is_to_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    open(&path, false).unwrap();
    open(&path, false).unwrap().write_all(&[one_item()]).unwrap();
    let error = open(&path, false).unwrap_err().to_string();
    assert!(error.contains("items.db") && error.contains("--replace") && error.contains("--sink"), "{error}");
    assert_eq!(all(&path).len(), 1);
    open(&path, true).unwrap();
    assert_eq!(all(&path), []);
}

#[test]
fn a_run_whose_table_another_run_has_replaced_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut first = open_as(&path, false, "first").unwrap();
    first.write_all(&[one_item()]).unwrap();
    // As on a file system without locks.
    first.file.unlock().unwrap();
    open_as(&path, true, "second").unwrap();
    let error = first.write_all(&[one_item()]).unwrap_err().to_string();
    assert!(error.contains("another run"), "{error}");
    assert_eq!(all(&path), []);
}

#[test]
fn a_table_that_another_run_is_writing_to_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut first = open_as(&path, false, "first").unwrap();
    for replace in [false, true] {
        let error = open_as(&path, replace, "second").unwrap_err().to_string();
        assert!(error.contains("another run is writing to it now") && !error.contains("--replace"), "{error}");
    }
    first.write_all(&[one_item()]).unwrap();
    assert_eq!(all(&path).len(), 1);
}

/// What stands beside the file, and whether the file is in WAL mode.
fn left(folder: &Path) -> (Vec<String>, bool) {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = files.filter(|name| name != "items.db").collect();
    files.sort();
    (files, std::fs::read(folder.join("items.db")).unwrap()[18] == 2)
}

/// The items in a copy of nothing but the file.
fn in_a_copy(path: &Path) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    std::fs::copy(path, &copy).unwrap();
    all(&copy).len()
}

#[test]
fn closing_leaves_one_file_with_everything_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut sink = open(&path, false).unwrap();
    sink.write_all(&[one_item()]).unwrap();
    Box::new(sink).close().unwrap();
    assert_eq!(left(folder.path()), (Vec::new(), false));
    assert_eq!(in_a_copy(&path), 1);
    // And the next run finds what it expects.
    Box::new(open(&path, true).unwrap()).close().unwrap();
    assert_eq!(all(&path).len(), 0);
}

#[test]
fn a_reader_that_has_the_file_open_does_not_keep_it_from_being_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut sink = open(&path, false).unwrap();
    let mut reader = SqliteReader::open(&path, None).unwrap();
    assert_eq!(reader.get("a", None).unwrap().len(), 0);
    sink.write_all(&[one_item()]).unwrap();
    Box::new(sink).close().unwrap();
    assert_eq!(in_a_copy(&path), 1);
    assert_eq!(std::fs::metadata(folder.path().join("items.db-wal")).unwrap().len(), 0);
    assert_eq!(reader.get("a", None).unwrap().len(), 1);
}

#[test]
fn a_reader_of_an_older_state_keeps_it_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut sink = open(&path, false).unwrap();
    let count = |connection: &Connection| -> i64 {
        connection.query_row("SELECT count(*) FROM items", [], |row| row.get(0)).unwrap()
    };
    let mut reader = Connection::open(&path).unwrap();
    let reading = reader.transaction().unwrap();
    assert_eq!(count(&reading), 0);
    sink.write_all(&[one_item()]).unwrap();
    Box::new(sink).close().unwrap();
    assert_eq!(count(&reading), 0);
    reading.commit().unwrap();
    assert_eq!(count(&reader), 1);
    assert_eq!(all(&path).len(), 1);
}

#[test]
fn a_file_that_is_moved_away_under_a_run_is_told_and_what_is_in_its_place_now_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut sink = open(&path, false).unwrap();
    sink.write_all(&[one_item()]).unwrap();
    for ending in ["", "-wal", "-shm"] {
        let name = format!("items.db{ending}");
        std::fs::rename(folder.path().join(&name), folder.path().join(format!("old {name}"))).unwrap();
        std::fs::write(folder.path().join(&name), "another's").unwrap();
    }
    for error in [sink.write_all(&[one_item()]).unwrap_err(), Box::new(sink).close().unwrap_err()] {
        assert!(error.to_string().contains("moved, replaced or deleted"), "{error}");
    }
    for ending in ["", "-wal", "-shm"] {
        assert_eq!(std::fs::read_to_string(folder.path().join(format!("items.db{ending}"))).unwrap(), "another's");
    }
}

#[test]
fn replacing_many_items_gives_their_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut sink = open(&path, false).unwrap();
    let many: Vec<_> = (0..40_000).map(|i| Row::new(&format!("key {i}"), "like")).collect();
    sink.write_all(&[batch(&many)]).unwrap();
    Box::new(sink).close().unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() > 1_000_000);
    let mut sink = open(&path, true).unwrap();
    sink.write_all(&[one_item()]).unwrap();
    Box::new(sink).close().unwrap();
    assert_eq!(all(&path).len(), 1);
    assert!(std::fs::metadata(&path).unwrap().len() < 100_000);
}

#[test]
fn the_items_of_another_pipeline_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    open(&path, false).unwrap().write_all(&[one_item()]).unwrap();
    let feed = Arc::new(Pipeline { name: "feed".to_owned(), ..pipeline() });
    let error = SqliteSink::open(&path, feed, &SinkOptions::default()).unwrap_err().to_string();
    assert!(error.contains("another pipeline, user_counters"), "{error}");
}

#[test]
fn a_file_of_something_else_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    let long_text = folder.path().join("long.txt");
    let other = folder.path().join("other.db");
    std::fs::write(&text, "dear diary").unwrap();
    std::fs::write(&long_text, "dear diary\n".repeat(5_000)).unwrap();
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE items (x); INSERT INTO items VALUES (1)").unwrap();
    for path in [&text, &long_text, &other] {
        let before = std::fs::read(path).unwrap();
        for replace in [false, true] {
            let error = open(path, replace).unwrap_err().to_string();
            assert!(error.contains("left as it is"), "{error}");
        }
        assert!(SqliteReader::open(path, None).is_err());
        assert_eq!(std::fs::read(path).unwrap(), before);
    }
}

#[test]
fn an_empty_file_is_filled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    std::fs::write(&path, "").unwrap();
    open(&path, false).unwrap().write_all(&[one_item()]).unwrap();
    assert_eq!(all(&path).len(), 1);
}

#[test]
fn a_missing_file_is_not_made_by_reading() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let error = SqliteReader::open(&path, None).unwrap_err();
    assert!(error.to_string().contains("items.db"));
    assert!(!path.exists());
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(&folder.path().join("missing/items.db"), false).unwrap_err().to_string();
    assert!(error.contains("its folder exists"), "{error}");
}

/// `max_page_count` is how SQLite itself can be told that there is no more room.
#[test]
fn a_full_disk_is_told_and_leaves_whole_transactions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut sink = open(&path, false).unwrap();
    sink.write_all(&[one_item()]).unwrap();
    sink.connection.pragma_update(None, "max_page_count", 8).unwrap();
    let many: Vec<_> = (0..5_000).map(|i| Row::new(&format!("key {i}"), "like")).collect();
    let error = sink.write_all(&[batch(&many)]).unwrap_err();
    assert!(error.to_string().contains("disk is full"), "{error}");
    assert_eq!(error.kind(), SinkErrorKind::DiskFull);
    assert_eq!(all(&path).len(), 1);
}

#[test]
fn what_meets_a_lock_of_another_process_is_not_written_and_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut sink = open(&path, false).unwrap();
    sink.connection.busy_timeout(Duration::ZERO).unwrap();
    let mut other = Connection::open(&path).unwrap();
    let lock = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    for _ in 0..2 {
        let mut answers = Vec::new();
        sink.write(&[one_item()], &mut |part: Part| answers.push((part.items, part.outcome))).unwrap();
        assert_eq!(answers, [(0..1, Outcome::NotWritten)]);
    }
    drop(lock);
    assert_eq!(sink.write_all(&[one_item()]).unwrap(), 1);
}

fn open_at(path: &Path, clock: u32) -> SqliteSink {
    let options = SinkOptions { replace: true, generation: Generation(clock), ..SinkOptions::default() };
    SqliteSink::open(path, Arc::new(pipeline()), &options).unwrap()
}

#[test]
fn every_run_has_a_larger_generation_than_the_one_before_whatever_the_clock_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let later = 1_790_000_000;
    let generations: Vec<_> =
        [later, later, 1_600_000_000, later + 60].map(|clock| open_at(&path, clock).generation()).into();
    assert_eq!(generations, [later, later + 1, later + 2, later + 60].map(|second| Some(Generation(second))));
    // A file of a run that recorded no generation.
    Connection::open(&path).unwrap().execute("DELETE FROM meta WHERE name = 'generation'", []).unwrap();
    assert_eq!(open_at(&path, later).generation(), Some(Generation(later)));
    Connection::open(&path)
        .unwrap()
        .execute("UPDATE meta SET value = ?1 WHERE name = 'generation'", [u32::MAX])
        .unwrap();
    let options = SinkOptions { replace: true, ..SinkOptions::default() };
    let error = SqliteSink::open(&path, Arc::new(pipeline()), &options).unwrap_err().to_string();
    assert!(error.contains("generation") && error.contains("--sink"), "{error}");
}

#[test]
fn the_file_says_which_version_was_published_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    let mut sink = open(&path, false).unwrap();
    sink.write_all(&[batch(&[Row::new("a", "like").version(9), Row::new("b", "like").version(8)])]).unwrap();
    sink.write_all(&[batch(&[Row::new("c", "like").version(11)])]).unwrap();
    let sql = "SELECT value FROM meta WHERE name = 'newestVersion'";
    let newest: String = Connection::open(&path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(newest, "11");
}
