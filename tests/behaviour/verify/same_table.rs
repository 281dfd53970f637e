//! What may differ between a table and what is recounted, and must not be told.

use serde_json::Value;

use super::items::Items;
use super::no_faults::{EVENTS, for_each_event, with};
use super::world::{Log, PIPELINE, START};
use super::{agrees, count, count_pieces, place, verify, world};
use crate::program::Workplace;

/// Changes every item, and writes a sink that holds them.
fn changed_items(place: &Workplace, change: impl Fn(usize, &mut Value)) {
    let mut items = Items::of(place, "sqlite:items.db");
    items.0.iter_mut().enumerate().for_each(|(number, item)| change(number, item));
    items.write(place, "changed.jsonl");
}

fn scale(item: &mut Value, name: &str, factor: impl Fn(&Value) -> f64) {
    for count in item["counts"].as_object_mut().unwrap().values_mut() {
        if let Some(number) = count[name].as_f64() {
            count[name] = (number * factor(count)).into();
        }
    }
}

#[test]
fn what_a_sink_may_hold_agrees() {
    let (place, _) = world(EVENTS);
    count(&place, "sqlite:items.db", &[]);
    let changes: [fn(usize, &mut Value); 7] = [
        |_, _| {},
        |_, item| item["version"] = 0.into(),
        |number, item| scale(item, "value", |_| if number % 2 == 0 { 1.0 + 5e-10 } else { 1.0 - 5e-10 }),
        |_, item| scale(item, "squares", |_| 1.0 + 5e-10),
        // An estimate may be off by a few of its standard errors; it is off by one or two already.
        |_, item| scale(item, "value", |count| 1.0 + count["error"].as_f64().unwrap_or_default()),
        // An item that has lost nothing may say `since`.
        |_, item| item["since"] = START.into(),
        |_, item| {
            let counts: Vec<(String, Value)> = item["counts"].as_object().unwrap().clone().into_iter().rev().collect();
            item["counts"] = Value::Object(counts.into_iter().collect());
        },
    ];
    for change in changes {
        changed_items(&place, change);
        agrees(verify(&place, "jsonl:changed.jsonl", &[]));
    }
    changed_items(&place, |_, item| {
        scale(item, "value", |count| if count.get("error").is_some() { 1.0 } else { 1.0 + 1e-4 })
    });
    agrees(verify(&place, "jsonl:changed.jsonl", &["--tolerance", "0.001"]));
    verify(&place, "jsonl:changed.jsonl", &["--tolerance", "0.00001"]).exits(1);
}

#[test]
fn older_versions_of_a_changelog_are_not_compared() {
    let (place, _) = world(EVENTS);
    count_pieces(&place, "jsonl:items.jsonl", &[]);
    let lines = place.read("items.jsonl");
    let found = agrees(verify(&place, "jsonl:items.jsonl", &[]));
    assert!(lines.lines().count() as u64 > 2 * found["items"].as_u64().unwrap());
    let mut items: Vec<&str> = lines.lines().collect();
    items.reverse();
    // A run that was killed has left half of a line.
    place.write("reversed.jsonl", format!("{}\n{}", items.join("\n"), &items[0][..30]));
    agrees(verify(&place, "jsonl:reversed.jsonl", &[]));
}

