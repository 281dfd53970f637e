//! Fault T1: the machine's clock is wrong, by hours, days or all of its time, in some lives and not in others, and jumps.

use std::time::Duration;

use super::job::Job;
use super::seed;
use crate::wrong_clock::WrongClock;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

#[test]
fn a_clock_that_is_wrong_in_some_lives_costs_nothing() {
    for (mut job, workers) in [(Job::sqlite(seed(70)), 1), (Job::dynamodb(seed(71), true), 2)] {
        let clock = WrongClock::new(&job.place);
        for ahead in [0, HOUR, -HOUR, DAY, -DAY, YEAR, 0] {
            clock.is_ahead_by(ahead);
            job.add_log(700);
            job.live(workers, &clock.environment()).exits(0);
            job.assert_counted();
        }
        clock.begins_again();
        job.add_log(700);
        // By that clock every event is far ahead: nothing is read, so that none becomes a dead letter.
        job.live(workers, &clock.environment()).exits(75).says(&["1970-01-01", "cannot be right", "nothing was read"]);
        job.finish(workers);
    }
}

#[test]
fn a_clock_that_jumps_while_a_run_counts_costs_nothing() {
    for workers in [1, 2] {
        let mut job = Job::sqlite(seed(72));
        let clock = WrongClock::new(&job.place);
        for ahead in [HOUR, -HOUR, DAY, -DAY] {
            job.add_log(30_000);
            let running = job.start(workers, &clock.environment());
            for jump in 0..20 {
                std::thread::sleep(Duration::from_millis(50));
                clock.is_ahead_by(ahead * (jump % 3));
            }
            running.end().exits(0);
            job.look();
            job.assert_counted();
        }
        job.finish(workers);
    }
}
