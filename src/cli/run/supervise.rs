//! Waits for a run to end, and shows how it is getting on meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, select};

use super::end::{Part, RunEnd};
use super::input::RunningInput;
use crate::cli::CliError;
use crate::dataflow::{Execution, RunError};
use crate::source::log::LogEnd;
use crate::telemetry::{Metrics, Printable, Progress};

/// Returns when everything that was read is durable, or when that cannot come true any more.
pub fn wait(
    execution: Execution,
    errors: &Receiver<RunError>,
    input: RunningInput,
    stop: &AtomicBool,
    metrics: &Metrics,
    mut progress: Progress,
) -> RunEnd {
    let mut unreadable = None;
    let mut stopping = false;
    loop {
        select! {
            recv(execution.done()) -> _ => break,
            recv(errors) -> error => match error {
                // What was read before still counts: the sources stop, and the rest drains.
                Ok(RunError::Source(error)) => unreadable = Some(error),
                Ok(error) => {
                    progress.finish();
                    execution.give_up();
                    return RunEnd::after(error);
                }
                Err(_) => {}
            },
            default(Duration::from_millis(100)) => progress.tick(input.progress(), metrics),
        }
        if !stopping && stop.load(Ordering::Acquire) {
            stopping = true;
            // Before a second signal, after which nobody can take the bar away.
            progress.finish();
            let by_signal = unreadable.is_none() && errors.is_empty();
            if by_signal {
                tracing::info!("stopping: what was read is being published; a second signal ends the run at once");
            }
        }
    }
    progress.finish();
    // Closing the sink is the last thing that may fail.
    if let Ok(error) = errors.try_recv() {
        return RunEnd::after(error);
    }
    match unreadable {
        Some(error) => RunEnd::failed(Part::Input, error),
        None => end_of(input),
    }
}

/// How a run ended of which everything that was read is published.
fn end_of(input: RunningInput) -> RunEnd {
    let runs_until_stopped = input.runs_until_stopped;
    match input.join() {
        Ok(LogEnd::Finished) => RunEnd::Done,
        Ok(LogEnd::Interrupted) if runs_until_stopped => RunEnd::AskedToStop,
        Ok(LogEnd::Interrupted) => RunEnd::Interrupted,
        Ok(LogEnd::Truncated(what)) => RunEnd::failed(Part::DamagedLog, CliError::Failed(Printable(what).to_string())),
        Err(error) => RunEnd::failed(Part::Input, error),
    }
}
