//! The network between two processes is cut while they count.

use super::{Addresses, Processes, Proxy, SOON, finish};
use crate::program::Running;
use crate::recovery::job::{Job, MANY};
use crate::recovery::seed;

/// By then two processes count.
const WELL_UNDER_WAY_BYTES: u64 = 200_000;

/// A run of three processes, of which `caller` reaches `called`, a lower one, over a network that `cut` cuts. All end in time, and each with the
/// exit code of a loss.
fn cut_between(own_seed: u64, caller: usize, called: usize, cut: fn(&Proxy)) {
    let mut job = Job::sqlite(seed(own_seed));
    job.add_log(MANY);
    let addresses = Addresses::new(3);
    let proxy = Proxy::before(addresses.0[called]);
    let mut known = vec![addresses; 3];
    known[caller].0[called] = proxy.address;
    let begin = |_, which: &[&str]| -> Running { job.start_with(1, &[which, &SOON].concat(), &[]) };
    let run = job.until_it_counts(|| Processes::start_at(&job.place, &known, begin));
    proxy.has_passed(WELL_UNDER_WAY_BYTES);
    cut(&proxy);
    for ended in run.end_in_time() {
        let ended = ended.exits(75);
        let last = ended.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("error: ") && last.contains("process "), "{last}");
    }
    job.look();
    finish(&job, 2, 2);
}

#[test]
fn a_connection_with_process_0_that_is_reset_ends_the_run() {
    cut_between(640, 2, 0, Proxy::resets);
}

#[test]
fn so_does_one_over_which_nothing_comes_any_more() {
    cut_between(641, 1, 0, Proxy::swallows);
}

#[test]
fn so_does_one_between_two_others_that_is_reset() {
    cut_between(642, 2, 1, Proxy::resets);
}

#[test]
fn so_does_one_between_two_others_that_takes_nothing_any_more() {
    cut_between(643, 2, 1, Proxy::stops);
}

#[test]
fn so_does_one_between_two_others_over_which_nothing_comes_any_more() {
    cut_between(644, 2, 1, Proxy::swallows);
}
