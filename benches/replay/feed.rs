//! The matrix: `pipelines/feed.toml` over generated events.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use counter_machine::cli::check::plan::Planner;
use counter_machine::counter::EventTime;
use counter_machine::event::Arrival;
use counter_machine::pipeline::Pipeline;

use super::Size;
use super::figures::{Figure, bytes_per_line, generated, kept, median, reference_log, replay};
use super::reference::PIPELINE as REFERENCE;

const FEED: &str = "pipelines/feed.toml";

/// How many events the row updates per event are counted over.
const SAMPLE: usize = 200_000;

/// One pipeline, and what came out.
struct Job {
    name: &'static str,
    pipeline: PathBuf,
    log: PathBuf,
    workers: usize,
    updates_per_event: f64,
    figures: Vec<Figure>,
}

impl Job {
    fn new(name: &'static str, pipeline: &Path, log: &Path, workers: usize) -> Job {
        let updates_per_event = updates_per_event(pipeline, log);
        Job { name, pipeline: pipeline.into(), log: log.into(), workers, updates_per_event, figures: Vec::new() }
    }

    fn cpu_nanoseconds_per_update(&self, round: usize) -> f64 {
        self.figures[round].cpu_nanoseconds_per_event() / self.updates_per_event
    }
}

pub fn run(Size { events, rounds }: Size) {
    let events = (events / 2).to_string();
    let log =
        generated(&format!("bench-feed-{events}.jsonl"), &["--pipeline", FEED, "--seed", "1", "--events", &events]);
    let without = without_uniques();
    let reference_log = reference_log(events.parse::<u64>().expect("a number") * 2, 1_000_000);
    let mut jobs = [
        Job::new("reference job, 1 worker", Path::new(REFERENCE), &reference_log, 1),
        Job::new("no uniques, 1 worker", &without, &log, 1),
        Job::new("no uniques, 2 workers", &without, &log, 2),
        Job::new("feed.toml, 1 worker", Path::new(FEED), &log, 1),
        Job::new("feed.toml, 2 workers", Path::new(FEED), &log, 2),
    ];
    for _ in 0..rounds {
        jobs.iter_mut().for_each(|job| job.figures.push(replay(&job.pipeline, &job.log, job.workers)));
    }
    println!("\nfeed: {events} events, {} bytes each, {rounds} rounds by turns; medians", bytes_per_line(&log));
    println!(
        "{:<24} {:>10} {:>12} {:>14} {:>14} {:>10} {:>10}",
        "", "events/s", "updates", "row updates/s", "CPU ns/update", "rows", "items"
    );
    for job in &jobs {
        let rate = median(job.figures.iter().map(Figure::events_per_second));
        let cpu = median((0..job.figures.len()).map(|round| job.cpu_nanoseconds_per_update(round)));
        let last = job.figures.last().expect("a round");
        println!(
            "{:<24} {:>8.0} k {:>8.2} each {:>12.2} M {cpu:>14.0} {:>8.2} M {:>8.2} M",
            job.name,
            rate / 1e3,
            job.updates_per_event,
            rate * job.updates_per_event / 1e6,
            last.rows as f64 / 1e6,
            last.items as f64 / 1e6
        );
    }
    let [reference, without, ..] = &jobs;
    let ratios = (0..reference.figures.len())
        .map(|round| without.cpu_nanoseconds_per_update(round) / reference.cpu_nanoseconds_per_update(round));
    println!("\ncost of a row update without uniques / of one of the reference job   {:.2}", median(ratios));
}

/// `feed.toml` with its uniques dropped.
fn without_uniques() -> PathBuf {
    let text = std::fs::read_to_string(FEED).expect("the pipeline");
    let text = format!("{text}\n[features]\ndrop = [\"*.uniques_*\"]\n");
    kept("feed-without-uniques.toml", |path| std::fs::write(path, text).expect("a file of our own"))
}

/// To how many rows an event adds, on average.
fn updates_per_event(pipeline: &Path, log: &Path) -> f64 {
    let pipeline = Pipeline::load(pipeline, &|_| None).expect("a valid pipeline");
    let mut planner = Planner::new(Arc::new(pipeline), Arrival::before(EventTime(i64::MAX / 2)));
    let lines = BufReader::new(std::fs::File::open(log).expect("the log")).split(b'\n');
    lines.take(SAMPLE).for_each(|line| planner.observe(&line.expect("a line")));
    let plan = planner.finish();
    plan.groups.iter().map(|group| group.contributions).sum::<u64>() as f64 / plan.events as f64
}
