//! Logs that are compressed in odd ways, and input that is not one JSON object per line.

use std::io::Write as _;

use serde_json::Value;

use crate::commands::reference;
use crate::program::{Ended, Workplace};

fn likes(events: usize) -> Vec<String> {
    let like = |event| {
        format!("{{\"eventName\":\"like\",\"userId\":\"{}\",\"eventTs\":{}}}", event % 7, 1_707_605_600 + event)
    };
    (0..events).map(like).collect()
}

fn lines(events: usize) -> String {
    likes(events).into_iter().map(|like| like + "\n").collect()
}

fn run(place: &Workplace, log: &str, workers: &str) -> Ended {
    place.run(&["run", "p.toml", "--events", log, "--sink", "none", "-w", workers])
}

#[test]
fn zeros_behind_a_compressed_log_are_no_damage() {
    let place = reference();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(lines(50).as_bytes()).unwrap();
    let (gzip, zstd) = (gzip.finish().unwrap(), zstd::encode_all(lines(50).as_bytes(), 1).unwrap());
    for (name, member) in [("a.jsonl.gz", gzip), ("a.jsonl.zst", zstd)] {
        let zeros = vec![0; 300_000];
        // Padded at its end; and two padded logs, put together with `cat`.
        for (stored, events) in [([&member[..], &zeros].concat(), 50), ([&member[..], &zeros].concat().repeat(2), 100)]
        {
            place.write(name, stored);
            assert_eq!(run(&place, name, "1").exits(0).summary("events"), events, "{name}");
        }
        place.write(name, [&member[..], &zeros, b"more"].concat());
        assert_eq!(run(&place, name, "1").exits(1).says(&["truncated or damaged"]).summary("events"), 50);
    }
}

/// A zstd frame that holds one event as it is.
fn frame(header: &[u8]) -> Vec<u8> {
    let event = lines(1);
    let last_and_raw = (event.len() as u32) << 3 | 1;
    [b"\x28\xB5\x2F\xFD", header, &last_and_raw.to_le_bytes()[..3], event.as_bytes()].concat()
}

#[test]
fn a_zstd_log_that_cannot_be_decompressed_here_says_what_to_pipe() {
    let place = reference();
    let largest_window = b"\x00\x88";
    place.write("fits.zst", frame(largest_window));
    assert_eq!(run(&place, "fits.zst", "1").exits(0).summary("events"), 1);
    for (header, hint) in
        [(&b"\x00\x89"[..], "zstd -dc --long=31 FILE"), (b"\x01\x88\x07", "zstd -dc -D DICTIONARY FILE")]
    {
        place.write("a.zst", frame(header));
        let command = ["run", "p.toml", "--events", "a.zst", "--sink", "jsonl:items.jsonl"];
        let ended = place.run(&command).exits(2).says(&["a.zst", hint, "--events -"]);
        assert!(!ended.stderr.contains("damaged") && !place.path("items.jsonl").exists(), "{}", ended.stderr);
        place.run(&["check", "p.toml", "--events", "a.zst"]).exits(2).says(&["a.zst", hint]);
        // Its beginning does not tell.
        place.write("later.zst", [frame(largest_window), frame(header)].concat());
        let ended = run(&place, "later.zst", "1").exits(1).says(&["later.zst", hint, "not everything could be read"]);
        assert!(!ended.stderr.contains("damaged") && ended.summary("events") == 1, "{}", ended.stderr);
    }
}

