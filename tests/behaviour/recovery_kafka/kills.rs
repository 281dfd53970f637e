//! Fault C1: killed at any moment, over lives with one and two workers. Fault C3: asked to stop.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Job, Seed, Sender, Watch, brokers, while_sending};
use crate::kafka::Topic;

/// A series of so many lives that are killed, while events come all the time.
fn killed(lives: u32, seed: u64, clock: &'static str) {
    let told = Seed(seed);
    let mut random = StdRng::seed_from_u64(told.0);
    let topic = Topic::new("killed", 3);
    let mut sender = Sender::new(&brokers(), &topic.name, 3, seed);
    let job = Job::new(&brokers(), &topic.name, "").by(clock);
    let watch = Watch::begin(&job.table());
    // The first comes as far as to a checkpoint.
    sender.send(100);
    let first = job.start("2", &[]);
    watch.comes_to(100);
    std::thread::sleep(Duration::from_millis(1_500));
    first.signal("KILL");
    drop(first);
    let mut went_on = 0;
    while_sending(&mut sender, || {
        for _ in 0..lives {
            went_on += u32::from(job.is_killed(&mut random, || {}));
        }
    });
    // Some are killed as they begin.
    assert!(went_on * 3 >= lives, "{went_on} of {lives} lives went on from a checkpoint");
    job.ends_well(&sender.counts);
    watch.end();
}

#[test]
#[ignore = "needs Kafka"]
fn a_run_that_is_killed_at_any_moment_counts_everything_once() {
    killed(5, 1, "wall");
}

#[test]
#[ignore = "needs Kafka"]
fn a_run_that_is_killed_at_any_moment_counts_everything_once_takes_minutes() {
    for seed in 2..6 {
        killed(10, seed, ["wall", "event"][seed as usize % 2]);
    }
}

/// All of it is read again in each life, and nothing of that may be seen in the table.
#[test]
#[ignore = "needs Kafka"]
fn nothing_is_published_before_all_is_counted_again_that_was_published_before() {
    let topic = Topic::new("again", 2);
    let mut sender = Sender::new(&brokers(), &topic.name, 2, 9);
    let job = Job::new(&brokers(), &topic.name, "").without_checkpoints();
    let watch = Watch::begin(&job.table());
    for (life, workers) in ["2", "1", "2", "1"].into_iter().enumerate() {
        sender.send(400);
        let run = job.start(workers, &[]);
        watch.comes_to(sender.sent());
        if life > 0 {
            run.says("reads again");
        }
        // What a life has read last of a partition is no event, and it has told so in the journal.
        sender.begin(0, 5).abort();
        sender.send_tombstone(0);
        sender.send_to(1, 10);
        watch.comes_to(sender.sent());
        run.signal("KILL");
        drop(run);
    }
    assert_eq!(
        std::fs::read_dir(job.place.path("state/manifests")).unwrap().count(),
        1,
        "there was one checkpoint, the first"
    );
    job.ends_well(&sender.counts);
    watch.end();
}

#[test]
#[ignore = "needs Kafka"]
fn a_run_that_is_asked_to_stop_ends_in_time_and_the_next_goes_on() {
    let told = Seed(7);
    let mut random = StdRng::seed_from_u64(told.0);
    let topic = Topic::new("asked", 2);
    let mut sender = Sender::new(&brokers(), &topic.name, 2, told.0);
    let job = Job::new(&brokers(), &topic.name, "");
    let watch = Watch::begin(&job.table());
    sender.send(100);
    while_sending(&mut sender, || {
        for workers in ["1", "2", "1"] {
            let run = job.start(workers, &[]);
            run.catches_signals();
            run.says("reading topic");
            std::thread::sleep(Duration::from_millis(random.random_range(300..2_000)));
            run.signal("TERM");
            run.end_within(Duration::from_secs(10)).exits(0);
        }
    });
    job.ends_well(&sender.counts);
    watch.end();
}
