//! Bytes -> event: what counts, and for what reason something does not.
//!
//! A [`Decoder`] takes one line or message and extracts, in one pass, only the fields that the
//! [`EventSchema`] declares. It never panics and never allocates for an ordinary event.
//!
//! It works in two phases. The first *locates* the needed fields: it finds the raw JSON text of
//! each of them, and judges the line as a whole. It has two paths: a `scanner` that is fast but
//! gives up without a verdict on whatever is out of the ordinary; and a
//! `careful` one, slower, that alone decides what is a dead letter. Whatever the scanner accepts,
//! the careful path accepts with the same tokens. The second phase *interprets* the tokens as
//! name, time, keys and values, and is shared by both, so both give the same verdict on every line.

mod array;
mod arrival;
mod careful;
mod decoder;
mod interpret;
mod nested;
mod path;
mod rfc3339;
mod scanner;
mod schema;
mod swar;
mod time;
mod token;
mod verdict;
mod walk;

#[cfg(test)]
mod tests;

pub use arrival::{Arrival, YEAR_2000, earliest_arrival};
pub use decoder::{Decoder, Event, Utf8};
pub use interpret::{MAX_MEMBERS, MAX_NAME_BYTES};
pub use path::{FieldPath, InvalidPath};
pub use schema::{Ahead, DeclaredField, EventSchema, FieldId, TimeUnit};
pub use verdict::{Reason, TimeFault};

/// The most levels of arrays and objects in an event, its own object included.
const MAX_LEVELS: usize = 64;
