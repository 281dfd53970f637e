//! Files and directories of them.

use std::fs::{self, File};
use std::time::Instant;

use super::*;
use crate::clock::StreamClock;
use crate::event::Utf8;
use crate::source::log::times::LineTimes;

#[test]
fn every_form_of_a_log_is_cut_and_stamped_alike() {
    let folder = tempfile::tempdir().unwrap();
    let log = a_log(3_000);
    let (first, second) = log.split_at(log.len() / 3);
    let forms: [(&str, Vec<u8>); 5] = [
        ("plain.jsonl", log.clone()),
        ("members.jsonl.gz", [gzip(first), gzip(b""), gzip(second)].concat()),
        ("frames.zst", [zstd::encode_all(first, 1).unwrap(), zstd::encode_all(second, 1).unwrap()].concat()),
        ("gzip_by_another_name.log", gzip(&log)),
        (
            "frame_to_be_skipped.zst",
            [b"\x53\x2A\x4D\x18\x02\0\0\0ab".to_vec(), zstd::encode_all(&log[..], 1).unwrap()].concat(),
        ),
    ];
    for every_window in [false, true] {
        let mut expected = None;
        for (name, stored) in &forms {
            let path = folder.path().join(name);
            fs::write(&path, stored).unwrap();
            let run = run(std::slice::from_ref(&path), LogOptions { every_window, ..options() });
            assert!(matches!(run.end, Ok(LogEnd::Finished)), "{name}: {:?}", run.end);
            assert_eq!(run.contents(), [(path, log.clone())]);
            let cut = run.cut();
            assert!(cut.iter().map(|(epoch, ..)| epoch).max().unwrap().0 > 10, "{name} has several epochs");
            assert_eq!(expected.get_or_insert_with(|| cut.clone()), &cut, "{name}");
        }
    }
}

#[test]
fn with_every_window_each_line_has_its_window_whatever_the_block_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let log = a_log(3_000);
    fs::write(&path, &log).unwrap();
    for replay_batch in [0, 1, 100, 1_000_000] {
        // One line after the other, without blocks.
        let mut clock = StreamClock::new(Duration::from_secs(5), TimeUnit::Seconds, replay_batch, Epoch(3));
        let arrival = Arrival::before(options().run_start);
        let mut times = LineTimes::new(&schema());
        let mut expected = BTreeMap::new();
        let mut offset = 0;
        for line in log.split_inclusive(|byte| *byte == b'\n') {
            match times.time_of(line.trim_ascii_end(), arrival, Utf8::Unchecked) {
                Ok(None) => {}
                time => drop(clock.observe(time.ok().flatten(), line.len() as u64)),
            }
            expected.insert(offset, (clock.epoch(), clock.window()));
            offset += line.len() as u64;
        }
        assert!(clock.window().0 > 150);
        for block_bytes in [64, 1_000, 1 << 20] {
            let run = run(
                std::slice::from_ref(&path),
                LogOptions { every_window: true, replay_batch, block_bytes, ..options() },
            );
            assert!(run.windows() == expected, "replay_batch {replay_batch}, block_bytes {block_bytes}");
        }
    }
}

#[test]
fn paths_are_read_in_order_and_a_directory_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("logs");
    fs::create_dir_all(directory.join("inner")).unwrap();
    for name in ["b.jsonl", "a.jsonl", "B.jsonl", "10.jsonl", "9.jsonl", ".hidden", "inner/c.jsonl"] {
        fs::write(directory.join(name), format!("{name}\n")).unwrap();
    }
    fs::write(directory.join("empty.jsonl"), "").unwrap();
    let single = folder.path().join("z.jsonl");
    fs::write(&single, "no newline").unwrap();
    let run = run(&[single.clone(), directory.clone(), single], options());
    let order: Vec<_> = run.contents().into_iter().map(|(path, _)| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(order, ["z.jsonl", "10.jsonl", "9.jsonl", "B.jsonl", "a.jsonl", "b.jsonl"], "each once");
}

