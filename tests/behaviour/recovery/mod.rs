//! Runs with a state over event logs that are killed, stopped, damaged and changed: the counters come out as if nothing had happened.
//!
//! Each test keeps a [`Job`](job::Job): logs that grow, a state, a table, and what the lines that were written so far must have counted
//! (a recount of its own, in integers). Whatever became of the lives of the run, in the end the table is what the recount says,
//! `verify` agrees up to the positions of the last life, each bad line has one dead letter, and no item has ever gone back: a
//! [`Watch`](watch::Watch) reads the table while lives come and go.
//!
//! What is random hangs on a seed, which a test that fails prints; `COUNTER_MACHINE_SEED` makes it run that one. (Moments are drawn by
//! it, but a machine is never as fast twice.)

mod changes;
mod clocks;
mod damage;
mod disks;
pub mod job;
pub mod kills;
pub mod lines;
mod logs;
mod memory;
pub mod signals;
mod steps;
pub mod table;
mod together;
mod watch;
mod workers;

/// The seed of a test: this one, unless the environment names another.
pub fn seed(usual: u64) -> u64 {
    let seed = std::env::var("COUNTER_MACHINE_SEED").ok().map_or(usual, |seed| seed.parse().expect("a number"));
    eprintln!(
        "seed {seed}; to run it again: COUNTER_MACHINE_SEED={seed} cargo test --test behaviour NAME_OF_THIS_TEST"
    );
    seed
}
