//! The `dynamodb` sink while the service misbehaves: nothing is lost, nothing older replaces
//! something newer, and what will not pass says what to do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use counter_machine::epoch::Generation;
use counter_machine::pipeline::Pipeline;
use counter_machine::sink::{self, Desk, Outcome, Part, SinkErrorKind, SinkOptions, SinkTarget, open_reader};
use counter_machine::telemetry::Metrics;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::dynamodb_fake::{FakeDynamoDb, Fault, Identity, normalised};
use crate::dynamodb_items::{LAST_UPDATE, Row, WriteAll as _, batch, open, pipeline, pipeline_text};

/// What must stand in the table for a row, in the service's own JSON.
fn stored(row: &Row) -> Value {
    let count = |interval: i64, value: f64| {
        json!({"M": {
            "decayInterval": {"N": interval.to_string()},
            "lastUpdate": {"N": LAST_UPDATE.to_string()},
            "value": {"N": normalised(&format!("{value:?}")).unwrap()},
        }})
    };
    json!({
        "key": {"S": row.key},
        "featureName": {"S": row.feature},
        "counts": {"M": {"5": count(5, row.value), "10": count(10, 2.0 * row.value), "15": count(15, 3.0 * row.value)}},
        "version": {"N": row.version.to_string()},
        "expiresAt": {"N": (LAST_UPDATE + 7 * 86_400).to_string()},
    })
}

/// Writes batches in which the same keys come again and again, with rising versions, under a plan
/// of faults; the table must hold the newest row of each.
fn newest_rows_arrive(seed: u64, plan: impl Fn(u64) -> Fault + Send + Sync + 'static) {
    let fake = FakeDynamoDb::start(plan);
    let metrics = Arc::new(Metrics::default());
    let mut sink = open(&pipeline(&fake.endpoint(), "Fake"), &metrics).unwrap();
    let mut random = StdRng::seed_from_u64(seed);
    let mut expected: BTreeMap<Identity, Value> = BTreeMap::new();
    let mut version = 0;
    for _ in 0..6 {
        let batches: Vec<_> = (0..3)
            .map(|_| {
                version += 1;
                let mut row = || Row {
                    key: random.random_range(0..90).to_string(),
                    feature: ["like", "view"][random.random_range(0..2)].to_owned(),
                    value: random.random_range(0.0..100.0),
                    version,
                };
                let rows: Vec<_> = (0..120).map(|_| row()).collect();
                expected.extend(rows.iter().map(|row| ((row.key.clone(), row.feature.clone()), stored(row))));
                batch(&rows)
            })
            .collect();
        sink.write_all(&batches).unwrap();
        // What was acknowledged is there, not only in the end.
        let wrong: Vec<_> =
            expected.iter().filter(|(key, item)| fake.state().item(key).as_ref() != Some(*item)).collect();
        assert!(wrong.is_empty(), "{} of {} items are not there, as {:?}", wrong.len(), expected.len(), wrong[0]);
        assert_eq!(fake.state().len(), expected.len());
    }
    let state = fake.state();
    assert_eq!(state.violations, [""; 0]);
    assert_eq!(metrics.sink_retries.get(), state.failed_requests);
}

#[test]
fn every_item_arrives_without_faults() {
    newest_rows_arrive(1, |_| Fault::None);
}

#[test]
fn every_item_arrives_when_some_or_all_of_a_request_are_unprocessed() {
    let items = (1..=25).cycle();
    let sizes: Vec<usize> = items.take(100).collect();
    newest_rows_arrive(2, move |request| match request % 2 {
        0 => Fault::Unprocessed(sizes[(request / 2) as usize % sizes.len()]),
        _ => Fault::None,
    });
}

#[test]
fn every_item_arrives_when_half_of_the_requests_are_throttled() {
    const CODES: [&str; 3] = ["ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"];
    newest_rows_arrive(3, |request| match request % 2 {
        0 => Fault::Refused(400, CODES[(request / 2) as usize % CODES.len()]),
        _ => Fault::None,
    });
}

#[test]
fn every_item_arrives_when_answers_and_requests_are_lost_or_come_twice() {
    newest_rows_arrive(4, |request| match request % 4 {
        0 => Fault::AnswerLost,
        1 => Fault::Duplicated,
        2 => Fault::RequestLost,
        _ => Fault::None,
    });
}

