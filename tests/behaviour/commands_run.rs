//! What a person would try with `run`, and what becomes of it.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::commands::reference;
use crate::program::{Ended, Workplace};

fn event(name: &str, user: &str, time: i64) -> String {
    format!("{{\"eventName\":\"{name}\",\"userId\":\"{user}\",\"eventTs\":{time}}}\n")
}

/// Runs over the sample log, with nowhere to publish to.
fn run(place: &Workplace, more: &[&str]) -> Ended {
    let run = ["run", "p.toml", "--events", "sample.jsonl"];
    let sink: &[&str] = if more.contains(&"--sink") { &[] } else { &["--sink", "none"] };
    place.run(&[&run, sink, more].concat())
}

#[test]
fn the_first_command_of_the_readme_counts_and_says_what_to_type_next() {
    let place = reference();
    let ended = place.run(&["run", "p.toml", "--events", "sample.jsonl", "--shift-to", "now"]).exits(0);
    assert_eq!(ended.summary("events"), place.read("sample.jsonl").lines().count() as u64);
    assert_eq!((ended.summary("dead letters"), ended.stdout.as_str()), (0, ""));
    let next = ended.stderr.lines().last().unwrap();
    let (_, arguments) = next.split_once(" get ").unwrap_or_else(|| panic!("{}", ended.stderr));
    let get: Vec<_> = ["get"].into_iter().chain(arguments.split(' ')).collect();
    place.run(&get).exits(0).prints(&["interval", "5s", "10s", "15s"]);
}

#[test]
fn what_does_not_exist_is_told_before_anything_is_written() {
    let place = reference();
    let missing = ["run", "p.toml", "--events", "none.jsonl", "--sink", "sqlite:items.db"];
    place.run(&missing).exits(2).says(&["none.jsonl", "No such file"]);
    place.run(&["run", "p.toml", "--events", "sample.jsonl", "none.jsonl"]).exits(2).says(&["none.jsonl"]);
    std::fs::create_dir(place.path("empty")).unwrap();
    place.run(&["run", "p.toml", "--events", "empty"]).exits(2).says(&["no event logs in empty"]);
    for sink in ["sqlite:no/such/items.db", "jsonl:no/such/items.jsonl"] {
        run(&place, &["--sink", sink]).exits(1).says(&["no/such/items"]);
    }
    run(&place, &["--sink", "mongo"]).exits(2).says(&["`mongo` is no sink", "sqlite:PATH"]);
    let mut left: Vec<_> = std::fs::read_dir(place.path("")).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["empty", "p.toml", "sample.jsonl"]);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let place = reference();
    for workers in ["0", "100000"] {
        run(&place, &["-w", workers]).exits(2).says(&[&format!("-w {workers}")]);
    }
    run(&place, &["--until-end"]).exits(2).says(&["--until-end is for Kafka"]);
}

#[test]
fn an_empty_log_is_no_error() {
    let place = reference();
    place.write("empty.jsonl", "");
    place.write("blank.jsonl", "\n\r\n\n");
    for log in ["empty.jsonl", "blank.jsonl", "-"] {
        let ended = place.run(&["run", "p.toml", "--events", log, "--sink", "jsonl:-"]).exits(0);
        assert_eq!((ended.summary("events"), ended.summary("dead letters"), ended.stdout.as_str()), (0, 0, ""));
    }
}

#[test]
fn a_sink_that_is_not_empty_is_refused_unless_it_is_to_be_replaced() {
    let place = reference();
    for sink in ["sqlite:items.db", "jsonl:items.jsonl"] {
        run(&place, &["--sink", sink]).exits(0);
        let first = place.run(&["dump", sink]).exits(0).stdout;
        run(&place, &["--sink", sink]).exits(1).says(&["--replace"]);
        assert_eq!(place.run(&["dump", sink]).exits(0).stdout, first, "it was not touched");
        place.write("other.jsonl", event("like", "77", 1_707_605_600));
        let replace = ["run", "p.toml", "--events", "other.jsonl", "--sink", sink, "--replace"];
        place.run(&replace).exits(0);
        let items = place.run(&["dump", sink]).exits(0).stdout;
        assert!(items.starts_with("{\"key\":\"77\",") && items.lines().count() == 1, "{items}");
    }
    place.write("notes.txt", "mine");
    run(&place, &["--sink", "sqlite:notes.txt", "--replace"]).exits(1).says(&["notes.txt"]);
    assert_eq!(place.read("notes.txt"), "mine");
}

