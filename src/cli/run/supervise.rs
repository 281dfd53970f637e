//! Waits for a run to end, and shows how it is getting on meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, select};

use super::end::{Part, RunEnd};
use super::running::RunningInput;
use crate::cli::{CliError, ErrorCode};
use crate::dataflow::{Execution, RunError};
use crate::source::log::LogEnd;
use crate::telemetry::{Metrics, Printable, Progress, Service};

/// Returns when everything that was read is durable, or when that cannot come true any more.
pub fn wait(
    execution: Execution,
    errors: &Receiver<RunError>,
    input: RunningInput,
    stop: &AtomicBool,
    signalled: &AtomicBool,
    metrics: &Metrics,
    mut progress: Progress,
) -> RunEnd {
    let mut service = Service::begins();
    let mut unreadable: Option<RunEnd> = None;
    let mut stopping = false;
    loop {
        match next_news(execution.done(), errors) {
            News::Done => break,
            // What was read before still counts: the sources stop, and the rest drains. That may wait for a service, and a
            // second signal would end the wait without a word of this.
            News::Error(error @ (RunError::Source(_) | RunError::Block(_))) => {
                let end = RunEnd::after(error);
                if let (None, RunEnd::Failed { error, .. }) = (&unreadable, &end) {
                    tracing::warn!("stopping, what was read is being published: {error}");
                }
                unreadable = Some(end.behind(unreadable));
            }
            News::Error(error) => {
                progress.finish();
                execution.give_up();
                return RunEnd::after(error);
            }
            News::None => progress.tick(input.progress(), metrics),
        }
        service.tick(metrics);
        if service.is_orphan() && !signalled.swap(true, Ordering::AcqRel) {
            tracing::warn!("whoever has started this process as one of several is gone");
            stop.store(true, Ordering::Release);
        }
        if !stopping && stop.load(Ordering::Acquire) {
            stopping = true;
            metrics.stage.stops();
            service.stops();
            // Before a second signal, after which nobody can take the bar away.
            progress.finish();
            let by_signal = unreadable.is_none() && errors.is_empty();
            if by_signal {
                tracing::info!("stopping: what was read is being published; a second signal ends the run at once");
            }
        }
    }
    metrics.stage.stops();
    progress.finish();
    let ends_by_itself = !input.runs_until_stopped;
    let end = input.join();
    // The last words of readers, and of the sink at its closing, may come together with the end.
    for error in errors.try_iter() {
        match error {
            error @ (RunError::Source(_) | RunError::Block(_)) => {
                unreadable = Some(RunEnd::after(error).behind(unreadable));
            }
            error => return RunEnd::after(error),
        }
    }
    unreadable.unwrap_or_else(|| end_of(end, ends_by_itself))
}

/// How a run ended of which everything that was read is published.
fn end_of(input: Result<LogEnd, CliError>, ends_by_itself: bool) -> RunEnd {
    match input {
        Ok(LogEnd::Finished) => RunEnd::Done,
        Ok(LogEnd::Interrupted) if ends_by_itself => RunEnd::Interrupted,
        Ok(LogEnd::Interrupted) => RunEnd::AskedToStop,
        Ok(LogEnd::Truncated(what)) => {
            RunEnd::failed(Part::DamagedLog, CliError::new(ErrorCode::LogDamaged, Printable(what).to_string()))
        }
        Err(error) => RunEnd::failed(Part::Input, error),
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

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;
    use crate::dataflow::Failure;
    use crate::sink::SinkError;
    use crate::source::SourceError;

    #[test]
    fn the_error_of_a_sink_is_heard_behind_those_of_sources() {
        let (failure, errors) = Failure::new(std::sync::Arc::default());
        let (_running, done) = bounded(0);
        (0..2).for_each(|_| failure.source(SourceError::new("a disk that is lost")));
        failure.sink(SinkError::new("the same disk"));
        (0..2).for_each(|_| assert!(matches!(next_news(&done, &errors), News::Error(RunError::Source(_)))));
        assert!(matches!(next_news(&done, &errors), News::Error(RunError::Sink(_))));
    }

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
