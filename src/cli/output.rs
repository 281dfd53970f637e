//! Writing results: a reader that has seen enough is no error.

use std::fmt::Display;
use std::io;

use super::CliError;

/// How writing results to `place` ended. That the other end of a pipe was closed (`| head`) ends a
/// command early but well.
pub(super) fn written(result: io::Result<()>, place: impl Display) -> Result<(), CliError> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(CliError::Failed(format!("cannot write to {place}: {error}"))),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_pipe_ends_well() {
        assert!(written(Err(io::ErrorKind::BrokenPipe.into()), "stdout").is_ok());
        let full = written(Err(io::ErrorKind::StorageFull.into()), "a.jsonl").expect_err("a full disk is an error");
        assert!(full.to_string().starts_with("cannot write to a.jsonl: "), "{full}");
    }
}
