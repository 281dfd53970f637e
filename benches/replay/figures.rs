//! Running the program, and what its summary says.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What one run of one thing took.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    pub events: u64,
    pub wall_seconds: f64,
    pub cpu_seconds: f64,
    pub rows: u64,
    pub items: u64,
    pub peak_memory_bytes: u64,
}

impl Figure {
    pub fn events_per_second(&self) -> f64 {
        self.events as f64 / self.wall_seconds
    }

    pub fn cpu_nanoseconds_per_event(&self) -> f64 {
        self.cpu_seconds * 1e9 / self.events as f64
    }
}

/// The whole program as a process of its own, from a log to the sink `none`.
pub fn replay(pipeline: &Path, log: &Path, workers: usize) -> Figure {
    replay_with(pipeline, log, workers, None)
}

/// The same of a log with dead letters, which go to this file.
pub fn replay_with(pipeline: &Path, log: &Path, workers: usize, dead_letters: Option<&Path>) -> Figure {
    let output = Command::new(env!("CARGO_BIN_EXE_counter-machine"))
        .arg("run")
        .args(dead_letters.into_iter().flat_map(|path| [OsStr::new("--dead-letters"), path.as_os_str()]))
        .arg(pipeline)
        .args(["--sink", "none", "--log-format", "json", "-w", &workers.to_string(), "--events"])
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
        items: number("items_written") as u64,
        peak_memory_bytes: number("peak_memory_bytes") as u64,
    }
}

/// Where the benchmark keeps what it has made: a file of this name, made once.
pub fn kept(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !path.exists() {
        let unfinished = path.with_extension("unfinished");
        // Of a benchmark that was interrupted.
        let _ = std::fs::remove_file(&unfinished);
        make(&unfinished);
        std::fs::rename(&unfinished, &path).expect("the file is made");
    }
    path
}

/// A log that `generate` makes of these arguments.
pub fn generated(name: &str, arguments: &[&str]) -> PathBuf {
    kept(name, |path| {
        let status = Command::new(env!("CARGO_BIN_EXE_counter-machine"))
            .arg("generate")
            .args(arguments)
            .arg("--output")
            .arg(path)
            .status()
            .expect("the program starts");
        assert!(status.success());
    })
}

/// The log for the reference job.
pub fn reference_log(events: u64, users: u64) -> PathBuf {
    let (events, users) = (events.to_string(), users.to_string());
    let arguments =
        ["--zipf", "1.1", "--events-per-second", "20000", "--seed", "1", "--events", &events, "--users", &users];
    generated(&format!("bench-{events}-{users}.jsonl"), &arguments)
}

pub fn bytes_per_line(log: &Path) -> u64 {
    let mut beginning = String::new();
    let file = std::fs::File::open(log).expect("the log");
    file.take(64 * 1024).read_to_string(&mut beginning).expect("the log");
    (beginning.len() / beginning.lines().count()) as u64
}

pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