#[test]
fn every_item_arrives_under_a_mixture_of_faults() {
    for seed in 10..13 {
        newest_rows_arrive(seed, move |request| {
            let mut random = StdRng::seed_from_u64(seed << 32 | request);
            match random.random_range(0..10) {
                0 => Fault::Unprocessed(random.random_range(1..=25)),
                1 => Fault::Refused(400, "ThrottlingException"),
                2 => Fault::Refused(500, "InternalServerError"),
                3 => Fault::Refused(503, "ServiceUnavailable"),
                4 => Fault::AnswerLost,
                5 => Fault::Duplicated,
                _ => Fault::None,
            }
        });
    }
}

fn rows(count: usize) -> Vec<Row> {
    let row = |i: usize| Row { key: format!("user {i}"), feature: "like".to_owned(), value: 1.0, version: 1 };
    (0..count).map(row).collect()
}

#[test]
fn a_service_that_goes_away_is_waited_for() {
    let mut fake = FakeDynamoDb::start(|_| Fault::None);
    let metrics = Arc::new(Metrics::default());
    let mut sink = open(&pipeline(&fake.endpoint(), "Fake"), &metrics).unwrap();
    sink.write_all(&[batch(&rows(30))]).unwrap();
    fake.stop();
    let writer = std::thread::spawn(move || sink.write_all(&[batch(&rows(300))]));
    wait_for_retries(&metrics, 20);
    assert!(!writer.is_finished());
    fake.start_again();
    assert_eq!(writer.join().unwrap().unwrap(), 300);
    assert_eq!(fake.state().len(), 300);
    assert_eq!(fake.state().violations, [""; 0]);
}

#[test]
fn a_run_that_starts_before_the_service_waits_for_it() {
    let mut fake = FakeDynamoDb::start(|_| Fault::None);
    fake.stop();
    let metrics = Arc::new(Metrics::default());
    let pipeline = pipeline(&fake.endpoint(), "Fake");
    let opener = {
        let metrics = Arc::clone(&metrics);
        std::thread::spawn(move || open(&pipeline, &metrics).map(drop))
    };
    wait_for_retries(&metrics, 3);
    fake.start_again();
    opener.join().unwrap().unwrap();
}

fn wait_for_retries(metrics: &Metrics, count: u64) {
    while metrics.sink_retries.get() < count {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_reader_gives_up_on_a_service_that_does_not_answer() {
    let mut fake = FakeDynamoDb::start(|_| Fault::None);
    fake.stop();
    let pipeline = pipeline(&fake.endpoint(), "Fake");
    let mut reader = open_reader(&SinkTarget::DynamoDb, Some(&pipeline)).unwrap();
    let error = reader.get("1234", None).unwrap_err();
    assert_eq!(error.kind(), SinkErrorKind::ServiceLost);
    assert!(error.to_string().contains(&fake.endpoint()), "{error}");
}

#[test]
fn one_invalid_item_is_found_and_named() {
    for place in [0, 7, 24] {
        let fake = FakeDynamoDb::start(|_| Fault::None);
        fake.state().script.refuses = Some(Box::new(|(_, feature)| feature == "the bad one"));
        let mut sink = open(&pipeline(&fake.endpoint(), "Fake"), &Arc::default()).unwrap();
        let mut rows = rows(25);
        rows[place].feature = "the bad one".to_owned();
        // Whoever only listens does not keep what is refused.
        let error = sink.write_all(&[batch(&rows)]).unwrap_err().to_string();
        assert!(error.contains("feature `the bad one`") && error.contains("ValidationException"), "{error}");
    }
}

#[test]
fn what_the_service_would_refuse_never_reaches_it() {
    let fake = FakeDynamoDb::start(|_| Fault::None);
    let mut sink = open(&pipeline(&fake.endpoint(), "Fake"), &Arc::default()).unwrap();
    let mut rows = rows(1);
    rows[0].key = "x".repeat(2_049);
    let error = sink.write_all(&[batch(&rows)]).unwrap_err().to_string();
    assert!(error.contains("its key has 2049 bytes"), "{error}");
    let state = fake.state();
    assert_eq!((state.requests.get("BatchWriteItem"), state.len()), (None, 0));
}

#[test]
fn what_will_not_pass_ends_the_run_and_says_what_to_do() {
    let hints = [
        ("ResourceNotFoundException", "counter-machine table PIPELINE", SinkErrorKind::NoTable),
        ("AccessDeniedException", "AWS credentials", SinkErrorKind::Denied),
    ];
    for (code, hint, kind) in hints {
        let fake = FakeDynamoDb::start(move |_| Fault::Refused(400, code));
        let metrics = Arc::new(Metrics::default());
        let mut sink = open(&pipeline(&fake.endpoint(), "Fake"), &metrics).unwrap();
        let error = sink.write_all(&[batch(&rows(1))]).unwrap_err();
        assert!(error.to_string().contains(hint) && error.to_string().contains("Fake"), "{error}");
        assert_eq!(error.kind(), kind);
        assert_eq!(metrics.sink_retries.get(), 0);
    }
}

#[test]
fn credentials_that_have_run_out_are_given_time_to_be_renewed() {
    let fake = FakeDynamoDb::start(|request| match request {
        0..3 => Fault::Refused(400, "ExpiredTokenException"),
        _ => Fault::None,
    });
    let mut sink = open(&pipeline(&fake.endpoint(), "Fake"), &Arc::default()).unwrap();
    assert_eq!(sink.write_all(&[batch(&rows(1))]).unwrap(), 1);
}

#[test]
fn a_run_that_is_asked_to_stop_no_longer_waits_for_the_service() {
    // Nothing listens there.
    let pipeline = pipeline("http://127.0.0.1:9", "UserCounters");
    let options = SinkOptions::default();
    let stop = Arc::clone(&options.stop);
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Release);
    });
    let Err(error) = sink::open(&SinkTarget::DynamoDb, &pipeline, &options, &Arc::new(Metrics::default())) else {
        panic!("there is nothing to open");
    };
    assert_eq!(error.kind(), SinkErrorKind::ServiceLost);
    assert!(error.to_string().contains("asked to stop"), "{error}");
}

