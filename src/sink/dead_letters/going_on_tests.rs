//! No event has its letter twice, and none has lost it, whenever a run is killed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::event::Reason;

fn file_at(path: &Path) -> DeadLetterFile {
    DeadLetterFile::new(path, None, Arc::default())
}

/// Every fifth event is a long one, of a topic.
fn letter(event: u64) -> DeadLetterBatch {
    if event.is_multiple_of(5) {
        let mut batch = DeadLetterBatch::new("events");
        batch.push(Reason::BadKey, Position::Message(2, event.cast_signed()), &vec![b'"'; 50_000]);
        return batch;
    }
    let mut batch = DeadLetterBatch::new("a \"log\".jsonl");
    batch.push(Reason::BadKey, Position::Line(event), b"{}");
    batch
}

fn item(number: u64) -> RefusedItem {
    RefusedItem {
        table: "T".to_owned(),
        key: number.to_string(),
        feature_name: "like".to_owned(),
        detail: "no".to_owned(),
        item: serde_json::json!({"offset": number, "file": "a \"log\".jsonl"}),
    }
}

/// How many whole letters each event has; every line must be whole.
fn letters(path: &Path) -> BTreeMap<u64, u32> {
    let mut letters = BTreeMap::new();
    for line in fs::read_to_string(path).unwrap_or_default().lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a whole line");
        if let Some(offset) = line.get("offset") {
            *letters.entry(offset.as_u64().unwrap()).or_default() += 1;
        }
    }
    letters
}

fn append(path: &Path, bytes: &[u8]) {
    File::options().append(true).create(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many events more are read.
    Read(u64),
    Refuse,
    /// Its mark is of now, or was taken when the one before was.
    Checkpoint {
        marks_now: bool,
    },
    /// The run is killed with so much of the next letter written, and another goes on from the last checkpoint.
    Kill(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..6_u64).prop_map(Step::Read),
        1 => Just(Step::Refuse),
        2 => any::<bool>().prop_map(|marks_now| Step::Checkpoint { marks_now }),
        2 => prop_oneof![Just(0), Just(1), 0..100_usize, 0..70_000_usize].prop_map(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_event_has_its_letter_once_whenever_runs_are_killed(steps in prop::collection::vec(any_step(), 1..20)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead_letters.jsonl");
        let mut file = file_at(&path);
        // What the last checkpoint holds: where the file had come, and which event is next.
        let mut held: Option<(Option<LetterMark>, u64)> = None;
        let mut next = 0;
        for step in steps.into_iter().chain([Step::Kill(7), Step::Read(9)]) {
            match step {
                Step::Read(events) => {
                    let batches: Vec<_> = (next..next + events).map(letter).collect();
                    file.write(&batches).unwrap();
                    next += events;
                }
                Step::Refuse => file.another().keep_refused(&item(next)).unwrap(),
                Step::Checkpoint { marks_now: true } => held = Some((file.mark().unwrap(), next)),
                Step::Checkpoint { marks_now: false } => held = Some((held.and_then(|(mark, _)| mark), next)),
                Step::Kill(torn) => {
                    let mut line = Vec::new();
                    letter(next).iter().next().unwrap().append_line(&mut line).unwrap();
                    append(&path, &line[..torn.min(line.len() - 1)]);
                    let (mark, begins) = held.clone().unwrap_or_default();
                    file = file_at(&path);
                    let known = file.go_on(mark.as_ref()).unwrap();
                    prop_assert!(!known.is_another);
                    prop_assert!(known.letters as u64 >= next - begins, "all that will come again");
                    // As many as were read do come again before anything else happens.
                    let again: Vec<_> = (begins..next).map(letter).collect();
                    file.write(&again).unwrap();
                }
            }
        }
        prop_assert_eq!(letters(&path), (0..next).map(|event| (event, 1)).collect());
    }
}

/// A run that is killed again before it has come to where the first one was: its checkpoint must not say that all of the file is behind it.
#[test]
fn a_mark_does_not_pass_letters_that_have_not_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead_letters.jsonl");
    let mut first = file_at(&path);
    first.write(&[letter(1)]).unwrap();
    let begun = first.mark().unwrap();
    first.write(&[letter(2), letter(4)]).unwrap();
    let mut second = file_at(&path);
    let marker = second.marker();
    second.go_on(begun.as_ref()).unwrap();
    second.write(&[letter(2)]).unwrap();
    let mark = marker.mark().unwrap();
    assert_eq!(mark, begun);
    let mut third = file_at(&path);
    third.go_on(mark.as_ref()).unwrap();
    // Its checkpoint holds the event of the second letter, but not that of the last.
    third.write(&[letter(4)]).unwrap();
    assert_eq!(letters(&path), BTreeMap::from([(1, 1), (2, 1), (4, 1)]));
    second.write(&[letter(4)]).unwrap();
    assert!(marker.mark().unwrap().unwrap().length > begun.unwrap().length, "all have come");

    // A checkpoint before there was a file.
    let mut fourth = file_at(&path);
    fourth.go_on(None).unwrap();
    assert_eq!(fourth.mark().unwrap().map(|mark| mark.length), Some(0));
    let mut fifth = file_at(&path);
    assert_eq!(fifth.go_on(fourth.mark().unwrap().as_ref()).unwrap(), Known { letters: 3, ..Known::default() });
}

#[test]
fn what_is_known_is_counted_all_the_same_and_left_out_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead_letters.jsonl");
    file_at(&path).write(&[letter(1), letter(2)]).unwrap();
    let metrics = Arc::new(Metrics::default());
    let mut file = DeadLetterFile::new(&path, Some(3), Arc::clone(&metrics));
    assert_eq!(file.go_on(None).unwrap(), Known { letters: 2, ..Known::default() });
    file.write(&[letter(2), letter(3)]).unwrap();
    assert_eq!(metrics.dead_letters(Reason::BadKey).get(), 2);
    file.write(&[letter(1)]).unwrap();
    assert_eq!(letters(&path), BTreeMap::from([(1, 1), (2, 1), (3, 1)]));
    // Somebody has another event there by now; and it is one too many.
    let error = file.write(&[letter(1)]).unwrap_err();
    assert_eq!(error.kind(), SinkErrorKind::TooManyDeadLetters);
    assert_eq!(letters(&path)[&1], 2);
}

