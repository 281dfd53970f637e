//! counter-machine: the counters behind recommendation feeds.
//!
//! It reads an event stream (Kafka, or replayed event logs), keeps every combination of
//! *key x event x measure x decay* that a [`pipeline`] file asks for as exponentially decaying
//! counters, and publishes the changed ones to a [`sink`], from where a ranker reads them.
//!
//! Imports point downwards only: [`cli`] -> `cluster` -> [`mesh`], [`dataflow`] -> `publish` -> [`source`], [`sink`], `state`,
//! [`checkpoint`], [`sums`], [`findings`] ->
//! [`reading`] -> [`pipeline`], [`clock`], `outputs` -> [`event`] -> [`counter`]. [`telemetry`], [`epoch`], [`peers`], [`lease`],
//! [`file_id`] and `memory` may be used from everywhere. Two stand beside them: [`synthetic`], with which `generate` writes events, and
//! [`audit`], which recounts what a run has counted; a run knows nothing of either.

pub mod audit;
pub mod checkpoint;
pub mod cli;
pub mod clock;
mod cluster;
pub mod counter;
pub mod dataflow;
pub mod epoch;
pub mod event;
pub mod file_id;
pub mod findings;
pub mod lease;
mod memory;
pub mod mesh;
mod outputs;
pub mod peers;
pub mod pipeline;
pub mod plan;
mod publish;
pub mod reading;
mod recovery;
pub mod sink;
pub mod source;
mod state;
pub mod sums;
pub mod synthetic;
pub mod telemetry;
