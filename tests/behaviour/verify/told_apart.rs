//! Items that are less than their whole rows, and rightly so: rows that a run has forgotten.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::items::Items;
use super::{agrees, count, count_pieces, disagrees, place, told, verify, verify_with};

/// A ttl much shorter than 40 of the decay interval: what is forgotten still counts.
const SHORT_LIVED: &str = r#"
name = "short_lived"
[event]
name = "name"
time = "time"
max_ahead = "none"
[[counters]]
name = "user"
key = ["user"]
events = ["like"]
measures = ["count", "uniques(post)"]
decays = ["1d", "1000000000000s"]
ttl = "1h"
"#;

const START: i64 = 1_707_600_000;

fn like(log: &mut String, user: &str, time: i64) {
    writeln!(log, r#"{{"name":"like","user":"{user}","time":{time},"post":"p{}"}}"#, time % 7).unwrap();
}

/// An event every three seconds, one in ten of them late. Each user comes for a sixth of each 33 hours, three times; but
/// `steady` never pauses for as long as the ttl. The stream's clock follows some 14,000 events behind.
fn log_with_pauses() -> String {
    let mut log = String::new();
    for number in 0..120_000_i64 {
        let time = START + number * 3;
        if number % 100 == 0 {
            like(&mut log, "steady", time);
        }
        let late = if number % 10 == 3 { number % 5_000 } else { 0 };
        let phase = number / 6_667 % 6;
        like(&mut log, &format!("user {} {}", phase, number % 50), time - late);
    }
    log
}

/// Makes the item of `steady` count its last events alone.
fn make_steady_count_its_last(items: &mut Items, events: i64) {
    for interval in ["86400", "1000000000000"] {
        let length: f64 = interval.parse().unwrap();
        let values = (0..events).map(|event| (-300.0 * event as f64 / length).exp());
        items.item("steady", "user.like.count")["counts"][interval]["value"] = values.sum::<f64>().into();
    }
}

#[test]
fn rows_that_ttl_made_a_run_forget_are_told_apart() {
    let place = place(SHORT_LIVED, &log_with_pauses());
    for (workers, layout) in [("1", "feature"), ("2", "feature"), ("2", "key")] {
        place.write("p.toml", format!("{SHORT_LIVED}[publish]\nlayout = \"{layout}\"\n"));
        // A row is forgotten only once its items are in the table: a disk that is too slow for that is tried again.
        let run = || count_pieces(&place, "sqlite:items.db", &["-w", workers, "--replace"]).summary("rows forgotten");
        assert!((0..5).any(|_| run() > 100), "hardly a row was forgotten, five times");
        for workers in ["1", "2"] {
            let found = agrees(verify(&place, "sqlite:items.db", &["-w", workers]));
            let number = |name: &str| found[name].as_u64().unwrap();
            assert!(number("restarted") > 100 && number("equal") > 0, "{found:#}");
            assert_eq!(number("restarted") + number("equal"), number("rows"));
            assert_eq!(number("events"), 121_200, "each is told once, though it may be read twice");
        }
    }
}

#[test]
fn a_row_that_began_anew_may_be_wrong_all_the_same() {
    let place = place(SHORT_LIVED, &log_with_pauses());
    count_pieces(&place, "sqlite:items.db", &["-w", "2"]);
    let right = Items::of(&place, "sqlite:items.db");
    let told_of = |change: &dyn Fn(&mut Items)| {
        let mut changed = right.clone();
        change(&mut changed);
        changed.write(&place, "changed.jsonl");
        disagrees(verify(&place, "jsonl:changed.jsonl", &[])).into_iter().collect::<Vec<_>>()
    };
    let (key, count, uniques) = ("user 2 17", "user.like.count", "user.like.uniques_post");
    let one_more = told_of(&|items| {
        let value = &mut items.item(key, count)["counts"]["1000000000000"]["value"];
        *value = (value.as_f64().unwrap() + 1.0).into();
    });
    assert_eq!(one_more, [told("off", key, count)]);
    let one_member_less = told_of(&|items| {
        let value = &mut items.item(key, uniques)["counts"]["1000000000000"]["value"];
        *value = (value.as_f64().unwrap() - 1.0).into();
    });
    assert_eq!(one_member_less, [told("off", key, uniques)]);
    let later = told_of(&|items| {
        for interval in ["86400", "1000000000000"] {
            let time = &mut items.item(key, count)["counts"][interval]["lastUpdate"];
            *time = (time.as_i64().unwrap() + 1).into();
        }
    });
    assert_eq!(later, [told("off", key, count)]);
    assert_eq!(told_of(&|items| make_steady_count_its_last(items, 5)), [told("off", "steady", count)]);
    assert_eq!(
        told_of(&|items| items.0.retain(|item| item["key"] != key)),
        [told("missing", key, count), told("missing", key, uniques)]
    );
}

/// Some clocks are wrong in every stream: they excuse nothing.
#[test]
fn wrong_clocks_do_not_make_a_ttl_pass() {
    let ahead = START + 10 * 365 * 86_400;
    let mut right = String::new();
    (0..4_000)
        .for_each(|number| like(&mut right, if number % 10 == 0 { "steady" } else { "others" }, START + number * 30));
    let wrong = |events: usize| {
        let mut wrong = String::new();
        (0..events).for_each(|_| like(&mut wrong, "wrong", ahead));
        wrong
    };
    let (half, rest) = right.split_at(right.len() / 2);
    let (half, rest) = (format!("{half}{}\n", rest.split_once('\n').unwrap().0), rest.split_once('\n').unwrap().1);
    for log in [
        format!("{}{right}", wrong(1)),
        format!("{}{right}", wrong(100)),
        format!("{half}{}{rest}", wrong(100)),
        format!("{right}{}", wrong(100)),
    ] {
        let place = place(SHORT_LIVED, &log);
        count(&place, "sqlite:items.db", &[]);
        let mut changed = Items::of(&place, "sqlite:items.db");
        agrees(verify(&place, "sqlite:items.db", &[]));
        make_steady_count_its_last(&mut changed, 3);
        changed.write(&place, "changed.jsonl");
        for workers in ["1", "2"] {
            let found = disagrees(verify(&place, "jsonl:changed.jsonl", &["-w", workers]));
            assert_eq!(found.into_iter().collect::<Vec<_>>(), [told("off", "steady", "user.like.count")]);
        }
        // In an item of a whole key nobody misses what has expired, and everybody what has not.
        place.write("p.toml", format!("{SHORT_LIVED}[publish]\nlayout = \"key\"\n"));
        count(&place, "sqlite:keys.db", &[]);
        agrees(verify(&place, "sqlite:keys.db", &[]));
        rusqlite::Connection::open(place.path("keys.db"))
            .unwrap()
            .execute("DELETE FROM keys WHERE key = 'steady'", [])
            .unwrap();
        for workers in ["1", "2"] {
            let found = disagrees(verify(&place, "sqlite:keys.db", &["-w", workers]));
            let expected =
                ["user.like.count", "user.like.uniques_post"].map(|feature| told("missing", "steady", feature));
            assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
        }
    }
}

/// Users of whom each comes again when nobody remembers him, and some that are always there.
fn log_of_too_many() -> String {
    let mut log = String::new();
    for number in 0..12_000_i64 {
        let time = START + number;
        like(&mut log, &format!("always {}", number % 20), time);
        like(&mut log, &format!("seldom {}", number % 4_000), time);
    }
    log
}

#[test]
fn rows_that_limits_made_a_run_forget_are_told_apart() {
    let place = place("", &log_of_too_many());
    let limited = format!("{}[limits]\nrows = 1000\n", SHORT_LIVED.replace("\"1h\"", "\"none\""));
    // A table that takes its time loses some last states of what is evicted, and the run says so; with each window's nothing is lost.
    let ways: [(&str, &[&str]); 2] = [("", &["--every-window"]), ("[publish]\nlayout = \"key\"\n", &[])];
    for (layout, how) in ways {
        place.write("p.toml", format!("{limited}{layout}"));
        for workers in ["1", "2"] {
            let run = count_pieces(&place, "sqlite:items.db", &[&["-w", workers, "--replace"], how].concat());
            assert!(run.summary("rows evicted") > 1_000, "{}", run.stderr);
            if run.summary("lost items") > 0 {
                assert!(how.is_empty(), "{}", run.stderr);
                continue;
            }
            let found = agrees(verify(&place, "sqlite:items.db", &["-w", workers]));
            let number = |name: &str| found[name].as_u64().unwrap();
            assert!(number("restarted") > 1_000 && number("equal") >= 40, "{found:#}");
        }
    }
}

/// What has come to nothing is evicted without a word. Only uniques show that they were: few are exact again.
#[test]
fn what_had_come_to_nothing_begins_anew_without_a_word() {
    let mut log = String::new();
    for number in 0..60_000_i64 {
        let time = START + number;
        like(&mut log, &format!("seldom {}", number % 10_000), time);
        if number % 30_000 < 100 {
            writeln!(log, r#"{{"name":"like","user":"many","time":{time},"post":"{number}"}}"#).unwrap();
        }
    }
    like(&mut log, "many", START + 60_000);
    let pipeline = SHORT_LIVED.replace("\"1h\"", "\"none\"").replace(r#""1d", "1000000000000s""#, r#""10s""#);
    let place = place(&format!("{pipeline}[limits]\nrows = 2000\n"), &log);
    for workers in ["1", "2"] {
        let run = count_pieces(&place, "sqlite:items.db", &["--replace", "-w", workers, "--every-window"]);
        assert!(run.summary("rows evicted") > 1_000, "{}", run.stderr);
        let many = place.run(&["get", "p.toml", "--key", "user=many", "--from", "sqlite:items.db", "--json"]).exits(0);
        assert!(many.stdout.contains(r#""error":0"#) && !many.stdout.contains("since"), "{}", many.stdout);
        let found = agrees(verify(&place, "sqlite:items.db", &["-w", "2"]));
        assert_eq!(found["restarted"], 1, "{found:#}");
    }
}

#[test]
fn what_says_since_may_be_wrong_all_the_same() {
    let pipeline = SHORT_LIVED.replace("\"1h\"", "\"none\"") + "[limits]\nrows = 1000\n";
    let place = place(&pipeline, &log_of_too_many());
    count_pieces(&place, "sqlite:items.db", &["--every-window"]);
    let right = Items::of(&place, "sqlite:items.db");
    let (key, count) = ("seldom 77", "user.like.count");
    type Change = (&'static str, fn(&mut Value));
    let changes: [Change; 4] = [
        ("more than all", |item| item["counts"]["1000000000000"]["value"] = 4.0.into()),
        ("a part of an event", |item| item["counts"]["1000000000000"]["value"] = 1.5.into()),
        ("nothing", |item| item["counts"]["1000000000000"]["value"] = 0.0.into()),
        ("the same without `since`", |item| drop(item.as_object_mut().unwrap().remove("since"))),
    ];
    for (name, change) in changes {
        let mut changed = right.clone();
        assert!(changed.item(key, count)["since"].is_i64());
        change(changed.item(key, count));
        changed.write(&place, "changed.jsonl");
        let found = disagrees(verify(&place, "jsonl:changed.jsonl", &[]));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [told("off", key, count)], "{name}");
    }
}

#[test]
fn items_that_an_earlier_pipeline_left_are_told_apart() {
    let place = place(SHORT_LIVED, &log_of_too_many());
    count(&place, "sqlite:items.db", &[]);
    place.write("p.toml", SHORT_LIVED.replace("\"count\", ", ""));
    let arguments =
        ["verify", "p.toml", "--events", "log.jsonl", "--from", "sqlite:items.db", "--json", "--examples", "3"];
    let found = super::json(&place.run(&arguments).exits(0));
    let numbers = ["rows", "items", "equal", "notOfPipeline"].map(|name| found[name].as_u64().unwrap());
    assert_eq!((found["agrees"].clone(), numbers), (json!(true), [4_020, 8_040, 4_020, 4_020]), "{found:#}");
    assert_eq!(found["examples"].as_array().unwrap().len(), 3);
    place.write("p.toml", format!("{SHORT_LIVED}[features]\ndrop = [\"*.uniques_*\"]\n"));
    let found = super::json(&verify_with(&place, &["log.jsonl"], "sqlite:items.db", &[]).exits(0));
    assert_eq!(found["notOfPipeline"], 4_020);
}
