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
    execution: &Execution,
    errors: &Receiver<RunError>,
    input: RunningInput,
    stop: &AtomicBool,
    metrics: &Metrics,
    log_format: LogFormat,
) -> Result<(), CliError> {
    let mut progress = Progress::new(log_format == LogFormat::Json);
    let mut unreadable = None;
    let result = loop {
        select! {
            recv(execution.done()) -> _ => break Ok(()),
            recv(errors) -> error => match error {
                // What was read before still counts: the sources stop, and the rest drains.
                Ok(RunError::Source(error)) => unreadable = Some(CliError::from(error)),
                Ok(RunError::Sink(error)) if error.kind() == SinkErrorKind::ClosedPipe => return Ok(()),
                Ok(RunError::Sink(error)) => break Err(error.into()),
                Ok(bug @ RunError::Bug(_)) => break Err(CliError::Failed(bug.to_string())),
                Err(_) => {}
            },
            default(Duration::from_millis(100)) => progress.tick(input.progress(), metrics),
        }
    };
    progress.finish();
    result?;
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

fn interrupted() -> CliError {
    CliError::Interrupted("interrupted before the end; what was read until then is counted and published".to_owned())
}
