//! Waits for a run to end, and shows how it is getting on meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, select};

use super::input::RunningInput;
use crate::cli::CliError;
use crate::dataflow::{Execution, RunError};
use crate::sink::SinkErrorKind;
use crate::source::log::LogEnd;
use crate::telemetry::{LogFormat, Metrics, Progress};

/// Returns when everything that was read is durable, or when that cannot come true any more.
pub fn wait(
    execution: Execution,
    errors: &Receiver<RunError>,
    input: RunningInput,
    stop: &AtomicBool,
    metrics: &Metrics,
    log_format: LogFormat,
) -> Result<(), CliError> {
    let mut progress = Progress::new(log_format == LogFormat::Json);
    let mut unreadable = None;
    loop {
        match next_news(execution.done(), errors) {
            News::Done => break,
            // What was read before still counts: the sources stop, and the rest drains.
            News::Error(RunError::Source(error)) => unreadable = Some(CliError::from(error)),
            News::Error(error) => {
                progress.finish();
                execution.give_up();
                return ended_by(error);
            }
            News::None => progress.tick(input.progress(), metrics),
        }
    }
    progress.finish();
    if let Some(error) = unreadable {
        return Err(error);
    }
    let asked_to_stop = stop.load(Ordering::Acquire);
    let runs_until_stopped = input.runs_until_stopped;
    match input.join()? {
        LogEnd::Truncated(what) => Err(CliError::Failed(what)),
        LogEnd::Interrupted => Err(interrupted()),
        LogEnd::Finished if asked_to_stop && !runs_until_stopped => Err(interrupted()),
        LogEnd::Finished => Ok(()),
    }
}

/// What becomes of a run that this ended.
fn ended_by(error: RunError) -> Result<(), CliError> {
    match error {
        RunError::Sink(error) if error.kind() == SinkErrorKind::ClosedPipe => Ok(()),
        RunError::Sink(error) => Err(error.into()),
        RunError::Source(error) => Err(error.into()),
        RunError::Bug(_) => Err(CliError::Failed(error.to_string())),
    }
}

/// What a run has to say.
#[derive(Debug)]
enum News {
    /// Everything that was read is durable.
    Done,
    /// Something went wrong.
    Error(RunError),
    /// It goes on.
    None,
}

/// Waits a little for news. An error comes before the end: one of the very last block, or of closing
/// the sink, is told while everything ends.
fn next_news(done: &Receiver<()>, errors: &Receiver<RunError>) -> News {
    select! {
        recv(errors) -> error => error.map_or(News::None, News::Error),
        recv(done) -> _ => errors.try_recv().map_or(News::Done, News::Error),
        default(Duration::from_millis(100)) => News::None,
    }
}

fn interrupted() -> CliError {
    CliError::Interrupted("interrupted before the end; what was read until then is counted and published".to_owned())
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;
    use crate::dataflow::Failure;
    use crate::source::SourceError;

    #[test]
    fn an_error_wins_over_the_end_that_came_with_it() {
        for _ in 0..100 {
            let (failure, errors) = Failure::new(std::sync::Arc::default());
            let (done_sender, done) = bounded(0);
            failure.source(SourceError::new("the last block cannot be read"));
            drop((done_sender, failure));
            assert!(matches!(next_news(&done, &errors), News::Error(RunError::Source(_))));
            while !matches!(next_news(&done, &errors), News::Done) {}
        }
    }
}
