//! Runs that go on where an earlier one has stopped: together they hand over each log once.

use std::fs;

use super::*;
use crate::source::{Cuts, LogPositions, Resume, SourcePositions};

/// A run with a state: what it handed over, and what it noted meanwhile.
struct NotedRun {
    run: Run,
    cuts: Arc<Cuts>,
    positions: Vec<LogPositions>,
}

/// Runs from these positions on, to the end.
fn run_from(paths: &[PathBuf], options: LogOptions, resume: Option<&Resume>) -> NotedRun {
    let source = LogSource::open(paths, options).unwrap();
    let source = match resume {
        Some(resume) => source.go_on(resume).unwrap(),
        None => source.keeping_state().unwrap(),
    };
    let (cuts, reached) = (source.cuts(), source.reached());
    let (sender, feed) = feed(Epoch(3));
    let sender = sender.noting(cuts.noter(0));
    let (end, blocks) = thread::scope(|scope| {
        let blocks = scope.spawn(move || take_all(&feed));
        let end = source.run(sender, &AtomicBool::new(false));
        (end, blocks.join().unwrap())
    });
    NotedRun { run: Run { end, blocks }, cuts, positions: reached.positions() }
}

fn go_on(paths: &[PathBuf], resume: &Resume) -> Result<LogSource, String> {
    LogSource::open(paths, options()).unwrap().go_on(resume).map_err(|error| error.to_string())
}

fn from(counted: Vec<LogPositions>, published: &[&[LogPositions]]) -> Resume {
    let published = published.iter().map(|logs| SourcePositions::Logs(logs.to_vec())).collect();
    Resume { counted: SourcePositions::Logs(counted), published, skip_lost: false }
}

fn logs(positions: SourcePositions) -> Vec<LogPositions> {
    let SourcePositions::Logs(logs) = positions else { panic!("logs") };
    logs
}

fn part(to: u64, run_start: i64) -> LogPart {
    LogPart { to, run_start: EventTime(run_start) }
}

/// The bytes that a run handed over of each log, one behind the other, with where they begin.
fn handed_over<'a>(blocks: impl IntoIterator<Item = &'a Block>) -> BTreeMap<PathBuf, (u64, Vec<u8>)> {
    let mut logs: BTreeMap<PathBuf, (u64, Vec<u8>)> = BTreeMap::new();
    for (file, offset, bytes) in blocks.into_iter().filter_map(bytes_of) {
        let (begin, content) = logs.entry(file.into()).or_insert((offset, Vec::new()));
        assert_eq!(offset, *begin + content.len() as u64, "no gap and no overlap");
        content.extend(bytes);
    }
    logs
}

#[test]
fn a_cut_has_what_has_earlier_epochs_and_the_next_run_reads_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let log = a_log(4_000);
    let content_of = |index: usize| [format!("{index}\n").as_bytes(), &log].concat();
    let paths: Vec<_> = FORMS.iter().map(|(name, _)| folder.path().join(name)).collect();
    for (index, (path, (_, stored))) in paths.iter().zip(FORMS).enumerate() {
        fs::write(path, stored(&content_of(index))).unwrap();
    }
    for every_window in [false, true] {
        let options = LogOptions { every_window, ..options() };
        let whole = run_from(&paths, options.clone(), None);
        assert!(matches!(whole.run.end, Ok(LogEnd::Finished)));
        let cuts = &whole.cuts;
        assert!(logs(cuts.first()).iter().all(|log| log.parts.is_empty()));
        let last = cuts.last_epoch();
        assert!(cuts.have_ended() && cuts.newest() == Some(last) && last.0 > 30);
        assert_eq!(logs(cuts.positions(last).unwrap()), whole.positions);
        for epoch in (3..=last.0).map(Epoch) {
            let counted = logs(cuts.positions(epoch).unwrap());
            let before = handed_over(whole.run.blocks.iter().filter(|block| block.epoch <= epoch));
            for (path, log) in paths.iter().zip(&counted) {
                assert_eq!(log.length(), before.get(path).map_or(0, |(_, content)| content.len() as u64));
            }
            if epoch.0 % 13 == 0 {
                let later = LogOptions { run_start: EventTime(20_000_000), ..options.clone() };
                let rest = run_from(&paths, later, Some(&from(counted.clone(), &[])));
                assert_eq!(logs(rest.cuts.first()), counted);
                let after = handed_over(&rest.run.blocks);
                for ((index, path), log) in paths.iter().enumerate().zip(&counted) {
                    let (begin, content) = after.get(path).cloned().unwrap_or((log.length(), Vec::new()));
                    let before = before.get(path).map_or(&[][..], |(_, content)| content);
                    assert_eq!(begin, log.length());
                    assert!([before, &content].concat() == content_of(index));
                }
                assert_eq!(rest.positions.iter().map(LogPositions::length).max(), Some(log.len() as u64 + 2));
            }
        }
    }
}

