//! What a run says about itself: counted metrics, logs, progress.

mod metrics;

pub use metrics::{Counter, Metrics};
