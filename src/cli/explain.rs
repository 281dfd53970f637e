//! `counter-machine explain`: what an error's code means, what to look at, and what to do.

use std::io::Write;

use clap::Args;

use super::output::print;
use super::{CliError, ErrorCode};
use crate::telemetry::Printable;

/// Print what the code of an error means, what to look at and what to do; without a code, all there are
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  counter-machine explain CM0407")]
pub struct ExplainArgs {
    /// The code at the end of an error, as in `error: ... [CM0407]`
    code: Option<String>,
}

/// Prints it.
pub fn run(args: &ExplainArgs, out: &mut impl Write) -> Result<(), CliError> {
    let Some(text) = &args.code else {
        let lines: Vec<String> = ErrorCode::ALL.iter().map(|code| format!("{code}  {}\n", code.title())).collect();
        return print(out, &lines.concat());
    };
    match ErrorCode::parse(text) {
        Some(code) => print(out, code.page()),
        None => Err(unknown(text)),
    }
}

fn unknown(text: &str) -> CliError {
    let text = Printable(text);
    let near = ErrorCode::nearest(&text.to_string());
    let near = near.map(|code| format!("; the nearest is {code}: {}", code.title())).unwrap_or_default();
    CliError::usage(format!(
        "`{text}` is no code of an error{near}. `counter-machine explain` lists all; a newer version may have more"
    ))
}
