//! The feed's whole matrix, with the members of its sketches hashed alike in every run: how the work is
//! shared out changes no bit of uniques, and nothing of sums but their rounding.

use super::*;
use crate::event::TimeUnit;
use crate::synthetic::{FeedConfig, FeedLog, Traffic};

const EVENTS: u64 = 12_000;

/// A log of six hours for `pipelines/feed.toml`, which is busy enough for sketches.
fn log() -> String {
    let config = FeedConfig {
        traffic: Traffic {
            users: 1_000,
            zipf: 1.1,
            events_per_second: EVENTS as f64 / (6.0 * 3_600.0),
            late_share: 0.05,
            late_by_seconds: 3_600,
            start: EventTime(1_000_000),
            seed: 3,
        },
        bot_share: 0.01,
        name_field: "eventName".to_owned(),
        time_field: "eventTs".to_owned(),
        time_unit: TimeUnit::Milliseconds,
    };
    let mut text = Vec::new();
    FeedLog::new(&config).expect("a log").write_lines(EVENTS, &mut text).expect("written");
    String::from_utf8(text).expect("UTF-8")
}

/// The items after all of the log, cut into so many blocks, each an epoch of its own.
fn run(log: &str, workers: usize, serialise: bool, blocks: usize) -> BTreeMap<(String, String), Item> {
    let text = include_str!("../../../pipelines/feed.toml");
    let pipeline = Arc::new(Pipeline::parse(text, "feed.toml", &|_| None).expect("a valid pipeline"));
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    let blocks: Vec<String> = lines.chunks(lines.len().div_ceil(blocks)).map(<[&str]>::concat).collect();
    let setup = Setup { pipeline, serialise, ..Setup::new("none", workers) };
    let (items, metrics) = setup.run(move |sender, _| {
        for (epoch, lines) in (1..).zip(blocks) {
            sender.send(block(epoch, &lines, Vec::new())).expect("taken");
        }
    });
    assert_eq!((metrics.events.get(), metrics.all_dead_letters()), (EVENTS, 0));
    newest(items)
}

#[test]
fn workers_and_epochs_change_no_bit_of_uniques_and_only_the_rounding_of_sums() {
    let log = log();
    let items = run(&log, 1, false, 1);
    let is_estimate = |item: &&Item| item.counts.values().any(|count| count.error > Some(0.0));
    assert!(items.values().filter(is_estimate).count() > 50, "there are sketches");
    for (workers, serialise, blocks) in [(1, false, 23), (2, false, 24), (3, true, 7)] {
        let others = run(&log, workers, serialise, blocks);
        assert!(items.keys().eq(others.keys()), "the same items");
        for (item, other) in items.values().zip(others.values()) {
            assert_eq!(item.expires_at, other.expires_at);
            for (one, other) in item.counts.values().zip(other.counts.values()) {
                assert_eq!((one.last_update, one.error), (other.last_update, other.error), "{item:?}");
                // What is added up are no more than thousands, so this is their rounding and no more.
                let rounding = if one.error.is_some() { 0.0 } else { 1e-9 };
                assert!((one.value - other.value).abs() <= rounding, "{} and {} of {item:?}", one.value, other.value);
            }
        }
    }
}
