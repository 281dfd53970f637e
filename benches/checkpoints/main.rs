//! What checkpoints cost: the whole program over a log that makes so many rows, and then one that changes a tenth of them, without a
//! state, and with a checkpoint every ten seconds and every second; and what a restart from that state takes.
//!
//! ```text
//! cargo bench --bench checkpoints                                       1 and 10 million rows, 3 rounds
//! cargo bench --bench checkpoints -- --rows 1000000 --rounds 1 --changes 20000000
//! ```
//!
//! - *throughput*: events per second while a tenth of the rows changes, one worker; a run without a state beside it, by turns (how much longer
//!   that takes with those events than without them).
//! - *longest stretch*: the longest that a worker has spent on one checkpoint between other work, by the clock of its thread's processor time,
//!   and by the wall clock beside it: median and 99th percentile over all checkpoints.
//! - *restart*: how long it takes until all rows are back, and the most memory that takes, beside that of running.
//!
//! Files lie in `target/` (8 GB for 10 million rows), and in the page cache. The machine is shared and noisy: read the ratios of one round.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on says so by a panic")]

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

const PIPELINE: &str = r#"
name = "checkpoints"
[event]
name = "n"
time = "t"
[[counters]]
name = "user"
key = ["u"]
events = "*"
decays = ["1h", "1d"]
ttl = "none"
"#;

/// What one run said.
struct Run {
    /// How long it counted: from its start to its end, or until all was read.
    seconds: f64,
    peak_memory: f64,
    /// Of each checkpoint of a tenth of the rows: bytes, seconds, longest stretch in microseconds of processor time and of wall time.
    checkpoints: Vec<[f64; 4]>,
    restored: Option<f64>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        Some(arguments[place + 1].parse::<u64>().expect("a number"))
    };
    let rounds = option("--rounds").unwrap_or(3);
    for rows in option("--rows").map_or(vec![1_000_000, 10_000_000], |rows| vec![rows]) {
        measure(rows, option("--changes").unwrap_or(120_000_000), rounds);
    }
}

fn measure(rows: u64, changes: u64, rounds: u64) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("checkpoints");
    fs::create_dir_all(&folder).expect("a folder");
    let (made, changed) = (folder.join(format!("{rows}.jsonl")), folder.join(format!("{rows}-{changes}-spread.jsonl")));
    if !changed.exists() {
        write_log(&made, (0..rows).map(|key| (key, key)));
        // Every tenth key: those that change lie between others that do not, also where all were just counted in their order.
        let key = |by: u64| by % (rows / 10).max(1) * 10;
        write_log(&changed, random().take(changes as usize).zip(rows..).map(|(by, number)| (key(by), number)));
    }
    println!("{rows} rows, of which a tenth changes, by {changes} events; {rounds} rounds, one worker\n");
    let mut all: [Vec<Run>; 3] = Default::default();
    let mut restarts = Vec::new();
    for _ in 0..rounds {
        for (runs, every) in all.iter_mut().zip([None, Some("10s"), Some("1s")]) {
            let state = folder.join("state");
            let _ = fs::remove_dir_all(&state);
            let first = run(&folder, &[made.as_path()], every.map(|_| "1h"));
            let mut second = run(&folder, &[made.as_path(), changed.as_path()], every);
            if every.is_none() {
                second.seconds -= first.seconds;
            }
            runs.push(second);
            if every == Some("1s") {
                restarts.push(run(&folder, &[made.as_path(), changed.as_path()], every));
            }
        }
    }
    println!(
        "| checkpoints | events/s | of those without | made | MB each | seconds each | stretch p50, p99 (ms of CPU) | (ms of wall) | peak memory |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    let rate = |runs: &[Run]| median(runs.iter().map(|run| changes as f64 / run.seconds).collect());
    let without = rate(&all[0]);
    for (runs, name) in all.iter().zip(["none", "every 10 s", "every 1 s"]) {
        let each = |which: usize| {
            runs.iter().flat_map(|run| run.checkpoints.iter().map(move |of| of[which])).collect::<Vec<_>>()
        };
        let stretch = |which: usize| {
            let ms = |part| percentile(each(which), part) / 1e3;
            format!("{:.2}, {:.2}", ms(0.5), ms(0.99))
        };
        println!(
            "| {name} | {:.2} M | {:.1} % | {} | {:.1} | {:.2} | {} | {} | {:.0} MiB |",
            rate(runs) / 1e6,
            100.0 * rate(runs) / without,
            each(0).len(),
            median(each(0)) / 1e6,
            median(each(1)),
            stretch(2),
            stretch(3),
            median(runs.iter().map(|run| run.peak_memory).collect()) / f64::from(1 << 20),
        );
    }
    let seconds = median(restarts.iter().filter_map(|run| run.restored).collect());
    let memory = median(restarts.iter().map(|run| run.peak_memory).collect());
    let running = median(all[0].iter().map(|run| run.peak_memory).collect());
    println!(
        "\nRestart: all rows back in {seconds:.2} s; at most {:.0} MiB, {:.2} times what running takes without a state.\n",
        memory / f64::from(1 << 20),
        memory / running
    );
}

