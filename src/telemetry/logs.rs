//! Logs, on stderr.

use std::fmt::{self, Debug};
use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use super::printable::{Printable, printable_json};
use super::terminal::above_the_status;

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The target of what is said about how a command ended, which `RUST_LOG` does not silence.
pub const OUTCOME: &str = "counter_machine::outcome";

/// Starts logging. `RUST_LOG` chooses other levels than `info`.
pub fn start_logging(format: LogFormat) {
    // The libraries' own messages are for those who look for them: ours say what to do.
    let levels = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn,counter_machine=info,librdkafka=error".to_owned());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{levels},{OUTCOME}=info")))
        .with_target(false)
        // Else a closed stderr is a panic.
        .log_internal_errors(false);
    // An error means that logging was started before, which only tests do.
    let _ = match format {
        LogFormat::Text => subscriber
            .with_ansi(io::stderr().is_terminal())
            .fmt_fields(debug_fn(show_field))
            .with_writer(|| Stderr { json: false })
            .try_init(),
        LogFormat::Json => subscriber.json().with_writer(|| Stderr { json: true }).try_init(),
    };
}

/// Fields of a line for people: the message, then the others as `name=value`. Either may hold what came from outside.
fn show_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(writer, "{}", Printable(format_args!("{value:?}"))),
        // What the `log` crate says of itself.
        name if name.starts_with("log.") => Ok(()),
        name => write!(writer, " {name}={}", Printable(format_args!("{value:?}"))),
    }
}

/// Takes whole lines.
struct Stderr {
    json: bool,
}

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = if self.json { printable_json(&text) } else { text };
        above_the_status(|| io::stderr().write_all(text.as_bytes()))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
