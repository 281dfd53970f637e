//! What a command prints.

use std::io::{self, Write as _};

use super::CliError;

/// Takes the outcome of printing. Whoever closes the pipe early (as `| head` does) has seen enough,
/// which is no error.
pub(super) fn printed(outcome: io::Result<()>) -> Result<(), CliError> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::Failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Says something on stderr. Where nobody listens any more, it is not said.
pub(super) fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
