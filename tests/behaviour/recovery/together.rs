//! Fault: two runs of one state, another sink for a state, and a state that is set aside or left out.

use super::job::Job;
use super::seed;
use super::signals::set_away;

#[test]
fn a_second_run_of_a_state_is_refused_and_names_the_first() {
    let mut job = Job::dynamodb(seed(50), true);
    job.add_log(1_000);
    // So that the first one waits.
    set_away(&job, true);
    let first = job.start(1, &[]);
    first.says("a checkpoint was made");
    let second = job.live(2, &[]);
    assert!(second.is_refused(), "{second:?}");
    second.says(&[&format!("another run (process {}) is using this state", first.process())]);
    set_away(&job, false);
    first.end().exits(0);
    job.look();
    job.assert_counted();
    job.add_log(1_000);
    job.finish(2);
}

#[test]
fn a_state_is_of_one_table() {
    let mut job = Job::sqlite(seed(51));
    job.add_log(1_000);
    job.finish(1);
    let run = ["run", "p.toml", "--events", "logs", "--state", "state", "--sink", "sqlite:other.db"];
    let refused = job.place.run(&run);
    assert!(refused.is_refused(), "{refused:?}");
    refused.says(&["items.db", "other.db", "another state", "--no-state"]);
    assert!(!job.place.path("other.db").exists());
    job.add_log(1_000);
    job.finish(1);
}

#[test]
fn a_state_may_be_set_aside_and_left_out() {
    let mut job = Job::sqlite(seed(52));
    job.add_log(1_000);
    job.finish(1);
    job.add_log(1_000);
    // What is there was counted with the state that goes.
    let refused = job.start_with(1, &["--fresh"], &[]).end();
    assert!(refused.is_refused(), "{refused:?}");
    refused.says(&["--replace"]);
    job.start_with(1, &["--fresh", "--replace", "--max-dead-letters", "1000"], &[]).end().exits(0);
    let run = ["run", "p.toml", "--events", "logs", "--no-state", "--sink", "sqlite:items.db"];
    let refused = job.place.run(&run);
    assert!(refused.is_refused(), "{refused:?}");
    refused.says(&["--replace"]);
    job.place
        .run(&["run", "p.toml", "--events", "logs", "--no-state", "--state", "state", "--sink", "none"])
        .exits(2)
        .says(&["the opposite"]);
}

#[test]
fn a_table_that_is_gone_or_was_brought_back_from_a_backup_is_filled_again() {
    let mut job = Job::sqlite(seed(53));
    job.add_log(1_000);
    job.finish(1);
    let backup = std::fs::read(job.place.path("items.db")).unwrap();
    job.add_log(1_000);
    job.finish(2);
    for content in [None, Some(&backup)] {
        for file in ["items.db", "items.db-wal", "items.db-shm"] {
            let _ = std::fs::remove_file(job.place.path(file));
        }
        content.into_iter().for_each(|content| job.place.write("items.db", content));
        job.watch.forget();
        // Nothing is new.
        job.finish(1).says(&["all rows are published again"]);
        job.add_log(500);
        job.finish(2);
    }
}

#[test]
fn a_clock_that_was_set_back_takes_no_version_back() {
    for ahead in [3_600, 100_000_000] {
        let mut job = Job::sqlite(seed(54));
        job.add_log(1_000);
        job.finish(1);
        // As a run leaves it whose clock is ahead: it has begun, and was killed.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        job.place.write(&format!("state/generations/{:010}", now + ahead), format!("{:032x}\n", 7));
        for workers in [1, 2] {
            job.add_log(500);
            job.finish(workers);
        }
        let newest = job.table.items().values().map(|shown| shown.version >> 31).max();
        assert!(newest > Some(now + ahead), "{newest:?}");
    }
}
