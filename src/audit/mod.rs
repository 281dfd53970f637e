//! The judge: an independent recount of an event stream, and the comparison of every item of a sink with it.
//!
//! A recount shares the decoder and the pipeline file with a run, and nothing else: no routing, no windows, no sums, no
//! state, no publishing. It is slower and larger than a run, and simpler:
//!
//! - `additions`: what one event adds to which rows, straight from the pipeline file's words.
//! - `recount`: all additions as one collection of differential dataflow, by row and time, with whole numbers as differences, so
//!   that nothing is rounded while it is gathered.
//! - `worth`: what the additions of a row are worth at its last update, by the definition, with compensated summation.
//! - `items`: what the sink holds. `verdict`: whether an item is what its row is worth; `judge` puts the two side by side.
//! - `lives`: a row that ttl or `[limits]` may have made the run forget counts from some event on. It is looked for in the order
//!   of the log, which `closer_look` reads once more for the rows in question alone.
//! - `tally`: what was found, by group, with examples.
//!
//! What it promises: an item that it calls equal is within the tolerance of the definition, for all its decays, with its
//! times; what it cannot see stands in `docs/verify.md`.

mod additions;
mod blocks;
mod closer_look;
mod items;
mod judge;
mod lives;
mod recount;
mod row;
mod stream_end;
mod tally;
mod verdict;
mod worth;

pub use recount::{Audit, AuditError, Deleted, Findings, JudgedBy, audit};
pub use row::{InvalidSample, Sample};
pub use tally::{Example, Finding, GroupTally, RecountedRow, Tally};
