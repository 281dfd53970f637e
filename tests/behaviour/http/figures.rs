//! The figures are those of the run's own summary.

use serde_json::{Value, json};

use super::client::{Metrics, address_of, metrics_come_to, status};
use super::{follow, likes, place};
use crate::program::{Ended, Workplace};

/// What the run says at its end, for programs.
fn summary(ended: &Ended) -> Value {
    let lines = ended.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut fields = lines.map(|line| line["fields"].clone());
    fields.rfind(|fields| fields.get("items_written").is_some()).expect("a summary")
}

/// The last metrics of a run that had come to rest are what it says at its end, which is given back.
pub(super) fn equal_the_summary(metrics: &Metrics, ended: &Ended) -> Value {
    let summary = summary(ended);
    for (metric, field) in [
        ("events_total", "events"),
        ("missing_keys_total", "missing_keys"),
        ("missing_values_total", "missing_values"),
        ("tombstones_total", "tombstones"),
        ("rows", "rows"),
        ("rows_expired_total", "rows_expired"),
        ("rows_evicted_total{cause=\"limits\"}", "rows_evicted"),
        ("items_waiting", "items_waiting"),
        ("items_total{outcome=\"written\"}", "items_written"),
        ("items_total{outcome=\"refused\"}", "items_refused"),
        ("items_total{outcome=\"superseded\"}", "items_superseded"),
        ("write_units_total", "write_units"),
    ] {
        assert_eq!(metrics.value(metric), summary[field].as_f64().unwrap(), "{metric}:\n{}", ended.stderr);
    }
    assert_eq!(metrics.sum("dead_letters_total"), summary["dead_letters"].as_f64().unwrap());
    summary
}

#[test]
fn the_metrics_of_a_run_equal_its_summary() {
    for workers in ["1", "2"] {
        let place = place();
        let mut run = follow(&place, "sqlite:items.db", &["-w", workers]);
        let address = address_of(&run);
        // Each of these changes one item once, whatever windows they come in.
        for (users, written) in [(3_000, 3_000.0), (500, 3_500.0)] {
            run.write(&likes(0..users));
            metrics_come_to(address, "they are written", |metrics| {
                metrics.value("items_total{outcome=\"written\"}") == written
            });
        }
        run.write("nonsense\n{\"eventName\":\"\",\"userId\":\"1\",\"eventTs\":1}\n");
        run.write("{\"eventName\":\"like\",\"eventTs\":1707605599}\n{\"eventName\":\"like\",\"userId\":\"1\",\"eventTs\":-5}\n");
        let metrics = metrics_come_to(address, "everything is published", |metrics| {
            let dead_letters = metrics.sum("dead_letters_total");
            metrics.value("events_total") == 3_501.0
                && dead_letters == 3.0
                && metrics.value("items_waiting") == 0.0
                && metrics.value("freshness_seconds_count") == 3_500.0
        });
        let told = status(address);
        run.close_stdin();
        let ended = run.end().exits(0);
        let summary = equal_the_summary(&metrics, &ended);
        for reason in ["not_an_object", "bad_name", "negative_time"] {
            assert_eq!(metrics.value(&format!("dead_letters_total{{reason=\"{reason}\"}}")), 1.0, "{reason}");
            assert_eq!(told["deadLettersByReason"][reason], 1, "{told}");
        }
        assert_eq!(metrics.sum("items_total"), 3_500.0);
        assert_eq!(metrics.value("freshness_seconds_bucket{le=\"+Inf\"}"), 3_500.0);
        assert_eq!((metrics.value("keys"), metrics.value("ready"), metrics.value("live")), (3_000.0, 1.0, 1.0));
        assert!(metrics.value("row_bytes") > 3_000.0 * 16.0 && metrics.value("resident_memory_bytes") > 1e6);
        assert_eq!(metrics.find("generation"), None, "there is no state");
        assert_eq!(metrics.sum("workers").to_string(), workers);
        for worker in 0..workers.parse().unwrap() {
            assert!(metrics.value(&format!("worker_busy_seconds_total{{worker=\"{worker}\"}}")) > 0.0);
            assert!(
                metrics.find(&format!("worker_waiting_seconds_total{{worker=\"{worker}\",for=\"source\"}}")).is_some()
            );
        }
        assert_eq!((&told["events"], &told["rows"][0], &told["waiting"]), (&3_501.into(), &3_000.into(), &0.into()));
        assert_eq!((&told["groups"][0]["group"], &told["groups"][0]["key"][0]), (&"user".into(), &"userId".into()));
        assert_eq!(told["groups"][0]["missingKeys"], 1, "{told}");
        // Like events in windows: of one decay counter in three intervals, or of a single event.
        assert_eq!(metrics.value("group_rows{group=\"user\"}"), summary["rows"].as_f64().unwrap());
        assert_eq!(metrics.value("group_keys{key=\"userId\"}"), metrics.value("keys"));
        assert_eq!(metrics.value("group_events_total{group=\"user\"}"), 3_501.0);
        let bytes = metrics.value("group_row_bytes{group=\"user\"}");
        // A directory word, the last update, and one word or three.
        assert_eq!(bytes, (2_500 * 8 * 3 + 500 * 8 * 5) as f64);
        assert!(bytes < metrics.value("row_bytes"));
        assert_eq!(
            (&told["groups"][0]["rows"], &told["groups"][0]["keys"], &told["groups"][0]["rowBytes"]),
            (&3_000.into(), &3_000.into(), &(bytes as u64).into())
        );
        // They are of 2024, and arrive as they are read.
        assert_eq!((metrics.value("late_events_total"), &told["lateEvents"]), (3_501.0, &3_501.into()));
        assert_eq!(metrics.sum("writes_held_back_total"), 0.0);
        assert_eq!(metrics.find("group_write_units_total{group=\"user\"}"), None, "there is no DynamoDB");
    }
}