/// Waits for nothing after the first looks.
struct Impatient {
    looks: usize,
    written: u32,
}

impl Desk for Impatient {
    fn answer(&mut self, part: Part) {
        self.written += if part.outcome == Outcome::Written { part.items.len() as u32 } else { 0 };
    }

    fn gives_up(&mut self) -> bool {
        self.looks += 1;
        self.looks > 20
    }
}

/// The wait is one of hours here: what is written at all was not waited for.
#[test]
fn a_run_that_goes_on_writes_when_no_write_of_an_earlier_one_can_be_carried_out() {
    let two_hours_ago = Instant::now().checked_sub(Duration::from_secs(7_200));
    for (fence, alone_since, writes) in [(false, None, 0), (false, two_hours_ago, 1), (true, None, 1)] {
        let fake = FakeDynamoDb::start(|_| Fault::None);
        let wait = format!("settle = \"1h\"\nfence = {fence}");
        let text = pipeline_text(&fake.endpoint(), "Fake").replace("settle = \"200ms\"", &wait);
        let pipeline = Arc::new(Pipeline::parse(&text, "test.toml", &|_| None).unwrap());
        let metrics = Arc::new(Metrics::default());
        let options = SinkOptions { goes_on: true, generation: Generation(7), alone_since, ..SinkOptions::default() };
        let mut sink = sink::open(&SinkTarget::DynamoDb, &pipeline, &options, &metrics).unwrap();
        assert_eq!(sink.generation(), Some(Generation(7)));
        let row = Row { key: "1".to_owned(), feature: "like".to_owned(), value: 1.0, version: 1 << 32 };
        // Gives up, as a run that was told to stop does; where it may write, it is given time to.
        let mut desk = Impatient { looks: 0, written: 0 };
        if writes == 0 {
            sink.write(&[batch(&[row])], &mut desk).unwrap();
            assert!(metrics.sink_trouble.get().is_some_and(|why| why.contains("an earlier run")));
        } else {
            desk.written = sink.write_all(&[batch(&[row])]).unwrap() as u32;
        }
        assert_eq!((desk.written, fake.state().len()), (writes, writes as usize));
    }
}

#[test]
fn a_run_whose_table_has_newer_items_does_not_go_on() {
    let fake = FakeDynamoDb::start(|_| Fault::None);
    let (pipeline, metrics) = (pipeline(&fake.endpoint(), "Fake"), Arc::new(Metrics::default()));
    let recorded = || sink::recorded(&SinkTarget::DynamoDb, &pipeline, &metrics).unwrap();
    assert!(recorded().is_empty);
    let row = |version| Row { key: "1".to_owned(), feature: "like".to_owned(), value: 1.0, version };
    open(&pipeline, &metrics).unwrap().write_all(&[batch(&[row(9 << 31)])]).unwrap();
    assert_eq!((recorded().generation, recorded().is_empty), (Some(Generation(9)), false));
    for generation in [7, 8] {
        let options = SinkOptions { goes_on: true, generation: Generation(generation), ..SinkOptions::default() };
        let error = sink::open(&SinkTarget::DynamoDb, &pipeline, &options, &metrics).err().unwrap().to_string();
        assert!(error.contains("generation 9") && error.contains("table Fake"), "{error}");
    }
}
