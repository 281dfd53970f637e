//! What a person types: one file or folder per command, each with its arguments and what it does.

pub mod check;
pub mod cluster;
pub mod dump;
mod error_code;
mod exit;
pub mod explain;
pub mod generate;
pub mod get;
mod load;
mod output;
pub mod produce;
pub mod run;
pub mod state;
pub mod status;
pub mod table;
pub mod template;
mod time;
pub mod verify;

use std::ffi::{OsStr, OsString};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

pub use error_code::ErrorCode;
pub use exit::CliError;

pub use crate::cluster::note_lost_connection;

use crate::telemetry::{LogFormat, Printable, start_logging};

/// Exponentially decaying counters for recommendation feeds, from an event stream to a table.
#[derive(Debug, Parser)]
#[command(version, subcommand_required = true, arg_required_else_help = true)]
#[command(
    after_help = "Example:\n  counter-machine run pipelines/user_counters.toml \\\n      --events pipelines/sample.jsonl --shift-to now"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    /// How logs are written to stderr.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count events and publish the counters
    Run(run::RunArgs),
    /// Run a pipeline in several processes of this machine, and start all again when one is lost
    Cluster(cluster::ClusterArgs),
    /// Print the counters of one key
    Get(get::GetArgs),
    /// Print every item that a sink holds
    Dump(dump::DumpArgs),
    /// Check a pipeline file and print what it expands to
    Check(check::CheckArgs),
    /// Create the pipeline's DynamoDB table, or compare the one that is there
    Table(table::TableArgs),
    /// Recount event logs, and compare every item of a sink with that
    Verify(verify::VerifyArgs),
    /// Print what a state holds
    State(state::StateArgs),
    /// Tell how the run of a pipeline is getting on: processes, lag, freshness, checkpoints
    Status(status::StatusArgs),
    /// Write a synthetic event log
    Generate(generate::GenerateArgs),
    /// Send event logs to the pipeline's Kafka topic
    Produce(produce::ProduceArgs),
    /// Print a dashboard, alerts, a systemd unit or Kubernetes manifests for a pipeline
    Template(template::TemplateArgs),
    /// Tell what the code of an error means, and what to do
    Explain(explain::ExplainArgs),
}

impl Cli {
    /// What was typed; an error that was told, or help that was asked for, leaves the exit code.
    pub fn from_arguments() -> Result<Cli, ExitCode> {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        Cli::understand(&arguments).map_err(refuse)
    }

    fn understand(arguments: &[OsString]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(arguments).or_else(|error| {
            let Some(meant) = what_was_meant(arguments, &error) else { return Err(error) };
            match Cli::try_parse_from(meant) {
                Err(other) if other.kind() != ErrorKind::DisplayHelp => Err(error),
                understood => understood,
            }
        })
    }

    /// Does what was typed, and says how it ended.
    pub fn run(self) -> ExitCode {
        start_logging(self.log_format);
        // Not locked: `run` writes items to stdout from another thread.
        let mut out = BufWriter::new(std::io::stdout());
        let result = match &self.command {
            Command::Run(args) => run::run(args, self.log_format),
            Command::Cluster(args) => cluster::cluster(args),
            Command::Get(args) => get::run(args, &mut out),
            Command::Dump(args) => dump::run(args, &mut out),
            Command::Check(args) => check::run(args, &mut out),
            Command::Table(args) => table::run(args, &mut out),
            Command::Verify(args) => verify::run(args, self.log_format, &mut out),
            Command::State(args) => state::run(args, &mut out),
            Command::Status(args) => status::run(args, &mut out),
            Command::Generate(args) => generate::run(args),
            Command::Produce(args) => produce::run(args),
            Command::Template(args) => template::run(args, &mut out),
            Command::Explain(args) => explain::run(args, &mut out),
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

/// What can only have been meant by arguments that were refused.
///
/// - `run --events a.jsonl pipeline.toml`: a flag of many paths takes the pipeline for another one.
/// - `run -h`: there `-h` names a file, as in every program on timely dataflow, but alone it asks for help.
fn what_was_meant(arguments: &[OsString], error: &clap::Error) -> Option<Vec<OsString>> {
    let mut meant = arguments.to_vec();
    match error.kind() {
        ErrorKind::MissingRequiredArgument => {
            let is_pipeline = |argument: &OsString| Path::new(argument).extension() == Some(OsStr::new("toml"));
            let pipeline = meant.remove(meant.iter().rposition(is_pipeline)?);
            meant.extend(["--".into(), pipeline]);
        }
        ErrorKind::InvalidValue if meant.last()? == "-h" => *meant.last_mut()? = "--help".into(),
        _ => return None,
    }
    Some(meant)
}

/// Tells what is wrong with the command line, in the format of logs that it asks for and escaped, since it shows what
/// was typed; or prints the help that it asks for.
fn refuse(refusal: clap::Error) -> ExitCode {
    if !refusal.use_stderr() {
        // Whoever closes the pipe early has seen enough.
        let _ = refusal.print();
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    // The same refusal, of what can be shown.
    let printable = arguments.iter().map(|argument| Printable(argument).to_string());
    let refusal = Cli::try_parse_from(printable).err().unwrap_or(refusal);
    let text = refusal.render().to_string();
    let text = text.trim_end().trim_start_matches("error: ");
    let error = CliError::usage(text);
    if asks_for_json(&arguments) {
        start_logging(LogFormat::Json);
        output::report(&error, LogFormat::Json);
    } else if refusal.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        output::say(&format!("{error} [{}]\n", error.code()));
    } else {
        output::report(&error, LogFormat::Text);
    }
    error.exit_code().into()
}

/// Whether `--log-format json` stands anywhere on the command line.
fn asks_for_json(arguments: &[String]) -> bool {
    let apart = arguments.windows(2).any(|pair| pair[0] == "--log-format" && pair[1] == "json");
    apart || arguments.iter().any(|argument| argument == "--log-format=json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(line: &str) -> Result<Cli, String> {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Cli::understand(&arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn a_pipeline_behind_the_paths_of_a_flag_is_the_pipeline() {
        for line in [
            "c run --events a.jsonl p.toml",
            "c run --events a.jsonl b.jsonl p.toml --sink none",
            "c --log-format json run -w 2 --events a.jsonl p.toml",
        ] {
            let Ok(Cli { command: Command::Run(args), .. }) = understood(line) else { panic!("{line}") };
            assert_eq!(args.pipeline, Path::new("p.toml"), "{line}");
            assert_eq!(args.events[0], Path::new("a.jsonl"), "{line}");
            assert!(!args.events.contains(&args.pipeline), "{line}");
        }
    }

    #[test]
    fn without_a_pipeline_the_order_that_works_is_told() {
        for line in ["c run --events a.jsonl", "c run --events p.toml", "c run --events a.jsonl --dead-letters x.toml"]
        {
            let error = understood(line).expect_err("there is no pipeline");
            assert!(error.contains("<PIPELINE>") && error.contains("run <PIPELINE> --events <PATH>..."), "{error}");
        }
    }
}
