//! Being asked to stop.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::cli::{CliError, ErrorCode};

/// What the first signal sets.
pub struct Signals {
    /// Sources stop reading. A failure sets it, too.
    pub stop: Arc<AtomicBool>,
    /// Whoever waits for a service gives up after a while.
    pub signalled: Arc<AtomicBool>,
}

impl Signals {
    /// The first SIGINT or SIGTERM asks to stop; the second one ends the process at once.
    pub fn listen() -> Result<Signals, CliError> {
        const ENDED_BY_SECOND_SIGNAL: i32 = 130;
        let signals = Signals { stop: Arc::default(), signalled: Arc::default() };
        for signal in signal_hook::consts::TERM_SIGNALS.iter().filter(|signal| **signal != signal_hook::consts::SIGQUIT)
        {
            // In this order: at the first signal the flag is not yet set.
            signal_hook::flag::register_conditional_shutdown(
                *signal,
                ENDED_BY_SECOND_SIGNAL,
                Arc::clone(&signals.signalled),
            )
            .and_then(|_| signal_hook::flag::register(*signal, Arc::clone(&signals.signalled)))
            .and_then(|_| signal_hook::flag::register(*signal, Arc::clone(&signals.stop)))
            .map_err(|error| CliError::new(ErrorCode::SystemRefuses, format!("cannot listen for signals: {error}")))?;
        }
        Ok(signals)
    }
}
