//! The rows that a worker holds: compact, found by identity, forgotten little by little.
//!
//! - [`RowTable`]: the rows of one counter group.
//! - [`TextStore`]: the texts of keys, each stored once per row (see [`StoredKey`]).
//! - [`UniquesStore`]: what rows of uniques hold beside.
//!
//! All grow by slabs, so no step ever copies everything. Rows lie without holes, and what they no longer need
//! is given back; texts and uniques use what was freed again, and give it back by a compaction. Each says how
//! many bytes it has *allocated*, whether they are in use or not: that is what a limit has to count.

mod row_table;
mod slab;
mod slot_numbers;
mod stored_key;
mod text_store;
mod uniques_store;

pub use row_table::{RowRef, RowTable, Swept, row_bytes};
pub use stored_key::StoredKey;
pub use text_store::{TextRef, TextStore};
pub use uniques_store::UniquesStore;

/// The bytes that a vector has allocated for its elements.
fn vec_bytes<T>(vec: &Vec<T>) -> usize {
    vec.capacity() * size_of::<T>()
}
