//! What time it is in a stream, and when its windows and epochs end.
//!
//! Event times lie: a device's clock is a day ahead, a phone that was offline sends last week's events in one
//! go, a backfill follows what is live. So no clock here believes one event, and every clock can *come back*.
//! There is one rule, with two strengths:
//!
//! > A clock goes forward when most of the last few events are later, and comes back when it has been ahead of
//! > most of the last many.
//!
//! - [`MedianClock`] is quick: most of the last nine take it forward, and the next 64 bring it back. It drives windows,
//!   where a mistake costs a window more or less and nothing else.
//! - [`StreamTime`] is slow, because what it decides cannot be undone: what may be forgotten. Nine of ten of the last
//!   16,000 events must have reached a time before it is believed. So it is late rather than early.
//!
//! [`StreamClock`] cuts a replay into windows and epochs by event time, for all readers of a run through a [`SharedClock`];
//! [`WallClock`] cuts a live stream by the wall clock. Both also end an epoch that grows too large ([`EpochSize`]).
//! [`ArrivalClock`] tells when what is read arrives.

mod arrival;
mod epoch_size;
mod median;
mod parts;
mod shared;
mod stream;
mod stream_time;
mod wall;

pub use arrival::ArrivalClock;
pub use epoch_size::EpochSize;
pub use median::MedianClock;
pub use parts::{EpochPart, Parts};
pub use shared::SharedClock;
pub use stream::{Begins, StreamClock};
pub use stream_time::{StreamTime, TimeSampler, TimeSamples};
pub use wall::WallClock;
