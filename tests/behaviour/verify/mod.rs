//! `counter-machine verify`: what it must tell, what it must not, and what it tells apart.

mod dynamodb;
mod item_faults;
mod items;
mod log_faults;
mod no_faults;
mod options;
mod same_table;
mod table_faults;
mod told_apart;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::world::{Log, Name, PIPELINE};
use crate::feed::recount::Row;
use crate::program::{Ended, Workplace};

/// What is told of an item, or of a row without one: the finding, the key and the feature's name.
type Told = (String, String, String);

fn told(finding: &str, key: &str, feature: &str) -> Told {
    (finding.to_owned(), key.to_owned(), feature.to_owned())
}

/// A folder with a pipeline `p.toml`, a log `log.jsonl`, and the same log in the folder `pieces`: an epoch may end with a
/// file, however short that is.
fn place(pipeline: &str, log: &str) -> Workplace {
    let place = Workplace::new();
    place.write("p.toml", pipeline);
    place.write("log.jsonl", log);
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    for (number, piece) in lines.chunks((lines.len() / 60).max(1)).enumerate() {
        place.write(&format!("pieces/{number:03}.jsonl"), piece.concat());
    }
    place
}

/// The same of the world, with so many events.
fn world(events: u64) -> (Workplace, Log) {
    let log = Log::of_world(events);
    (place(PIPELINE, &log.text()), log)
}

/// Counts `log.jsonl` into a sink.
fn count(place: &Workplace, sink: &str, more: &[&str]) -> Ended {
    place.run(&[&["run", "p.toml", "--events", "log.jsonl", "--sink", sink], more].concat()).exits(0)
}

/// The same in some sixty epochs.
fn count_pieces(place: &Workplace, sink: &str, more: &[&str]) -> Ended {
    let run = ["run", "p.toml", "--events", "pieces", "--sink", sink, "--replay-batch", "1"];
    place.run(&[&run, more].concat()).exits(0)
}

/// Compares a sink with `log.jsonl`.
fn verify(place: &Workplace, sink: &str, more: &[&str]) -> Ended {
    verify_with(place, &["log.jsonl"], sink, more)
}

/// Compares a sink with these logs, and prints everything that is found as JSON.
fn verify_with(place: &Workplace, logs: &[&str], sink: &str, more: &[&str]) -> Ended {
    let all = ["--from", sink, "--json", "--examples", "1000000"];
    place.run(&[&["verify", "p.toml", "--events"], logs, &all, more].concat())
}

/// It must agree. Gives back what it prints.
#[track_caller]
fn agrees(ended: Ended) -> Value {
    let found = json(&ended);
    assert!(found["agrees"] == true && named(&found).is_empty(), "{found:#}\n{}", ended.stderr);
    ended.exits(0);
    found
}

/// It must not agree. Gives back what is told, of what.
#[track_caller]
fn disagrees(ended: Ended) -> BTreeSet<Told> {
    let found = json(&ended);
    assert!(found["agrees"] == false, "{found:#}");
    ended.exits(1).says(&["is not what the events say"]);
    named(&found)
}

/// What it prints: one JSON object on one line.
#[track_caller]
fn json(ended: &Ended) -> Value {
    let found: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    assert!(found.is_object() && ended.stdout.lines().count() == 1, "{found}");
    found
}

/// The items and rows that are named. There is an example of each that is counted.
#[track_caller]
fn named(found: &Value) -> BTreeSet<Told> {
    let text = |example: &Value, name: &str| example[name].as_str().unwrap().to_owned();
    let examples = found["examples"].as_array().unwrap();
    let named = examples.iter().map(|example| ["finding", "key", "featureName"].map(|name| text(example, name)));
    let named: BTreeSet<Told> = named.map(|[finding, key, feature]| (finding, key, feature)).collect();
    let counted = ["missing", "extra", "off", "notOfPipeline"].map(|name| found[name].as_u64().unwrap());
    assert_eq!(named.len() as u64, counted.iter().sum::<u64>(), "{found:#}");
    named
}

