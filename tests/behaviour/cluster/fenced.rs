//! A process of several is stopped, all others end, and a next run goes on: when it wakes up it takes nothing back in DynamoDB, where every process writes
//! and there is no lock.

use std::time::{Duration, Instant};

use super::{Processes, SOON, start};
use crate::dynamodb_fake::Holding;
use crate::recovery::job::{Job, MANY};
use crate::recovery::seed;

/// So many writes have had an effect.
fn effects(job: &Job) -> u64 {
    job.table.fake().unwrap().state().record.count()
}

/// So many requests that write have come.
fn requests(job: &Job) -> u64 {
    let state = job.table.fake().unwrap().state();
    ["PutItem", "BatchWriteItem"].iter().filter_map(|operation| state.requests.get(*operation)).sum()
}

/// Wakes it up, which must have no effect on the table, and gives back how many requests came of it.
fn wakes_up(job: &Job, sleeper: crate::program::Running) -> u64 {
    let before = (effects(job), requests(job));
    sleeper.signal("CONT");
    let ended = sleeper.end().exits(75);
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: process 1 ("), "{last}");
    assert_eq!(before.0, effects(job), "it has written: {}", ended.stderr);
    job.look();
    requests(job) - before.1
}

/// The next run, of so many processes, to its good end.
fn next_run(job: &mut Job, processes: usize) {
    job.add_log(1_000);
    Processes::start(&job.place, processes, |_, which| job.start_with(1, &[which, &SOON].concat(), &[])).end_well();
    job.look();
    job.assert_items();
}

#[test]
fn without_a_fence_a_process_that_wakes_up_sends_nothing() {
    // So many seconds after it began it may write: it is stopped before that, and woken after it. So no request of it can be on its way.
    let not_before = Duration::from_secs(12);
    for processes in [2, 1] {
        let mut job = Job::dynamodb(seed(680), false);
        next_run(&mut job, 2);
        job.add_log(MANY);
        let pipeline = job.place.read("p.toml");
        job.place.write("p.toml", pipeline.replace("settle = \"200ms\"", "settle = \"8s\""));
        let began = Instant::now();
        let mut run = job.until_it_counts(|| start(&job, 2, 1, &SOON));
        let sleeper = run.take(1);
        assert!(began.elapsed() < not_before, "it was too slow to be stopped in time");
        sleeper.signal("STOP");
        run.lose(1);
        job.place.write("p.toml", pipeline);
        next_run(&mut job, processes);
        std::thread::sleep(not_before.saturating_sub(began.elapsed()));
        assert_eq!(wakes_up(&job, sleeper), 0, "it has sent something");
    }
}

#[test]
fn with_a_fence_whatever_a_process_still_sends_when_it_wakes_up_is_refused() {
    for own_seed in [681, 682, 683] {
        let mut job = Job::dynamodb(seed(own_seed), true);
        next_run(&mut job, 1);
        job.add_log(MANY);
        let mut run = job.until_it_counts(|| start(&job, 2, 1, &SOON));
        let before = effects(&job);
        // In the middle of what it writes.
        job.table.fake().unwrap().wait_until("it writes", |state| state.record.count() > before + 50);
        let sleeper = run.take(1);
        sleeper.signal("STOP");
        run.lose(1);
        next_run(&mut job, 2);
        wakes_up(&job, sleeper);
    }
}

#[test]
fn with_a_fence_requests_of_an_earlier_run_that_are_carried_out_late_are_refused() {
    let mut job = Job::dynamodb(seed(684), true);
    next_run(&mut job, 1);
    job.add_log(MANY);
    let mut run = job.until_it_counts(|| start(&job, 2, 1, &SOON));
    let before = effects(&job);
    let table = job.table.clone();
    let fake = table.fake().unwrap();
    fake.wait_until("it writes", |state| state.record.count() > before + 50);
    // What both processes send from here on stays on its way.
    fake.state().script.holding = Holding::WhatComes;
    fake.wait_until("some are on their way", |state| state.late_requests >= 4);
    let sleeper = run.take(1);
    sleeper.signal("STOP");
    run.lose(1);
    fake.state().script.holding = Holding::WhatCame;
    next_run(&mut job, 2);
    let (held, effects_before, unmet) = {
        let state = fake.state();
        (state.late_requests as u64, state.record.count(), state.unmet_conditions)
    };
    assert!(held >= 4);
    fake.state().script.holding = Holding::Nothing;
    fake.wait_until("they are carried out", |state| state.late_requests == 0);
    let state = fake.state();
    assert_eq!((state.record.count(), state.unmet_conditions), (effects_before, unmet + held), "all are refused");
    drop(state);
    wakes_up(&job, sleeper);
    job.assert_items();
}
