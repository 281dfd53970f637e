//! The dataflow: blocks of input -> changed rows in the sink.
//!
//! `graph` shows it on one page. What is computed stands elsewhere, in plain structs that know nothing of timely:
//! `sums` before the exchange, `state` behind it. The `operators` hold only input, order and
//! capabilities; `count_block` is what one of them does with a block. `run` starts the workers and the writers, `work` is what each worker does, and
//! `gate` says from when on something may be published.

mod count_block;
mod failure;
mod gate;
mod graph;
mod in_flight;
mod operators;
mod run;
mod sampled_keys;
#[cfg(test)]
mod tests;
mod work;
mod writer;

pub use failure::{Failure, RunError};
pub use run::{Execution, ItemDelivery, ItemsTo, Mesh, Run, start};
pub(crate) use run::{HandOn, KeptRun, TakeWriter, WriterForAll};
