//! The sums of one worker's open window, before the exchange.

use super::addition::{Addition, Additions};
use super::batch::ContributionBatch;
use super::identity::KeyId;
use super::owner_sums::{EventKey, OwnerSums, Steps};
use crate::clock::TimeSamples;
use crate::epoch::Window;
use crate::memory::{append_text, text_words};
use crate::peers::WorkerIndex;
use crate::pipeline::{FeatureKey, Pipeline};

/// Adds up what the events of a window add to each key, so that a key is looked up once per window
/// and not once per event, and a hot key costs its worker no more than any other.
///
/// Additions wait until there are some dozen, so that the memory they need can be asked for before
/// the first is done. The windows of an epoch leave together, in one batch per worker.
pub(crate) struct WindowSums {
    waiting: Vec<WaitingKey>,
    /// Which of them are to be looked at again before their additions are done.
    under_way: Vec<usize>,
    additions: Vec<Addition>,
    texts: Vec<u64>,
    owners: Vec<OwnerSums>,
    /// Whether one of them has become very large.
    full: bool,
}

/// So many sums of each key are looked at in advance.
const STEPS: usize = 3;

/// How many additions wait for each other.
const TOGETHER: usize = 32;

/// And no more words of keys than this.
const WAITING_TEXT_WORDS: usize = 4096;

/// A key of one event, to which some additions belong.
struct WaitingKey {
    id: KeyId,
    text_start: u32,
    text_length: u32,
    first_addition: u32,
    /// The worker that holds the key.
    owner: WorkerIndex,
    /// How far the steps towards its sum have come.
    steps: Option<Steps>,
}

impl Additions for WindowSums {
    #[inline]
    fn begin_key(&mut self, id: KeyId, text: &[u8], pipeline: &Pipeline) {
        if self.additions.len() >= TOGETHER || self.texts.len() >= WAITING_TEXT_WORDS {
            self.add_waiting(pipeline);
        }
        let owner = id.shard().owner(self.owners.len() as u32);
        self.owners[owner.0 as usize].prefetch_index(id);
        let (text_start, first_addition) = (self.texts.len() as u32, self.additions.len() as u32);
        append_text(&mut self.texts, text);
        let text_length = text.len() as u32;
        self.waiting.push(WaitingKey { id, text_start, text_length, first_addition, owner, steps: None });
    }

    #[inline]
    fn add(&mut self, addition: Addition) {
        self.additions.push(addition);
    }
}

impl WindowSums {
    /// Empty sums, to be sent to this many workers.
    pub fn new(workers: u32) -> WindowSums {
        WindowSums {
            waiting: Vec::with_capacity(2 * TOGETHER),
            under_way: Vec::new(),
            additions: Vec::with_capacity(2 * TOGETHER),
            texts: Vec::new(),
            owners: (0..workers).map(|_| OwnerSums::default()).collect(),
            full: false,
        }
    }

    /// Does the additions that wait.
    fn add_waiting(&mut self, pipeline: &Pipeline) {
        let WindowSums { waiting, under_way, additions, texts, owners, full } = self;
        for key in waiting.iter_mut() {
            key.steps = owners[key.owner.0 as usize].candidate(key.id);
        }
        let feature_of =
            |key: &WaitingKey| additions.get(key.first_addition as usize).map(|first| first.feature.number);
        under_way.clear();
        under_way.resize(waiting.len(), 0);
        let mut count = 0;
        for (index, key) in waiting.iter_mut().enumerate() {
            let feature = feature_of(key).unwrap_or_default();
            under_way[count] = index;
            count += usize::from(owners[key.owner.0 as usize].arrive(key.id, feature, &mut key.steps));
        }
        for _ in 1..STEPS {
            let before = std::mem::take(&mut count);
            for position in 0..before {
                let index = under_way[position];
                let key = &mut waiting[index];
                let feature = feature_of(key).unwrap_or_default();
                under_way[count] = index;
                count += usize::from(owners[key.owner.0 as usize].step(feature, &mut key.steps));
            }
        }
        let ends = waiting.iter().skip(1).map(|key| key.first_addition as usize);
        for (key, end) in waiting.iter().zip(ends.chain([additions.len()])) {
            let WaitingKey { id, text_length, steps, .. } = *key;
            let text = &texts[key.text_start as usize..][..text_words(text_length as usize)];
            let owner = &mut owners[key.owner.0 as usize];
            let event_key = EventKey { id, text, text_length, steps };
            owner.add(event_key, &additions[key.first_addition as usize..end], pipeline);
        }
        *full |= owners.iter().any(OwnerSums::is_full);
        self.waiting.clear();
        self.additions.clear();
        self.texts.clear();
    }

    /// Whether there is very much, so that the next event needs [room](WindowSums::make_room): addresses have 32 bits.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Puts aside what there is very much of. A window may be closed in parts, and an epoch leave in several batches:
    /// the receiver merges them.
    pub fn make_room(&mut self, window: Window, pipeline: &Pipeline, features: &[FeatureKey]) {
        self.put_aside(OwnerSums::is_full, window, pipeline, features);
        self.full = false;
    }

    fn put_aside(
        &mut self,
        which: impl Fn(&OwnerSums) -> bool,
        window: Window,
        pipeline: &Pipeline,
        features: &[FeatureKey],
    ) {
        for owner in self.owners.iter_mut().filter(|owner| which(owner)) {
            // What waits comes into the next part.
            owner.close_window(window, pipeline);
            owner.put_aside(features, pipeline);
        }
    }

    /// Ends the open window: its sums are ready to leave with the epoch.
    pub fn close_window(&mut self, window: Window, pipeline: &Pipeline) {
        self.add_waiting(pipeline);
        self.owners.iter_mut().for_each(|owner| owner.close_window(window, pipeline));
    }

    /// Ends the epoch: the batches for all workers. Every worker gets one, be it empty: with the first of each goes
    /// what tells the stream's time.
    pub fn take_epoch(
        &mut self,
        times: &TimeSamples,
        features: &[FeatureKey],
        pipeline: &Pipeline,
    ) -> impl Iterator<Item = ContributionBatch> {
        self.owners.iter_mut().zip(0u32..).flat_map(move |(sums, owner)| {
            let mut batches = sums.take_epoch(features, pipeline);
            batches.iter_mut().for_each(|batch| batch.owner = WorkerIndex(owner));
            if let Some(first) = batches.first_mut() {
                first.times = times.clone();
            }
            batches.into_iter()
        })
    }

    /// Puts all aside, as if it were very much.
    #[cfg(test)]
    pub fn put_all_aside(&mut self, window: Window, features: &[FeatureKey], pipeline: &Pipeline) {
        self.put_aside(|_| true, window, pipeline, features);
    }
}
