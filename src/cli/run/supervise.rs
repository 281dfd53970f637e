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
        select! {
            recv(execution.done()) -> _ => break,
            recv(errors) -> error => match error {
                // What was read before still counts: the sources stop, and the rest drains.
                Ok(RunError::Source(error)) => unreadable = Some(CliError::from(error)),
                Ok(error) => {
                    progress.finish();
                    execution.give_up();
                    return ended_by(error);
                }
                Err(_) => {}
            },
            default(Duration::from_millis(100)) => progress.tick(input.progress(), metrics),
        }
    }
    progress.finish();
    let asked_to_stop = stop.load(Ordering::Acquire);
    let runs_until_stopped = input.runs_until_stopped;
    let end = input.join()?;
    if let Some(error) = unreadable {
        return Err(error);
    }
    // The last words of a reader, or of the sink at its closing, may have come together with the end.
    if let Ok(error) = errors.try_recv() {
        return ended_by(error);
    }
    match end {
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

fn interrupted() -> CliError {
    CliError::Interrupted("interrupted before the end; what was read until then is counted and published".to_owned())
}
