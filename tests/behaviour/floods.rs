//! Floods of bad input, under a hard limit of memory: however much comes, a run takes what its rows take and a constant
//! more. A run that wants more memory than it may have does not end as it should.

use std::fs::File;
use std::io::{BufWriter, Write as _};

use crate::program::{Ended, Workplace};

/// The constant, in MiB, where what comes does not count: twice what a run takes, as machines differ.
const NOTHING_COUNTS_MIB: u64 = 192;

/// Where it counts for very many rows, most of which are evicted again: an epoch may add so much.
const ROWS_COUNT_MIB: u64 = 512;

/// What librdkafka takes besides: its queues (64 MiB), and what it decompresses, which is a whole answer of a broker at once: of lines that are
/// compressed to next to nothing, as these are, some 40 MiB of each partition.
const KAFKA_MIB: u64 = 160;

/// Some input of one kind.
#[derive(Clone, Copy)]
struct Flood {
    what: &'static str,
    lines: usize,
    line: fn(usize) -> String,
    /// Whether its lines are events that count.
    counts: bool,
}

fn like(user: impl std::fmt::Display, more: &str) -> String {
    format!(r#"{{"eventName":"like","userId":"{user}"{more},"eventTs":1707605599}}"#)
}

fn name(length: usize, number: usize) -> String {
    format!(r#"{{"eventName":"{number:0length$}","userId":"7","eventTs":1707605599}}"#)
}

/// Few rows of everything there is, whatever its name.
fn place() -> Workplace {
    let place = Workplace::new();
    place.write(
        "p.toml",
        r#"
        name = "flooded"
        event = { name = "eventName", time = "eventTs" }
        limits = { rows = 2000 }
        [[counters]]
        name = "user"
        key = ["userId"]
        events = "*"
        decays = ["10m", "1d"]
        "#,
    );
    place
}

impl Flood {
    fn runs_within(&self, memory_mib: u64, place: &Workplace, workers: &str) {
        self.write(place, self.lines);
        let run = ["run", "p.toml", "--events", "events.jsonl", "--sink", "none", "-w", workers];
        self.is_judged_by(place.run_within(memory_mib, &run), self.lines);
        let _ = std::fs::remove_file(place.path("dead_letters.jsonl"));
    }

    fn write(&self, place: &Workplace, lines: usize) {
        let mut log = BufWriter::new(File::create(place.path("events.jsonl")).unwrap());
        (0..lines).for_each(|number| writeln!(log, "{}", (self.line)(number)).unwrap());
        log.flush().unwrap();
    }

    /// Nothing may be lost.
    fn is_judged_by(&self, run: Ended, lines: usize) {
        let (code, events, dead_letters) = if self.counts { (0, lines as u64, 0) } else { (1, 0, lines as u64) };
        let run = run.exits(code);
        let judged = (run.summary("events"), run.summary("dead letters"));
        assert_eq!(judged, (events, dead_letters), "{}\n{}", self.what, run.stderr);
    }
}

const BAD_LINES: [Flood; 2] = [
    Flood { what: "no JSON", lines: 2_000_000, line: |_| "nonsense".to_owned(), counts: false },
    Flood {
        what: "bad times",
        lines: 600_000,
        line: |number| format!(r#"{{"eventName":"like","userId":"{number:050}","eventTs":"yesterday"}}"#),
        counts: false,
    },
];

const NAMES: [Flood; 2] = [
    Flood { what: "long names", lines: 2_000, line: |number| name(60_000, number), counts: false },
    Flood { what: "new names", lines: 220_000, line: |number| name(500, number), counts: true },
];

const KEYS: [Flood; 2] = [
    Flood { what: "new keys", lines: 800_000, line: |number| like(format!("{number:0200}"), ""), counts: true },
    Flood { what: "long keys", lines: 100_000, line: |number| like(format!("{number:02000}"), ""), counts: true },
];

const LARGE_EVENTS: [Flood; 5] = [
    Flood { what: "huge lines", lines: 100, line: |_| "x".repeat(3_000_000), counts: false },
    Flood { what: "large lines", lines: 300, line: |_| "x".repeat(900_000), counts: false },
    Flood {
        what: "deep objects",
        lines: 100,
        line: |_| like("7", &format!(r#","more":{}{}"#, r#"{"a":"#.repeat(80_000), "}".repeat(80_000))),
        counts: false,
    },
    Flood { what: "a hundred thousand fields", lines: 100, line: |_| like("7", &fields(100_000)), counts: true },
    Flood {
        what: "a hundred thousand members of a key",
        lines: 100,
        line: |_| like("7", "").replace(r#""7""#, &format!("[{}7]", "7,".repeat(100_000))),
        counts: false,
    },
];

fn fields(count: usize) -> String {
    (0..count).map(|number| format!(r#","{number}":1"#)).collect()
}

#[test]
fn bad_lines_take_a_constant_amount_of_memory() {
    let place = place();
    for (flood, workers) in BAD_LINES.iter().zip(["1", "2"]) {
        flood.runs_within(NOTHING_COUNTS_MIB, &place, workers);
    }
}

#[test]
fn made_up_names_take_a_constant_amount_of_memory() {
    let place = place();
    let [long, new] = &NAMES;
    long.runs_within(NOTHING_COUNTS_MIB, &place, "2");
    new.runs_within(ROWS_COUNT_MIB, &place, "1");
}

#[test]
fn made_up_names_that_no_group_selects_take_a_constant_amount_of_memory() {
    let place = place();
    place.write("p.toml", place.read("p.toml").replace("\"*\"", "[\"like\"]"));
    NAMES.iter().for_each(|flood| flood.runs_within(NOTHING_COUNTS_MIB, &place, "1"));
}

#[test]
fn made_up_keys_take_a_constant_amount_of_memory_beside_their_limit() {
    let place = place();
    for (flood, workers) in KEYS.iter().zip(["1", "2"]) {
        flood.runs_within(ROWS_COUNT_MIB, &place, workers);
    }
}

#[test]
fn large_events_take_a_constant_amount_of_memory() {
    let place = place();
    LARGE_EVENTS.iter().for_each(|flood| flood.runs_within(NOTHING_COUNTS_MIB, &place, "1"));
}

#[test]
#[ignore = "needs Kafka"]
fn floods_from_kafka_take_a_constant_amount_of_memory() {
    let brokers = std::env::var("KAFKA_BROKERS").expect("KAFKA_BROKERS names a broker; scripts/test sets it");
    // No broker takes a huge line.
    for flood in [&BAD_LINES[..], &NAMES, &KEYS, &LARGE_EVENTS[1..]].concat() {
        let place = place();
        let topic = format!("flood-{}-{}", flood.what.replace(' ', "-"), std::process::id());
        let kafka = format!("[kafka]\nbrokers = \"{brokers}\"\ntopic = \"{topic}\"\n");
        place.write("p.toml", place.read("p.toml") + &kafka);
        let lines = flood.lines / 2;
        flood.write(&place, lines);
        place.run(&["produce", "p.toml", "events.jsonl", "--create-partitions", "2"]).exits(0);
        let memory = KAFKA_MIB + if flood.counts { ROWS_COUNT_MIB } else { NOTHING_COUNTS_MIB };
        let run = ["run", "p.toml", "--until-end", "--sink", "none", "-w", "2"];
        flood.is_judged_by(place.run_within(memory, &run), lines);
    }
}
