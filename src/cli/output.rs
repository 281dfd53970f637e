//! What a command prints, and what it says.

use std::io::{self, Write};

use super::{CliError, ErrorCode};
use crate::telemetry::{LogFormat, OUTCOME, above_the_status, printable_text, stdout_columns, wrap};

/// Takes the outcome of printing. Whoever closes the pipe early (as `| head` does) has seen enough,
/// which is no error.
pub(super) fn printed(outcome: io::Result<()>) -> Result<(), CliError> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::new(ErrorCode::OutputNotWritten, format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a text for people on stdout: as wide as the terminal is, where there is one.
pub(super) fn print(out: &mut impl Write, text: &str) -> Result<(), CliError> {
    printed(out.write_all(wrap(&printable_text(text), stdout_columns()).as_bytes()))
}

/// Says something on stderr. Where nobody listens any more, it is not said.
pub(super) fn say(text: &str) {
    let _ = above_the_status(|| io::stderr().write_all(printable_text(text).as_bytes()));
}

/// Says why the command failed: the last thing that it says.
pub(super) fn report(error: &CliError, format: LogFormat) {
    let code = error.code();
    match format {
        LogFormat::Text => say(&format!("error: {error} [{code}]\n")),
        LogFormat::Json => {
            let exit_code = error.exit_code();
            tracing::error!(target: OUTCOME, code = code.as_str(), exit_code, "{error} [{code}]");
        }
    }
}

/// Prints lines of equally many cells: the first, texts, to the left, the others, numbers, to the
/// right.
pub(super) fn print_aligned(lines: &[Vec<String>], text_columns: usize, out: &mut impl Write) -> io::Result<()> {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    for line in lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let width = *width;
            if column < text_columns { write!(out, "  {cell:<width$}")? } else { write!(out, "  {cell:>width$}")? }
        }
        writeln!(out)?;
    }
    Ok(())
}
