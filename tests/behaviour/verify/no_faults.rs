//! What may differ between how a run read a log and how it is recounted, and must not be told.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::world::{Line, Log, PIPELINE, event, noise};
use super::{agrees, count, count_pieces, place, verify, verify_with, world};

pub const EVENTS: u64 = 900;

/// The world's pipeline with a section more.
pub fn with(section: &str) -> String {
    format!("{PIPELINE}{section}\n")
}

#[test]
fn however_a_run_counts_it_agrees() {
    let (place, _) = world(EVENTS);
    let ways: [(&str, &str, &[&str]); 18] = [
        ("", "sqlite:items.db", &[]),
        ("", "sqlite:items.db", &["-w", "2"]),
        ("", "sqlite:items.db", &["-w", "3"]),
        ("", "jsonl:items.jsonl", &["-w", "2"]),
        ("", "sqlite:items.db", &["--every-window"]),
        ("", "jsonl:items.jsonl", &["--every-window", "-w", "2"]),
        ("", "sqlite:items.db", &["-w", "2", "-z"]),
        ("", "jsonl:items.jsonl", &["-w", "3", "-z"]),
        ("", "sqlite:items.db", &["--clock", "wall"]),
        ("", "sqlite:items.db", &["--dead-letters", "elsewhere.jsonl"]),
        ("[window]\nlength = \"100ms\"", "jsonl:items.jsonl", &["--every-window"]),
        ("[window]\nlength = \"30d\"", "jsonl:items.jsonl", &["--every-window"]),
        ("[publish]\nevery = \"100ms\"", "sqlite:items.db", &[]),
        ("[publish]\nmin_change = 0.9\nmax_age = \"10d\"", "sqlite:items.db", &[]),
        ("[publish]\nhold_until_caught_up = true", "sqlite:items.db", &["-w", "2"]),
        ("[publish]\nlayout = \"key\"", "sqlite:items.db", &[]),
        ("[publish]\nlayout = \"key\"", "jsonl:items.jsonl", &[]),
        ("[limits]\nrows = 1000000\nmemory = \"1GiB\"", "sqlite:items.db", &["-w", "2"]),
    ];
    for (index, (section, sink, run)) in ways.into_iter().enumerate() {
        place.write("p.toml", with(section));
        count_pieces(&place, sink, &[&["--replace"], run].concat());
        let workers = ["1", "2", "3"][index % 3];
        let found = agrees(verify(&place, sink, &["-w", workers]));
        assert_eq!(found["rows"], found["equal"], "{section} {run:?}");
    }
    place.write("p.toml", PIPELINE);
    for batch in ["1", "7", "100000"] {
        count(&place, "sqlite:items.db", &["--replay-batch", batch, "--replace"]);
        agrees(verify(&place, "sqlite:items.db", &[]));
    }
}

