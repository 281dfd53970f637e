//! How a published item is read: what [`cli`](crate::cli) shows, and what any other reader of the table, in whatever
//! language, has to compute for itself. Pure: no I/O, no clock.
//!
//! - [`append_key`], [`split_key`]: the text of a key, and what its fields were.
//! - [`Item`], [`Count`]: an item as every sink holds it.
//! - [`packed`], [`mapped`]: all features of a key in one item, in its two encodings, and [`whole_key`]: what the parts of one hold together.
//! - [`ReadAt`]: a value at a time. Nothing decays upwards: what is read now reads as at its last update, where that is
//!   still to come; what it was before, its newest state does not tell.
//! - [`Item::expired_since`]: whether its ttl has passed.
//! - [`RatioReading`]: a ratio of two features of a key, how sure it is, and what it is at least.
//!
//! Each of these rules stands in `tests/golden/reading`, as input and outcome in JSON: a reader in another language is
//! right when it agrees with those files, as this one is held to.

mod decay;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod golden;
mod item;
mod key;
pub mod mapped;
pub mod packed;
mod parts;
mod ratio;

pub use decay::ReadAt;
pub use item::{Count, Item, expires_at, published};
pub use key::{append_key, key_fields, sort_key, split_key, split_sort_key};
pub use parts::{KeyHead, KeyPart, whole_key};
pub use ratio::{RatioReading, RatioValue};
