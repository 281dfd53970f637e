//! Publishing waits for the journal: before anything of an epoch goes to a sink, up to where was read by its end is durable.
//!
//! State never waits for it. One entry covers all epochs up to its own, so it is of the newest cut that is known, and at most one is written
//! each [`WRITE_EVERY`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::others::Others;
use super::restore::described;
use super::sleepers::Sleepers;
use crate::checkpoint::{CheckpointError, CheckpointErrorKind, Journal};
use crate::epoch::Epoch;
use crate::source::Cuts;
use crate::telemetry::WarnLimiter;

/// So often an entry is written, at most.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How often it is told that none can be written.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Up to where the journal reaches. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journaled {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Everything before this epoch is covered.
    covered_before: AtomicU64,
    /// Everything before this epoch should be.
    wanted_before: AtomicU64,
    /// Nobody will want anything any more.
    has_ended: Mutex<bool>,
    changed: Condvar,
    /// Sleep while what they have read is not covered.
    sleepers: Sleepers,
}

impl Journaled {
    /// Whether what contains this epoch may be published. Where it may not, it soon will.
    pub fn covers(&self, epoch: Epoch) -> bool {
        if epoch.0 < self.shared.covered_before.load(Ordering::Acquire) {
            return true;
        }
        let wanted = epoch.0.saturating_add(1);
        if self.shared.wanted_before.fetch_max(wanted, Ordering::AcqRel) < wanted {
            let _guard = self.shared.has_ended.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.changed.notify_all();
        }
        false
    }

    /// Are woken when more is covered.
    pub fn sleepers(&self) -> &Sleepers {
        &self.shared.sleepers
    }

    /// The same as [`Journaled::covers`], for another process: up to where everything is covered, where this epoch is.
    pub fn want(&self, epoch: Epoch) -> Option<Epoch> {
        self.covers(epoch).then(|| Epoch(self.shared.covered_before.load(Ordering::Acquire).saturating_sub(1)))
    }

    /// Everything up to this epoch is covered.
    pub fn cover(&self, epoch: Epoch) {
        self.shared.covered_before.fetch_max(epoch.0.saturating_add(1), Ordering::AcqRel);
        self.shared.sleepers.wake();
    }

    /// Waits until an epoch behind this one is wanted; `None`: nobody can want anything any more.
    pub fn next_wanted(&self, behind: Option<Epoch>) -> Option<Epoch> {
        let mut has_ended = self.shared.has_ended.lock().unwrap_or_else(PoisonError::into_inner);
        while !*has_ended {
            let wanted = self.wanted().filter(|wanted| behind.is_none_or(|behind| *wanted > behind));
            if wanted.is_some() {
                return wanted;
            }
            has_ended = self.shared.changed.wait(has_ended).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    /// Nobody will want anything any more.
    pub fn end(&self) {
        *self.shared.has_ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.changed.notify_all();
    }

    /// The first epoch that is wanted and not covered; `None`: there is none.
    fn wanted(&self) -> Option<Epoch> {
        let wanted = self.shared.wanted_before.load(Ordering::Acquire);
        (wanted > self.shared.covered_before.load(Ordering::Acquire)).then(|| Epoch(wanted.saturating_sub(1)))
    }

    /// Waits until something is wanted, or so long; whether anybody can still want anything.
    fn wait(&self, at_most: Duration) -> bool {
        let has_ended = self.shared.has_ended.lock().unwrap_or_else(PoisonError::into_inner);
        if *has_ended || self.wanted().is_some() {
            return !*has_ended;
        }
        let waited = self.shared.changed.wait_timeout(has_ended, at_most);
        let (has_ended, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !*has_ended
    }
}

/// Writes what is wanted.
pub(crate) struct JournalWriter {
    journal: Journal,
    journaled: Journaled,
    cuts: Arc<Cuts>,
    others: Arc<dyn Others>,
}

impl JournalWriter {
    /// Writes into this journal what `journaled` is asked for.
    pub fn new(journal: Journal, journaled: Journaled, cuts: Arc<Cuts>, others: Arc<dyn Others>) -> JournalWriter {
        JournalWriter { journal, journaled, cuts, others }
    }

    /// Writes an entry, if something is wanted and the readers have come so far; whether it did.
    ///
    /// What was published before stands in this entry, too: while the gate is closed nothing is, so the positions of entries only
    /// rise, and the older ones may go.
    pub fn step(&mut self) -> Result<bool, CheckpointError> {
        let Some(wanted) = self.journaled.wanted() else { return Ok(false) };
        let Some(newest) = self.cuts.newest().filter(|newest| *newest >= wanted) else { return Ok(false) };
        let Some(positions) = self.cuts.positions(newest) else { return Ok(false) };
        let number = self.journal.append(newest, described(&positions)?)?;
        self.journaled.cover(newest);
        self.others.covered(newest);
        if let Err(error) = self.journal.prune_below(number) {
            tracing::debug!("older entries of the journal stay for now: {error}");
        }
        Ok(true)
    }

    /// Writes until nobody wants anything any more. What cannot be written is tried again; another run that has the state ends it.
    pub fn run(mut self) -> Result<(), CheckpointError> {
        let mut warned = WarnLimiter::new(WARN_EVERY);
        let mut next = Instant::now();
        while self.journaled.wait(WRITE_EVERY) {
            let now = Instant::now();
            if now < next {
                std::thread::sleep((next - now).min(Duration::from_millis(20)));
                continue;
            }
            match self.step() {
                Ok(true) => next = now + WRITE_EVERY,
                // A reader has not come so far yet.
                Ok(false) => next = now + Duration::from_millis(5),
                Err(error) if error.kind() == CheckpointErrorKind::InUse => return Err(error),
                Err(error) => {
                    next = now + WRITE_EVERY;
                    if warned.is_due(now) {
                        tracing::warn!("nothing is published while the journal cannot be written: {error}");
                    }
                }
            }
        }
        Ok(())
    }
}
