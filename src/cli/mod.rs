//! What a person types: one file or folder per command, each with its arguments and what it does.

mod exit;
mod run;

use std::io::{BufWriter, Write as _};
use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};

pub use exit::CliError;

use crate::telemetry::{LogFormat, start_logging};

/// Exponentially decaying counters for recommendation feeds, from an event stream to a table.
#[derive(Debug, Parser)]
#[command(version, disable_help_flag = true, disable_help_subcommand = true, subcommand_required = true)]
#[command(after_help = "Example:\n  counter-machine run pipelines/user_counters.toml --events pipelines/sample.jsonl")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    /// How logs are written to stderr.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    /// Print help (`-h` is taken: it names the host file of a cluster).
    #[arg(long, global = true, action = ArgAction::Help)]
    help: Option<bool>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count events and publish the counters
    Run(run::RunArgs),
}

impl Cli {
    /// Does what was typed, and says how it ended.
    pub fn run(self) -> ExitCode {
        start_logging(self.log_format);
        let mut out = BufWriter::new(std::io::stdout().lock());
        let result = match &self.command {
            Command::Run(args) => run::run(args, self.log_format),
        };
        let result = result.and_then(|()| flushed(out.flush()));
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                error.exit_code()
            }
        }
    }
}

/// A reader that has seen enough (`| head`) is no error.
fn flushed(result: std::io::Result<()>) -> Result<(), CliError> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::Failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}
