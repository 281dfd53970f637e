//! How things are found in memory: an index that can be asked in advance, and the asking.
//!
//! What a worker adds up ([`crate::sums`]) and what it holds ([`crate::state`]) is found by the same kind of index.

mod flat_index;
mod prefetch;

pub(crate) use flat_index::FlatIndex;
pub(crate) use prefetch::prefetch;