/// What must be told of a sink that holds the rows of one log, if it is compared with those of another.
fn differences(held: &BTreeMap<Name, Row>, expected: &BTreeMap<Name, Row>) -> BTreeSet<Told> {
    let finding = |name: &Name| match (held.get(name), expected.get(name)) {
        (Some(_), None) => Some("extra"),
        (None, Some(_)) => Some("missing"),
        (Some(held), Some(expected)) => differ(held, expected).then_some("off"),
        (None, None) => None,
    };
    let names: BTreeSet<&Name> = held.keys().chain(expected.keys()).collect();
    names.into_iter().filter_map(|name| Some(told(finding(name)?, &name.0, &name.1))).collect()
}

fn differ(one: &Row, other: &Row) -> bool {
    if (one.last_update, one.expires_at) != (other.last_update, other.expires_at) {
        return true;
    }
    one.counts.iter().zip(&other.counts).any(|(one, other)| {
        if one.error != other.error {
            return true;
        }
        // Estimates are as far from each other as they may be from the truth.
        if one.error.is_some_and(|error| error > 0.0) {
            return false;
        }
        let sums = [Some((one.value, other.value)), one.squares.zip(other.squares)];
        sums.into_iter().flatten().any(|(one, other)| {
            let off = (one.value - other.value).abs() / other.size.max(f64::MIN_POSITIVE);
            assert!(!(0.99e-9..1.01e-9).contains(&off), "nobody can say whether {one:?} is {other:?}");
            off > 1e-9
        })
    })
}

#[test]
fn a_sink_of_every_kind_agrees_with_the_log_of_its_run() {
    let (place, log) = world(3_000);
    let layouts = ["", "[publish]\nlayout = \"key\"\n", "[publish]\nlayout = \"key\"\nencoding = \"map\"\n"];
    let rows = log.rows(PIPELINE);
    let sinks = [("sqlite:feature.db", 0), ("sqlite:packed.db", 1), ("sqlite:map.db", 2), ("jsonl:items.jsonl", 0)];
    for (sink, layout) in sinks {
        place.write("p.toml", format!("{PIPELINE}{}", layouts[layout]));
        for workers in ["1", "2"] {
            let run = count(&place, sink, &["--replace", "-w", workers]);
            assert_eq!(run.summary("dead letters"), log.dead_letters());
            let found = agrees(verify(&place, sink, &["-w", if workers == "1" { "2" } else { "1" }]));
            let numbers = ["rows", "items", "equal", "events", "deadLetters"].map(|name| found[name].as_u64().unwrap());
            let all = rows.len() as u64;
            assert_eq!(numbers, [all, all, all, log.events(), log.dead_letters()], "{sink}: {found:#}");
            assert!(found["worstDifference"].as_f64().unwrap() < 1e-11, "{found:#}");
            assert_groups_are(&found, &rows);
        }
    }
}

/// The features of a group begin alike.
fn assert_groups_are(found: &Value, rows: &BTreeMap<Name, Row>) {
    let beginnings = [
        ("user", "user."),
        ("shop", "shop."),
        ("post", "post."),
        ("tag", "tagged."),
        ("pair", "pair."),
        ("country", "all_of."),
        ("watch", "watch."),
    ];
    let groups = found["groups"].as_array().unwrap();
    assert_eq!(groups.len(), beginnings.len());
    for (group, (name, beginning)) in groups.iter().zip(beginnings) {
        let expected = rows.keys().filter(|(_, feature)| feature.starts_with(beginning)).count();
        assert!(expected > 0 && group["name"] == name, "{group}");
        assert_eq!((group["rows"].as_u64(), group["equal"].as_u64()), (Some(expected as u64), Some(expected as u64)));
    }
}

#[test]
fn the_world_has_everything_that_is_to_be_seen() {
    let log = Log::of_world(3_000);
    let rows = log.rows(PIPELINE);
    let errors: Vec<f64> = rows.values().filter_map(|row| row.counts[0].error).collect();
    assert!(errors.contains(&0.0) && errors.iter().any(|error| *error > 0.0), "exact uniques and sketches");
    assert!(rows.values().any(|row| row.counts[0].squares.is_some_and(|squares| squares.value > 1.0)));
    assert!(rows.values().any(|row| row.counts[0].value.value < 0.0), "more was taken back than given");
    for key in ["zoë", "a|b", "back\\slash", "7", "rot|grün", "a\\|b|p\\|1\\\\", "a\\\\\\|b|p1"] {
        assert!(rows.keys().any(|(known, _)| known == key), "{key}");
    }
    assert!(log.dead_letters() > 40);
}