#[test]
fn a_flood_of_dead_letters_is_counted_and_only_the_last_few_are_shown() {
    let place = place();
    let mut run = follow(&place, "none", &[]);
    let address = address_of(&run);
    let long = "x".repeat(10_000);
    for _ in 0..300 {
        run.write(&format!("{long}\n{{\"eventName\":7}}\n{{\"eventName\":\"like\",\"userId\":1.5,\"eventTs\":1}}\n"));
    }
    run.write(&likes(0..10));
    metrics_come_to(address, "all are counted", |metrics| {
        ["not_an_object", "bad_name", "bad_key"]
            .iter()
            .all(|reason| metrics.value(&format!("dead_letters_total{{reason=\"{reason}\"}}")) == 300.0)
            && metrics.value("events_total") == 10.0
    });
    let told = status(address);
    let last = told["lastDeadLetters"].as_array().unwrap();
    assert_eq!(last.len(), 10);
    for letter in last {
        assert!(letter["text"].as_str().unwrap().len() <= 240, "{letter}");
        assert!(letter["place"].as_str().unwrap().contains("offset"), "{letter}");
    }
    assert_eq!(told["ready"]["ok"], true, "{told}");
    run.close_stdin();
    run.end().exits(0);
}

#[test]
fn the_keys_that_most_events_have_are_told() {
    let place = Workplace::new();
    place.write(
        "p.toml",
        r#"
        name = "hot"
        event = { name = "n", time = "t" }
        [[counters]]
        name = "user"
        key = ["u"]
        events = ["like"]
        decays = ["1h"]
        [[counters]]
        name = "topics"
        key = ["u", "topics"]
        explode = ["topics"]
        events = ["like"]
        decays = ["1d"]
        "#,
    );
    let mut run = follow(&place, "none", &["-w", "2"]);
    let address = address_of(&run);
    // Every other event is ann's, and of two topics; the others are of users of their own.
    let event = |number: u64| match number % 2 {
        0 => r#"{"n":"like","u":"ann","topics":["a|b","c"],"t":1707605599}"#.to_owned(),
        _ => format!(r#"{{"n":"like","u":"{number}","topics":["d"],"t":1707605599}}"#),
    };
    let events = 40_000;
    for from in (0..events).step_by(500) {
        run.write(&(from..from + 500).map(|number| event(number) + "\n").collect::<String>());
    }
    // What no group counts has no keys.
    run.write(&"{\"n\":\"view\",\"u\":\"bob\",\"t\":1707605599}\n".repeat(10));
    metrics_come_to(address, "all are counted", |metrics| metrics.value("events_total") == (events + 10) as f64);
    let told = status(address);
    let hot = told["hotKeys"].as_array().unwrap();
    assert_eq!(hot.len(), 10, "{told}");
    let share = |fields: &[&str], key: &str| {
        let found = hot.iter().find(|hot| hot["key"] == key && hot["fields"] == json!(fields));
        found.unwrap_or_else(|| panic!("{key} is not among {hot:?}"))["share"].as_f64().unwrap()
    };
    for share in [share(&["u"], "ann"), share(&["u", "topics"], "ann|a\\|b"), share(&["u", "topics"], "ann|c")] {
        assert!((0.3..0.7).contains(&share), "{hot:?}");
    }
    assert_eq!((&hot[0]["group"], hot.iter().filter(|hot| hot["key"] == "bob").count()), (&"user".into(), 0));
    run.close_stdin();
    run.end().exits(0);
}
