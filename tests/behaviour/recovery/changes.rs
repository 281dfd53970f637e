//! Fault: a pipeline file that was changed between two lives: what is kept holds all, what is new holds what came since, and what would mean
//! something else is refused.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::program::Workplace;

const PIPELINE: &str = r#"name = "changed"
[event]
name = "eventName"
time = "eventTs"
[[counters]]
name = "user"
key = ["userId"]
events = ["view", "like"]
measures = ["count"]
decays = ["500000000000s"]
ttl = "none"
[[counters]]
name = "post"
key = ["postId"]
events = "*"
measures = ["count"]
decays = ["500000000000s"]
feature = "{group}.{measure}"
ttl = "none"
"#;

const USER: &str =
    "measures = [\"count\"]\ndecays = [\"500000000000s\"]\nttl = \"none\"\n[[counters]]\nname = \"post\"";

const TAGS: &str = "[[counters]]\nname = \"tag\"\nkey = [\"tag\"]\nevents = \"*\"\nmeasures = [\"count\"]\n\
                    decays = [\"500000000000s\"]\nfeature = \"{group}.{measure}\"\nttl = \"none\"\n";

/// What a row holds after the change.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Holds {
    All,
    /// A decay of a row that goes on: its item does not say so.
    SinceInRow,
    Since,
}

