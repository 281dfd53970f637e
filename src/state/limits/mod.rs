//! What may be held in memory, and which keys go when that is not enough.
//!
//! After every epoch a worker compares what it holds with its share of the pipeline's
//! [`Limits`]. If the next epoch might pass it, keys go, each with all its rows, those first that are worth least:
//!
//! - `budget`: how much must go, and when. A sixteenth is free afterwards, at least, so that many epochs that add
//!   less than that pay for the passes over all keys that it takes.
//! - `worth`: what a row is worth now, as a rank; a key is worth as much as its best row.
//! - `census`: how many rows there are of each rank, from which follows where to cut.
//! - `evicted`: remembers who went, so that what starts again is marked: its item has a `since`; `recorded`: the same in checkpoints.
//!
//! All of that is pure; [`super::eviction`] applies it to the keys.

mod budget;
mod census;
mod evicted;
mod recorded;
mod worth;

pub(super) use budget::{Budget, Usage};
pub(super) use census::{Census, Cut};
pub(super) use evicted::EvictedKeys;
pub(crate) use recorded::{InvalidFilters, merge_filters};
pub(super) use worth::Worth;

use crate::counter::EventTime;
use crate::peers::Peers;
use crate::pipeline::{Group, Limits, NOTHING_LEFT_AFTER, Pipeline};
use crate::sums::KeyId;

/// Keeps one worker within its share of the limits.
#[derive(Debug)]
pub(super) struct Limiter {
    /// When how much must go.
    pub budget: Budget,
    /// What has gone.
    pub evicted: EvictedKeys,
}

impl Limiter {
    /// For one of these workers; `None` if nothing is limited.
    pub fn new(pipeline: &Pipeline, peers: Peers) -> Option<Limiter> {
        let Limits { rows, memory } = pipeline.limits;
        let evicted =
            EvictedKeys::new(rows.map(|rows| rows.0), memory.map(|memory| memory.0), peers, lasting(pipeline))?;
        let rows = rows.map(|rows| peers.share_of_run(rows.0) as usize);
        let bytes = memory.map(|memory| peers.share_of_process(memory.0).saturating_sub(evicted.bytes()) as usize);
        Some(Limiter { budget: Budget::new(rows, bytes), evicted })
    }

    /// Since when a new key counts, if it was evicted before: from the time that is known of it on, and not
    /// before keys went the last time, if it comes late.
    #[inline]
    pub fn since(&self, key: KeyId, time: EventTime) -> Option<EventTime> {
        self.evicted.eviction_of(key).map(|last_eviction| time.max(last_eviction))
    }
}

/// How long what was evicted would have been worth anything, in time units; `None`: for ever.
fn lasting(pipeline: &Pipeline) -> Option<i64> {
    pipeline.groups.iter().map(Group::longest_decay).max()?.checked_mul(NOTHING_LEFT_AFTER)
}
