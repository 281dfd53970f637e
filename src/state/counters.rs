//! The counters of one worker's keys, and how a closed epoch changes them.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::allowance::Allowance;
use super::blocks::{LARGEST_BLOCK_BYTES, MOST_BLOCKS};
use super::due::Expiry;
use super::features::FeatureTable;
use super::in_flight::{Handover, InFlight};
use super::item_writer::ItemWriter;
use super::key_table::KeyTable;
use super::limits::Limiter;
use super::marks::Moment;
use super::publish::Judged;
use super::row_reader::Round;
use super::snapshot::Snapshots;
use super::uniques_store::UniquesStore;
use crate::clock::StreamTime;
use crate::epoch::{Versions, Window};
use crate::peers::Peers;
use crate::pipeline::Pipeline;
use crate::sink::ItemBatch;
use crate::sums::{ContributionBatch, Damaged};
use crate::telemetry::{HoldingsGauge, Metrics, Printable};

/// The counters of the keys that one worker holds. Epochs are applied whole, in order, once they are closed:
/// nothing of an open epoch touches a row.
pub(crate) struct DecayCounters {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) keys: KeyTable,
    pub(super) uniques: UniquesStore,
    pub(super) features: FeatureTable,
    pub(super) stream: StreamTime,
    pub(super) expiry: Expiry,
    /// Keeps the rows within the pipeline's limits, where it has any.
    pub(super) limiter: Option<Limiter>,
    /// Room for the values of a row.
    pub(super) values: Vec<f64>,
    publishing: Publishing,
    pub(super) items: ItemWriter,
    pub(super) round: Option<Round>,
    /// What a round may write, where that is limited.
    pub(super) allowance: Option<Allowance>,
    /// The largest change that was held back, relative to what the item shows.
    pub(super) largest_held_back: f64,
    /// Room for what is found out about the rows of a key.
    pub(super) judged: Judged,
    pub(super) in_flight: InFlight,
    /// The last items of keys that were evicted.
    pub(super) evicted_items: VecDeque<Handover>,
    /// An epoch could not be applied, and has changed rows.
    pub(super) is_spoilt: bool,
    /// The newest window that is in the rows.
    pub(super) window: Window,
    /// When the last epoch was applied.
    pub(super) now: Moment,
    pub(super) metrics: Arc<Metrics>,
    holdings: Arc<HoldingsGauge>,
    /// What is kept for checkpoints, where there are any.
    pub(super) snapshots: Option<Snapshots>,
    /// Those of a block's [bits](super::touched::TouchBits) to look at, and what they are when there is nothing to note.
    pub(super) touch_is_done: (u64, u64),
}

/// How what has changed gets out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publishing {
    /// Every change of every window leaves at the window's end.
    Changelog,
    /// What has changed is marked, and taken when a table has room.
    Pull,
}

/// Why an epoch cannot be applied. What it has changed until then must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// A worker would hold more keys of one size than it can address.
    #[error(
        "a worker would hold more than {} million keys of one size, which it cannot address: start the run with more \
         workers (-w), or set [limits]",
        MOST_BLOCKS >> 20
    )]
    TooManyKeys,
    /// A key would have more rows than it can.
    #[error(
        "the key \"{}\" has more features than fit into {} MiB: are event names made up? List those that count in \
         `events`, or set a shorter ttl",
        Printable(.0),
        LARGEST_BLOCK_BYTES >> 20
    )]
    KeyTooLarge(String),
}

/// What one batch holds of one window.
struct Segment {
    window: Window,
    batch: usize,
    part: Range<u64>,
}

