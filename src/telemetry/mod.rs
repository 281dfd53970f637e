//! What a run says about itself: counted metrics, logs, progress.

mod logs;
mod metrics;
mod progress;

pub use logs::{LogFormat, start_logging};
pub use metrics::{Counter, Metrics};
pub use progress::{InputProgress, Progress};
