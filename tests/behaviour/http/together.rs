//! All that can go wrong around a run, with the real broker and a disk that is really full: each is told, truly, and that it is over.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use super::client::{Metrics, address_of, comes_to, get, metrics_come_to};
use super::figures::equal_the_summary;
use super::hostile::{connect, is_closed};
use crate::program::Running;
use crate::recovery_kafka::{Job, OwnBroker, PLAYED_TOPIC as TOPIC, Sender};

/// Clients come back soon, and notice soon, as outages are short.
const OPTIONS: &str = ", options = { \"reconnect.backoff.max.ms\" = \"200\" }";

/// A file on the small disk of a run, as the run sees it.
fn on_disk(job: &Job, run: &Running, name: &str) -> PathBuf {
    let folder = job.place.path("state").canonicalize().unwrap();
    let folder = folder.strip_prefix("/").unwrap();
    PathBuf::from(format!("/proc/{}/root", run.process())).join(folder).join(name)
}

#[test]
#[ignore = "needs Kafka"]
fn broker_disk_bad_events_and_hostile_clients_are_told_truly_and_recovered_from() {
    // Beside those of other tests, and below those that the system gives away.
    let mut broker = OwnBroker::start(27_196);
    let job = Job::with_kafka(&broker.address(), TOPIC, OPTIONS, "");
    job.makes_topic(3);
    let mut sender = Sender::new(&broker.address(), TOPIC, 3, 73);
    sender.send(50);
    let Some(run) = job.start_on_small_disk(16, "2", &["--http", "0", "--log-format", "json"]) else {
        eprintln!("left out: nothing may be mounted here");
        return;
    };
    let address = address_of(&run);
    let all_is_read = |events: f64| {
        metrics_come_to(address, "all is read and written", |metrics| {
            metrics.value("events_total") == events && metrics.value("items_waiting") == 0.0
        })
    };
    let is_live = || assert_eq!(get(address, "/live").status, 200, "to start it again would mend nothing");
    all_is_read(50.0);
    comes_to(address, "/ready", 200, "ok");

    // The broker dies, and comes back with what it has on disk.
    let line = broker.kill();
    comes_to(address, "/ready", 503, "waits for Kafka");
    assert_eq!(Metrics::of(address).value("ready"), 0.0);
    is_live();
    broker.start_again(&line);
    comes_to(address, "/ready", 200, "ok");
    sender.send(50);
    all_is_read(100.0);

    // The disk of the state is full.
    let made = Metrics::of(address).value("checkpoints_total");
    let mut filler = File::create(on_disk(&job, &run, "filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    drop(filler);
    sender.send(50);
    comes_to(address, "/ready", 503, "checkpoints fail: ");
    let metrics = Metrics::of(address);
    assert!(metrics.value("checkpoint_failures_total") >= 1.0 && metrics.value("ready") == 0.0);
    is_live();
    std::fs::remove_file(on_disk(&job, &run, "filler")).unwrap();
    comes_to(address, "/ready", 200, "ok");
    let metrics = metrics_come_to(address, "one is made", |metrics| metrics.value("checkpoints_total") > made);
    let failures = metrics.value("checkpoint_failures_total");
    all_is_read(150.0);

    // A flood of what is no event, while clients begin requests that do not end, and say what is none.
    let head = b"GET /status HTTP/1.1\r\nHost: localhost\r\nX: ";
    let mut slow: Vec<_> = (0..40).filter_map(|_| connect(address, head)).collect();
    let bad = 30_000;
    job.place.write("bad.jsonl", "nonsense\n{\"n\":7}\n{\"n\":\"like\",\"u\":\"1\",\"t\":-5}\n".repeat(bad / 3));
    job.place.run(&["produce", "p.toml", "bad.jsonl"]).exits(0);
    assert!(slow.iter_mut().all(is_closed), "they are closed when their time is up");
    for _ in 0..100 {
        connect(address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    }
    comes_to(address, "/ready", 200, "ok");
    let metrics = metrics_come_to(address, "each is told", |metrics| metrics.sum("dead_letters_total") == bad as f64);
    for reason in ["not_an_object", "bad_name", "negative_time"] {
        assert_eq!(metrics.value(&format!("dead_letters_total{{reason=\"{reason}\"}}")), (bad / 3) as f64);
    }
    is_live();
    sender.send(50);
    let metrics = all_is_read(200.0);

    run.signal("TERM");
    let ended = run.end().exits(0);
    equal_the_summary(&metrics, &ended);
    assert_eq!(metrics.value("checkpoint_failures_total"), failures, "there were no more");
    job.holds(&sender.counts);
}
