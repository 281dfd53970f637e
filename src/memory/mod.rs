//! How things lie in memory and are found: what [`crate::sums`] and [`crate::state`] share.
//!
//! An index that can be asked in advance, the asking, and texts in whole words.

mod flat_index;
mod prefetch;
mod text;

pub(crate) use flat_index::FlatIndex;
pub(crate) use prefetch::prefetch;
pub(crate) use text::{append_text, last_word, text_prefix, text_words};

/// The bytes that a vector has allocated for its elements.
pub(crate) fn vec_bytes<T>(vec: &Vec<T>) -> usize {
    vec.capacity() * size_of::<T>()
}