#[test]
fn what_may_have_been_published_is_judged_as_it_was_and_what_is_behind_by_the_new_start() {
    let folder = tempfile::tempdir().unwrap();
    let new_start = options().run_start;
    for every_window in [false, true] {
        for (name, stored) in FORMS {
            let path = folder.path().join(name);
            fs::write(&path, stored(&b"0123456\n".repeat(1_000))).unwrap();
            let mut read = LogSource::open(std::slice::from_ref(&path), options()).unwrap().reached().positions();
            let mut with = |parts: &[LogPart]| {
                read[0].parts = parts.to_vec();
                read.clone()
            };
            let counted = with(&[part(800, 1), part(1_600, 2)]);
            let journal =
                [with(&[part(800, 1), part(2_400, 2)]), with(&[part(800, 1), part(2_404, 2), part(4_000, 3)])];
            let resume = from(counted, &[&journal[1], &journal[0]]);
            let options = LogOptions { every_window, ..options() };
            let run = run_from(std::slice::from_ref(&path), options, Some(&resume));
            assert_eq!(handed_over(&run.run.blocks)[&path], (1_600, b"0123456\n".repeat(800)));
            for block in &run.run.blocks {
                let Payload::Lines { offset, arrival, .. } = block.payload else { panic!("{block:?}") };
                let start = [(2_404, 2), (4_000, 3)].into_iter().find(|(to, _)| offset < *to);
                let start = start.map_or(new_start, |(_, start)| EventTime(start));
                assert_eq!(arrival, Arrival::before(start), "{name} at {offset}");
            }
            let expected = [part(800, 1), part(2_404, 2), part(4_000, 3), part(8_000, new_start.0)];
            assert_eq!(run.positions[0].parts, expected);
            // The gate opens with the first epoch that has all of it.
            let passed = run.cuts.passed().unwrap();
            assert!(logs(run.cuts.positions(passed).unwrap())[0].length() >= 4_000);
            let before = Epoch(passed.0 - 1);
            assert!(before < Epoch(3) || logs(run.cuts.positions(before).unwrap())[0].length() < 4_000);
        }
    }
}

#[test]
fn logs_that_come_and_go_keep_their_positions() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a"), "{\"a\":1}\n").unwrap();
    fs::write(at("b"), "{\"b\":1}\n").unwrap();
    let first = run_from(&[at("a"), at("b")], options(), None);
    // One is gone, one has another name and has grown, and a new one comes before it.
    fs::remove_file(at("a")).unwrap();
    fs::rename(at("b"), at("c")).unwrap();
    fs::write(at("c"), "{\"b\":1}\n{\"b\":2}\n").unwrap();
    fs::write(at("0"), "{\"0\":1}\n").unwrap();
    let paths = [at("0"), at("c")];
    let later = LogOptions { run_start: EventTime(20_000_000), ..options() };
    let second = run_from(&paths, later, Some(&from(first.positions.clone(), &[&first.positions])));
    assert_eq!(second.cuts.passed(), Some(Epoch(0)), "nothing was published behind what is counted");
    let read = handed_over(&second.run.blocks);
    assert_eq!(read, [(at("0"), (0, b"{\"0\":1}\n".to_vec())), (at("c"), (8, b"{\"b\":2}\n".to_vec()))].into());
    let told: Vec<_> = second.positions.iter().map(|log| (log.path.clone(), log.parts.clone())).collect();
    let name = |name: &str| at(name).to_string_lossy().into_owned();
    let start = options().run_start.0;
    let expected = [
        (name("a"), vec![part(8, start)]),
        (name("0"), vec![part(8, 20_000_000)]),
        (name("c"), vec![part(8, start), part(16, 20_000_000)]),
    ];
    assert_eq!(told, expected);
    // It comes back: it is the same log.
    fs::write(at("a"), "{\"a\":1}\n").unwrap();
    let third = run_from(&[at("a"), at("c")], options(), Some(&from(second.positions, &[])));
    assert_eq!(third.run.blocks.len(), 0);
}

#[test]
fn what_was_published_and_is_gone_is_an_error_unless_it_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["gone", "short", "here"] {
        fs::write(at(name), format!("{{\"{name}\":1}}\n").repeat(1_000)).unwrap();
    }
    // Longer than what it is known by.
    let members = [gzip(&a_log(2_000)), gzip(b"{\"z\":1}\n")];
    assert!(members[0].len() > 4_096);
    fs::write(at("z.gz"), members.concat()).unwrap();
    let all = ["gone", "short", "here", "z.gz"].map(at);
    let published = run_from(&all, options(), None).positions;
    let mut counted = published.clone();
    counted.iter_mut().for_each(|log| log.parts[0].to = log.parts[0].to * 3 / 10);
    let resume = from(counted.clone(), &[&published]);
    fs::remove_file(at("gone")).unwrap();
    let here = ["short", "here", "z.gz"].map(at);
    let error = go_on(&here, &resume).unwrap_err();
    assert!(error.contains("gone (it is not here") && error.contains("--skip-lost"), "{error}");
    assert!(error.contains("7700 bytes"), "{error}");
    let short = published[1].length() / 2;
    fs::File::options().write(true).open(at("short")).unwrap().set_len(short).unwrap();
    let error = go_on(&here, &resume).unwrap_err();
    assert!(error.contains("short (it became shorter)") && error.contains("--skip-lost"), "{error}");
    // Of a compressed log only reading tells.
    fs::write(at("z.gz"), &members[0]).unwrap();
    let only = from(vec![counted[3].clone()], &[&published[3..]]);
    let ended = LogSource::open(&here[2..], options()).unwrap().go_on(&only);
    let (sender, feed) = feed(Epoch(3));
    let reader = thread::spawn(move || ended.unwrap().run(sender, &AtomicBool::new(false)));
    take_all(&feed);
    let error = reader.join().unwrap().unwrap_err().to_string();
    assert!(error.contains("z.gz (it became shorter)") && error.contains("--skip-lost"), "{error}");

    let run = run_from(&here, options(), Some(&Resume { skip_lost: true, ..resume }));
    assert!(matches!(run.run.end, Ok(LogEnd::Finished)));
    assert!(run.cuts.passed().is_some(), "what is gone is not waited for");
    let lengths: Vec<_> = run.positions.iter().map(LogPositions::length).collect();
    assert_eq!(lengths, [counted[0].length(), short, published[2].length(), a_log(2_000).len() as u64]);
}

