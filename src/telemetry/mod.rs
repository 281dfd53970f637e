//! What a run says about itself: counted metrics, logs, progress; and how text comes onto a terminal.

mod checkpoints;
mod counter;
mod elsewhere;
mod evictions;
mod logs;
mod metrics;
mod numbers;
mod printable;
mod progress;
mod pulse;
mod resources;
mod service;
mod terminal;
mod totals;
mod trouble;
mod waiting;
mod warn_limiter;

pub use checkpoints::Checkpoints;
pub use counter::Counter;
pub use elsewhere::{Elsewhere, Gauges};
pub use evictions::Evictions;
pub use logs::{LogFormat, OUTCOME, start_logging};
pub use metrics::Metrics;
pub use numbers::{HumanBytes, HumanCount};
pub use printable::{Printable, printable_text, write_json};
pub use progress::{InputProgress, Progress};
pub use pulse::{Beating, Pulse, WorkerProgress};
pub(crate) use resources::thread_cpu_time;
pub use resources::{Stopwatch, peak_memory_bytes};
pub(crate) use service::{SUPERVISOR_VARIABLE, Service};
pub use terminal::{above_the_status, stderr_columns, stdout_columns, wrap};
pub use totals::Totals;
pub use trouble::Trouble;
pub use waiting::{Waiting, WaitingGauge};
pub(crate) use warn_limiter::WarnLimiter;
