//! What publishing would write, and what that would cost: a run over events without threads, without a table and without
//! waiting.
//!
//! A [`Rehearsal`] has the sums, the counters and the publisher of a run; what it has not is time and a table. Time is a
//! [clock](RehearsalClock) that events drive, and windows end by it. The table takes everything at once, and only
//! [counts](Written) what it is given. Several [`Variant`]s of publishing are rehearsed side by side over the same sums.
//!
//! Memory is bounded: when the counters have more rows than they may, a rehearsal goes on with half of the keys (by their
//! hashes, so that each is in or out for good), of those that are keyed alike and have the most rows; and
//! what is written from then on counts twice.

mod clock;
mod meter;
mod rehearsal;
mod sampled;
mod size;
mod table;
#[cfg(test)]
mod tests;

pub use clock::RehearsalClock;
pub use meter::{GroupWrites, Written};
pub(crate) use rehearsal::Rehearsed;
pub use rehearsal::{Rehearsal, Variant};
pub use size::ItemLayout;
