//! What becomes of a command line that clap does not take: in the format of logs that it asks for, and escaped, since it shows
//! what was typed.

use std::process::ExitCode;

use clap::Parser as _;

use super::output::{report, say};
use super::{Cli, CliError};
use crate::telemetry::{LogFormat, Printable, start_logging};

/// Tells what is wrong with the command line; or prints the help that it asks for.
pub(super) fn refuse(refusal: clap::Error) -> ExitCode {
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
    let error = CliError::Usage(text.to_owned());
    if asks_for_json(&arguments) {
        start_logging(LogFormat::Json);
        report(&error, LogFormat::Json);
    } else if refusal.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        say(&format!("{error}\n"));
    } else {
        report(&error, LogFormat::Text);
    }
    error.exit_code().into()
}

/// Whether `--log-format json` stands anywhere on the command line.
fn asks_for_json(arguments: &[String]) -> bool {
    let apart = arguments.windows(2).any(|pair| pair[0] == "--log-format" && pair[1] == "json");
    apart || arguments.iter().any(|argument| argument == "--log-format=json")
}
