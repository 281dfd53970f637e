//! Events -> what a window adds to each key, before the exchange.
//!
//! `router` finds the groups that want an event and the event's keys (`event_keys`, whose identities are of
//! `identity`), and each `target` what is added to a feature: an `addition`. `window_sums` gathers these for each worker
//! that holds keys, in whose `owner_sums` they are added up; `write` makes of these at a window's end what crosses the
//! exchange, a `batch` of `record`s, key by key.
//!
//! All of it is pure: no timely, no I/O, and time only as it is handed in.

mod addition;
mod batch;
mod event_keys;
mod identity;
mod owner_sums;
mod record;
mod router;
mod target;
mod window_sums;
mod write;

pub use batch::ContributionBatch;
pub use identity::{HashSeed, KeyId, Shard};
pub use record::Damaged;

#[cfg(test)]
pub(crate) use addition::FeatureRef;
pub(crate) use addition::{Addition, Additions, Amount};
pub(crate) use batch::{Contribution, KeySums, Keys, Sum};
pub(crate) use router::Router;
pub(crate) use window_sums::WindowSums;
