//! The sums of one worker's open window, before the exchange.

use super::contribution::ContributionBatch;
use super::identity::RowId;
use super::records::{KeyWords, append_key_words};
use super::route::{EventAmount, Rows};
use super::target_sums::TargetSums;
use crate::clock::TimeSamples;
use crate::counter::EventTime;
use crate::epoch::Window;
use crate::pipeline::{FeatureKey, Pipeline};

/// Adds up what the events of a window add to each row, so that a row is looked up once per window
/// and not once per event, and a hot key costs its worker no more than any other.
///
/// Additions wait until there are some dozen, so that the memory they need can be asked for before
/// the first is done. The windows of an epoch leave together, in one batch per worker.
pub struct WindowSums {
    waiting: Vec<Waiting>,
    waiting_keys: Vec<u64>,
    targets: Vec<TargetSums>,
    /// Whether one of them has become very large.
    full: bool,
}

/// How many additions wait for each other.
const TOGETHER: usize = 32;

/// And no more words of keys than this: there may be many to which nothing is added.
const WAITING_KEY_WORDS: usize = 4096;

/// One event's weight or member on its way to a sum.
#[derive(Clone, Copy)]
pub struct Addition {
    /// The row.
    pub row: RowId,
    /// What the row is one of.
    pub rows: Rows,
    /// The event's time.
    pub time: EventTime,
    /// What the event adds.
    pub amount: EventAmount,
}

/// An addition that waits.
#[derive(Clone, Copy)]
struct Waiting {
    addition: Addition,
    key: WaitingKey,
    /// The worker that holds the row.
    worker: u32,
}

/// The text of a key that additions wait with.
#[derive(Clone, Copy)]
pub struct WaitingKey {
    start: u32,
    length: u32,
}

impl WindowSums {
    /// Empty sums, to be sent to this many workers.
    pub fn new(workers: usize) -> WindowSums {
        let targets = (0..workers).map(|_| TargetSums::default()).collect();
        WindowSums { waiting: Vec::with_capacity(2 * TOGETHER), waiting_keys: Vec::new(), targets, full: false }
    }

    /// Takes notice of a key: what is added next belongs to it.
    #[inline]
    pub fn key(&mut self, text: &[u8], pipeline: &Pipeline) -> WaitingKey {
        if self.waiting.len() >= TOGETHER || self.waiting_keys.len() >= WAITING_KEY_WORDS {
            self.add_waiting(pipeline);
        }
        let start = self.waiting_keys.len() as u32;
        append_key_words(&mut self.waiting_keys, text);
        WaitingKey { start, length: text.len() as u32 }
    }

    /// Adds one event to a row of the open window. The key is the last one.
    #[inline]
    pub fn add(&mut self, row: RowId, rows: Rows, key: WaitingKey, time: EventTime, amount: EventAmount) {
        let worker = row.shard().worker(self.targets.len() as u32);
        self.targets[worker as usize].prefetch_index(row);
        self.waiting.push(Waiting { addition: Addition { row, rows, time, amount }, key, worker });
    }

    /// Does the additions that wait.
    fn add_waiting(&mut self, pipeline: &Pipeline) {
        for waiting in &self.waiting {
            self.targets[waiting.worker as usize].prefetch_record(waiting.addition.row);
        }
        for Waiting { addition, key, worker } in self.waiting.drain(..) {
            let WaitingKey { start, length } = key;
            let length = length as usize;
            let key = KeyWords { words: &self.waiting_keys[start as usize..][..length.div_ceil(8)], length };
            let target = &mut self.targets[worker as usize];
            target.add(&addition, key, pipeline.group(addition.rows.group));
            self.full |= target.is_full();
        }
        self.waiting_keys.clear();
    }

    /// Whether there is very much, so that the next event needs [room](WindowSums::make_room): places are 32-bit numbers.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Puts aside what there is very much of. A window may be closed in parts, and an epoch leave in several batches:
    /// the receiver merges them.
    pub fn make_room(&mut self, window: Window, pipeline: &Pipeline, features: &[FeatureKey]) {
        for target in self.targets.iter_mut().filter(|target| target.is_full()) {
            // What waits comes into the next part.
            target.close_window(window, pipeline);
            target.put_aside(features);
        }
        self.full = false;
    }

    /// Ends the open window: its sums are ready to leave with the epoch.
    pub fn close_window(&mut self, window: Window, pipeline: &Pipeline) {
        self.add_waiting(pipeline);
        self.targets.iter_mut().for_each(|target| target.close_window(window, pipeline));
    }

    /// Ends the epoch: the batches for all workers. Every worker gets one, be it empty: with the first of each goes
    /// what tells the stream's time.
    pub fn take_epoch(
        &mut self,
        times: &TimeSamples,
        features: &[FeatureKey],
    ) -> impl Iterator<Item = ContributionBatch> {
        self.targets.iter_mut().zip(0u64..).flat_map(move |(sums, target)| {
            let mut batches = sums.take_epoch(features);
            batches.iter_mut().for_each(|batch| batch.target = target);
            if let Some(first) = batches.first_mut() {
                first.times = times.clone();
            }
            batches.into_iter()
        })
    }

    /// Hands over the rows that the open window holds, each with the router's number of its feature
    /// and its key's text, and forgets them: for a plan, which counts rows and not what is in them.
    pub fn drain_rows(&mut self, pipeline: &Pipeline, mut each: impl FnMut(RowId, u32, &[u8])) {
        self.add_waiting(pipeline);
        self.targets.iter_mut().for_each(|target| target.drain_rows(&mut each));
    }
}
