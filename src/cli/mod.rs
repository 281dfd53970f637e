//! What a person types: one file or folder per command, each with its arguments and what it does.

pub mod check;
pub mod dump;
mod exit;
pub mod generate;
pub mod get;
mod output;
pub mod produce;
mod ratio;
pub mod run;
mod show;
pub mod table;
mod time;
mod usage;

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
    /// Print the counters of one key
    Get(get::GetArgs),
    /// Print every item that a sink holds
    Dump(dump::DumpArgs),
    /// Check a pipeline file and print what it expands to
    Check(check::CheckArgs),
    /// Create the pipeline's DynamoDB table, or say that it is there
    Table(table::TableArgs),
    /// Write a synthetic event log
    Generate(generate::GenerateArgs),
    /// Send event logs to the pipeline's Kafka topic
    Produce(produce::ProduceArgs),
}

impl Cli {
    /// What was typed; an error that was told, or help that was asked for, leaves the exit code.
    pub fn from_arguments() -> Result<Cli, ExitCode> {
        Cli::try_parse().map_err(usage::refuse)
    }

    /// Does what was typed, and says how it ended.
    pub fn run(self) -> ExitCode {
        start_logging(self.log_format);
        // Not locked: `run` writes items to stdout from another thread.
        let mut out = BufWriter::new(std::io::stdout());
        let result = match &self.command {
            Command::Run(args) => run::run(args, self.log_format),
            Command::Get(args) => get::run(args, &mut out),
            Command::Dump(args) => dump::run(args, &mut out),
            Command::Check(args) => check::run(args, &mut out),
            Command::Table(args) => table::run(args, &mut out),
            Command::Generate(args) => generate::run(args),
            Command::Produce(args) => produce::run(args),
        };
        let result = result.and_then(|()| output::printed(out.flush()));
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                output::report(&error, self.log_format);
                error.exit_code().into()
            }
        }
    }
}
