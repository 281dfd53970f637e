//! The pipelines that ship, over events of the program's own making and over those of a shop, to the same
//! items as an independent recount.
//!
//! With `COUNTER_MACHINE_FEED_EVENTS=5000000` the feed has so many events instead of the few thousand of a
//! usual run: one test at a time (`--test-threads=1`; `--nocapture` shows what was found), with 5 GB of
//! memory, 25 GB of disk and some patience.

mod event;
mod judge;
pub mod pipeline_file;
pub mod recount;

use std::time::Duration;

use toml::{Table, Value};

use self::judge::{Decays, Findings, judge};
use self::pipeline_file::PipelineFile;
use self::recount::Recount;
use crate::program::{Ended, Workplace};
use crate::replay_logs::{RETAIL, write_pieces};

const FEED: &str = include_str!("../../pipelines/feed.toml");

/// The events of a cut.
const EVENTS: u64 = 40_000;
/// However many events there are, they fill so many seconds: the shortest intervals forget nearly all of
/// it, the longest ones nothing.
const SPAN_SECONDS: u64 = 6 * 3_600;
/// In the mean; some come much more often than others.
const EVENTS_PER_USER: u64 = 20;
/// In all, a replay has about so many epochs.
const EPOCHS: u64 = 20;

/// A folder with a pipeline `p.toml` and a log, cut into the files of the folder `pieces`.
struct Trial {
    place: Workplace,
    pipeline: PipelineFile,
    events: u64,
}

fn events() -> u64 {
    std::env::var("COUNTER_MACHINE_FEED_EVENTS").map_or(EVENTS, |events| events.parse().unwrap())
}

/// A log made for `pipelines/feed.toml`.
fn feed_log(events: u64) -> String {
    let place = Workplace::new();
    place.write("feed.toml", FEED);
    let (rate, users) = (events as f64 / SPAN_SECONDS as f64, events / EVENTS_PER_USER);
    let command = format!(
        "generate --pipeline feed.toml --output feed.jsonl --seed 7 --events {events} --events-per-second {rate} \
         --users {users}"
    );
    run_to_the_end(&place, &command, events);
    place.read("feed.jsonl")
}

impl Trial {
    fn new(pipeline: &str, log: &str) -> Trial {
        let place = Workplace::new();
        place.write("p.toml", pipeline);
        write_pieces(&place, log);
        Trial { place, pipeline: PipelineFile::read(pipeline), events: log.lines().count() as u64 }
    }

    /// Counts the log with so many workers, one after the other, and compares all with the recount.
    fn check(&self, recount: &Recount<'_>, workers: &[&str], decays: Decays) -> Vec<Findings> {
        let mut sinks: Vec<(String, &str)> =
            workers.iter().map(|workers| (format!("sqlite:{workers}.db"), *workers)).collect();
        // With very many events every change would take very much disk.
        let changelog = (self.events <= 2 * EVENTS).then(|| ("jsonl:items.jsonl".to_owned(), workers[0]));
        sinks.extend(changelog.clone());
        for (sink, workers) in &sinks {
            self.count(recount, sink, workers);
        }
        let dump = |(sink, _): &(String, &str)| self.place.start(&["dump", sink]);
        let findings = judge(recount, sinks.iter().map(dump).collect(), decays);
        for ((sink, workers), findings) in sinks.iter().zip(&findings) {
            println!("{sink}, -w {workers}: {findings}\n{:?}", recount.seen);
        }
        if let (Some(_), Some(findings)) = (changelog, findings.last()) {
            assert!(findings.versions.len() >= 5, "it came in several epochs: {:?}", findings.versions);
        }
        findings
    }

    fn count(&self, recount: &Recount<'_>, sink: &str, workers: &str) {
        let batch = self.events / EPOCHS;
        let command = format!("run p.toml --events pieces --sink {sink} --replay-batch {batch} -w {workers}");
        let ended = run_to_the_end(&self.place, &command, self.events);
        let summary = ["events", "dead letters", "rows forgotten", "rows"].map(|name| ended.summary(name));
        assert_eq!(summary, [self.events, 0, 0, recount.rows() as u64], "{}", ended.stderr);
    }
}

/// Runs the program, which may take two minutes, and another one for every 100,000 events.
fn run_to_the_end(place: &Workplace, command: &str, events: u64) -> Ended {
    let patience = Duration::from_secs(120 + events / 100_000 * 60);
    place.start(&command.split(' ').collect::<Vec<_>>()).end_within(patience).exits(0)
}

/// The feed's pipeline, changed.
fn changed_feed(change: impl FnOnce(&mut Table)) -> String {
    let mut pipeline: Table = FEED.parse().unwrap();
    change(&mut pipeline);
    pipeline.to_string()
}

#[test]
fn the_feed_is_counted_as_the_recount_says() {
    let log = feed_log(events());
    let trial = Trial::new(FEED, &log);
    let recount = Recount::new(&trial.pipeline, &log);
    recount.seen.assert_everything_of_a_feed();
    for findings in trial.check(&recount, &["1", "2"], Decays::AsTheyAre) {
        assert!(findings.exact_uniques > 1_000, "{findings}");
        findings.assert_estimates_are_sound(400);
    }
}

#[test]
fn no_event_of_the_feed_is_lost_or_doubled() {
    let log = feed_log(events());
    let pipeline = changed_feed(|pipeline| {
        for group in pipeline["counters"].as_array_mut().unwrap() {
            let group = group.as_table_mut().unwrap();
            group.insert("decays".to_owned(), vec!["1000000000000s"].into());
            group.insert("ttl".to_owned(), "none".into());
            // Sketches as large as can be: what is a small share of their members is seen, too.
            group.insert("uniques_registers".to_owned(), 4096.into());
        }
    });
    let trial = Trial::new(&pipeline, &log);
    let findings = trial.check(&Recount::new(&trial.pipeline, &log), &["2"], Decays::None);
    findings[0].assert_estimates_are_sound(100);
}

#[test]
fn what_is_dropped_of_the_feed_is_not_counted() {
    let log = feed_log(EVENTS / 4);
    let all = PipelineFile::read(FEED);
    let keep = ["post.*", "user_category.*", "*.uniques_userId"];
    let drop = ["*.profile_click.*", "post.?i*.count", "creator.share.*"];
    let pipeline = changed_feed(|pipeline| {
        let features =
            [("keep", keep), ("drop", drop)].map(|(name, patterns)| (name.to_owned(), patterns.to_vec().into()));
        pipeline.insert("features".to_owned(), Table::from_iter(features).into());
        let is_kept = |ratio: &Value| ratio["name"].as_str() == Some("user_category.like_rate");
        pipeline["ratios"].as_array_mut().unwrap().retain(is_kept);
    });
    let trial = Trial::new(&pipeline, &log);
    let recount = Recount::new(&trial.pipeline, &log);
    assert!(recount.rows() < Recount::new(&all, &log).rows() / 2);
    trial.check(&recount, &["2"], Decays::AsTheyAre)[0].assert_estimates_are_sound(10);
}

#[test]
fn a_shop_is_counted_as_the_recount_says() {
    let log = RETAIL.text();
    let trial = Trial::new(include_str!("../../pipelines/retail.toml"), &log);
    let recount = Recount::new(&trial.pipeline, &log);
    for findings in trial.check(&recount, &["1", "2"], Decays::AsTheyAre) {
        assert!(findings.exact_uniques > 1_000, "{findings}");
        findings.assert_estimates_are_sound(10);
    }
}
