//! Logs, on stderr.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging. `RUST_LOG` chooses other levels than `info`.
pub fn start_logging(format: LogFormat) {
    // The libraries' own messages are for those who look for them: ours say what to do.
    let levels = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn,counter_machine=info,librdkafka=error".to_owned());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(levels))
        .with_writer(std::io::stderr)
        .with_target(false)
        // Else a closed stderr is a panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    // An error means that logging was started before, which only tests do.
    let _ = match format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
}
