//! Whoever has started this process: systemd is told how it gets on, and one that has gone is noticed.

use std::time::{Duration, Instant};

use nix::unistd::getppid;
use sd_notify::NotifyState;

use super::Metrics;

/// The number of the process that has started this one as one of several.
pub(crate) const SUPERVISOR_VARIABLE: &str = "COUNTER_MACHINE_SUPERVISOR";

/// Tells systemd, where it has asked for that (`Type=notify`, `WatchdogSec=`).
pub(crate) struct Service {
    /// How often it wants to hear that the run gets on; and when it did, with how many steps of the workers.
    watchdog: Option<(Duration, Instant, Vec<Option<u64>>)>,
    supervisor: Option<i32>,
    is_stopping: bool,
}

impl Service {
    /// Says that the run has begun.
    pub fn begins() -> Service {
        tell(&[NotifyState::Ready]);
        let every = sd_notify::watchdog_enabled().map(|within| within / 2);
        let supervisor = std::env::var(SUPERVISOR_VARIABLE).ok().and_then(|process| process.parse().ok());
        Service { watchdog: every.map(|every| (every, Instant::now(), Vec::new())), supervisor, is_stopping: false }
    }

    /// Says that the run gets on, if it does: to be called often.
    pub fn tick(&mut self, metrics: &Metrics) {
        let Some((every, told, steps)) = &mut self.watchdog else { return };
        if told.elapsed() < *every {
            return;
        }
        let now = metrics.pulse.steps();
        let all_get_on = now.iter().zip(steps.iter()).all(|(now, before)| now.is_none() || now != before);
        if all_get_on {
            tell(&[NotifyState::Watchdog]);
            (*told, *steps) = (Instant::now(), now);
        }
    }

    /// Says that the run stops.
    pub fn stops(&mut self) {
        if !std::mem::replace(&mut self.is_stopping, true) {
            tell(&[NotifyState::Stopping]);
        }
    }

    /// Whether the process that would start it again is gone: then this one is one too many.
    pub fn is_orphan(&self) -> bool {
        self.supervisor.is_some_and(|supervisor| getppid().as_raw() != supervisor)
    }
}

/// Where nobody has asked, nobody is told.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("systemd cannot be told: {error}");
    }
}
