//! What events cost that cannot be counted: the reference job on a log in which every tenth line is none, beside the same
//! log without them. Dead letters are written and synced as ever.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;

use super::Size;
use super::figures::{Figure, kept, median, reference_log, replay, replay_with};
use super::reference::PIPELINE;

/// What comes instead of an event: a page of some proxy, a time that is none, and a line that was cut off.
const REFUSED: [&str; 3] = [
    "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body>",
    r#"{"eventName":"like","userId":"4669","creatorId":"17","eventTs":"yesterday at noon"}"#,
    r#"{"eventName":"like","userId":"4669","creatorId":"17","eventTs":170"#,
];

pub fn run(Size { events, rounds }: Size) {
    let good = reference_log(events, 1_000_000);
    let bad = kept(&format!("bench-refused-{events}.jsonl"), |path| refuse_every_tenth(&good, path));
    println!("\nrefused: {events} lines, every tenth of them a dead letter, {rounds} rounds by turns; medians");
    for workers in [1, 2] {
        let pairs: Vec<_> = (0..rounds)
            .map(|_| (with_dead_letters(&bad, workers), replay(Path::new(PIPELINE), &good, workers)))
            .collect();
        let of = |figure: fn(&Figure) -> f64| median(pairs.iter().map(|(bad, good)| figure(bad) / figure(good)));
        let wall = of(|figure| figure.wall_seconds);
        let cpu = of(|figure| figure.cpu_seconds);
        println!("  {workers} workers, with / without      {wall:.2} of the time, {cpu:.2} of the CPU");
    }
}

fn with_dead_letters(log: &Path, workers: usize) -> Figure {
    let folder = tempfile::tempdir().expect("a folder");
    replay_with(Path::new(PIPELINE), log, workers, Some(&folder.path().join("dead_letters.jsonl")))
}

fn refuse_every_tenth(good: &Path, bad: &Path) {
    let lines = BufReader::new(File::open(good).expect("the log")).lines();
    let mut bad = BufWriter::new(File::create(bad).expect("the log with dead letters"));
    for (place, line) in lines.enumerate() {
        let line = line.expect("the log can be read");
        let line = if place % 10 == 7 { REFUSED[place / 10 % REFUSED.len()] } else { &line };
        writeln!(bad, "{line}").expect("there is room");
    }
    bad.flush().expect("there is room");
}
