//! What a run says about itself: counted metrics, logs, progress.

mod logs;
mod memory;
mod metrics;
mod progress;

pub use logs::{LogFormat, start_logging};
pub use memory::peak_memory_bytes;
pub use metrics::{Counter, Metrics};
pub use progress::{InputProgress, Progress};
