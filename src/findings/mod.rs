//! What a run saw, held against what its pipeline names: a counter that gets nothing is hardly ever
//! meant, and nothing else would tell.
//!
//! Workers *observe*: the router counts, by event name and group, what came, what passed the
//! conditions and what was missing (`tally`), and of the first few events of each name an [`Observer`]
//! notes fields, values and times (`sample`, `times`), and how lines look that are none (`shape`). All of that
//! is bounded, and handed over once per block to the run's one set of [`Observations`].
//!
//! [`findings`] makes sentences of it, for `run` and for `check`. A finding is *sure*, and worth a
//! warning at the end of a run, if
//!
//! - at least one line in [`ONE_IN`] is no JSON object, and most of these look like events in another form; or
//! - what the file names never came, and something that nothing in the file names and that reads much the same did
//!   (a slip of the pen), however short the run; or
//! - the whole run counted nothing, though events came; or
//! - out of at least [`ENOUGH`] events a group, a condition or a measure got nothing at all; or
//! - an event that the file names did not come among at least [`ENOUGH_FOR_A_NAME`].
//!
//! All else that was missing may be as it should be, and is a note in `check --events`.

mod likeness;
mod observer;
mod sample;
mod sentences;
mod shape;
mod tally;
mod tell;
mod times;

#[cfg(test)]
mod tests;

pub use observer::{Observations, Observed, Observer};
pub use sample::Sample;
pub use sentences::Finding;
pub use shape::{Shape, Shapes};
pub use tally::{GroupTally, MeasureTally, RouteTally};
pub use tell::findings;
pub use times::{FirstTimes, likely_unit};

/// What gets nothing out of so many events is not just rare.
pub const ENOUGH: u64 = 1_000;

/// An event may well be rare: one in so many is.
pub const ENOUGH_FOR_A_NAME: u64 = 100_000;

/// Fewer lines in another form than one in so many are some damage, and no form.
pub const ONE_IN: u64 = 10;

/// The first so many events of each name are looked at.
pub const LOOKS_PER_NAME: u32 = 32;