/// What may be done to a log without changing what it says.
type Change = (&'static str, fn(&mut Log));

pub fn for_each_event(log: &mut Log, mut change: impl FnMut(&mut Value)) {
    for index in 0..log.0.len() {
        if log.0[index].counts {
            log.change(index, &mut change);
        }
    }
}

fn rename(event: &mut Value, from: &str, to: &str) {
    if event["name"] == from {
        event["name"] = to.into();
    }
}

const CHANGES: [Change; 17] = [
    ("its lines are reversed", |log| log.0.reverse()),
    ("its lines are shuffled", |log| {
        let mut order: Vec<(u64, Line)> =
            (0..).map(|number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20).zip(log.0.drain(..)).collect();
        order.sort_by_key(|(place, _)| *place);
        log.0.extend(order.into_iter().map(|(_, line)| line));
    }),
    ("its lines are sorted", |log| log.0.sort_by(|one, other| one.text.cmp(&other.text))),
    ("it has no dead letters", |log| log.0.retain(|line| line.counts)),
    ("it has more dead letters", |log| log.0.extend((0..99).map(|number| noise(&format!("{{\"name\":{number}}}"))))),
    ("it has blank lines", |log| log.0.extend(["", " ", "\t", "\r"].map(noise))),
    ("its lines end as on Windows", |log| log.0.iter_mut().for_each(|line| line.text.push('\r'))),
    ("it begins with a byte-order mark", |log| log.0[0].text.insert(0, '\u{FEFF}')),
    ("it has events that no group wants", |log| {
        log.0.extend((0..99).map(|number| event("share", number, json!({ "surface": "feed" }))));
    }),
    ("it has fields that nobody reads", |log| {
        for_each_event(log, |event| event["more"] = json!({ "name": "like", "user": ["zoë"], "time": 1.5e300 }));
    }),
    ("its times are texts", |log| for_each_event(log, |event| event["time"] = event["time"].to_string().into())),
    ("its times are fractions", |log| {
        for_each_event(log, |event| event["time"] = (event["time"].as_i64().unwrap() as f64 + 0.25).into());
    }),
    ("its numbers are texts where they are keys", |log| {
        for_each_event(log, |event| {
            if event["user"] == 7 {
                event["user"] = "7".into();
            }
        });
    }),
    ("its letters are escaped", |log| {
        let escape = |letter: char| match letter {
            letter if letter.is_ascii() => letter.to_string(),
            letter => letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        };
        log.0.iter_mut().for_each(|line| line.text = line.text.chars().map(escape).collect());
    }),
    ("its fields stand there twice", |log| {
        const FIRST: &str = r#""user":"somebody","name":"buy","time":1,"tags":["x"],"price":1e9,"#;
        for line in log.0.iter_mut().filter(|line| line.counts) {
            // Of the fields that were not there none may be seen.
            let is_missing = |name: &&str| !line.text.contains(&format!("\"{name}\":"));
            let last: String = ["user", "tags", "price"]
                .iter()
                .filter(|name| is_missing(name))
                .map(|name| format!(",\"{name}\":null"))
                .collect();
            line.text.insert_str(line.text.len() - 1, &last);
            line.text.insert_str(1, FIRST);
        }
    }),
    ("the members of its arrays are reversed, and there twice", |log| {
        for_each_event(log, |event| {
            if let Some(tags) = event["tags"].as_array_mut() {
                let again = tags.clone();
                tags.reverse();
                tags.extend(again);
            }
        });
    }),
    ("its events have names that count as the same", |log| {
        for_each_event(log, |event| rename(event, "view", "glance"));
    }),
];

#[test]
fn however_a_log_says_the_same_it_agrees() {
    let (place, log) = world(EVENTS);
    count(&place, "sqlite:items.db", &[]);
    for (index, (name, change)) in CHANGES.into_iter().enumerate() {
        let mut changed = log.clone();
        change(&mut changed);
        assert!(changed.text() != log.text(), "{name}");
        place.write("changed.jsonl", changed.text());
        let workers = if index % 2 == 0 { "1" } else { "2" };
        let found = verify_with(&place, &["changed.jsonl"], "sqlite:items.db", &["-w", workers]);
        println!("{name}");
        agrees(found);
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn however_a_log_is_stored_it_agrees() {
    let (place, log) = world(EVENTS);
    count(&place, "sqlite:items.db", &[]);
    let text = log.text();
    let pieces: Vec<String> = log.0.chunks(97).map(|lines| Log(lines.to_vec()).text()).collect();
    place.write("plain.gz", gzip(text.as_bytes()));
    place.write("members.gz", pieces.iter().flat_map(|piece| gzip(piece.as_bytes())).collect::<Vec<u8>>());
    place.write("plain.zst", zstd::encode_all(text.as_bytes(), 1).unwrap());
    place.write("no_end.jsonl", text.trim_end());
    for (number, piece) in pieces.iter().enumerate() {
        place.write(&format!("ten/{number}.jsonl"), piece);
        match number % 3 {
            0 => place.write(&format!("mixed/{number:02}.jsonl"), piece),
            1 => place.write(&format!("mixed/{number:02}.jsonl.gz"), gzip(piece.as_bytes())),
            _ => place.write(&format!("mixed/{number:02}.jsonl.zst"), zstd::encode_all(piece.as_bytes(), 1).unwrap()),
        }
    }
    place.write("mixed/dead_letters.jsonl", "{\"reason\":\"bad_time\",\"file\":\"a\",\"offset\":0,\"text\":\"x\"}\n");
    let backwards: Vec<String> = (0..pieces.len()).rev().map(|number| format!("ten/{number}.jsonl")).collect();
    let backwards: Vec<&str> = backwards.iter().map(String::as_str).collect();
    assert_eq!(backwards.len(), 10);
    let logs: [&[&str]; 8] = [
        &["plain.gz"],
        &["members.gz"],
        &["plain.zst"],
        &["no_end.jsonl"],
        &["pieces"],
        &["mixed"],
        &backwards,
        &["ten", "ten/3.jsonl"],
    ];
    for logs in logs {
        for workers in ["1", "2"] {
            agrees(verify_with(&place, logs, "sqlite:items.db", &["-w", workers]));
        }
    }
}

/// What is not taken for an event by a run is none here, whatever it is.
#[test]
fn dead_letters_of_every_kind_are_dead_letters_here() {
    let view = |fields: &str| format!("{{\"name\":\"view\",\"time\":1707600000000,{fields}}}\n").into_bytes();
    let list = |members: usize| (0..members).map(|member| member.to_string()).collect::<Vec<_>>().join(",");
    let lines = [
        view(r#""user":"good","post":"p1","tags":["one"]"#),
        view(&format!(r#""user":"good","tags":[{}]"#, list(1_000))),
        view(&format!(r#""user":"good","tags":[{}]"#, list(1_001))),
        view(&format!(r#""user":"good","more":"{}""#, "x".repeat(1_900))),
        view(&format!(r#""user":"good","more":"{}""#, "x".repeat(20_000))),
        view(&format!(r#""user":"good","more":{}1{}"#, "[".repeat(63), "]".repeat(63))),
        view(&format!(r#""user":"good","more":{}1{}"#, "[".repeat(64), "]".repeat(64))),
        // Each field may be long, but not both together: and then no group counts the event.
        view(&format!(r#""user":"{}","post":"p1""#, "u".repeat(2_045))),
        view(&format!(r#""user":"{}","post":"p1""#, "u".repeat(2_046))),
        view(&format!(r#""user":"{}","post":"p1""#, "|".repeat(1_023))),
        view(&format!(r#""user":"good","tags":["short","{}"]"#, "t".repeat(2_049))),
        b"{\"name\":\"view\",\"time\":1707600000000,\"user\":\"\xff\"}\n".to_vec(),
        b"{\"name\":\"view\",\"time\":1707600000000,\"user\":\"\\ud800\"}\n".to_vec(),
        b"{\"name\":\"view\",\"time\":17076000000000000000000,\"user\":\"a\"}\n".to_vec(),
        b"{\"name\":\"buy\",\"time\":1707600000000,\"user\":\"good\",\"price\":1e999}\n".to_vec(),
        b"{\"name\":\"buy\",\"time\":1707600000000,\"user\":\"good\",\"price\":1e-999}\n".to_vec(),
        b"{\"name\":\"buy\",\"time\":\"17076000000e2\",\"user\":\"good\",\"price\":-0.0}".to_vec(),
    ];
    let place = place(&PIPELINE.replace(r#"time_unit = "ms""#, "time_unit = \"ms\"\nmax_bytes = 10000"), "");
    place.write("log.jsonl", lines.concat());
    for workers in ["1", "2"] {
        let run = count(&place, "sqlite:items.db", &["--replace", "-w", workers]);
        assert!(run.summary("events") > 5 && run.summary("dead letters") > 5, "{}", run.stderr);
        let found = agrees(verify(&place, "sqlite:items.db", &["-w", workers]));
        let numbers = ["events", "deadLetters"].map(|name| found[name].as_u64().unwrap());
        assert_eq!(numbers, [run.summary("events"), run.summary("dead letters")]);
        assert!(found["rows"].as_u64() > Some(1_000));
    }
}
