//! Events -> what a window adds to each key, before the exchange.
//!
//! `router` finds the groups that want an event and the event's keys (`event_keys`, whose identities are of
//! `identity`), and each [`Target`](target) what it adds. `window_sums` adds up, per worker that holds the keys in
//! `owner_sums`. What leaves at an epoch's end is a [`ContributionBatch`] of `record`s, key by key.
//!
//! All of it is pure: no timely, no I/O, no clock.

mod batch;
mod event_keys;
mod identity;
mod owner_sums;
mod record;
mod router;
mod target;
mod window_sums;

pub use batch::ContributionBatch;
pub use identity::HashSeed;
pub use record::Damaged;

pub(crate) use batch::{Amount, Contribution, KeySums, Keys, Sum};
pub(crate) use identity::{KeyId, Shard};
pub(crate) use record::{last_word, text_words};
pub(crate) use router::Router;
#[cfg(test)]
pub(crate) use window_sums::FeatureRef;
pub(crate) use window_sums::{Addition, Additions, WindowSums};