#[test]
fn a_log_of_another_compression_is_refused_with_what_to_pipe() {
    let place = reference();
    for (begin, hint) in
        [(&b"\xFD7zXZ\0"[..], "xz -dc FILE"), (b"BZh9", "bzip2 -dc FILE"), (b"\x04\x22\x4D\x18", "lz4 -dc FILE")]
    {
        place.write("logs/a.jsonl", [begin, b" and more\n"].concat());
        for logs in ["logs", "logs/a.jsonl"] {
            run(&place, logs, "1").exits(2).says(&["logs/a.jsonl", hint, "--events -"]);
        }
    }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn input_in_another_form_is_named_with_what_to_do_and_the_run_fails() {
    let likes = likes(200);
    let pretty = |like: &String| serde_json::to_string_pretty(&serde_json::from_str::<Value>(like).unwrap()).unwrap();
    let pretty: Vec<String> = likes.iter().map(pretty).collect();
    let array = ("a JSON array", "jq -c '.[]' FILE");
    let csv = lines(200).replace(['{', '}', '"', ':'], "");
    let inputs: [(Vec<u8>, u64, (&str, &str)); 9] = [
        (format!("[{}]\n", likes.join(",")).into(), 0, array),
        (format!("[\n{}\n]\n", likes.join(",\n")).into(), 1, array),
        (format!("[\n{}\n]\n", pretty.join(",\n")).into(), 0, array),
        (pretty.join("\n").into(), 0, ("JSON objects over several lines", "jq -c . FILE")),
        (likes.concat().into(), 0, ("several JSON objects in one line", "jq -c . FILE")),
        (csv.into(), 0, ("CSV or another table", "mlr --icsv")),
        (utf16(&format!("\u{feff}{}", lines(200))), 0, ("UTF-16", "iconv -f UTF-16")),
        (utf16(&lines(200)), 0, ("UTF-16", "iconv -f UTF-16")),
        // Longer than an event may be.
        (format!("[{}]", likes.join(",").repeat(100)).into(), 0, array),
    ];
    for (input, events, (name, advice)) in inputs {
        let place = reference();
        place.write("a.jsonl", input);
        for workers in ["1", "2"] {
            let ended = run(&place, "a.jsonl", workers).exits(1);
            let ended = ended.says(&["failed: the input is not one JSON object per line", name, advice, "WARN"]);
            assert_eq!(ended.summary("events"), events, "{name}");
        }
        let check = place.run(&["check", "p.toml", "--events", "a.jsonl"]).exits(0);
        let warning = check.stdout.lines().find(|line| line.starts_with("warning: ") && line.contains(name));
        assert!(warning.is_some_and(|warning| warning.contains(advice)), "{}", check.stdout);
    }
}

#[test]
fn some_lines_that_are_no_events_are_no_other_form() {
    let place = reference();
    let fails_nothing = |log: &str, told: bool| {
        for workers in ["1", "2"] {
            let ended = run(&place, log, workers).exits(0);
            assert_eq!(ended.stderr.contains("look like"), told, "{}", ended.stderr);
        }
    };
    let noise = "started, with 7 threads\nlike,7,1707605599\n";
    place.write("noise.jsonl", [lines(100).as_str(), noise, &lines(100)].concat());
    fails_nothing("noise.jsonl", false);
    // Two of three lines; but then every third counts.
    place.write("mixed.jsonl", format!("like,7,1707605599\n{}like,7,1707605599\n", lines(1)).repeat(100));
    fails_nothing("mixed.jsonl", true);
    // An array beside logs that are in order.
    place.write("logs/1.jsonl", format!("[\n{}\n]\n", likes(20).join(",\n")));
    place.write("logs/2.jsonl", lines(500));
    fails_nothing("logs", false);
    // Conditions and names that let nothing through select; they do not refuse.
    let counters = place.read("p.toml").replace("events = \"*\"", "events = [\"share\"]");
    place.write("p.toml", counters);
    place.write("good.jsonl", lines(2_000));
    assert_eq!(run(&place, "good.jsonl", "1").exits(0).summary("dead letters"), 0);
}

fn details(place: &Workplace) -> Vec<String> {
    let letters = place.read("dead_letters.jsonl");
    let letters = letters.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let details = letters.map(|letter| {
        assert_eq!(letter["reason"], "bad_time");
        letter["detail"].as_str().unwrap_or("none").to_owned()
    });
    details.collect()
}

#[test]
fn a_bad_time_says_what_is_wrong_with_it() {
    let (missing, no_number) = ("no such field, or null", "no number");
    let not_rfc3339 = "not RFC 3339: a date, a time and a zone are needed";
    for (unit, times, expected, finding) in [
        ("s", ["", "null", "\"2024-02-10T22:53:19Z\"", "true"], [missing, missing, no_number, no_number], "rfc3339"),
        (
            "rfc3339",
            ["", "1707605599", "\"2024-02-10T22:53:19\"", "\"yesterday\""],
            [missing, not_rfc3339, not_rfc3339, not_rfc3339],
            "with a zone",
        ),
    ] {
        let place = reference();
        let pipeline = place.read("p.toml");
        assert!(pipeline.contains("time_unit = \"s\""));
        place.write("p.toml", pipeline.replace("time_unit = \"s\"", &format!("time_unit = \"{unit}\"")));
        let field = |time: &str| if time.is_empty() { String::new() } else { format!(",\"eventTs\":{time}") };
        let line = |time: &&str| format!("{{\"eventName\":\"like\",\"userId\":\"1\"{}}}\n", field(time));
        place.write("a.jsonl", times.iter().map(line).collect::<String>());
        run(&place, "a.jsonl", "1").exits(1).says(&["no event counted", "[event] time = \"eventTs\"", finding]);
        assert_eq!(details(&place), expected);
        place
            .run(&["check", "p.toml", "--events", "a.jsonl"])
            .exits(0)
            .prints(&["bad_time (no such field, or null)", finding]);
    }
}