#[test]
fn positions_of_other_logs_and_partitions_are_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead_letters.jsonl");
    let of = |source: &str, position| {
        let mut batch = DeadLetterBatch::new(source);
        batch.push(Reason::BadKey, position, b"{}");
        batch
    };
    file_at(&path).write(&[of("a", Position::Line(1)), of("a", Position::Message(0, 1))]).unwrap();
    let mut file = file_at(&path);
    file.go_on(None).unwrap();
    let others = [
        of("b", Position::Line(1)),
        of("a", Position::Line(2)),
        of("b", Position::Message(0, 1)),
        of("a", Position::Message(1, 1)),
        of("a", Position::Message(0, 2)),
    ];
    file.write(&others).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 7);
    file.write(&[of("a", Position::Message(0, 1)), of("a", Position::Line(1))]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 7);
}

#[test]
fn a_mark_ends_with_a_whole_line_and_there_is_none_without_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead_letters.jsonl");
    let mut file = file_at(&path);
    let marker = file.marker();
    assert_eq!(marker.mark().unwrap(), None);
    file.write(&[letter(1)]).unwrap();
    let mark = marker.mark().unwrap().unwrap();
    assert_eq!((mark.path.clone(), mark.length), (path.clone(), fs::metadata(&path).unwrap().len()));
    append(&path, b"{\"reason\":\"bad");
    assert_eq!(marker.mark().unwrap(), Some(mark), "as while another thread is writing");
    assert_eq!(file_at(Path::new("/dev/null")).mark().unwrap(), None);
}

#[test]
fn of_another_file_nothing_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead_letters.jsonl");
    file_at(&path).write(&[letter(1), letter(2)]).unwrap();
    let mark = file_at(&path).mark().unwrap();
    file_at(&path).write(&[letter(4)]).unwrap();
    let known = |content: Option<&[u8]>| {
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let mut file = file_at(&path);
        let known = file.go_on(mark.as_ref()).unwrap();
        file.write(&[letter(4)]).unwrap();
        (known.is_another, known.letters, letters(&path)[&4])
    };
    let right = fs::read(&path).unwrap();
    assert_eq!(known(Some(&right)), (false, 1, 1));
    let line = right.clone();
    let line = line.split_inclusive(|byte| *byte == b'\n').next_back().unwrap();
    // Shorter; longer, with other lines; the same but for one byte at the beginning; gone.
    assert_eq!(known(Some(line)), (true, 0, 2));
    assert_eq!(known(Some(&line.repeat(9))), (true, 0, 10));
    let other = String::from_utf8(right).unwrap().replacen("\"offset\":1,", "\"offset\":7,", 1);
    assert_eq!(known(Some(other.as_bytes())), (true, 0, 2));
    assert_eq!(known(None), (true, 0, 1));
    // A file of something else is left as it is.
    fs::write(&path, "dear diary").unwrap();
    let error = file_at(&path).go_on(mark.as_ref()).unwrap_err();
    assert_eq!(error.kind(), SinkErrorKind::DeadLetters);
    assert_eq!(fs::read_to_string(&path).unwrap(), "dear diary");
}

#[test]
fn a_line_in_the_middle_that_was_torn_is_no_letter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead_letters.jsonl");
    for event in [1, 3] {
        let mut line = Vec::new();
        let long = match event {
            3 => vec![b'x'; 100_000],
            _ => vec![b'x'; 10],
        };
        let mut batch = DeadLetterBatch::new("log");
        batch.push(Reason::BadKey, Position::Line(event), &long);
        batch.iter().next().unwrap().append_line(&mut line).unwrap();
        append(&path, &line);
        // A run that does not go on leaves a torn line on its own.
        append(&path, &line[..line.len() - 4]);
        append(&path, b"\n");
        let known = file_at(&path).go_on(None).unwrap();
        assert_eq!(known, Known { letters: if event == 1 { 1 } else { 2 }, ..Known::default() });
        let whole = fs::read(&path).unwrap();
        // The torn one alone.
        fs::write(&path, [&line[..line.len() - 4], b"\n"].concat()).unwrap();
        assert_eq!(file_at(&path).go_on(None).unwrap(), Known::default());
        fs::write(&path, whole).unwrap();
    }
}
