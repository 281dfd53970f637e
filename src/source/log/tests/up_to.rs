//! Logs read again up to where a run came, with the arrival of each part.

use std::fs;
use std::ops::ControlFlow;

use super::*;
use crate::source::{LogPositions, Positions, SourcePositions};

/// Positions in these logs.
fn positions(logs: Vec<LogPositions>) -> Positions {
    let version = crate::epoch::Version(7);
    Positions { pipeline: "p".to_owned(), version, shift: None, source: SourcePositions::Logs(logs) }
}

/// Those that a run leaves.
fn positions_after(paths: &[PathBuf], options: LogOptions) -> Vec<LogPositions> {
    let source = LogSource::open(paths, options).unwrap();
    let reached = source.reached();
    let (sender, feed) = feed(Epoch(3));
    thread::scope(|scope| {
        scope.spawn(move || take_all(&feed));
        source.run(sender, &AtomicBool::new(false)).unwrap();
    });
    reached.positions()
}

/// The same logs, of which so much was read in parts by runs that started then.
fn read_to(path: &Path, parts: &[(u64, i64)]) -> LogPositions {
    let mut positions = LogSource::open(&[path.into()], options()).unwrap().reached().positions();
    let part = |(to, run_start): &(u64, i64)| LogPart { to: *to, run_start: EventTime(*run_start) };
    positions[0].parts = parts.iter().map(part).collect();
    positions.remove(0)
}

/// What there is of each log up to these positions, by name; and the arrival of what begins at each offset.
type Contents = BTreeMap<PathBuf, Vec<u8>>;

fn contents(paths: &[PathBuf], logs: Vec<LogPositions>) -> Result<(Contents, Vec<(u64, Arrival)>), String> {
    let source = LogSource::open(paths, options()).unwrap();
    let source = source.up_to(&positions(logs)).map_err(|error| error.to_string())?;
    let (mut contents, mut arrivals) = (Contents::new(), Vec::new());
    let read = source.each_payload(&mut |payload| {
        match payload {
            Payload::Lines { file, offset, bytes: LogBytes::Read(bytes), arrival } => {
                let content = contents.entry(file.to_path_buf()).or_default();
                if offset == MARK.len() as u64 && content.is_empty() {
                    content.extend(MARK);
                }
                assert_eq!(offset, content.len() as u64, "no gap and no overlap");
                content.extend(bytes);
                arrivals.push((offset, arrival));
            }
            other => panic!("{other:?}"),
        }
        ControlFlow::Continue(())
    });
    assert_eq!(
        read.map_err(|error| error.to_string())?,
        ControlFlow::Continue(Vec::new()),
        "damages are none of theirs"
    );
    Ok((contents, arrivals))
}

/// A byte-order mark.
const MARK: &[u8] = b"\xEF\xBB\xBF";

#[test]
fn a_log_in_any_form_is_read_to_its_position_wherever_that_lies() {
    let folder = tempfile::tempdir().unwrap();
    let log = a_log(20_000);
    let lines: Vec<u64> = memchr::memchr_iter(b'\n', &log).map(|newline| newline as u64 + 1).collect();
    for (name, stored) in FORMS {
        let path = folder.path().join(name);
        fs::write(&path, stored(&log)).unwrap();
        // Also in the middle of a line: a last line may lack its newline, and get it later.
        for to in [lines[0], lines[1], 5, 999, 1_000, 1_001, lines[9_999], lines[9_999] - 1, log.len() as u64] {
            let (read, _) = contents(std::slice::from_ref(&path), vec![read_to(&path, &[(to, 7)])]).unwrap();
            assert_eq!(read.len(), 1);
            assert!(read[&path] == log[..to as usize], "{name} to {to}: {}", read[&path].len());
        }
    }
}

