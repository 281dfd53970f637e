//! What a replay costs, beside what parsing alone costs: all on the same data, in one run, by turns.
//!
//! ```text
//! cargo bench                               10 million events, 3 rounds
//! cargo bench -- --events 1000000 --rounds 1
//! ```
//!
//! - *yardstick*: `serde_json` into a borrowed struct of the four fields, every line, one thread,
//!   nothing else.
//! - *decoder*: the project's own decoder alone, one thread.
//! - *replay*: the whole program, from the file to the sink `none`, with one and with two workers.
//!
//! The machine is shared and noisy: read the ratios, which compare figures of the same round.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on says so by a panic")]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use counter_machine::counter::EventTime;
use counter_machine::event::{Decoder, Utf8};
use counter_machine::pipeline::Pipeline;
use counter_machine::telemetry::cpu_seconds;
use serde::Deserialize;

const PIPELINE: &str = "pipelines/user_counters.toml";

/// What one run of one thing took.
#[derive(Clone, Copy, Debug)]
struct Figure {
    events: u64,
    wall_seconds: f64,
    cpu_seconds: f64,
    rows: u64,
    peak_memory_bytes: u64,
}

impl Figure {
    fn events_per_second(&self) -> f64 {
        self.events as f64 / self.wall_seconds
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str, default: u64| {
        let place = arguments.iter().position(|argument| argument == name);
        place.map_or(default, |place| arguments[place + 1].parse().expect("a number"))
    };
    let (events, rounds) = (option("--events", 10_000_000), option("--rounds", 3));
    let log = generated(events, 1_000_000);
    let single_key_log = generated(events, 1);
    let names = ["yardstick", "decoder", "replay, 1 worker", "replay, 2 workers"];
    let mut figures: Vec<Vec<Figure>> = vec![Vec::new(); names.len()];
    for _ in 0..rounds {
        figures[0].push(yardstick(&log));
        figures[1].push(decoder(&log));
        figures[2].push(replay(&log, 1));
        figures[3].push(replay(&log, 2));
    }
    println!("\n{events} events, {} bytes each, {rounds} rounds by turns; medians", bytes_per_line(&log));
    println!("{:<20} {:>12} {:>14} {:>12}", "", "events/s", "CPU-s per M", "wall s");
    for (name, figures) in names.iter().zip(&figures) {
        let rate = median(figures.iter().map(Figure::events_per_second));
        let cpu = median(figures.iter().map(|figure| figure.cpu_seconds * 1e6 / figure.events as f64));
        let wall = median(figures.iter().map(|figure| figure.wall_seconds));
        println!("{name:<20} {:>10.2} M {cpu:>14.3} {wall:>12.3}", rate / 1e6);
    }
    let ratio = |over: usize, under: usize| {
        median(figures[over].iter().zip(&figures[under]).map(|(a, b)| a.events_per_second() / b.events_per_second()))
    };
    println!("\nratios of events/s, round by round (medians)");
    println!("  decoder / yardstick            {:.2}", ratio(1, 0));
    println!("  replay, 1 worker / yardstick   {:.2}", ratio(2, 0));
    println!("  replay, 2 workers / 1 worker   {:.2}", ratio(3, 2));
    let single = replay(&single_key_log, 1);
    let whole = figures[2].last().expect("a round");
    let rows = whole.rows - single.rows;
    let bytes = whole.peak_memory_bytes.saturating_sub(single.peak_memory_bytes);
    println!(
        "\nmemory: {} MB, less {} MB with a single key: {:.0} bytes for each of {} rows",
        whole.peak_memory_bytes / 1_000_000,
        single.peak_memory_bytes / 1_000_000,
        bytes as f64 / rows as f64,
        whole.rows
    );
}

/// The four fields, borrowed: about the least that any program must do with an event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "parsing them is the point")]
struct Borrowed<'a> {
    event_name: &'a str,
    user_id: &'a str,
    creator_id: &'a str,
    event_ts: i64,
}

fn yardstick(log: &Path) -> Figure {
    each_line(log, |line| {
        let event: Borrowed<'_> = serde_json::from_slice(line).expect("a generated event");
        std::hint::black_box(&event);
    })
}

fn decoder(log: &Path) -> Figure {
    let pipeline = Pipeline::load(Path::new(PIPELINE), &|_| None).expect("the reference pipeline");
    let mut decoder = Decoder::new(Arc::new(pipeline.event));
    each_line(log, |line| {
        let event = decoder.decode(line, EventTime(i64::MAX / 2), Utf8::Unchecked);
        std::hint::black_box(&event.expect("a generated event"));
    })
}

/// Reads the log block by block and shows every line.
fn each_line(log: &Path, mut visit: impl FnMut(&[u8])) -> Figure {
    let (started, cpu_before) = (Instant::now(), cpu_seconds().unwrap_or(f64::NAN));
    let mut file = File::open(log).expect("the log");
    let mut buffer = vec![0; 1 << 20];
    let (mut kept, mut events) = (0, 0);
    loop {
        let read = file.read(&mut buffer[kept..]).expect("the log can be read");
        let filled = kept + read;
        let mut start = 0;
        while let Some(length) = memchr::memchr(b'\n', &buffer[start..filled]) {
            visit(&buffer[start..start + length]);
            events += 1;
            start += length + 1;
        }
        if read == 0 {
            break;
        }
        buffer.copy_within(start..filled, 0);
        kept = filled - start;
    }
    Figure {
        events,
        wall_seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds().unwrap_or(f64::NAN) - cpu_before,
        rows: 0,
        peak_memory_bytes: 0,
    }
}

/// The whole program as a process of its own; its figures are those of its own summary.
fn replay(log: &Path, workers: usize) -> Figure {
    let output = Command::new(env!("CARGO_BIN_EXE_counter-machine"))
        .args(["run", PIPELINE, "--sink", "none", "--log-format", "json", "-w", &workers.to_string(), "--events"])
        .arg(log)
        .stdout(Stdio::null())
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stderr);
    let summary: serde_json::Value = serde_json::from_str(text.lines().last().expect("a summary")).expect("JSON");
    let number = |name: &str| summary["fields"][name].as_f64().expect("a number in the summary");
    Figure {
        events: number("events") as u64,
        wall_seconds: number("elapsed_seconds"),
        cpu_seconds: number("cpu_seconds"),
        rows: number("rows") as u64,
        peak_memory_bytes: number("peak_memory_bytes") as u64,
    }
}

/// The log of so many events and users, made once and kept.
fn generated(events: u64, users: u64) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("bench-{events}-{users}.jsonl"));
    if !path.exists() {
        let unfinished = path.with_extension("unfinished");
        let status = Command::new(env!("CARGO_BIN_EXE_counter-machine"))
            .args(["generate", "--zipf", "1.1", "--events-per-second", "20000", "--seed", "1"])
            .args(["--events", &events.to_string(), "--users", &users.to_string(), "--output"])
            .arg(&unfinished)
            .status()
            .expect("the program starts");
        assert!(status.success());
        std::fs::rename(&unfinished, &path).expect("the log is made");
    }
    path
}

fn bytes_per_line(log: &Path) -> u64 {
    let mut beginning = String::new();
    File::open(log).and_then(|file| file.take(64 * 1024).read_to_string(&mut beginning)).expect("the log");
    (beginning.len() / beginning.lines().count()) as u64
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