/// Rows of a feature: of which key, from which events, what is added up, under which decay.
#[derive(Clone, Copy, Debug)]
struct Rows(&'static str, &'static str, Option<&'static str>, Option<&'static str>, &'static str, Holds);

const LONG: &str = "500000000000";
const LONGER: &str = "1000000000000";
const VIEWS: Rows = Rows("user.view.count", "userId", Some("view"), None, LONG, Holds::All);
const LIKES: Rows = Rows("user.like.count", "userId", Some("like"), None, LONG, Holds::All);
const POSTS: Rows = Rows("post.count", "postId", None, None, LONG, Holds::All);

fn events(from: u64, to: u64) -> Vec<Value> {
    let event = |number: u64| {
        let name = ["view", "like", "share"][(number * 7 % 11 % 3) as usize];
        serde_json::json!({
            "eventName": name, "userId": format!("u{}", number * 13 % 17), "postId": format!("p{}", number * 5 % 23),
            "tag": format!("t{}", number % 7), "price": number % 9 + 1, "eventTs": 1_700_000_000 + number / 10,
        })
    };
    (from..to).map(event).collect()
}

fn log(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

/// What each key must hold.
fn recount(events: &[Value], rows: Rows) -> BTreeMap<String, u64> {
    let Rows(_, key, name, measure, _, _) = rows;
    let mut counts = BTreeMap::new();
    for event in events.iter().filter(|event| name.is_none_or(|name| event["eventName"] == name)) {
        let weight = measure.map_or(1, |field| event[field].as_u64().unwrap());
        *counts.entry(event[key].as_str().unwrap().to_owned()).or_default() += weight;
    }
    counts
}

/// The table, by key and feature, as `dump` prints it.
fn dump(place: &Workplace) -> BTreeMap<(String, String), Value> {
    let dumped = place.run(&["dump", "sqlite:items.db"]).exits(0).stdout;
    let item = |line: &str| {
        let item: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| item[name].as_str().unwrap().to_owned();
        ((text("key"), text("featureName")), item)
    };
    dumped.lines().map(item).collect()
}

const RUN: [&str; 9] = [
    "run",
    "p.toml",
    "--events",
    "logs",
    "--state",
    "state",
    "--sink",
    "sqlite:items.db",
    "--positions=positions.json",
];

/// A life, a change, and a life that finds more events.
fn changed(name: &str, replaced: &[(&str, &str)], expected: &[Rows]) {
    let mut pipeline = PIPELINE.to_owned();
    for (from, to) in replaced {
        assert!(pipeline.contains(from), "{name}: {from}");
        pipeline = pipeline.replacen(from, to, 1);
    }
    for workers in ["1", "2"] {
        let (place, (before, since)) = (Workplace::new(), (events(0, 3_000), events(3_000, 5_000)));
        place.write("p.toml", PIPELINE);
        place.write("logs/a.jsonl", log(&before));
        place.run(&RUN).exits(0);
        place.write("p.toml", &pipeline);
        place.write("logs/b.jsonl", log(&since));
        // The second one has a checkpoint of the changed pipeline, and nothing new.
        let mut told = Vec::new();
        for life in 0..2 {
            place.run(&[&RUN[..], &["-w", workers]].concat()).exits(0);
            let (table, all) = (dump(&place), [before.clone(), since.clone()].concat());
            told.push(added(&place));
            let says_since = expected.iter().any(|rows| rows.5 != Holds::All);
            assert!(told.iter().all(|lines| *lines == told[0] && lines.is_empty() != says_since), "{name}: {told:?}");
            if expected.iter().all(|rows| rows.5 != Holds::SinceInRow) {
                place.run(&["verify", "p.toml", "--events", "logs", "--from", "sqlite:items.db"]).exits(0);
            }
            for rows in expected {
                let Rows(feature, _, _, _, decay, holds) = *rows;
                let counts = recount(if holds == Holds::All { &all } else { &since }, *rows);
                let newest = before.iter().map(|event| event["eventTs"].as_i64().unwrap()).max();
                assert!(counts.len() > 5, "{rows:?}");
                for (key, count) in counts {
                    let item = table.get(&(key.clone(), feature.to_owned()));
                    let value = item.and_then(|item| item["counts"][decay]["value"].as_f64()).map(f64::round);
                    assert_eq!(value, Some(count as f64), "{name}, life {life}: {key} of {rows:?}: {item:?}");
                    let since = item.and_then(|item| item["since"].as_i64());
                    assert_eq!(
                        since,
                        newest.filter(|_| holds == Holds::Since),
                        "{name}, life {life}: {key} of {rows:?}"
                    );
                }
            }
        }
    }
}

/// What the state says was added, and since when.
fn added(place: &Workplace) -> Vec<String> {
    let text = place.run(&["state", "state"]).exits(0).stdout;
    let from = text.lines().skip_while(|line| !line.starts_with("added to the pipeline file later")).skip(1);
    from.take_while(|line| !line.is_empty()).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The same change is refused, by these words, and changes nothing.
fn refused(name: &str, from: &str, to: &str, says: &[&str]) {
    let place = Workplace::new();
    place.write("p.toml", PIPELINE);
    place.write("logs/a.jsonl", log(&events(0, 1_000)));
    place.run(&RUN).exits(0);
    let before = dump(&place);
    assert!(PIPELINE.contains(from), "{name}");
    place.write("p.toml", PIPELINE.replacen(from, to, 1));
    place.run(&RUN).exits(2).says(says);
    assert_eq!(dump(&place), before, "{name}");
    place.write("p.toml", PIPELINE);
    place.run(&RUN).exits(0);
    place.run(&["verify", "p.toml", "--events", "logs", "--from", "sqlite:items.db"]).exits(0);
}

#[test]
fn a_group_that_is_added_begins_empty() {
    let tags = Rows("tag.count", "tag", None, None, LONG, Holds::Since);
    changed(
        "group added",
        &[("[[counters]]\nname = \"user\"", &format!("{TAGS}[[counters]]\nname = \"user\""))],
        &[VIEWS, LIKES, POSTS, tags],
    );
}

#[test]
fn a_group_that_is_removed_leaves_the_others_as_they_are() {
    let post = &PIPELINE[PIPELINE.rfind("[[counters]]").unwrap()..];
    changed("group removed", &[(post, "")], &[VIEWS, LIKES]);
}

#[test]
fn a_group_with_another_name_begins_empty() {
    let rows = Rows("item.count", "postId", None, None, LONG, Holds::Since);
    changed("group renamed", &[("name = \"post\"", "name = \"item\"")], &[VIEWS, LIKES, rows]);
}

#[test]
fn an_event_that_is_added_counts_from_then_on() {
    let shares = Rows("user.share.count", "userId", Some("share"), None, LONG, Holds::Since);
    changed(
        "event added",
        &[("[\"view\", \"like\"]", "[\"share\", \"view\", \"like\"]")],
        &[VIEWS, LIKES, POSTS, shares],
    );
}

#[test]
fn an_event_that_is_removed_leaves_the_others_as_they_are() {
    changed("event removed", &[("[\"view\", \"like\"]", "[\"like\"]")], &[LIKES, POSTS]);
}

#[test]
fn a_decay_that_is_added_counts_from_then_on_and_the_others_go_on() {
    let added = |rows: Rows| Rows(rows.0, rows.1, rows.2, rows.3, LONGER, Holds::SinceInRow);
    let decays = USER.replace("\"500000000000s\"", "\"500000000000s\", \"1000000000000s\"");
    changed("decay added", &[(USER, &decays)], &[VIEWS, LIKES, POSTS, added(VIEWS), added(LIKES)]);
}

#[test]
fn a_decay_that_is_changed_is_one_that_goes_and_one_that_comes() {
    let changed_to = |rows: Rows| Rows(rows.0, rows.1, rows.2, rows.3, LONGER, Holds::SinceInRow);
    let decays = USER.replace("\"500000000000s\"", "\"1000000000000s\"");
    changed("decay changed", &[(USER, &decays)], &[POSTS, changed_to(VIEWS), changed_to(LIKES)]);
}

#[test]
fn a_measure_that_is_added_counts_from_then_on() {
    let sums = |rows: Rows, feature| Rows(feature, rows.1, rows.2, Some("price"), LONG, Holds::Since);
    let measures = USER.replace("[\"count\"]", "[\"sum(price)\", \"count\"]");
    let expected = [VIEWS, LIKES, POSTS, sums(VIEWS, "user.view.sum_price"), sums(LIKES, "user.like.sum_price")];
    changed("measure added", &[(USER, &measures)], &expected);
}

#[test]
fn a_measure_that_is_replaced_is_one_that_goes_and_one_that_comes() {
    let sums = |rows: Rows, feature| Rows(feature, rows.1, rows.2, Some("price"), LONG, Holds::Since);
    let measures = USER.replace("[\"count\"]", "[\"sum(price)\"]");
    changed(
        "measure removed",
        &[(USER, &measures)],
        &[POSTS, sums(VIEWS, "user.view.sum_price"), sums(LIKES, "user.like.sum_price")],
    );
}

#[test]
fn the_state_says_what_was_added_and_since_when() {
    let place = Workplace::new();
    place.write("p.toml", PIPELINE);
    place.write("logs/a.jsonl", log(&events(0, 3_000)));
    place.run(&RUN).exits(0);
    let decays = USER.replace("\"500000000000s\"", "\"500000000000s\", \"1000000000000s\"");
    let changed = PIPELINE.replace(USER, &decays).replace("[\"view\", \"like\"]", "[\"share\", \"view\", \"like\"]");
    place.write("p.toml", format!("{changed}{TAGS}"));
    place.write("logs/b.jsonl", log(&events(3_000, 5_000)));
    place.run(&RUN).exits(0);
    let expected = [
        "tag group tag since 2023-11-14T22:18:19Z",
        "user feature user.share.count since 2023-11-14T22:18:19Z",
        "user decay 1000000000000s since 2023-11-14T22:18:19Z",
    ];
    assert_eq!(added(&place), expected);
    place.write("p.toml", PIPELINE);
    place.run(&RUN).exits(0);
    assert_eq!(added(&place), [""; 0], "what has gone again began nowhere");
}

#[test]
fn what_would_mean_something_else_is_refused() {
    refused("key", "key = [\"userId\"]", "key = [\"userId\", \"tag\"]", &["group \"user\"", "its key"]);
    refused(
        "where",
        "events = [\"view\", \"like\"]",
        "events = [\"view\", \"like\"]\nwhere = { tag = \"t1\" }",
        &["group \"user\"", "its where"],
    );
    refused("time", "time = \"eventTs\"", "time = \"price\"", &["the field with the event's time"]);
}
