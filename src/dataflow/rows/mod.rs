//! The rows that a worker holds: compact, found by identity, forgotten little by little.
//!
//! - [`TextStore`]: the texts of keys, each stored once per row.
//! - [`RowTable`]: the rows of one counter group.
//! - [`UniquesStore`]: what rows of uniques hold beside.
//!
//! Both grow by slabs and reuse what was freed, so no step ever copies everything, and memory is
//! bounded by the largest number of rows that were alive at one time.

mod row_table;
mod text_store;
mod uniques_store;

pub use row_table::{RowRef, RowTable, row_bytes};
pub use text_store::{TextRef, TextStore};
pub use uniques_store::UniquesStore;