#[test]
fn dead_letters_say_why_and_where_and_the_rest_counts() {
    let place = reference();
    let good = event("like", "1", 1_707_605_600);
    let mut log = vec![good.clone().into_bytes()];
    log.extend(
        [&b"nonsense\n"[..], b"[1]\n", b"{\"eventName\":\"\xff\",\"userId\":\"1\",\"eventTs\":1}\n"].map(Vec::from),
    );
    log.push(event("", "1", 1).into_bytes());
    log.push(good.replace("1707605600", "\"soon\"").into_bytes());
    log.push(good.replace("\"1\"", "1.5").into_bytes());
    log.push(event("like", "1", i64::MAX).into_bytes());
    log.push(event("like", "1", -1).into_bytes());
    log.push(good.clone().into_bytes());
    place.write("events.jsonl", log.concat());
    let command = ["run", "p.toml", "--events", "events.jsonl", "--sink", "jsonl:items.jsonl"];
    let ended = place.run(&command).exits(0).says(&["8 (", "1 bad_key", "2 not_an_object", "dead_letters.jsonl"]);
    assert_eq!((ended.summary("events"), ended.summary("dead letters")), (2, 8));
    assert!(place.read("items.jsonl").contains("\"value\":2.0"));

    let letters = place.read("dead_letters.jsonl");
    let letters: Vec<Value> = letters.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reasons: Vec<_> = letters.iter().map(|letter| letter["reason"].as_str().unwrap()).collect();
    let expected = ["not_an_object", "not_an_object", "invalid_utf8", "bad_name", "bad_time", "bad_key", "time_ahead"];
    assert_eq!(reasons, [expected.as_slice(), &["negative_time"]].concat());
    let mut offset = 0;
    for (line, letter) in log[..9].iter().zip(std::iter::once(&Value::Null).chain(&letters)) {
        if !letter.is_null() {
            assert_eq!((&letter["file"], &letter["offset"]), (&json!("events.jsonl"), &json!(offset)));
            match letter["text"].as_str() {
                Some(text) => assert_eq!(text.as_bytes(), line.strip_suffix(b"\n").unwrap()),
                None => assert!(letter["base64"].is_string() && std::str::from_utf8(line).is_err(), "{letter}"),
            }
        }
        offset += line.len();
    }
}

#[test]
fn more_dead_letters_than_may_be_end_the_run() {
    let place = reference();
    place.write("bad.jsonl", [event("like", "1", 1), "nonsense\n".repeat(4)].concat());
    let with = |max| {
        let _ = std::fs::remove_file(place.path("letters.jsonl"));
        let run = ["run", "p.toml", "--events", "bad.jsonl", "--sink", "none", "--dead-letters", "letters.jsonl"];
        place.run(&[&run, ["--max-dead-letters", max].as_slice()].concat())
    };
    with("3").exits(1).says(&["4 events could not be counted", "--max-dead-letters", "letters.jsonl"]);
    assert_eq!(place.read("letters.jsonl").lines().count(), 4, "they are kept all the same");
    with("4").exits(0);
}

#[test]
fn a_log_of_which_nothing_counts_has_failed_with_a_hint() {
    let place = reference();
    let in_milliseconds: String = (0..20).map(|second| event("like", "1", (1_707_605_600 + second) * 1_000)).collect();
    place.write("ms.jsonl", in_milliseconds);
    place.write("words.jsonl", "one\ntwo\n");
    let run = |log| place.run(&["run", "p.toml", "--events", log, "--sink", "none"]).exits(1);
    run("ms.jsonl").says(&["no event counted", "time_unit"]);
    run("words.jsonl").says(&["no event counted", "2 dead letters in dead_letters.jsonl"]);
}

#[test]
fn a_truncated_log_fails_but_what_decodes_is_counted() {
    let place = reference();
    let sample = place.read("sample.jsonl");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(sample.as_bytes()).unwrap();
    let logs =
        [("cut.jsonl.gz", gzip.finish().unwrap()), ("cut.jsonl.zst", zstd::encode_all(sample.as_bytes(), 3).unwrap())];
    for (name, bytes) in logs {
        // Many frames, of which the last one is cut.
        let whole_frames = [bytes.as_slice(), bytes.as_slice()].concat();
        place.write(name, [whole_frames.as_slice(), &bytes[..bytes.len() / 2]].concat());
        let run = ["run", "p.toml", "--events", name, "--sink", "sqlite:items.db", "--replace"];
        let ended = place.run(&run).exits(1).says(&[name, "truncated"]);
        assert!(ended.summary("events") >= 2 * sample.lines().count() as u64, "{}", ended.stderr);
        assert!(place.run(&["dump", "sqlite:items.db"]).exits(0).stdout.lines().count() > 20);
    }
}

fn without_version(line: &str) -> Value {
    let mut item: Value = serde_json::from_str(line).unwrap();
    item.as_object_mut().unwrap().remove("version").unwrap();
    item
}

#[test]
fn logs_are_counted_alike_in_every_form_and_order() {
    let place = reference();
    let sample = place.read("sample.jsonl");
    let dump = |logs: &[&str]| {
        let run = [&["run", "p.toml", "--sink", "sqlite:items.db", "--replace", "--events"], logs].concat();
        place.run(&run).exits(0);
        let dump = place.run(&["dump", "sqlite:items.db"]).exits(0).stdout;
        // Every run has versions of its own.
        dump.lines().map(without_version).collect::<Vec<_>>()
    };
    let expected = dump(&["sample.jsonl"]);
    let (head, tail) = sample.split_at(sample.find('\n').unwrap() + 1);
    let windows_text = format!("\u{feff}{}", sample.trim_end().replace('\n', "\r\n\r\n"));
    place.write("windows.jsonl", windows_text);
    place.write("folder/1.jsonl.zst", zstd::encode_all(head.as_bytes(), 1).unwrap());
    place.write("folder/2.jsonl", tail);
    place.write("folder/.hidden", "nonsense");
    place.write("head.jsonl", head);
    for logs in [&["windows.jsonl"][..], &["folder"], &["head.jsonl", "folder/2.jsonl"]] {
        assert_eq!(dump(logs), expected, "{logs:?}");
    }
}

#[test]
fn logs_as_json_are_json_to_the_last_line() {
    let place = reference();
    let ended = run(&place, &["--log-format", "json"]).exits(0);
    let lines: Vec<Value> = ended.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.last().unwrap();
    assert_eq!(summary["fields"]["events"], place.read("sample.jsonl").lines().count(), "{summary}");
}