#[test]
fn a_pipeline_that_means_the_same_agrees() {
    let (place, _) = world(EVENTS);
    count(&place, "sqlite:items.db", &[]);
    let (head, rest) = PIPELINE.split_once("[[counters]]").unwrap();
    let (groups, tail) = rest.split_once("[features]").unwrap();
    let mut groups: Vec<&str> = groups.split("[[counters]]").collect();
    groups.reverse();
    let reversed = format!("{head}[[counters]]{}[features]{tail}", groups.join("[[counters]]"));
    let pipelines = [
        reversed,
        PIPELINE.replace(r#"["1000000000000s", "10s", "1h"]"#, r#"["3600s", "1000000000000s", "10000ms"]"#),
        PIPELINE.replace(r#"["view", "like"]"#, r#"["like", "view", "never"]"#),
        PIPELINE.replace(r#"ttl = "90d""#, r#"ttl = "2160h""#),
        PIPELINE.replace(r#"time_unit = "ms""#, "time_unit = \"ms\"\nmax_ahead = \"2m\"\nmax_bytes = 100000"),
        with("[publish]\nevery = \"7s\"\nlayout = \"key\""),
    ];
    for pipeline in pipelines {
        assert_ne!(pipeline, PIPELINE);
        place.write("p.toml", pipeline);
        agrees(verify(&place, "sqlite:items.db", &["-w", "2"]));
    }
}

#[test]
fn the_times_of_every_unit_agree() {
    for (unit, per_second) in [("s", 1), ("us", 1_000_000), ("ns", 1_000_000_000), ("rfc3339", 1_000)] {
        let mut log = Log::of_world(300);
        for_each_event(&mut log, |event| {
            let time = event["time"].as_i64().unwrap();
            event["time"] = match unit {
                "rfc3339" => jiff::Timestamp::from_millisecond(time).unwrap().to_string().into(),
                _ if per_second == 1 => (time / 1_000).into(),
                _ => (i128::from(time) * per_second / 1_000 + 1).to_string().into(),
            };
        });
        let pipeline = PIPELINE.replace(r#"time_unit = "ms""#, &format!("time_unit = \"{unit}\""));
        // So long an interval is too long for nanoseconds.
        let place = place(&pipeline.replace("1000000000000s", "100000000s"), &log.text());
        count(&place, "sqlite:items.db", &[]);
        agrees(verify(&place, "sqlite:items.db", &[]));
    }
}

#[test]
fn a_shifted_table_agrees_when_the_shift_is_told() {
    let (place, _) = world(EVENTS);
    for to in ["2026-01-01T00:00:00.5Z", "1700000000123", "300000000"] {
        count(&place, "jsonl:items.jsonl", &["--shift-to", to, "--replace", "-w", "2"]);
        agrees(verify(&place, "jsonl:items.jsonl", &["--shift-to", to]));
        // SQLite knows it by itself.
        count(&place, "sqlite:items.db", &["--shift-to", to, "--replace"]);
        agrees(verify(&place, "sqlite:items.db", &[]));
        let other = verify(&place, "jsonl:items.jsonl", &["--shift-to", "1700000000124"]).exits(1);
        assert_eq!(super::json(&other)["equal"], 0);
    }
}

#[test]
fn a_run_that_was_stopped_agrees_with_what_it_has_read() {
    let mut log = Log::of_world(EVENTS);
    log.0.retain(|line| line.counts);
    let pipeline = PIPELINE.replace(r#"time_unit = "ms""#, "time_unit = \"ms\"\nmax_ahead = \"none\"");
    let place = place(&pipeline, &log.text());
    let mut run = place.start(&["run", "p.toml", "--events", "-", "--sink", "jsonl:items.jsonl"]);
    run.write(&log.text());
    while !place.path("items.jsonl").exists() || place.read("items.jsonl").is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    run.signal("INT");
    let read = run.end().exits(130).summary("events") as usize;
    place.write("log.jsonl", Log(log.0[..read].to_vec()).text());
    agrees(verify(&place, "jsonl:items.jsonl", &[]));
}

#[test]
fn a_sample_is_the_same_every_time_and_tells_of_its_keys_alone() {
    let (place, _) = world(EVENTS);
    count(&place, "sqlite:items.db", &[]);
    let all = agrees(verify(&place, "sqlite:items.db", &[]));
    let sample = ["--sample", "1/7"];
    let part = agrees(verify(&place, "sqlite:items.db", &sample));
    let rows = |found: &Value| found["rows"].as_u64().unwrap();
    assert!(rows(&part) > 0 && rows(&part) < rows(&all) / 2 && part["rows"] == part["items"], "{part:#}");
    let spoil = |keys: &dyn Fn(&str) -> bool| {
        changed_items(&place, |_, item| {
            if item["featureName"] == "user.view.count" && keys(item["key"].as_str().unwrap()) {
                scale(item, "value", |_| 1.5);
            }
        });
    };
    spoil(&|_| true);
    let told = |more: &[&str]| super::disagrees(verify(&place, "jsonl:changed.jsonl", more));
    let (everything, found) = (told(&[]), told(&sample));
    assert!(found.is_subset(&everything) && found.len() < everything.len() / 2, "{found:?}");
    assert_eq!(told(&["--sample", "1/7", "-w", "2"]), found);
    let (_, inside, _) = found.first().unwrap();
    spoil(&|key| key == inside);
    assert_eq!(told(&sample).len(), 1);
    let (_, outside, _) = everything.difference(&found).next().unwrap();
    spoil(&|key| key == outside);
    agrees(verify(&place, "jsonl:changed.jsonl", &sample));
    assert_eq!(told(&[]).len(), 1);
}
