//! What several processes cost: two processes of one worker beside one process of two workers, on the same events.
//!
//! ```text
//! cargo bench --bench cluster                                        10 million events, 3 rounds
//! cargo bench --bench cluster -- --events 1000000 --rounds 1
//! KAFKA_BROKERS=127.0.0.1:9092 cargo bench --bench cluster           from Kafka, too
//! KAFKA_BROKERS=127.0.0.1:9092 cargo bench --bench cluster -- --recovery 10000000 --rate 400000 --kills 4
//! ```
//!
//! - One log, which process 0 reads and hands on.
//! - With `KAFKA_BROKERS` also from a topic of four partitions, of which each process reads its own. It is made for this and stays.
//! - The reference job and `pipelines/feed.toml` (on a tenth of the events), into no sink, without a state. What they count is compared.
//! - What crosses the loopback: all of it, so the machine should do nothing else there.
//! - `--recovery ROWS`: instead, how long it takes from SIGKILL of one of two processes until the table gets something new again.
//!
//! The machine is shared and noisy: read the ratios, which compare figures of the same round.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on says so by a panic")]

mod recovery;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_counter-machine");

/// How the processes are laid out: how many, with so many workers each.
const LAYOUTS: [(u32, u32); 2] = [(1, 2), (2, 1)];

/// What one run has taken.
#[derive(Clone, Copy, Debug)]
struct Figures {
    events: u64,
    rows: u64,
    events_per_second: f64,
    cpu_seconds: f64,
    loopback_bytes: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str, default: u64| {
        let place = arguments.iter().position(|argument| argument == name);
        place.map_or(default, |place| arguments[place + 1].parse().expect("a number"))
    };
    let (events, rounds) = (option("--events", 10_000_000), option("--rounds", 3));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cluster");
    std::fs::create_dir_all(&folder).expect("a folder");
    let rows = option("--recovery", 0);
    if rows > 0 {
        let brokers = std::env::var("KAFKA_BROKERS").expect("KAFKA_BROKERS");
        return recovery::measure(&folder, &brokers, rows, option("--rate", 400_000), option("--kills", 4) as u32);
    }
    let pipelines = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let jobs = [("reference", "user_counters.toml", events), ("feed", "feed.toml", events / 10)];
    for (name, pipeline, events) in jobs {
        let pipeline = pipelines.join(pipeline);
        let log = folder.join(format!("{name}.jsonl"));
        generate(&log, &pipeline, name == "feed", events);
        measure(&format!("{name}, one log"), rounds, &folder, |process| {
            process.args(["run".as_ref(), pipeline.as_os_str(), "--events".as_ref(), log.as_os_str()]);
        });
        if let Ok(brokers) = std::env::var("KAFKA_BROKERS") {
            let topic = format!("cluster-bench-{name}-{}", std::process::id());
            let produced = Command::new(PROGRAM)
                .args(["produce".as_ref(), pipeline.as_os_str(), log.as_os_str()])
                .args(["--create-partitions", "4"])
                .env("KAFKA_TOPIC", &topic)
                .env("KAFKA_BROKERS", &brokers)
                .stderr(Stdio::null())
                .status();
            assert!(produced.expect("it starts").success(), "the events are in the topic");
            measure(&format!("{name}, from Kafka"), rounds, &folder, |process| {
                process.args(["run".as_ref(), pipeline.as_os_str(), "--until-end".as_ref(), "--no-state".as_ref()]);
                process.env("KAFKA_TOPIC", &topic).env("KAFKA_BROKERS", &brokers);
            });
        }
        std::fs::remove_file(&log).expect("the log");
    }
}

/// Both layouts by turns, and what the second reaches of the first.
fn measure(what: &str, rounds: u64, folder: &Path, arguments: impl Fn(&mut Command)) {
    println!("{what}");
    for round in 1..=rounds {
        let [one, two] = LAYOUTS.map(|(processes, workers)| run(processes, workers, folder, &arguments));
        assert_eq!((one.events, one.rows), (two.events, two.rows), "both count the same");
        let per_event = |bytes: u64| bytes as f64 / one.events as f64;
        println!(
            "  round {round}: 1 x 2 {:.2} M/s, 2 x 1 {:.2} M/s = {:.0} %; CPU {:.2} and {:.2} s; {:.1} bytes per event over the loopback (before: {:.1})",
            one.events_per_second / 1e6,
            two.events_per_second / 1e6,
            100.0 * two.events_per_second / one.events_per_second,
            one.cpu_seconds,
            two.cpu_seconds,
            per_event(two.loopback_bytes),
            per_event(one.loopback_bytes),
        );
    }
}

fn run(processes: u32, workers: u32, folder: &Path, arguments: &impl Fn(&mut Command)) -> Figures {
    let hosts = host_file(processes, folder);
    let before = loopback_bytes();
    let children: Vec<Child> = (0..processes)
        .map(|index| {
            let mut process = Command::new(PROGRAM);
            arguments(&mut process);
            process.args(["--sink", "none", "--log-format", "json", "-w"]).arg(workers.to_string());
            process.arg("--dead-letters").arg(folder.join("letters.jsonl"));
            if processes > 1 {
                process.args(["-n", &processes.to_string(), "-p", &index.to_string(), "-h"]).arg(&hosts);
            }
            process.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts")
        })
        .collect();
    let summaries: Vec<Value> = children.into_iter().map(summary).collect();
    let loopback_bytes = loopback_bytes() - before;
    let sum = |name: &str| summaries.iter().filter_map(|summary| summary["fields"][name].as_f64()).sum::<f64>();
    let of_all = &summaries[0]["fields"];
    Figures {
        events: of_all["events"].as_u64().expect("events"),
        rows: of_all["rows"].as_u64().expect("rows"),
        events_per_second: of_all["events_per_second"].as_f64().expect("a rate"),
        cpu_seconds: sum("cpu_seconds"),
        loopback_bytes,
    }
}

/// The summary of a process, which must end well.
fn summary(child: Child) -> Value {
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{said}");
    let mut lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.rfind(|line| line["fields"]["events_per_second"].is_number()).expect("a summary")
}

fn generate(log: &Path, pipeline: &Path, is_feed: bool, events: u64) {
    let mut command = Command::new(PROGRAM);
    command.args(["generate", "--events", &events.to_string(), "--users", "1000000", "--output"]).arg(log);
    if is_feed {
        command.arg("--pipeline").arg(pipeline);
    }
    assert!(command.stderr(Stdio::null()).status().expect("it starts").success());
}

fn host_file(processes: u32, folder: &Path) -> PathBuf {
    let bind = |_| std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listeners: Vec<_> = (0..processes).map(bind).collect();
    let lines: Vec<String> =
        listeners.iter().map(|listener| listener.local_addr().expect("an address").to_string()).collect();
    let path = folder.join("hosts");
    std::fs::write(&path, lines.join("\n")).expect("a file");
    path
}

/// What the loopback has taken since the machine began; 0 where it does not say.
fn loopback_bytes() -> u64 {
    let interfaces = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let line = interfaces.lines().find_map(|line| line.trim().strip_prefix("lo:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
