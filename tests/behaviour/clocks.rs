//! Clocks that lie: runs of them, ahead and back, in the middle of a log, and logs in the wrong order. Nothing is
//! forgotten by them, and publication goes on.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::program::Workplace;

const START: i64 = 1_707_600_000;
const DAY: i64 = 86_400;
const EVENTS: usize = 300_000;
const KEYS: usize = 10;
const NAMES: [&str; 4] = ["view", "like", "share", "buy"];
const INTERVALS: [i64; 2] = [3_600, DAY];

const PIPELINE: &str = r#"
    name = "clocks"
    event = { name = "n", time = "t" }
    counters = [{ name = "user", key = ["u"], events = "*", decays = ["1h", "1d"] }]
"#;

#[derive(Clone, Copy)]
struct Event {
    key: usize,
    name: usize,
    time: i64,
}

/// Ten events a second, over all keys and names; those at these places are of one device, whose clock is wrong by so
/// much.
fn events(wrong: std::ops::Range<usize>, by: i64) -> Vec<Event> {
    let event = |place: usize| {
        let (key, by) = if wrong.contains(&place) { (0, by) } else { (place % KEYS, 0) };
        Event { key, name: place / KEYS % NAMES.len(), time: START + place as i64 / 10 + by }
    };
    (0..EVENTS).map(event).collect()
}

fn log(events: &[Event]) -> String {
    let mut log = String::with_capacity(48 * events.len());
    for Event { key, name, time } in events {
        writeln!(log, r#"{{"n":"{}","u":{key},"t":{time}}}"#, NAMES[*name]).unwrap();
    }
    log
}

/// By key and name: the latest time, and for each interval the sum of exp(-age / interval).
fn recount(events: &[Event]) -> BTreeMap<(usize, usize), (i64, [f64; 2])> {
    let mut times: BTreeMap<(usize, usize), Vec<i64>> = BTreeMap::new();
    for event in events {
        times.entry((event.key, event.name)).or_default().push(event.time);
    }
    let count = |times: Vec<i64>| {
        let last = times.iter().copied().max().unwrap();
        let value =
            |interval: i64| times.iter().map(|time| (-((last - time) as f64) / interval as f64).exp()).sum::<f64>();
        (last, INTERVALS.map(value))
    };
    times.into_iter().map(|(row, times)| (row, count(times))).collect()
}

/// The log is counted as the recount says, whatever the number of workers: nothing was forgotten.
#[track_caller]
fn assert_counted(what: &str, events: &[Event]) {
    let place = Workplace::new();
    place.write("p.toml", PIPELINE);
    place.write("events.jsonl", log(events));
    let expected = recount(events);
    for workers in ["1", "2"] {
        let sink = format!("sqlite:{workers}.db");
        let run = place.run(&["run", "p.toml", "--events", "events.jsonl", "--sink", &sink, "-w", workers]).exits(0);
        assert_eq!((run.summary("events"), run.summary("rows forgotten")), (events.len() as u64, 0), "{what}");
        let rows = place.run(&["dump", &sink]).exits(0).stdout;
        assert_eq!(rows.lines().count(), expected.len(), "{what}");
        for line in rows.lines() {
            let item: Value = serde_json::from_str(line).unwrap();
            let key = item["key"].as_str().unwrap().rsplit(|c: char| !c.is_ascii_digit()).next().unwrap();
            let feature = item["featureName"].as_str().unwrap();
            let name = NAMES.iter().position(|name| feature.contains(name)).unwrap();
            let (last, values) = expected[&(key.parse().unwrap(), name)];
            for (interval, expected) in INTERVALS.into_iter().zip(values) {
                let count = &item["counts"][interval.to_string()];
                assert_eq!(count["lastUpdate"], last, "{what}: {line}");
                let value = count["value"].as_f64().unwrap();
                assert!((value / expected - 1.0).abs() < 1e-9, "{what}, -w {workers}: {value}, not {expected}: {line}");
            }
        }
    }
}

#[test]
fn a_device_that_sends_its_batch_with_a_wrong_clock_erases_nothing() {
    let middle = EVENTS / 2;
    assert_counted("80 ahead", &events(middle..middle + 80, 100 * DAY));
}

#[test]
fn ten_thousand_wrong_clocks_ahead_erase_nothing() {
    let middle = EVENTS / 2;
    assert_counted("10,000 ahead", &events(middle..middle + 10_000, 100 * DAY));
}

#[test]
fn ten_thousand_wrong_clocks_back_erase_nothing() {
    let middle = EVENTS / 2;
    assert_counted("10,000 back", &events(middle..middle + 10_000, -100 * DAY));
}

#[test]
fn logs_in_the_wrong_order_are_published_as_often_as_in_the_right_one() {
    let place = Workplace::new();
    place.write("p.toml", PIPELINE);
    let first = &events(0..0, 0)[..50_000];
    let later: Vec<Event> = first.iter().map(|event| Event { time: event.time + 3 * DAY, ..*event }).collect();
    place.write("a.jsonl", log(first));
    place.write("b.jsonl", log(&later));
    for workers in ["1", "2"] {
        let items = |logs: [&str; 2]| {
            let run =
                ["run", "p.toml", "--every-window", "-w", workers, "--sink", "none", "--events", logs[0], logs[1]];
            place.run(&run).exits(0).summary("items written")
        };
        let (right, wrong) = (items(["a.jsonl", "b.jsonl"]), items(["b.jsonl", "a.jsonl"]));
        assert!(wrong * 100 >= right * 95, "{wrong} items, and {right} in the right order, with {workers} workers");
    }
}