/// Numbers by chance, the same in every run.
fn random() -> impl Iterator<Item = u64> {
    let xorshift = |random: &u64| {
        let random = random ^ random << 13;
        let random = random ^ random >> 7;
        Some(random ^ random << 17)
    };
    std::iter::successors(Some(88_172_645_463_325_252_u64), xorshift)
}

/// Events of these keys, with the number of each among all.
fn write_log(log: &Path, events: impl Iterator<Item = (u64, u64)>) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(log).expect("a log"));
    for (key, number) in events {
        writeln!(file, "{{\"n\":\"v\",\"u\":\"k{key}\",\"t\":{}}}", 1_700_000_000 + number / 1_000_000).expect("room");
    }
    file.flush().expect("room");
}

fn run(folder: &Path, logs: &[&Path], every: Option<&str>) -> Run {
    let pipeline = folder.join("pipeline.toml");
    let checkpoint = every.map(|every| format!("[checkpoint]\nevery = \"{every}\"\n")).unwrap_or_default();
    fs::write(&pipeline, PIPELINE.replace("[event]", &format!("{checkpoint}[event]"))).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_counter-machine"));
    command.arg("run").arg(&pipeline).args(["--sink", "none", "--log-format", "json", "--events"]).args(logs);
    if every.is_some() {
        command.arg("--state").arg(folder.join("state"));
    }
    let output = command.env("RUST_LOG", "counter_machine=debug").stdout(Stdio::null()).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let field = |line: &Value, name: &str| line["fields"][name].as_f64().unwrap_or_default();
    let summary = lines.last().expect("a summary");
    let message = |line: &Value| line["fields"]["message"].as_str().unwrap_or_default().to_owned();
    let made = lines.iter().filter(|line| message(line) == "a checkpoint was made");
    let names = ["bytes", "seconds", "longest_stretch_us", "longest_stretch_wall_us"];
    let mut checkpoints: Vec<[f64; 4]> = made.map(|line| names.map(|name| field(line, name))).collect();
    // The last one, of what was published, is smaller.
    let tenth = median(checkpoints.iter().map(|of| of[0]).collect());
    checkpoints.retain(|of| of[0] > tenth * 0.5 && of[0] < tenth * 1.5);
    let restored = lines.iter().map(message).find_map(|message| {
        let seconds = message.strip_prefix("restored ")?.rsplit_once(" in ")?.1.strip_suffix(" s")?;
        seconds.parse().ok()
    });
    let time_of = |text: &str| {
        let line = lines.iter().find(|line| message(line).starts_with(text))?;
        line["timestamp"].as_str()?.parse::<jiff::Timestamp>().ok()
    };
    let seconds = match time_of("restored ").zip(time_of("all is read")) {
        Some((restored, read)) => restored.duration_until(read).as_secs_f64(),
        None => field(summary, "events") / field(summary, "events_per_second"),
    };
    Run { seconds, peak_memory: field(summary, "peak_memory_bytes"), checkpoints, restored }
}

fn median(values: Vec<f64>) -> f64 {
    percentile(values, 0.5)
}

fn percentile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = ((values.len() as f64 * part) as usize).min(values.len().saturating_sub(1));
    values.get(place).copied().unwrap_or_default()
}
