//! Fault: killed at random moments, as by a machine without memory.
//!
//! Lives are short, and each finds more lines than the one before: so a kill hits reading back, reading again, publishing and the last
//! checkpoint alike. Some are slowed down (stopped and let go on, as by a machine that has much else to do), so that the checkpoints
//! in the middle of a log come, too.

use std::time::{Duration, Instant};

use rand::RngExt;

use super::job::{Job, time_of};
use super::seed;
use crate::program::{Ended, Running};

/// So many lines are new to a life, about.
const LINES: u64 = 12_000;

/// What a life had done when it was killed.
#[derive(Debug, Default)]
struct Stages {
    /// Nothing that anybody could see.
    beginning: u32,
    /// Its rows were back.
    restored: u32,
    /// It had made a checkpoint.
    checkpointed: u32,
    /// It had ended by then.
    ended: u32,
}

impl Stages {
    fn add(&mut self, ended: &Ended) {
        let stage = if !ended.was_killed() {
            &mut self.ended
        } else if ended.stderr.contains("a checkpoint was made") {
            &mut self.checkpointed
        } else if ended.stderr.contains("restored ") {
            &mut self.restored
        } else {
            &mut self.beginning
        };
        *stage += 1;
    }

    fn killed(&self) -> u32 {
        self.beginning + self.restored + self.checkpointed
    }
}

/// Kills so many lives of a job, at moments within one that nobody ends, with each of these numbers of workers in turn.
fn killed(mut job: Job, kills: u32, workers: &[usize]) {
    job.grow(LINES);
    let mut whole = time_of(|| drop(job.live(workers[0], &[]).exits(0)));
    let mut stages = Stages::default();
    for life in 0..3 * kills {
        if stages.killed() == kills {
            break;
        }
        job.grow(LINES);
        let workers = workers[life as usize % workers.len()];
        let is_slow = life % 4 == 3;
        // All is counted early in a life, and the rest is waiting for the journal.
        let within = if job.random.random() { 0.3 } else { 1.0 };
        let moment = whole.mul_f64(job.random.random_range(0.0..within));
        let running = job.start(workers, &[]);
        if is_slow {
            slowed_down(&running, moment * 3);
        } else {
            std::thread::sleep(moment);
        }
        let ended = running.kill();
        stages.add(&ended);
        if !ended.was_killed() {
            whole = whole.mul_f64(0.8);
        }
        job.look();
        if life % 5 == 4 {
            job.grow(LINES);
            whole = time_of(|| drop(job.live(workers, &[]).exits(0)));
            job.assert_counted();
        }
    }
    job.finish(workers[0]);
    eprintln!("{stages:?}, {} changes seen", job.watch.changes());
    assert_eq!(stages.killed(), kills, "most moments must be within a life: {stages:?}");
    assert!(
        stages.restored + stages.checkpointed >= kills / 4,
        "too few kills have hit a life that was counting: {stages:?}"
    );
}

/// Gives it a quarter of the time, for so long.
pub fn slowed_down(running: &Running, how_long: Duration) {
    let began = Instant::now();
    while began.elapsed() < how_long {
        std::thread::sleep(Duration::from_millis(10));
        running.signal("STOP");
        std::thread::sleep(Duration::from_millis(30));
        running.signal("CONT");
    }
}

#[test]
fn a_run_that_is_killed_at_random_moments_counts_as_if_nothing_had_happened() {
    killed(Job::sqlite(seed(1)), 8, &[1, 2, 2, 1, 3]);
}

#[test]
fn so_does_one_into_dynamodb() {
    killed(Job::dynamodb(seed(2), false), 3, &[2, 1]);
}

#[test]
fn so_does_one_into_dynamodb_with_a_fence() {
    killed(Job::dynamodb(seed(3), true), 4, &[1, 2]);
}

#[test]
#[ignore = "takes minutes"]
fn a_hundred_kills_count_as_if_nothing_had_happened_which_takes_minutes() {
    for round in 0..4 {
        killed(Job::sqlite(seed(100 + round)), 15, &[1, 2, 4, 3]);
        killed(Job::dynamodb(seed(200 + round), false), 5, &[2, 1, 3]);
        killed(Job::dynamodb(seed(300 + round), true), 5, &[2, 1, 3]);
    }
}
