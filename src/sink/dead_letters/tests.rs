//! What stands in the file, whatever happens to it under a run.

use super::*;
use crate::event::{Reason, TimeFault};

fn in_log(reason: Reason, bytes: &[u8]) -> DeadLetterBatch {
    let mut batch = DeadLetterBatch::new("events.jsonl");
    batch.push(reason, Position::Line(80), bytes);
    batch
}

fn written(batches: &[DeadLetterBatch]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/dead_letters.jsonl");
    DeadLetterFile::new(&path, None, Arc::default()).write(batches).unwrap();
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_line_holds_reason_place_and_text_or_base64() {
    let mut kafka = DeadLetterBatch::new("events");
    kafka.push(Reason::InvalidUtf8, Position::Message(3, 7), b"\xff{}");
    let mut log = in_log(Reason::BadTime(TimeFault::Missing), br#"{"a":1}"#);
    log.push_beginning(Reason::TooLong, Position::Line(88), "ab\u{fc}".as_bytes(), 2_000_000);
    log.push_beginning(Reason::TooLong, Position::Line(2_000_089), &"ab\u{fc}".as_bytes()[..3], 2_000_000);
    let expected = concat!(
        r#"{"reason":"bad_time","file":"events.jsonl","offset":80,"detail":"no such field, or null","text":"{\"a\":1}"}"#,
        "\n",
        r#"{"reason":"too_long","file":"events.jsonl","offset":88,"text":"abü","length":2000000}"#,
        "\n",
        r#"{"reason":"too_long","file":"events.jsonl","offset":2000089,"text":"ab","length":2000000}"#,
        "\n",
        r#"{"reason":"invalid_utf8","topic":"events","partition":3,"offset":7,"base64":"/3t9"}"#,
        "\n",
    );
    assert_eq!(written(&[log, kafka]), expected);
}

#[test]
fn they_are_appended_and_counted_and_a_cut_line_stays_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead_letters.jsonl");
    fs::write(&path, "{\"reas").unwrap();
    let metrics = Arc::new(Metrics::default());
    for _ in 0..2 {
        let mut file = DeadLetterFile::new(&path, None, Arc::clone(&metrics));
        file.try_out().unwrap();
        file.write(&[in_log(Reason::BadKey, b"x"), in_log(Reason::BadName, b"y")]).unwrap();
        file.write(&[in_log(Reason::BadKey, b"x")]).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 7);
    assert_eq!(metrics.dead_letters(Reason::BadKey).get(), 4);
    assert_eq!(metrics.all_dead_letters(), 6);
}

#[test]
fn an_item_that_is_refused_has_a_line_of_its_own_and_counts_with_the_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    let mut events = DeadLetterFile::new(&path, Some(1), Arc::default());
    let mut items = events.another();
    let item = RefusedItem {
        table: "table T in eu-west-1".to_owned(),
        key: "7".to_owned(),
        feature_name: "like".to_owned(),
        detail: "ValidationException: no".to_owned(),
        item: serde_json::json!({"key": "7"}),
    };
    items.keep_refused(&item).unwrap();
    let line = concat!(
        r#"{"reason":"refused_item","table":"table T in eu-west-1","key":"7","featureName":"like","#,
        r#""detail":"ValidationException: no","item":{"key":"7"}}"#,
        "\n"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), line);
    // The file is recognised, and one more is too many, whoever has it.
    let error = events.write(&[in_log(Reason::BadKey, b"x")]).unwrap_err();
    assert_eq!(error.kind(), SinkErrorKind::TooManyDeadLetters);
    assert!(error.to_string().starts_with("2 events"), "{error}");
}

#[test]
fn no_dead_letters_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead_letters.jsonl");
    DeadLetterFile::new(&path, Some(0), Arc::default()).write(&[]).unwrap();
    assert!(!path.exists());
}

#[test]
fn trying_out_leaves_nothing_behind_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/dead_letters.jsonl");
    let mut file = DeadLetterFile::new(&path, None, Arc::default());
    file.try_out().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    file.write(&[in_log(Reason::BadKey, b"x")]).unwrap();
    let before = fs::read(&path).unwrap();
    DeadLetterFile::new(&path, None, Arc::default()).try_out().unwrap();
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_place_where_they_cannot_be_kept_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "{\"eventName\":\"like\"}\n").unwrap();
    for path in [folder.path().to_owned(), file.join("dead_letters.jsonl"), file.clone()] {
        let error = DeadLetterFile::new(&path, None, Arc::default()).try_out().unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()) && error.contains("--dead-letters"), "{error}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "{\"eventName\":\"like\"}\n");
    let mut letters = DeadLetterFile::new(&file, None, Arc::default());
    letters.write(&[in_log(Reason::BadKey, b"x")]).unwrap_err();
    assert_eq!(fs::read_to_string(&file).unwrap(), "{\"eventName\":\"like\"}\n");
}

#[test]
fn a_file_that_is_moved_away_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead_letters.jsonl");
    let mut file = DeadLetterFile::new(&path, None, Arc::default());
    for _ in 0..2 {
        file.write(&[in_log(Reason::BadKey, b"x")]).unwrap();
        fs::rename(&path, folder.path().join("old.jsonl")).unwrap();
    }
    file.write(&[in_log(Reason::BadKey, b"x"), in_log(Reason::BadKey, b"x")]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_whose_reader_leaves_is_a_failure() {
    use std::os::fd::AsRawFd as _;
    let (reader, writer) = io::pipe().unwrap();
    let mut file =
        DeadLetterFile::new(format!("/proc/self/fd/{}", writer.as_raw_fd()), None, Arc::<Metrics>::default());
    file.try_out().unwrap();
    file.write(&[in_log(Reason::BadKey, b"x")]).unwrap();
    drop(reader);
    let error = file.write(&[in_log(Reason::BadKey, b"x")]).unwrap_err();
    assert_eq!(error.kind(), SinkErrorKind::DeadLetters);
    assert!(error.to_string().contains("whoever read it has gone"), "{error}");
}

#[test]
fn more_than_may_be_are_written_and_then_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead_letters.jsonl");
    let mut file = DeadLetterFile::new(&path, Some(2), Arc::default());
    file.write(&[in_log(Reason::BadKey, b"x"), in_log(Reason::BadKey, b"y")]).unwrap();
    let error = file.write(&[in_log(Reason::BadTime(TimeFault::NoNumber), b"z")]).unwrap_err().to_string();
    assert!(error.contains("3 events") && error.contains("bad_time (no number) at events.jsonl, offset 80"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
}

#[test]
fn what_waits_is_written_at_once_and_judged_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead_letters.jsonl");
    let mut file = DeadLetterFile::new(&path, Some(2), Arc::default());
    let batches: Vec<_> = (0..10).map(|_| in_log(Reason::BadKey, &vec![b'x'; WRITTEN_AT_ONCE_BYTES / 3])).collect();
    let error = file.write(&batches).unwrap_err().to_string();
    assert!(error.contains("10 events"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 10);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_not_counted() {
    let metrics = Arc::new(Metrics::default());
    let mut file = DeadLetterFile::new("/dev/full", None, Arc::clone(&metrics));
    let error = file.write(&[in_log(Reason::BadKey, b"x")]).unwrap_err().to_string();
    assert!(error.contains("/dev/full") && error.contains("disk is full"), "{error}");
    assert_eq!(metrics.all_dead_letters(), 0);
}