#[test]
fn a_byte_order_mark_is_skipped_and_places_count_it() {
    let folder = tempfile::tempdir().unwrap();
    for every_window in [false, true] {
        let path = folder.path().join("marked.jsonl");
        fs::write(&path, "\u{FEFF}{}\r\nlast").unwrap();
        let run = run(&[path], LogOptions { every_window, ..options() });
        assert_eq!(run.cut(), [(Epoch(3), 3, b"{}\r\nlast".to_vec())]);
    }
}

#[test]
fn a_line_that_is_too_long_is_reported_and_its_neighbours_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let log = format!("first\n{}\n{}\nlast", "x".repeat(5_000), "y".repeat(5_001));
    fs::write(&path, log).unwrap();
    for every_window in [false, true] {
        let run = run(std::slice::from_ref(&path), LogOptions { every_window, ..options() });
        let offsets: Vec<_> = run.cut().into_iter().map(|(_, offset, _)| offset).collect();
        assert_eq!(offsets, [0, 6, 10_009], "a line of exactly max_bytes is a block of its own");
        let Payload::LineTooLong { offset: 5_007, length: 5_001, head, .. } = &run.blocks[2].payload else {
            panic!("{:?}", run.blocks[2]);
        };
        assert_eq!(head, &[b'y'; 1_024]);
    }
}

#[test]
fn what_decodes_of_a_damaged_log_counts_and_the_next_log_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = a_log(100_000);
    let whole = folder.path().join("whole.jsonl");
    fs::write(&whole, "whole\n").unwrap();
    let mut flipped = zstd::encode_all(&log[..], 1).unwrap();
    let middle = flipped.len() / 2;
    flipped[middle..middle + 1_000].fill(0xFF);
    let damaged = [
        ("cut.gz", gzip(&log)[..gzip(&log).len() / 2].to_vec()),
        ("cut.zst", zstd::encode_all(&log[..], 1).unwrap()[..middle].to_vec()),
        ("flipped.zst", flipped),
        ("garbage_behind.gz", [gzip(&log), b"garbage".to_vec()].concat()),
    ];
    for (name, stored) in damaged {
        let path = folder.path().join(name);
        fs::write(&path, stored).unwrap();
        let run = run(&[path.clone(), whole.clone()], LogOptions { block_bytes: 1 << 20, ..options() });
        let contents = run.contents();
        assert!(contents[0].1.len() > log.len() / 10, "{name}: {}", contents[0].1.len());
        assert!(log.starts_with(&contents[0].1), "{name}");
        assert_eq!(contents[1], (whole.clone(), b"whole\n".to_vec()));
        let Ok(LogEnd::Truncated(what)) = run.end else { panic!("{name}: {:?}", run.end) };
        assert!(what.contains(name) && what.contains(&contents[0].1.len().to_string()), "{what}");
    }
    let first_byte_only = folder.path().join("first_byte.gz");
    fs::write(&first_byte_only, b"\x1F").unwrap();
    assert!(matches!(run(&[first_byte_only], options()).end, Ok(LogEnd::Truncated(_))));
}

#[test]
fn what_cannot_be_read_is_refused_before_anything_is() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.jsonl");
    fs::write(&good, "{}\n").unwrap();
    fs::write(folder.path().join("plain.gz"), "{\"eventName\":\"like\"}\n").unwrap();
    fs::create_dir(folder.path().join("nothing")).unwrap();
    fs::write(folder.path().join("nothing/.hidden"), "{}\n").unwrap();
    for (name, hint) in [("missing.jsonl", "missing.jsonl"), ("plain.gz", "rename"), ("nothing", "no event logs in")] {
        let error = LogSource::open(&[good.clone(), folder.path().join(name)], options()).unwrap_err();
        assert!(error.to_string().contains(name) && error.to_string().contains(hint), "{error}");
    }
    let error = LogSource::open(&["-".into(), "-".into()], options()).unwrap_err();
    assert!(error.to_string().contains("named twice"), "{error}");
}

