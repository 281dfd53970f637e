//! One of the processes is stopped for a while, or asked to stop.

use std::time::{Duration, Instant};

use super::{SOON, finish, start};
use crate::recovery::job::{Job, MANY};
use crate::recovery::seed;

/// A run that is asked to stop must have stopped by then.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

/// And one that has lost another one must have ended so long after it noticed.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// One of three is stopped for longer than the others wait.
fn stopped_for_too_long(own_seed: u64, stopped: usize) {
    let mut job = Job::sqlite(seed(own_seed));
    job.add_log(MANY);
    let mut run = job.until_it_counts(|| start(&job, 3, 1, &SOON));
    let sleeper = run.take(stopped);
    sleeper.signal("STOP");
    run.lose(stopped);
    let before = job.table.items();
    if stopped == 0 {
        // The table and the state are its own until it is gone.
        let refused = job.start(1, &[]).end();
        assert!(refused.is_refused(), "{refused:?}");
        refused.says(&["another run"]);
    }
    sleeper.signal("CONT");
    let ended = sleeper.end().exits(75);
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: process "), "{last}");
    assert_eq!(before, job.table.items(), "process {stopped} has written after all others had ended");
    job.look();
    finish(&job, 2, 1);
}

#[test]
fn a_process_that_is_stopped_for_too_long_ends_the_run_and_writes_nothing_more() {
    stopped_for_too_long(620, 1);
}

#[test]
fn so_does_process_0() {
    stopped_for_too_long(621, 0);
}

#[test]
fn a_process_that_is_stopped_for_a_moment_is_waited_for() {
    let mut job = Job::sqlite(seed(622));
    job.add_log(MANY);
    let run = job.until_it_counts(|| start(&job, 2, 1, &["--peer-timeout", "5s"]));
    for stopped in [1, 0] {
        run[stopped].signal("STOP");
        std::thread::sleep(Duration::from_millis(700));
        run[stopped].signal("CONT");
    }
    run.end_well();
    job.look();
    job.assert_counted();
}

#[test]
fn whichever_process_is_asked_to_stop_all_stop_and_the_next_run_goes_on() {
    let mut job = Job::sqlite(seed(623));
    for (asked, workers) in [(0, 1), (1, 2)] {
        // So much that process 0 has not read it when it is asked.
        job.add_log(MANY * 3 / 2);
        let run = job.until_it_counts(|| start(&job, 2, workers, &[]));
        run[asked].signal("TERM");
        let began = Instant::now();
        for ended in run.all_exit(130) {
            ended.says(&["interrupted before the end"]);
        }
        assert!(began.elapsed() < STOPS_WITHIN, "{:?}", began.elapsed());
        job.look();
        // What stands in the table is all that was read, and nothing else.
        job.assert_verified();
    }
    start(&job, 2, 1, &[]).end_well();
    job.look();
    job.assert_counted();
}

/// One of two is stopped for so long, under the usual 10 seconds in which something must be heard of it.
fn stopped_for(own_seed: u64, stopped: usize, seconds: u64) {
    let mut job = Job::sqlite(seed(own_seed));
    // So that nobody has counted all before the end.
    job.add_log(MANY * 2);
    let mut run = job.until_it_counts(|| start(&job, 2, 1, &[]));
    let began = Instant::now();
    run[stopped].signal("STOP");
    let ends_within = Duration::from_secs(10) + ENDS_WITHIN;
    if seconds > 10 {
        let sleeper = run.take(stopped);
        run.lose_within(stopped, ends_within);
        std::thread::sleep(Duration::from_secs(seconds).saturating_sub(began.elapsed()));
        sleeper.signal("CONT");
        let ended = sleeper.end_within(ENDS_WITHIN).exits(75);
        assert!(ended.stderr.lines().last().is_some_and(|last| last.contains(" was stopped for ")), "{ended:?}");
        job.look();
        start(&job, 2, 1, &[]).end_well();
    } else {
        std::thread::sleep(Duration::from_secs(seconds));
        run[stopped].signal("CONT");
        run.end_well();
    }
    job.look();
    job.assert_items();
    job.assert_no_letter_is_missing();
}

#[test]
fn a_process_that_is_stopped_for_5_seconds_is_waited_for_under_the_usual_time() {
    stopped_for(624, 0, 5);
    stopped_for(625, 1, 5);
}

#[test]
#[ignore = "takes minutes"]
fn one_that_is_stopped_for_a_minute_is_lost_and_finds_that_out_which_takes_minutes() {
    stopped_for(626, 0, 60);
    stopped_for(627, 1, 60);
}