#[test]
fn the_positions_of_a_run_are_the_ends_of_its_logs_and_hold_when_these_have_grown() {
    let folder = tempfile::tempdir().unwrap();
    // With a mark at the beginning, and without a newline at the end.
    let log_of = |name: &str| [MARK, name.as_bytes(), b"\n", &a_log(3_000), b"{\"eventName\":\"last\"}"].concat();
    for every_window in [false, true] {
        let paths: Vec<_> =
            FORMS.iter().map(|(name, _)| folder.path().join(format!("{every_window} {name}"))).collect();
        for (path, (name, stored)) in paths.iter().zip(FORMS) {
            fs::write(path, stored(&log_of(name))).unwrap();
        }
        let empty = folder.path().join(format!("{every_window} empty"));
        fs::write(&empty, "").unwrap();
        let all = [&paths[..], &[empty]].concat();
        let read = positions_after(&all, LogOptions { every_window, ..options() });
        let ends: Vec<_> = FORMS.iter().map(|(name, _)| log_of(name).len() as u64).chain([0]).collect();
        assert_eq!(read.iter().map(LogPositions::length).collect::<Vec<_>>(), ends);
        assert_eq!(read[0].parts, [LogPart { to: ends[0], run_start: options().run_start }]);
        assert_eq!(read[3].parts, [], "nothing was read of it");
        for (path, (_, stored)) in all.iter().zip(FORMS.into_iter().chain([FORMS[0]])) {
            let more = [fs::read(path).unwrap(), stored(b"\n{}\nmore\n")].concat();
            fs::write(path, more).unwrap();
        }
        let (contents, arrivals) = contents(&all, read).unwrap();
        for (path, (name, _)) in paths.iter().zip(FORMS) {
            assert!(contents[path] == log_of(name), "{}", path.display());
        }
        assert_eq!(contents.len(), 3, "the empty one is left out");
        assert!(arrivals.iter().all(|(_, arrival)| *arrival == Arrival::before(options().run_start)));
    }
}

#[test]
fn each_part_has_the_arrival_of_its_own_run() {
    let folder = tempfile::tempdir().unwrap();
    for (name, stored) in FORMS {
        let path = folder.path().join(name);
        fs::write(&path, stored(&b"0123456\n".repeat(1_000))).unwrap();
        let parts = [(8, 100), (4_804, 200), (8_000, 300)];
        let (contents, arrivals) = contents(std::slice::from_ref(&path), vec![read_to(&path, &parts)]).unwrap();
        assert_eq!(contents[&path].len(), 8_000);
        for (offset, arrival) in arrivals {
            let run_start = parts.iter().find(|(to, _)| offset < *to).unwrap().1;
            assert_eq!(arrival, Arrival::before(EventTime(run_start)), "{name} at {offset}");
        }
    }
}

#[test]
fn a_line_that_is_too_long_is_reported_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    fs::write(&path, format!("first\n{}", "x".repeat(9_000))).unwrap();
    let read = positions_after(std::slice::from_ref(&path), options());
    assert_eq!(read[0].length(), 9_006);
    fs::write(&path, format!("first\n{}\nnext\n", "x".repeat(9_000))).unwrap();
    let source = LogSource::open(&[path], options()).unwrap().up_to(&positions(read)).unwrap();
    let mut payloads = Vec::new();
    let _ = source.each_payload(&mut |payload| {
        payloads.push(payload);
        ControlFlow::Continue(())
    });
    assert!(matches!(&payloads[..], [Payload::Lines { .. }, Payload::LineTooLong { offset: 6, length: 9_000, .. }]));
}

#[test]
fn logs_are_known_by_their_heads_whatever_they_are_called() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let log = a_log(1_000);
    // Two that begin alike, one that has no more than that, and a copy.
    let of = |tail: &str| [&log[..], tail.as_bytes()].concat();
    fs::write(at("a"), of("first\n")).unwrap();
    fs::write(at("b"), of("second, which is longer\n")).unwrap();
    fs::write(at("short"), &log[..100]).unwrap();
    let names = ["a", "b", "short"].map(at);
    let read = positions_after(&names, options());
    let lengths = |paths: &[PathBuf], read: &[LogPositions]| -> Vec<(String, usize)> {
        let (contents, _) = contents(paths, read.to_vec()).unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        contents.iter().map(|(path, content)| (name(path), content.len())).collect()
    };
    let (first, second) = (of("first\n").len(), of("second, which is longer\n").len());
    let named = |names: [(&str, usize); 3]| names.map(|(name, length)| (name.to_owned(), length));
    assert_eq!(lengths(&names, &read), named([("a", first), ("b", second), ("short", 100)]));
    // In another order, and with one that was not read: those that still have their names are these.
    fs::write(at("new"), "new\n").unwrap();
    let more = ["short", "new", "b", "a"].map(at);
    assert_eq!(lengths(&more, &read), named([("a", first), ("b", second), ("short", 100)]));
    // All renamed: the short one would fit each of them, and waits for what the others leave.
    for (old, new) in [("a", "1"), ("b", "2"), ("short", "0")] {
        fs::rename(at(old), at(new)).unwrap();
    }
    assert_eq!(lengths(&["0", "1", "2", "new"].map(at), &read), named([("0", 100), ("1", first), ("2", second)]));
}