#[test]
fn a_file_that_becomes_shorter_is_an_error_and_one_that_grows_is_read_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    for every_window in [false, true] {
        for (length_at_run, expected) in [(2_000, None), (20_000, Some(10_000))] {
            fs::write(&path, "0123456789abcde\n".repeat(625)).unwrap();
            let source =
                LogSource::open(std::slice::from_ref(&path), LogOptions { every_window, ..options() }).unwrap();
            File::options().write(true).open(&path).unwrap().set_len(length_at_run).unwrap();
            let (sender, feed) = feed(Epoch(3));
            let reader = thread::spawn(move || source.run(sender, &AtomicBool::new(false)));
            let blocks = take_all(&feed);
            match (reader.join().unwrap(), expected) {
                (Ok(LogEnd::Finished), Some(length)) => {
                    assert_eq!(
                        blocks.iter().filter_map(bytes_of).map(|(_, _, bytes)| bytes.len()).sum::<usize>(),
                        length
                    );
                }
                (Err(error), None) => assert!(error.to_string().contains("log.jsonl"), "{error}"),
                (end, _) => panic!("{end:?}"),
            }
        }
    }
}

#[test]
fn a_stop_is_noticed_while_the_feed_is_full_and_the_end_of_the_workers_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    fs::write(&path, a_log(3_000)).unwrap();
    let open = || LogSource::open(std::slice::from_ref(&path), options()).unwrap();
    let (sender, feed_that_nobody_reads) = feed(Epoch(3));
    let source = open();
    let stop = Arc::new(AtomicBool::new(false));
    let stop_of_reader = Arc::clone(&stop);
    let reader = thread::spawn(move || source.run(sender, &stop_of_reader));
    while !feed_that_nobody_reads.blocks.is_full() {
        thread::yield_now();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(reader.join().unwrap(), Ok(LogEnd::Interrupted)));

    let (sender, feed) = feed(Epoch(3));
    drop(feed);
    assert!(matches!(open().run(sender, &AtomicBool::new(false)), Ok(LogEnd::Interrupted)));
}

#[test]
fn an_error_does_not_wait_for_room_in_the_feed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    fs::write(&path, "0123456789abcde\n".repeat(625)).unwrap();
    let options = LogOptions { every_window: true, ..options() };
    let source = LogSource::open(std::slice::from_ref(&path), options).unwrap();
    // Four blocks, which fill the feed, and some lines.
    File::options().write(true).open(&path).unwrap().set_len(4_500).unwrap();
    let (sender, feed_that_nobody_reads) = feed(Epoch(3));
    let stop = Arc::new(AtomicBool::new(false));
    let stop_of_reader = Arc::clone(&stop);
    let reader = thread::spawn(move || source.run(sender, &stop_of_reader));
    let began = Instant::now();
    while !reader.is_finished() && began.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(10));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = reader.join().unwrap().unwrap_err().to_string();
    assert!(error.contains("log.jsonl"), "{error}");
    assert!(feed_that_nobody_reads.blocks.is_full());
}

#[test]
fn lines_can_be_had_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, damaged) = (folder.path().join("a.jsonl"), folder.path().join("b.gz"));
    fs::write(&plain, "\u{FEFF}one\r\n \n\ntwo").unwrap();
    let stored = gzip(&a_log(10_000));
    fs::write(&damaged, &stored[..stored.len() / 2]).unwrap();
    let lines_of = |path: &PathBuf, max_line_bytes| {
        let mut lines = Vec::new();
        let end = for_each_line(std::slice::from_ref(path), max_line_bytes, &mut |line: LogLine<'_>| {
            lines.push((line.offset, String::from_utf8(line.bytes.to_vec()).unwrap()));
            Ok::<(), SourceError>(())
        });
        (lines, end)
    };
    let (lines, end) = lines_of(&plain, 100);
    assert_eq!(lines, [(3, "one".to_string()), (11, "two".to_string())]);
    assert!(end.is_ok());
    assert!(lines_of(&plain, 2).1.unwrap_err().to_string().contains("longer than 2 bytes"));
    let (lines, end) = lines_of(&damaged, 1 << 20);
    assert!(lines.len() > 1_000 && end.unwrap_err().to_string().contains("b.gz"));
}
