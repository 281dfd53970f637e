//! Opening what may keep a run waiting: a signal ends the wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

use crate::cli::{CliError, ErrorCode};
use crate::telemetry::Printable;

/// How soon a signal is noticed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whoever waits for what takes longer is told.
const TELL_AFTER: Duration = Duration::from_secs(1);

/// What notices by itself that the run should stop, and knows better what that means, is given so long to say it.
const OWN_ANSWER: Duration = Duration::from_secs(1);

/// Opens something, and gives up waiting when `stop` is set.
///
/// It is opened on a thread of its own, because a lock or a named pipe without its other end may be waited for in the system,
/// where no flag is looked at. When the wait is given up, that thread ends with the process, which is about to.
pub fn or_stop<T: Send + 'static>(
    what: &str,
    stop: &AtomicBool,
    open: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CliError> {
    let (sender, opened) = bounded(1);
    let thread = thread::Builder::new().name("open".to_owned()).spawn(move || {
        // An error means that nobody waits any more.
        let _ = sender.send(open());
    });
    thread.map_err(|error| CliError::new(ErrorCode::SystemRefuses, format!("cannot start a thread: {error}")))?;
    let since = Instant::now();
    let mut told = false;
    loop {
        let stopping = stop.load(Ordering::Acquire);
        let patience = if stopping { OWN_ANSWER } else { LOOK_EVERY };
        match opened.recv_timeout(patience) {
            Ok(opened) => return Ok(opened),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(CliError::new(
                    ErrorCode::Bug,
                    format!("internal error: {} was not opened", Printable(what)),
                ));
            }
            Err(RecvTimeoutError::Timeout) if stopping => {
                let what = Printable(what);
                return Err(CliError::new(
                    ErrorCode::Interrupted,
                    format!("interrupted while waiting for {what}; nothing was read"),
                ));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if !told && since.elapsed() >= TELL_AFTER {
            told = true;
            tracing::info!("waiting for {what}; a signal ends the wait");
        }
    }
}
