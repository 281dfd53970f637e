//! `/ready` and `/live` say what is wrong, and that it is over.

use counter_machine::checkpoint::failpoint::VARIABLE;

use super::client::{Metrics, address_of, comes_to, get, metrics_come_to, status};
use super::likes;
use crate::dynamodb_fake::{FakeDynamoDb, Fault};
use crate::dynamodb_items::pipeline_text;
use crate::program::Workplace;
use crate::recovery_kafka::{Job, PLAYED_TOPIC as TOPIC, Sender, cluster};

/// Clients come back soon, as the outages are short.
const OPTIONS: &str = ", options = { \"reconnect.backoff.max.ms\" = \"200\" }";

#[test]
fn a_broker_that_is_away_is_told_and_that_it_is_back() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    let mut sender = Sender::new(&brokers, TOPIC, 3, 71);
    let job = Job::with_kafka(&brokers, TOPIC, OPTIONS, "");
    sender.send(50);
    cluster.broker_down(1).expect("down");
    let run = job.start("2", &["--http", "0"]);
    let address = address_of(&run);
    comes_to(address, "/ready", 503, "waits for Kafka");
    cluster.broker_up(1).expect("up");
    comes_to(address, "/ready", 200, "ok");
    let metrics = metrics_come_to(address, "all is read", |metrics| {
        metrics.value("events_total") == 50.0
            && metrics.value("items_waiting") == 0.0
            && metrics.value("checkpoints_total") > 1.0
    });
    for partition in 0..3 {
        assert_eq!(metrics.value(&format!("source_lag_messages{{partition=\"{partition}\"}}")), 0.0);
        assert_eq!(metrics.value(&format!("source_lag_seconds{{partition=\"{partition}\"}}")), 0.0);
    }
    assert!(metrics.value("generation") >= 1.0 && metrics.value("checkpoint_age_seconds") < 60.0);
    assert!(metrics.value("restore_seconds") < 60.0 && metrics.value("checkpoint_bytes") >= 0.0);
    cluster.broker_down(1).expect("down");
    comes_to(address, "/ready", 503, "waits for Kafka: the brokers do not answer");
    assert_eq!(get(address, "/live").status, 200, "to start it again would mend nothing");
    assert_eq!(Metrics::of(address).value("ready"), 0.0);
    assert_eq!(status(address)["ready"]["ok"], false);
    cluster.broker_up(1).expect("up");
    sender.send(50);
    comes_to(address, "/ready", 200, "ok");
    metrics_come_to(address, "all is read", |metrics| {
        metrics.value("events_total") == 100.0 && metrics.value("items_waiting") == 0.0
    });
    run.signal("TERM");
    run.end().exits(0);
    job.holds(&sender.counts);
}

#[test]
fn checkpoints_that_fail_are_told_until_one_is_made() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    let mut sender = Sender::new(&brokers, TOPIC, 3, 72);
    let job = Job::with_kafka(&brokers, TOPIC, OPTIONS, "");
    sender.send(50);
    job.catch_up("1", &[]).exits(0);
    sender.send(50);
    let run = job.start_with("1", &["--http", "0"], &[(VARIABLE, "segment_begun:error:3")]);
    let address = address_of(&run);
    comes_to(address, "/ready", 503, "checkpoints fail: ");
    let metrics = metrics_come_to(address, "one is made", |metrics| {
        metrics.value("checkpoint_failures_total") == 3.0 && metrics.value("ready") == 1.0
    });
    assert!(metrics.value("checkpoints_total") >= 1.0);
    comes_to(address, "/ready", 200, "ok");
    run.signal("TERM");
    run.end().exits(0);
    job.holds(&sender.counts);
}

#[test]
fn a_table_that_is_away_is_told_and_that_it_is_back() {
    let mut fake = FakeDynamoDb::start(|_| Fault::None);
    let place = Workplace::new();
    let window = "[window]\nlength = \"200ms\"\n[dynamodb]";
    place.write("p.toml", pipeline_text(&fake.endpoint(), "Fake").replace("[dynamodb]", window));
    let mut run = place.start(&["run", "p.toml", "--events", "-", "--http", "0", "-w", "2"]);
    let address = address_of(&run);
    run.write(&likes(0..10));
    metrics_come_to(address, "they are written", |metrics| metrics.value("items_total{outcome=\"written\"}") == 10.0);
    comes_to(address, "/ready", 200, "ok");
    let metrics = Metrics::of(address);
    assert!(metrics.value("write_units_total") >= 10.0);
    let of_groups = metrics.sum("group_write_units_total");
    assert!((of_groups - metrics.value("write_units_total")).abs() < 1e-6, "{of_groups}");
    fake.stop();
    run.write(&likes(0..20));
    comes_to(address, "/ready", 503, "the sink is away: ");
    let metrics = Metrics::of(address);
    assert!(metrics.value("sink_retries_total{cause=\"unavailable\"}") > 0.0);
    assert!(metrics.value("items_waiting") > 0.0 && metrics.value("oldest_waiting_seconds") > 0.0);
    assert_eq!(get(address, "/live").status, 200);
    fake.start_again();
    comes_to(address, "/ready", 200, "ok");
    metrics_come_to(address, "all are written", |metrics| metrics.value("items_waiting") == 0.0);
    run.close_stdin();
    run.end().exits(0);
    assert_eq!(fake.state().len(), 20);
}

#[test]
fn a_table_that_is_away_at_the_start_is_waited_for() {
    let mut fake = FakeDynamoDb::start(|_| Fault::None);
    let place = Workplace::new();
    place.write("p.toml", pipeline_text(&fake.endpoint(), "Fake"));
    place.write("log.jsonl", likes(0..10));
    fake.stop();
    let mut run = place.start(&["run", "p.toml", "--events", "-", "--http", "0"]);
    let address = address_of(&run);
    comes_to(address, "/ready", 503, "opens the sink dynamodb: the sink is away: ");
    assert_eq!(get(address, "/live").status, 200);
    fake.start_again();
    comes_to(address, "/ready", 200, "ok");
    run.close_stdin();
    run.end().exits(0);
}

#[test]
fn a_sqlite_file_that_somebody_locks_is_a_sink_that_is_away() {
    let place = super::place();
    let mut run = super::follow(&place, "sqlite:items.db", &[]);
    let address = address_of(&run);
    run.write(&likes(0..10));
    metrics_come_to(address, "they are written", |metrics| metrics.value("items_total{outcome=\"written\"}") == 10.0);
    let database = rusqlite::Connection::open(place.path("items.db")).unwrap();
    database.execute_batch("BEGIN EXCLUSIVE").unwrap();
    run.write(&likes(0..20));
    comes_to(address, "/ready", 503, "the sink is away: it has taken nothing for ");
    drop(database);
    comes_to(address, "/ready", 200, "ok");
    run.close_stdin();
    run.end().exits(0);
}
