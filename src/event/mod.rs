//! Bytes -> event: what counts, and for what reason something does not.
//!
//! A [`Decoder`] takes one line or message and extracts, in one pass, only the fields that the
//! [`EventSchema`] declares. It never panics and never allocates for an ordinary event.

mod clock;
mod schema;
mod verdict;

pub use clock::MedianClock;
pub use schema::{DeclaredField, EventSchema, FieldId, TimeUnit};
pub use verdict::Reason;
