//! A state in a bucket: there is no lock, but a lease that is renewed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::Value;

use super::{Processes, SOON};
use crate::program::Running;
use crate::recovery::job::{Job, MANY};
use crate::recovery::seed;
use crate::recovery::signals::set_away;
use crate::s3_fake::FakeS3;

/// Where the lease is, in the bucket.
const LEASE: &str = "state/lease.json";

/// So long a lease is valid that is not renewed, with [`SOON`].
const VALID_FOR: Duration = Duration::from_secs(2);

fn bucket(job: &Job) -> &FakeS3 {
    job.bucket.as_ref().unwrap()
}

/// Begins a life of one process.
fn start(job: &Job) -> Running {
    job.start_with(1, &SOON, &[])
}

/// From now on the lease is as one that another machine has left: whether its holder lives is not seen from here.
fn holder_is_elsewhere(job: &Job) {
    let mut lease: Value = serde_json::from_slice(&bucket(job).object(LEASE).expect("a lease")).unwrap();
    lease["host"] = "elsewhere".into();
    lease["space"] = "another".into();
    bucket(job).put(LEASE, lease.to_string());
}

/// All that stands anywhere: objects, items and dead letters.
fn all_there_is(job: &Job) -> (BTreeMap<String, Vec<u8>>, usize, String) {
    let objects = bucket(job).objects().into_iter().map(|(key, content)| (key, content.to_vec())).collect();
    let effects = job.table.fake().map_or(0, |fake| fake.state().record.count() as usize);
    (objects, effects, job.place.read("letters.jsonl"))
}

#[test]
fn one_then_two_then_three_processes_and_one_again_count_as_if_none_had_been_killed() {
    let mut job = Job::sqlite(seed(670)).in_bucket();
    for (processes, victim) in [(1, 0), (2, 0), (2, 1), (3, 2), (3, 0), (1, 0)] {
        job.grow(20_000);
        let mut run =
            Processes::start(&job.place, processes, |_, which| job.start_with(1, &[which, &SOON].concat(), &[]));
        if processes > 1 {
            run.have_formed();
        }
        std::thread::sleep(Duration::from_millis(job.random.random_range(0..2_500)));
        let killed = run.take(victim).kill();
        if killed.was_killed() {
            run.end_without(victim);
        } else {
            run.end_well();
        }
        job.look();
    }
    for processes in [1, 2, 3, 1] {
        job.grow(2_000);
        Processes::start(&job.place, processes, |_, which| job.start_with(1, which, &[])).end_well();
        job.look();
        job.assert_items();
        job.assert_no_letter_is_missing();
    }
}

#[test]
fn a_second_run_is_refused_while_the_first_one_renews_its_lease() {
    let mut job = Job::dynamodb(seed(671), true).in_bucket();
    job.add_log(1_000);
    // So that the first one waits.
    set_away(&job, true);
    let first = start(&job);
    first.says("a checkpoint was made");
    let holder = format!("(process {}) ", first.process());
    let second = start(&job).end().exits(1);
    second.says(&["has not said that it has ended", &format!("{holder}is using this state now"), "s3://bucket/state"]);
    let status = ["status", "p.toml", "--state", "s3://bucket/state"];
    let endpoint = bucket(&job).endpoint();
    let environment = [("AWS_ENDPOINT_URL_S3", endpoint.as_str()), ("AWS_ALLOW_HTTP", "true")];
    job.place.start_with(&status, &environment).end().exits(0).prints(&[&format!("{holder}is using it")]);
    set_away(&job, false);
    first.end().exits(0);
    job.look();
    job.assert_counted();
    // It was given back.
    job.add_log(1_000);
    let next = start(&job).end().exits(0);
    assert!(!next.stderr.contains("it is waited for"), "{}", next.stderr);
    job.look();
    job.assert_counted();
}

