//! The dataflow: blocks of input -> changed rows in the sink.
//!
//! `graph` shows it on one page. What is computed stands in plain structs that know
//! nothing of timely: `count_block`, `route`, `window_sums`, `decay_counters`, `rows`. The
//! `operators` hold only input, order and capabilities. `run` starts the workers and the writers.
//! [`plan`] tells from a cut of the stream what a run would cost.

mod contribution;
mod count_block;
mod decay_counters;
mod failure;
mod features;
mod flat_index;
mod graph;
mod identity;
mod in_flight;
mod keys;
mod limits;
mod operators;
pub mod plan;
mod prefetch;
mod records;
mod route;
mod rows;
mod run;
mod target_sums;
#[cfg(test)]
mod tests;
mod window_sums;
mod writer;

pub use failure::{Failure, RunError};
pub use identity::HashSeed;
pub use run::{Execution, Run, Sample, start};
