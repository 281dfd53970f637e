//! Fault: asked to stop, while all is well and while the table is away.

use std::time::{Duration, Instant};

use super::job::{Job, MANY};
use super::seed;
use super::table::Table;
use crate::dynamodb_fake::Trouble;

/// A run that is asked to stop must have stopped by then.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// While it is away it refuses every write.
pub fn set_away(job: &Job, is_away: bool) {
    // Conditional writes go one by one.
    let is_fenced = matches!(*job.table, Table::Fenced(_));
    let operation = if is_fenced { "PutItem" } else { "BatchWriteItem" };
    let trouble = Trouble { operation, code: "InternalServerError", message: "as planned" };
    job.table.fake().expect("DynamoDB").state().trouble = is_away.then_some(trouble);
}

#[test]
fn a_run_that_is_asked_to_stop_publishes_what_it_has_counted_and_the_next_one_goes_on() {
    for (mut job, workers) in
        [(Job::sqlite(seed(20)), 1), (Job::sqlite(seed(21)), 2), (Job::dynamodb(seed(22), true), 2)]
    {
        for _ in 0..2 {
            job.add_log(MANY);
            let running = job.start_and_count(workers);
            running.signal("TERM");
            let asked = Instant::now();
            let ended = running.end();
            assert!(asked.elapsed() < STOPS_WITHIN, "{:?}", asked.elapsed());
            ended.exits(130).says(&["a checkpoint was made"]);
            job.look();
            // What stands in the table is all that was read, and nothing else.
            job.assert_verified();
        }
        job.finish(workers);
    }
}

#[test]
fn what_a_table_that_is_away_does_not_take_waits_in_the_state() {
    for workers in [1, 2] {
        let mut job = Job::dynamodb(seed(23), workers == 2);
        job.add_log(5_000);
        job.finish(workers);
        job.add_log(5_000);
        set_away(&job, true);
        let running = job.start(workers, &[]);
        // By then all is counted, and nothing can be published.
        running.says("a checkpoint was made");
        running.signal("TERM");
        let asked = Instant::now();
        let ended = running.end();
        assert!(asked.elapsed() < STOPS_WITHIN, "{:?}", asked.elapsed());
        ended.exits(130).says(&["items wait in the state", "the next run with it publishes them"]);
        set_away(&job, false);
        job.finish(workers);
    }
}

#[test]
fn a_second_signal_ends_a_run_at_once() {
    let mut job = Job::dynamodb(seed(24), true);
    job.add_log(5_000);
    set_away(&job, true);
    let running = job.start(2, &[]);
    running.says("a checkpoint was made");
    running.signal("TERM");
    running.says("a second signal ends the run at once");
    let asked = Instant::now();
    running.signal("TERM");
    running.end().exits(130);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    set_away(&job, false);
    job.finish(1);
}
