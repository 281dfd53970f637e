//! `dynamodb`: the newest state of every item in a DynamoDB table.
//!
//! An item's attributes have the names and the nesting of its JSON form; every number is an `N`.
//! The table's key is (`key`, `featureName`), or (`key`, `keyFields`) where an item holds all features of a key (`docs/items.md`).
//!
//! Invariants of writing:
//!
//! - Items are absolute values, so a request may be sent twice.
//! - At no time are there two requests in flight that write the same item, and after one of unknown outcome nothing newer of
//!   its items is sent before it can no longer be carried out (`unsettled.rs`). With `fence` a condition takes the place of
//!   that wait.
//! - Nothing is sent while a request of an earlier run may still be carried out (`first_write.rs`).
//! - What may pass is tried again for ever: the table stands still while the
//!   service is away, the run does not; and the library's own retries are off. An item that is throttled again and again is
//!   given back as not written, for others not to wait for it. Credentials that have expired, or are refused after they were
//!   right, and clocks that are wrong are waited for 15 minutes (`retry.rs`). What cannot pass ends the run and says
//!   what to do. One item that is not allowed goes to the dead letters.
//!
//! `flow.rs` drives the writer; it leaves what is decided to plain structs: `schedule.rs` (which writes go next), `concurrency.rs`
//! (how many requests are under way), `failed_request.rs` (what a failure means). `docs/dynamodb.md` says all of this to users.

mod attributes;
mod call;
mod concurrency;
mod connection;
mod expiry;
mod failed_request;
mod first_write;
mod flow;
mod put;
mod reader;
mod request;
mod retry;
mod schedule;
mod size;
mod stopping;
mod table;
mod table_address;
mod table_report;
mod table_setup;
mod unsettled;
mod write_units;
mod writer;

pub(crate) use put::puts;
pub(super) use reader::DynamoDbReader;
pub(crate) use size::write_units;
pub use table_report::{Billing, SettingReport, TableReport, TableWishes, Verdict};
pub use table_setup::ensure_table;
pub(crate) use write_units::{KEY_ITEM_BYTES, typical_bytes_in_key, typical_item_bytes};
pub(super) use writer::{DynamoDbSink, ITEMS_AT_ONCE};
