//! What may be held in memory, and which rows go when that is not enough.
//!
//! After every epoch a worker compares what it holds with its share of the pipeline's
//! [`Limits`]. If the next epoch might pass it, rows go, those first that are worth least:
//!
//! - `budget`: how much must go, and when. At least a sixteenth at a time, so that the passes over all
//!   rows that it takes are paid for by many epochs.
//! - `worth`: what a row is worth now, as a rank.
//! - `census`: how many rows there are of each rank, from which follows where to cut.
//! - `evicted`: remembers who went, so that what starts again is marked: its item has a `since`.
//!
//! All of that is pure; [`super::decay_counters`] applies it to the rows.

mod budget;
mod census;
mod evicted;
mod worth;

pub use budget::{Budget, Usage};
pub use census::{Census, Cut};
pub use evicted::EvictedRows;
pub use worth::Worth;

use super::identity::RowId;
use crate::counter::EventTime;
use crate::pipeline::{Group, Limits, NOTHING_LEFT_AFTER, Pipeline};

/// Keeps one worker within its share of the limits.
#[derive(Debug)]
pub struct Limiter {
    /// When how much must go.
    pub budget: Budget,
    /// What has gone.
    pub evicted: EvictedRows,
}

impl Limiter {
    /// For one of `workers` workers, of which all are in this process; `None` if nothing is limited.
    pub fn new(pipeline: &Pipeline, workers: usize) -> Option<Limiter> {
        let Limits { rows, memory } = pipeline.limits;
        let rows = rows.map(|rows| (rows.0 as usize).div_ceil(workers));
        let bytes = memory.map(|memory| memory.0 as usize / workers);
        let evicted = EvictedRows::new(rows, bytes, lasting(pipeline))?;
        let bytes = bytes.map(|bytes| bytes.saturating_sub(evicted.bytes()));
        Some(Limiter { budget: Budget::new(rows, bytes), evicted })
    }

    /// Since when a new row counts, if it was evicted before: from the time that is known of it on, and not
    /// before rows went the last time, if it comes late.
    #[inline]
    pub fn since(&self, row: RowId, time: EventTime) -> Option<EventTime> {
        self.evicted.may_hold(row).then(|| time.max(self.evicted.last_eviction()))
    }
}

/// How long what was evicted would have been worth anything, in time units; `None`: for ever.
fn lasting(pipeline: &Pipeline) -> Option<i64> {
    pipeline.groups.iter().map(Group::longest_decay).max()?.checked_mul(NOTHING_LEFT_AFTER)
}
