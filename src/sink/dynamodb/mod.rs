//! `dynamodb`: the newest state of every item in a DynamoDB table.
//!
//! An item's attributes have the names and the nesting of its JSON form; every number is an `N`.
//! The table's key is (`key`, `featureName`), or (`key`, `keyFields`) where an item holds all features of a key (`docs/items.md`).
//!
//! Invariants of writing:
//!
//! - Items are absolute values, so a request may be sent twice.
//! - At no time are there two requests in flight that write the same item: a [`Sink::write`] sends
//!   each item once, in its newest state, answers for it when its request has ended, and returns when all have. So a retried
//!   request never leaves an older value behind a newer one. (One that timed out here and is still
//!   carried out there, later than its successor, would; the time-out is far longer than the
//!   service takes.)
//! - What may pass is tried again for ever, with growing pauses: the table stands still while the
//!   service is away, the run does not; and the library's own retries are off. An item that alone is left out again and again is
//!   given back as not written, for others not to wait for it. Credentials that have expired, or are refused after they were
//!   right, and clocks that are wrong are waited for 15 minutes (`retry.rs`). What cannot pass ends the run and says
//!   what to do.
//! - A run that is asked to stop writes for 8 seconds more, then it says how much could not be written (`stopping.rs`).
//!
//! [`Sink::write`]: super::Sink::write

mod attributes;
mod connection;
mod expiry;
mod failed_request;
mod put;
mod reader;
mod retry;
mod size;
mod stopping;
mod table;
mod table_address;
mod writer;

pub(super) use reader::DynamoDbReader;
pub(crate) use size::item_bytes;
pub use table::{TableReport, TtlState, ensure_table};
pub(super) use writer::{DynamoDbSink, ITEMS_IN_FLIGHT};
