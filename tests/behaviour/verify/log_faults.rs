//! Logs that are not those of the run: which rows are told is what the recount of another test says of both logs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::world::{Line, Log, PIPELINE, event, noise};
use super::{Told, count, differences, disagrees, place, told, verify_with};

/// What is changed in a log, and something that must be told then.
type Fault = (&'static str, fn(&mut Log), (&'static str, &'static str, &'static str));

/// The world, and some events whose rows are known by name.
fn story() -> Log {
    let mut log = Log::of_world(900);
    let visit = |number: i64| {
        event("share", 300 + number, json!({ "user": "host", "country": "yy", "visitor": format!("w{number}") }))
    };
    let mut lines: Vec<Line> = vec![
        event("buy", 100, json!({ "user": "ada", "price": 12.345678, "order": { "tip": 1.25 } })),
        event("buy", 160, json!({ "user": "ada", "price": -3.5, "order": { "tip": 0.5 } })),
        event("refund", 170, json!({ "user": "ada", "price": 1.5, "order": { "tip": 0.25 } })),
        event("like", 200, json!({ "user": "ada", "post": "only" })),
        event("like", 210, json!({ "user": "ada", "post": "p1" })),
        event("unlike", 250, json!({ "user": "ada", "post": "p1" })),
        event("superlike", 255, json!({ "user": "ada", "post": "p2" })),
        event(
            "view",
            260,
            json!({ "user": "ada", "post": "p1", "tags": ["red", "gold"], "seconds": 30, "surface": "feed" }),
        ),
        event(
            "view",
            261,
            json!({ "user": "bob", "post": "p1", "tags": ["red", "gold"], "seconds": 7, "surface": "feed" }),
        ),
        event("view", 262, json!({ "user": "bob", "post": "few" })),
        event("view", 263, json!({ "user": "ada", "post": "few" })),
        event("view", 500, json!({ "user": "ada", "post": "p1" })),
        noise(r#"{"name":"share","user":"ada"}"#),
    ];
    lines.extend((0..65).map(visit));
    log.0.splice(450..450, lines);
    log
}

fn ada(log: &mut Log, name: &str, nth: usize, change: impl FnOnce(&mut Value)) {
    let index = log.find(name, "ada", nth);
    log.change(index, change);
}

fn set(event: &mut Value, field: &str, value: impl Into<Value>) {
    event[field] = value.into();
}

const FAULTS: [Fault; 30] = [
    ("an event is taken out", |log| drop(log.0.remove(log.find("like", "ada", 1))), ("off", "ada", "user.like.count")),
    (
        "an event is doubled",
        |log| {
            let index = log.find("view", "zoë", 3);
            log.0.insert(index, log.0[index].clone());
        },
        ("off", "zoë", "user.view.count"),
    ),
    (
        "an event is moved by a second",
        |log| ada(log, "like", 1, |event| set(event, "time", event["time"].as_i64().unwrap() + 1_000)),
        ("off", "ada", "user.like.count"),
    ),
    (
        "the newest event is moved by a millisecond",
        |log| ada(log, "view", 2, |event| set(event, "time", event["time"].as_i64().unwrap() - 1)),
        ("off", "ada|p1", "pair.view.count"),
    ),
    (
        "an event is given to another key",
        |log| ada(log, "view", 0, |event| set(event, "user", "bob")),
        ("off", "bob", "watch.view.count"),
    ),
    (
        "an event is given to a new key",
        |log| ada(log, "view", 0, |event| set(event, "user", "nobody")),
        ("missing", "nobody", "user.view.count"),
    ),
    (
        "an event is given to no key",
        |log| ada(log, "buy", 0, |event| set(event, "user", Value::Null)),
        ("off", "ada", "shop.buy.sum_price"),
    ),
    (
        "an event is renamed",
        |log| ada(log, "view", 1, |event| set(event, "name", "share")),
        ("missing", "ada", "user.share.count"),
    ),
    (
        "an event is renamed to what never came",
        |log| ada(log, "view", 1, |event| set(event, "name", "näme")),
        ("missing", "ada", "user.näme.count"),
    ),
    (
        "an event is renamed to what is dropped",
        |log| ada(log, "buy", 1, |event| set(event, "name", "noise")),
        ("off", "ada", "user.buy.count"),
    ),
    (
        "the last digit of a value",
        |log| ada(log, "buy", 0, |event| set(event, "price", 12.345679)),
        ("off", "ada", "shop.buy.sum_price"),
    ),
    (
        "the last digit of a value inside an object",
        |log| ada(log, "buy", 0, |event| event["order"]["tip"] = 1.26.into()),
        ("off", "ada", "shop.buy.sum_order.tip"),
    ),
    (
        "a value is missing",
        |log| ada(log, "buy", 0, |event| set(event, "price", Value::Null)),
        ("off", "ada", "shop.buy.sum_price"),
    ),
    (
        "the sign of a value",
        |log| ada(log, "buy", 1, |event| set(event, "price", 3.5)),
        ("off", "ada", "shop.buy.sum_price"),
    ),
    (
        "the sign of a field with a weight",
        |log| ada(log, "view", 0, |event| set(event, "seconds", -30)),
        ("off", "ada", "watch.view.count"),
    ),
    (
        "the sign of a name's weight",
        |log| ada(log, "refund", 0, |event| set(event, "name", "buy")),
        ("off", "ada", "shop.buy.count"),
    ),
    (
        "the weight of a name",
        |log| ada(log, "superlike", 0, |event| set(event, "name", "like")),
        ("off", "p2", "post.like.count"),
    ),
    (
        "a member of an array is taken out",
        |log| ada(log, "view", 0, |event| event["tags"] = json!(["red"])),
        ("off", "gold", "tagged.view"),
    ),
    (
        "a member of an array is put in",
        |log| ada(log, "view", 0, |event| event["tags"] = json!(["red", "gold", "new"])),
        ("missing", "new", "tagged.view"),
    ),
    (
        "a retraction is taken out",
        |log| drop(log.0.remove(log.find("unlike", "ada", 0))),
        ("off", "ada|p1", "pair.like.count"),
    ),
    (
        "two events are swapped between their keys",
        |log| {
            ada(log, "view", 0, |event| set(event, "user", "swapped"));
            let bob = log.find("view", "bob", 0);
            log.change(bob, |event| set(event, "user", "ada"));
            let swapped = log.find("view", "swapped", 0);
            log.change(swapped, |event| set(event, "user", "bob"));
        },
        ("off", "ada", "watch.view.count"),
    ),
    (
        "a row's only event is taken out",
        |log| drop(log.0.remove(log.find("like", "ada", 0))),
        ("extra", "ada|only", "pair.like.count"),
    ),
    (
        "a member of uniques is another",
        |log| ada(log, "view", 1, |event| set(event, "user", "bob")),
        ("off", "few", "post.view.uniques_user"),
    ),
    (
        "so many members that they are exact",
        |log| drop(log.0.remove(log.find("share", "host", 30))),
        ("off", "yy", "all_of.uniques_visitor"),
    ),
    (
        "a condition holds no more",
        |log| ada(log, "view", 0, |event| set(event, "surface", "mail")),
        ("extra", "ada", "watch.view.count"),
    ),
    (
        "a condition holds now",
        |log| {
            ada(log, "view", 1, |event| {
                set(event, "surface", "search");
                set(event, "seconds", 4)
            })
        },
        ("off", "ada", "watch.view.count"),
    ),
    ("a bot", |log| ada(log, "view", 0, |event| set(event, "bot", true)), ("extra", "ada", "watch.view.count")),
    (
        "an event becomes a dead letter",
        |log| {
            let index = log.find("view", "ada", 2);
            log.0[index] = noise("{");
        },
        ("off", "ada", "user.view.count"),
    ),
    (
        "a dead letter becomes an event",
        |log| {
            let index = log.0.iter().position(|line| line.text == r#"{"name":"share","user":"ada"}"#).unwrap();
            log.0[index] = event("share", 77, json!({ "user": "ada" }));
        },
        ("missing", "ada", "user.share.count"),
    ),
    ("the end of the log is missing", |log| log.0.truncate(700), ("off", "zoë", "user.view.count")),
];

#[test]
fn each_change_of_the_log_is_told_for_the_rows_that_it_changes() {
    let log = story();
    let place = place(PIPELINE, &log.text());
    count(&place, "sqlite:items.db", &[]);
    let held = log.rows(PIPELINE);
    for (index, (name, change, example)) in FAULTS.into_iter().enumerate() {
        let mut changed = log.clone();
        change(&mut changed);
        place.write("changed.jsonl", changed.text());
        let expected = differences(&held, &changed.rows(PIPELINE));
        let (finding, key, feature) = example;
        assert!(expected.contains(&told(finding, key, feature)), "{name}: {expected:?}");
        let workers = if index % 2 == 0 { "1" } else { "2" };
        let found = disagrees(verify_with(&place, &["changed.jsonl"], "sqlite:items.db", &["-w", workers]));
        assert_same(name, &found, &expected);
    }
}

fn assert_same(name: &str, found: &BTreeSet<Told>, expected: &BTreeSet<Told>) {
    let not_told: Vec<_> = expected.difference(found).collect();
    let accused: Vec<_> = found.difference(expected).collect();
    assert!(not_told.is_empty() && accused.is_empty(), "{name}: not told {not_told:#?}, accused {accused:#?}");
}

#[test]
fn a_log_that_is_left_out_or_read_twice_is_told() {
    let log = story();
    let place = place(PIPELINE, &log.text());
    let half = log.0.len() / 2;
    let halves = [&log.0[..half], &log.0[half..]].map(|lines| Log(lines.to_vec()));
    place.write("halves/1.jsonl", halves[0].text());
    place.write("halves/2.jsonl", halves[1].text());
    // Not byte for byte the same, else it would be refused.
    place.write("again.jsonl", format!("\n{}", halves[1].text()));
    count(&place, "jsonl:items.jsonl", &[]);
    let held = log.rows(PIPELINE);
    for (logs, lines) in [
        (&["halves/1.jsonl"][..], halves[0].0.clone()),
        (&["halves/2.jsonl"], halves[1].0.clone()),
        (&["halves", "again.jsonl"], [&log.0[..], &halves[1].0].concat()),
    ] {
        let mut expected = differences(&held, &Log(lines).rows(PIPELINE));
        let mut found = disagrees(verify_with(&place, logs, "jsonl:items.jsonl", &[]));
        // Of estimates nobody knows how far they are off.
        [&mut expected, &mut found]
            .into_iter()
            .for_each(|told| told.retain(|(_, _, feature)| feature != "all_of.uniques_visitor"));
        assert_same(&format!("{logs:?}"), &found, &expected);
        assert!(found.len() > 100);
    }
    super::agrees(verify_with(&place, &["halves"], "jsonl:items.jsonl", &[]));
}