impl DecayCounters {
    /// No keys yet. They will be those of one of these workers.
    pub fn new(
        pipeline: Arc<Pipeline>,
        versions: Versions,
        peers: Peers,
        publishing: Publishing,
        metrics: Arc<Metrics>,
    ) -> DecayCounters {
        let limiter = Limiter::new(&pipeline, peers);
        let in_flight = InFlight::new(pipeline.groups.iter().any(|group| pipeline.remembers(group)));
        let allowance = allowance(&pipeline, peers);
        let mut counters = DecayCounters {
            keys: KeyTable::new(pipeline.publish.rhythms.len()),
            pipeline,
            uniques: UniquesStore::default(),
            features: FeatureTable::default(),
            stream: StreamTime::default(),
            expiry: Expiry::default(),
            limiter,
            values: Vec::new(),
            publishing,
            items: ItemWriter::new(versions),
            round: None,
            allowance,
            largest_held_back: 0.0,
            judged: Judged::default(),
            in_flight,
            evicted_items: VecDeque::new(),
            is_spoilt: false,
            window: Window::default(),
            now: Moment::default(),
            holdings: metrics.holdings.register(),
            metrics,
            snapshots: None,
            touch_is_done: (0, 0),
        };
        // What tables take when they are empty is no matter of rows.
        let empty = counters.allocated_bytes();
        if let Some(limiter) = &mut counters.limiter {
            limiter.budget.allow_beside(empty);
        }
        counters
    }

    /// The same, which takes little memory where there are few keys.
    #[cfg(test)]
    pub fn small(mut self) -> DecayCounters {
        self.keys.use_small_slabs();
        self
    }

    /// Merges the batches of a closed epoch, window by window. What has changed is marked; into a changelog, every row
    /// that a window changed is emitted as it is at the window's end.
    pub fn apply_epoch(
        &mut self,
        batches: &[ContributionBatch],
        now: Moment,
        emit: impl FnMut(ItemBatch),
    ) -> Result<(), ApplyError> {
        let applied = self.apply(batches, now, emit);
        if applied.is_err() {
            (self.is_spoilt, self.round) = (true, None);
        }
        applied
    }

    fn apply(
        &mut self,
        batches: &[ContributionBatch],
        now: Moment,
        mut emit: impl FnMut(ItemBatch),
    ) -> Result<(), ApplyError> {
        let rows_before = self.keys.rows();
        self.now = now;
        let features: Vec<Vec<u32>> =
            batches.iter().map(|batch| self.feature_numbers(batch)).collect::<Result<_, _>>()?;
        let mut segments = segments_by_window(batches).into_iter().peekable();
        while let Some(segment) = segments.next() {
            self.merge_all(batches[segment.batch].keys(segment.part)?, &features[segment.batch])?;
            self.window = segment.window;
            let window_ends = segments.peek().is_none_or(|next| next.window != segment.window);
            if window_ends && self.publishing == Publishing::Changelog {
                self.publish_changed(&mut emit);
            }
        }
        if self.publishing == Publishing::Changelog {
            self.items.finish(&mut emit);
        }
        self.stream.learn(batches.iter().map(|batch| &batch.times));
        let new_rows = self.keys.rows() - rows_before;
        self.metrics.rows.add(new_rows as u64);
        self.expiry.end_epoch(self.keys.rows());
        // A first slice, so that no row is evicted while others have expired.
        self.forget_expired();
        self.make_room();
        self.tell_holdings();
        Ok(())
    }

    /// Says how much is held now.
    pub(super) fn tell_holdings(&self) {
        self.holdings.set(self.keys.keys(), self.allocated_bytes(), self.features.held());
    }

    /// This worker's numbers of the features, by their indices in the batch.
    fn feature_numbers(&mut self, batch: &ContributionBatch) -> Result<Vec<u32>, ApplyError> {
        batch.check()?;
        let mut numbers = Vec::new();
        for feature in batch.features(&self.pipeline) {
            numbers.push(self.features.number_of(&feature?, &self.pipeline));
        }
        Ok(numbers)
    }
}

/// A worker's share of what the run may write.
fn allowance(pipeline: &Pipeline, peers: Peers) -> Option<Allowance> {
    let units = pipeline.dynamodb.budget_wcu? as f64 / f64::from(peers.workers());
    let round = pipeline.publish.rhythms.first().map_or(pipeline.window.length, |rhythm| rhythm.every);
    Some(Allowance::new(units, round.as_secs_f64()))
}

/// The batches' sums by ascending window.
fn segments_by_window(batches: &[ContributionBatch]) -> Vec<Segment> {
    let mut segments = Vec::new();
    for (batch, contributions) in batches.iter().enumerate() {
        segments.extend(contributions.windows().map(|(window, part)| Segment { window, batch, part }));
    }
    segments.sort_by_key(|segment| segment.window);
    segments
}
