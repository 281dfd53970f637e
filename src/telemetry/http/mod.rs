//! What a run serves over HTTP: `/metrics` for Prometheus, `/live` and `/ready` for whoever starts and stops it, `/status` and `/get` for programs, and
//! a page for people.
//!
//! It is read only, and reads no more than counters and values that are locked for a moment: it is in no worker's way. What
//! workers count for it, they count with or without such a server: a few atomic stores a step.

pub mod openmetrics;
mod page;
mod query;
mod routes;
mod server;

use serde_json::Value;

pub use openmetrics::{Exposition, METRICS, Metric};
pub use query::{GetQuery, Refusal};
pub use server::HttpServer;

/// Yes, or why not.
pub type Verdict = Result<(), String>;

/// What is to be served. All but [`Pages::get`] is asked for on the server's only thread, and answers at once.
pub trait Pages: Send + Sync + 'static {
    /// Whether the process should be left to go on.
    fn live(&self) -> Verdict;

    /// Whether it is at work, and keeps up with what it needs for it.
    fn ready(&self) -> Verdict;

    /// Its metrics.
    fn metrics(&self) -> Exposition;

    /// How it gets on, as JSON.
    fn status(&self) -> Value;

    /// What the sink holds of a key, as JSON. Asked for on a thread that may wait.
    fn get(&self, query: &GetQuery) -> Result<Vec<u8>, Refusal>;

    /// Takes notice of what cannot be told at one moment: to be called a few times a second.
    fn watch(&self);
}
