//! Fault C2: killed exactly at each step of a checkpoint. Fault C5: a thread panics there.

use counter_machine::checkpoint::failpoint::{Step, VARIABLE};

use super::job::Job;
use super::seed;

/// Kills a first life, and one that finds a state, when they come to the step for this time. Says how many came there: the
/// checkpoint of a life that finds little new may have no segment.
fn killed_at(step: Step, time: u32) -> u32 {
    let mut job = Job::sqlite(seed(u64::from(time)));
    let fail = format!("{step}:kill:{time}");
    let mut killed = 0;
    for workers in [1, 2] {
        job.grow(2_000);
        let ended = job.live(workers, &[(VARIABLE, &fail)]);
        assert!(ended.was_killed() || !ended.is_refused(), "{fail}: {ended:?}");
        killed += u32::from(ended.was_killed());
    }
    job.grow(1_000);
    job.finish(2);
    killed
}

/// At each step, of which this many lives must come to it.
fn killed_at_each(time: u32, least: u32) {
    let killed = Step::ALL.map(|step| (step.as_str(), killed_at(step, time)));
    let all: u32 = killed.iter().map(|(_, killed)| killed).sum();
    assert!(all >= least, "too few lives were killed: {killed:?}");
}

#[test]
fn a_run_that_is_killed_at_a_step_of_a_checkpoint_counts_as_if_nothing_had_happened() {
    killed_at_each(1, 20);
}

#[test]
fn so_does_one_that_is_killed_when_it_comes_there_again() {
    killed_at_each(2, 14);
}

#[test]
fn so_does_one_that_is_killed_when_it_comes_there_for_the_third_time() {
    killed_at_each(3, 6);
}

#[test]
fn a_run_of_which_a_thread_panics_ends_as_a_whole_and_is_gone_on_with() {
    for (step, workers) in [(Step::SegmentBegun, 1), (Step::BeforeSync, 2), (Step::AfterManifest, 2)] {
        let mut job = Job::sqlite(seed(4));
        for _ in 0..2 {
            job.grow(2_000);
            let ended = job.live(workers, &[(VARIABLE, &format!("{step}:panic"))]).exits(70);
            ended.says(&["panicked", step.as_str(), "This is a bug in counter-machine"]);
        }
        job.finish(1);
    }
}
