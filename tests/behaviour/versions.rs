//! `version` tells the newer of two states of an item, also where two runs have published them.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::commands::reference;
use crate::dynamodb_fake::{FakeDynamoDb, Fault};
use crate::dynamodb_items::pipeline_text;
use crate::program::Workplace;

const LOG: &str = concat!(
    "{\"eventName\":\"like\",\"userId\":\"1\",\"eventTs\":1707605599}\n",
    "{\"eventName\":\"like\",\"userId\":\"2\",\"eventTs\":1707605600}\n",
    "{\"eventName\":\"view\",\"userId\":\"1\",\"eventTs\":1707605601}\n",
);
/// Of the window within the run.
const WINDOW_BITS: u32 = 31;

type Versions = BTreeMap<(String, String), u64>;

/// The versions of a dump or of published lines; of several of one item the last.
fn versions(lines: &str) -> Versions {
    let item = |line: &str| {
        let item: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| item[name].as_str().unwrap().to_owned();
        ((text("key"), text("featureName")), item["version"].as_u64().unwrap())
    };
    lines.lines().map(item).collect()
}

/// Every item's version in the second is larger than in the first.
fn assert_risen(first: &Versions, second: &Versions) {
    assert_eq!(first.len(), 3);
    assert!(first.keys().eq(second.keys()), "{first:?}, {second:?}");
    assert!(first.iter().zip(second).all(|((_, first), (_, second))| first < second), "{first:?}, {second:?}");
    assert!(second.values().all(|version| *version < 1 << 63), "{second:?}");
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn place() -> Workplace {
    let place = reference();
    place.write("log.jsonl", LOG);
    place
}

#[test]
fn a_second_run_on_a_table_publishes_larger_versions_at_once_and_with_two_workers() {
    let place = place();
    let mut before: Option<Versions> = None;
    for workers in ["1", "2", "1"] {
        let run = ["run", "p.toml", "--events", "log.jsonl", "--sink", "sqlite:items.db", "--replace", "-w", workers];
        place.run(&run).exits(0);
        let now = versions(&place.run(&["dump", "sqlite:items.db"]).exits(0).stdout);
        if let Some(before) = &before {
            assert_risen(before, &now);
        }
        before = Some(now);
    }
}

#[test]
fn a_clock_that_was_set_back_does_not_take_versions_back() {
    let place = place();
    let run = ["run", "p.toml", "--events", "log.jsonl", "--sink", "sqlite:items.db", "--replace"];
    place.run(&run).exits(0);
    // As if the first run had started a day later than it did.
    let ahead = seconds_now() + 86_400;
    let database = rusqlite::Connection::open(place.path("items.db")).unwrap();
    let changed =
        database.execute("UPDATE meta SET value = ?1 WHERE name = 'generation'", [ahead.to_string()]).unwrap();
    assert_eq!(changed, 1, "the table holds its run's generation");
    drop(database);
    place.run(&run).exits(0);
    let versions = versions(&place.run(&["dump", "sqlite:items.db"]).exits(0).stdout);
    assert!(versions.values().all(|version| version >> WINDOW_BITS == ahead + 1), "{versions:?}");
}

#[test]
fn a_second_run_into_a_file_of_lines_publishes_larger_versions() {
    for clock in ["event", "wall"] {
        let place = place();
        let run = || {
            let sink = ["--sink", "jsonl:items.jsonl", "--replace", "--clock", clock];
            place.run(&[&["run", "p.toml", "--events", "log.jsonl"], sink.as_slice()].concat()).exits(0);
            versions(&place.read("items.jsonl"))
        };
        let first = run();
        // A file of lines has no record of runs: the clock alone tells them apart.
        let second_of_first = first.values().max().unwrap() >> WINDOW_BITS;
        while seconds_now() <= second_of_first {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_risen(&first, &run());
    }
}

#[test]
fn a_second_run_over_a_dynamodb_table_publishes_larger_versions() {
    let fake = FakeDynamoDb::start(|_| Fault::None);
    let place = place();
    place.write("p.toml", pipeline_text(&fake.endpoint(), "Fake"));
    let run = || {
        place.run(&["run", "p.toml", "--events", "log.jsonl"]).exits(0);
        let version = |item: &Value| item["version"]["N"].as_str().unwrap().parse().unwrap();
        fake.state().items().iter().map(|(identity, item)| (identity.clone(), version(item))).collect::<Versions>()
    };
    let first = run();
    assert_risen(&first, &run());
}
