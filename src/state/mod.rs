//! What a worker holds: keys, each with its few counters, and how a closed epoch changes them.
//!
//! - [`DecayCounters`] (`counters`) is all of it. `merge` adds the sums of an epoch, and marks what that changes (`marks`);
//!   `publish` has items made of the marked rows (`row_reader`), and `in_flight` knows what a table has not answered for yet; `expiry` lets go what has expired (`due` says when to look), `eviction` what is worth
//!   least where memory is limited (`limits`).
//! - `key_table` finds keys. A key and its rows are one `block`, and `blocks` is where these lie.
//!   `shown` knows what items show, where little changes are held back, and `allowance` what is put off to hold a rate.
//! - `features` says what rows count, and `uniques_store` holds what rows of uniques have beside. `held` knows how much there is of each group.
//!
//! Everything grows by slabs, but for the index, which is cut into many, and the few keys with very many rows: so no
//! step ever copies everything. Each part says how many bytes it has *allocated*,
//! whether they are in use or not: that is what a limit has to count.

mod allowance;
mod block;
mod blocks;
mod counters;
mod due;
mod eviction;
mod expiry;
mod features;
mod held;
mod in_flight;
mod item_writer;
mod key_table;
mod limits;
mod marks;
mod merge;
mod publish;
mod record;
mod release;
mod restore;
mod row_reader;
mod shown;
mod slab;
mod snapshot;
#[cfg(test)]
mod tests;
mod touched;
mod uniques_slots;
mod uniques_store;

pub(crate) use block::row_words;
pub use counters::ApplyError;
pub(crate) use counters::{DecayCounters, Publishing};
pub(crate) use due::Swept;
pub(crate) use in_flight::{BatchId, Handover};
pub(crate) use key_table::key_bytes;
pub(crate) use limits::merge_filters;
pub(crate) use marks::{Moment, RhythmId};
pub(crate) use record::{FeatureHash, InvalidRecord, RecordedFeature, RecordedKey, clear_marks};
pub(crate) use restore::{RestoreError, RestoredFeatures};
pub(crate) use row_reader::Selection;
pub(crate) use shown::shown_words;
pub(crate) use snapshot::{Piece, SnapshotEnd, Written};
pub(crate) use uniques_store::UniquesStore;