#[test]
fn what_is_not_there_any_more_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("log.jsonl"), folder.path().join("other.jsonl"));
    fs::write(&other, "other\n").unwrap();
    for (name, stored) in FORMS {
        let log = a_log(9_000);
        let gone = folder.path().join(name);
        fs::write(&gone, stored(&log)).unwrap();
        let read = read_to(&gone, &[(log.len() as u64, 7)]);
        let error = contents(std::slice::from_ref(&other), vec![read.clone()]).unwrap_err();
        assert!(error.contains(name) && error.contains("none of the logs here begins as it did"), "{error}");
        // One that begins as it did, and holds less.
        fs::write(&gone, stored(&log[..100_000])).unwrap();
        let longer =
            LogPositions { parts: vec![LogPart { to: 100_001, run_start: EventTime(7) }], ..read_to(&gone, &[]) };
        let error = contents(std::slice::from_ref(&gone), vec![longer]).unwrap_err();
        assert!(error.contains(name) && error.contains("has 100000 bytes") && error.contains("read 100001"), "{error}");
        fs::remove_file(&gone).unwrap();
    }
    let pipe =
        LogPositions { path: "-".to_owned(), head: None, parts: vec![LogPart { to: 1, run_start: EventTime(7) }] };
    let error = contents(std::slice::from_ref(&other), vec![pipe]).unwrap_err();
    assert!(error.contains("-, a pipe"), "{error}");
    fs::write(&path, "x\n").unwrap();
    let source = LogSource::open(&[path], options()).unwrap().up_to(&positions(vec![])).unwrap();
    assert_eq!(source.names().count(), 0);
    let (sender, _feed) = feed(Epoch(3));
    assert!(source.run(sender, &AtomicBool::new(false)).is_err(), "a run reads whole logs");
}

#[test]
fn a_damaged_log_is_read_to_where_it_decoded_then() {
    let folder = tempfile::tempdir().unwrap();
    let log = a_log(100_000);
    for (name, stored) in FORMS.into_iter().skip(1) {
        let path = folder.path().join(name);
        let stored = stored(&log);
        fs::write(&path, &stored[..stored.len() / 2]).unwrap();
        let read = positions_after(std::slice::from_ref(&path), options());
        assert!((10_000..log.len() as u64).contains(&read[0].length()), "{read:?}");
        // As it was, and whole by now.
        for stored in [&stored[..stored.len() / 2], &stored] {
            fs::write(&path, stored).unwrap();
            let (contents, _) = contents(std::slice::from_ref(&path), read.clone()).unwrap();
            assert!(contents[&path] == log[..read[0].length() as usize]);
        }
    }
}

#[test]
fn of_a_run_that_is_stopped_what_was_handed_over_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    fs::write(&path, a_log(3_000)).unwrap();
    for every_window in [false, true] {
        let options = LogOptions { every_window, ..options() };
        let source = LogSource::open(std::slice::from_ref(&path), options).unwrap();
        let reached = source.reached();
        let (sender, feed) = feed(Epoch(3));
        let stop = Arc::new(AtomicBool::new(false));
        let stop_of_reader = Arc::clone(&stop);
        let reader = thread::spawn(move || source.run(sender, &stop_of_reader));
        while !feed.blocks.is_full() {
            thread::yield_now();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(matches!(reader.join().unwrap(), Ok(LogEnd::Interrupted)));
        let handed_over: usize = take_all(&feed).iter().filter_map(bytes_of).map(|(_, _, bytes)| bytes.len()).sum();
        assert_eq!(reached.positions()[0].length(), handed_over as u64);
    }
}
