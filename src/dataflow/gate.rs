//! Whether a worker may publish yet: with `hold_until_caught_up` not before everything is counted that there was at the start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use timely::dataflow::operators::probe::Handle as Probe;

use crate::source::CaughtUp;

/// Closed until the run has caught up; then open for good.
#[derive(Clone, Debug)]
pub struct Gate {
    /// What is waited for; nothing any more, once it is open.
    closed_until: Option<Arc<CaughtUp>>,
    /// Set by whatever asks the sources to stop: then the end of the input is none.
    stop: Arc<AtomicBool>,
}

impl Gate {
    /// Closed until then, or open from the beginning.
    pub fn new(closed_until: Option<Arc<CaughtUp>>, stop: Arc<AtomicBool>) -> Gate {
        Gate { closed_until, stop }
    }

    /// Whether nothing may be published yet. The probe shows which epochs are counted.
    pub fn is_closed(&mut self, counted: &Probe<u64>) -> bool {
        let Some(caught_up) = &self.closed_until else { return false };
        let at_the_end = counted.done() && !self.stop.load(Ordering::Acquire);
        let has_caught_up = || caught_up.epoch().is_some_and(|epoch| !counted.less_equal(&epoch.0));
        if at_the_end || has_caught_up() {
            self.closed_until = None;
            tracing::info!("caught up with what there was at the start: publishing begins");
        }
        self.closed_until.is_some()
    }
}
