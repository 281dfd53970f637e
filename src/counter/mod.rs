//! The algebra of decaying counters: pure, without I/O, clocks or threads; it knows no other module.
//!
//! Everything that is counted is a commutative monoid with a time: it can `add` one event, `merge`
//! with another of its kind, and be `read` at a time. Order, batching, number of workers and
//! lateness never change the result beyond float rounding.
//!
//! - [`EventTime`], [`DecayInterval`]: a point in event time and the time in which a counter falls
//!   to 1/e, both in the unit of the event's time field.
//! - [`DecayCounter`]: one interval, one value, one last update: the textbook form.
//! - [`Decays`]: the intervals of one counter group, with [`Decays::add`] and
//!   [`Decays::merge`] over rows that share one last update for all their intervals.
//! - [`Uniques`], [`UniquesScheme`]: how many different members, each decaying since it was last seen.
//! - [`wilson_lower_bound`], [`effective_sample_size`]: how sure a ratio of two counters is.

mod decay_counter;
mod decays;
mod factors;
mod proportion;
mod time;
mod uniques;
pub(crate) mod varint;

pub use decay_counter::{DecayCounter, IntervalMismatch};
pub use decays::Decays;
pub use proportion::{effective_sample_size, wilson_lower_bound};
pub use time::{DecayInterval, EventTime, InvalidInterval};
pub use uniques::{
    InvalidUniques, InvalidUniquesConfig, MemberHash, Sighting, Uniques, UniquesConfig, UniquesEstimate, UniquesScheme,
};
