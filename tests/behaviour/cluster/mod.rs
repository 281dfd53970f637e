//! Runs of several processes: whatever becomes of one of them, all end, say why, and are gone on with as if nothing had happened.
//!
//! [`Processes`] are those of one run, each the program as a person starts it, on an address of its own. What they count is judged by the jobs of
//! [`crate::recovery`] and [`crate::recovery_kafka`]: a recount of its own, `verify`, and a watch over the table that sees items that go back.
//! [`Proxy`] is a network between two of them that can be cut.

mod buckets;
mod damage;
mod fenced;
mod kafka;
mod kills;
mod links;
mod processes;
mod proxy;
mod reasons;
mod series;
mod stops;
mod strangers;
mod supervised;
mod usage;

use crate::recovery::job::Job;

pub use self::processes::{Addresses, Processes};
pub use self::proxy::Proxy;

/// A process that nothing is heard of for so long is lost: soon, for a machine that has other tests to run.
pub const SOON: [&str; 2] = ["--peer-timeout", "2s"];

/// With what lives of a job are started besides: into DynamoDB each waits for so long before it writes.
pub fn patience(job: &Job) -> &'static [&'static str] {
    if job.table.fake().is_some() { &SOON } else { &[] }
}

/// Begins a life of so many processes.
pub fn start(job: &Job, processes: usize, workers: usize, more: &[&str]) -> Processes {
    Processes::start(&job.place, processes, |_, which| job.start_with(workers, &[which, more].concat(), &[]))
}

/// A life to its good end, after which the items must be as if nothing had happened.
#[track_caller]
pub fn finish(job: &Job, processes: usize, workers: usize) {
    start(job, processes, workers, &[]).end_well();
    job.look();
    job.assert_items();
}
