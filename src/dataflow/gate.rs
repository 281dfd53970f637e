//! Whether a worker may publish yet: with `hold_until_caught_up` not before everything is counted that there was at the start, and after a
//! restart not before everything is counted again that may have been published.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use timely::dataflow::operators::probe::Handle as Probe;

use crate::epoch::Epoch;
use crate::source::{CaughtUp, KnownCuts};

/// Closed until the run has caught up; then open for good.
#[derive(Clone, Debug)]
pub struct Gate {
    /// What there was at the start is waited for; nothing any more, once it is counted.
    caught_up: Option<Arc<CaughtUp>>,
    /// What may have been published before is waited for; likewise.
    published: Option<Arc<KnownCuts>>,
    /// Set by whatever asks the sources to stop: then the end of the input is none.
    stop: Arc<AtomicBool>,
    /// Since when it is known to be closed.
    closed_since: Option<Instant>,
    /// Whether it says when it opens: one for all.
    tells: bool,
}

impl Gate {
    /// Closed until both are reached, as far as they are waited for.
    pub fn new(
        caught_up: Option<Arc<CaughtUp>>,
        published: Option<Arc<KnownCuts>>,
        stop: Arc<AtomicBool>,
        tells: bool,
    ) -> Gate {
        // Where nothing was published there is nothing to wait for.
        let published = published.filter(|cuts| cuts.passed() != Some(Epoch(0)));
        Gate { caught_up, published, stop, closed_since: None, tells }
    }

    /// Whether nothing may be published yet. The probe shows which epochs are counted.
    pub fn is_closed(&mut self, counted: &Probe<u64>) -> bool {
        if self.caught_up.is_none() && self.published.is_none() {
            return false;
        }
        // What is not reached by then is not there.
        let at_the_end = counted.done() && !self.stop.load(Ordering::Acquire);
        let is_counted = |epoch: Option<Epoch>| epoch.is_some_and(|epoch| !counted.less_equal(&epoch.0));
        if let Some(published) = &self.published
            && (at_the_end || is_counted(published.passed()))
        {
            self.published = None;
            if let Some(since) = self.closed_since.filter(|_| self.tells) {
                let took = since.elapsed().as_secs_f64();
                tracing::info!("all is counted again that was published before ({took:.1} s): publishing goes on");
            }
        }
        if let Some(caught_up) = &self.caught_up
            && (at_the_end || is_counted(caught_up.epoch()))
        {
            self.caught_up = None;
            if self.tells {
                tracing::info!("caught up with what there was at the start: publishing begins");
            }
        }
        let is_closed = self.caught_up.is_some() || self.published.is_some();
        if is_closed {
            self.closed_since.get_or_insert_with(Instant::now);
        }
        is_closed
    }
}
