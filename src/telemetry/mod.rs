//! What a run says about itself: counted metrics, logs, progress.

mod evictions;
mod logs;
mod metrics;
mod progress;
mod resources;

pub use evictions::Evictions;
pub use logs::{LogFormat, start_logging};
pub use metrics::{Counter, Metrics};
pub use progress::{InputProgress, Progress};
pub use resources::{cpu_seconds, peak_memory_bytes};
