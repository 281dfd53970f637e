//! What becomes of a command line that clap does not take: in the format of logs that it asks for, and escaped, since it shows
//! what was typed.

use std::process::ExitCode;

use super::CliError;
use super::output::{report, say};
use crate::telemetry::{LogFormat, start_logging};

/// Tells what is wrong with the command line; or prints the help that it asks for.
pub(super) fn refuse(refusal: &clap::Error) -> ExitCode {
    if !refusal.use_stderr() {
        // Whoever closes the pipe early has seen enough.
        let _ = refusal.print();
        return ExitCode::SUCCESS;
    }
    let text = refusal.render().to_string();
    let text = text.trim_end().trim_start_matches("error: ");
    let error = CliError::Usage(text.to_owned());
    if asks_for_json(std::env::args()) {
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
fn asks_for_json(arguments: impl Iterator<Item = String>) -> bool {
    let arguments: Vec<String> = arguments.collect();
    let apart = arguments.windows(2).any(|pair| pair[0] == "--log-format" && pair[1] == "json");
    apart || arguments.iter().any(|argument| argument == "--log-format=json")
}
