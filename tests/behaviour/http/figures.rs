//! The figures are those of the run's own summary.

use serde_json::Value;

use super::client::{address_of, metrics_come_to, status};
use super::{follow, likes, place};
use crate::program::Ended;

/// What the run says at its end, for programs.
fn summary(ended: &Ended) -> Value {
    let lines = ended.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut fields = lines.map(|line| line["fields"].clone());
    fields.rfind(|fields| fields.get("items_written").is_some()).expect("a summary")
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
        let summary = summary(&ended);
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
            assert_eq!(metrics.value(metric), summary[field].as_f64().unwrap(), "{metric}, {workers} workers");
        }
        assert_eq!(metrics.sum("dead_letters_total"), summary["dead_letters"].as_f64().unwrap());
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