#[test]
fn the_lease_of_a_run_that_was_killed_is_waited_for_unless_its_process_is_seen_to_be_gone() {
    let mut job = Job::sqlite(seed(672)).in_bucket();
    for is_seen in [false, true] {
        job.add_log(MANY / 2);
        job.until_it_counts(|| start(&job)).kill();
        if !is_seen {
            holder_is_elsewhere(&job);
        }
        let began = Instant::now();
        let next = start(&job);
        next.says("restored");
        let waited = began.elapsed();
        let next = next.end().exits(0);
        assert_eq!(next.stderr.contains("it is waited for, for 2 s"), !is_seen, "{}", next.stderr);
        assert!(is_seen || next.stderr.contains("on elsewhere (process "), "{}", next.stderr);
        assert!(is_seen || waited >= VALID_FOR, "{waited:?}");
        job.look();
        job.assert_counted();
    }
}

#[test]
fn a_run_that_was_stopped_while_another_one_took_its_state_over_writes_nothing_more() {
    // So many seconds after it began it may write: it is stopped before that, and woken after it.
    let not_before = Duration::from_secs(9);
    let mut job = Job::dynamodb(seed(673), false).in_bucket();
    job.add_log(1_000);
    start(&job).end().exits(0);
    // So that it is stopped in the middle of them.
    job.add_log(MANY * 2);
    let pipeline = job.place.read("p.toml");
    job.place.write("p.toml", pipeline.replace("settle = \"200ms\"", "settle = \"8s\""));
    let began = Instant::now();
    let sleeper = job.until_it_counts(|| start(&job));
    assert!(began.elapsed() < not_before, "it was too slow to be stopped in time");
    sleeper.signal("STOP");
    job.place.write("p.toml", pipeline);
    // Its process is there, and it does not renew its lease.
    start(&job).end().exits(0).says(&["it is waited for, for 2 s"]);
    job.look();
    job.assert_items();
    std::thread::sleep(not_before.saturating_sub(began.elapsed()));
    let before = all_there_is(&job);
    sleeper.signal("CONT");
    let ended = sleeper.end().exits(1);
    let last = ended.stderr.lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("error: ") && last.contains("another run ("), "{}", ended.stderr);
    assert!(last.contains("this state now: this run must end"), "{}", ended.stderr);
    let after = all_there_is(&job);
    let changed: Vec<_> = after.0.iter().filter(|(key, content)| before.0.get(*key) != Some(*content)).collect();
    assert!(changed.is_empty() && before.0.len() == after.0.len(), "it has written {changed:?}: {}", ended.stderr);
    assert_eq!((before.1, before.2), (after.1, after.2), "{}", ended.stderr);
    job.look();
    job.add_log(500);
    start(&job).end().exits(0);
    job.look();
    job.assert_items();
}

#[test]
fn a_run_that_was_stopped_and_whose_state_nobody_took_goes_on() {
    let mut job = Job::sqlite(seed(674)).in_bucket();
    job.add_log(MANY);
    let sleeper = job.until_it_counts(|| start(&job));
    sleeper.signal("STOP");
    std::thread::sleep(VALID_FOR * 2);
    sleeper.signal("CONT");
    sleeper.end().exits(0);
    job.look();
    job.assert_counted();
}

#[test]
fn while_the_bucket_is_away_for_longer_than_the_lease_nothing_is_published_and_then_the_run_goes_on() {
    let mut job = Job::dynamodb(seed(675), true).in_bucket();
    job.add_log(1_000);
    start(&job).end().exits(0);
    job.add_log(MANY);
    let run = job.until_it_counts(|| start(&job));
    bucket(&job).set_away(true);
    // What was allowed may still be sent.
    std::thread::sleep(VALID_FOR * 2);
    let effects = || job.table.fake().unwrap().state().record.count();
    let before = effects();
    std::thread::sleep(VALID_FOR * 2);
    assert_eq!(before, effects(), "it has written without a lease");
    bucket(&job).set_away(false);
    run.end().exits(0);
    job.look();
    job.assert_counted();
}