#[test]
fn a_log_that_is_shorter_than_what_is_counted_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for (name, stored) in FORMS {
        let path = folder.path().join(name);
        fs::write(&path, stored(&a_log(9_000))).unwrap();
        let mut read = run_from(std::slice::from_ref(&path), options(), None).positions;
        read[0].parts[0].to += 1;
        let error = match go_on(std::slice::from_ref(&path), &from(read, &[])) {
            Err(error) => error,
            Ok(source) => {
                let (sender, _feed) = feed(Epoch(3));
                source.run(sender, &AtomicBool::new(false)).unwrap_err().to_string()
            }
        };
        assert!(error.contains(name) && error.contains("became shorter") && error.contains("Put it back"), "{error}");
    }
}

#[test]
fn a_last_line_that_is_not_whole_waits_for_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    for every_window in [false, true] {
        let options = || LogOptions { every_window, ..options() };
        let path = folder.path().join(format!("{every_window}.jsonl"));
        let (mut positions, mut all) = (None, Vec::new());
        for (content, counted) in [
            ("{\"a\":1}\n{\"b\"", 8),
            ("{\"a\":1}\n{\"b\":1}", 15),
            ("{\"a\":1}\n{\"b\":1}\n{\"c\":1}\n{", 24),
            ("{\"a\":1}\n{\"b\":1}\n{\"c\":1}\n{}\n", 27),
        ] {
            fs::write(&path, content).unwrap();
            let resume = positions.map(|positions| from(positions, &[]));
            let run = run_from(std::slice::from_ref(&path), options(), resume.as_ref());
            all.extend(handed_over(&run.run.blocks).remove(&path).unwrap_or_default().1);
            assert_eq!(all, content.as_bytes()[..counted], "{content}");
            positions = Some(run.positions);
        }
    }
}

#[test]
fn a_damaged_log_is_tried_again_from_its_last_whole_line() {
    let folder = tempfile::tempdir().unwrap();
    let log = a_log(100_000);
    for (name, stored) in FORMS.into_iter().skip(1) {
        let path = folder.path().join(name);
        let stored = stored(&log);
        fs::write(&path, &stored[..stored.len() / 2]).unwrap();
        let first = run_from(std::slice::from_ref(&path), options(), None);
        assert!(matches!(first.run.end, Ok(LogEnd::Truncated(_))));
        let (_, read) = handed_over(&first.run.blocks).remove(&path).unwrap();
        assert!(read.ends_with(b"\n") && read.len() > 10_000 && log.starts_with(&read));
        assert_eq!(first.positions[0].length(), read.len() as u64);
        let again = run_from(std::slice::from_ref(&path), options(), Some(&from(first.positions.clone(), &[])));
        assert!(matches!(again.run.end, Ok(LogEnd::Truncated(_))) && again.run.blocks.is_empty());
        fs::write(&path, &stored).unwrap();
        let whole = run_from(std::slice::from_ref(&path), options(), Some(&from(again.positions, &[])));
        assert!([read, handed_over(&whole.run.blocks).remove(&path).unwrap().1].concat() == log);
    }
}

#[test]
fn a_pipe_and_positions_of_a_topic_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("log"), "{}\n").unwrap();
    let (from_pipe, _pipe) = std::io::pipe().unwrap();
    let path = PathBuf::from(format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&from_pipe)));
    let error = go_on(&[path], &from(Vec::new(), &[])).unwrap_err();
    assert!(error.contains("cannot be read again") && error.contains("--no-state"), "{error}");
    let kafka = crate::source::KafkaPositions {
        topic: "clicks".to_owned(),
        cluster: None,
        topic_id: None,
        partitions: BTreeMap::new(),
        run_start: EventTime(0),
    };
    let resume = Resume { counted: SourcePositions::Kafka(kafka), published: Vec::new(), skip_lost: false };
    let error = go_on(&[folder.path().join("log")], &resume).unwrap_err();
    assert!(error.contains("clicks"), "{error}");
}
