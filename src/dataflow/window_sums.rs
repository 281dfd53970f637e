//! The sums of one worker's open window, before the exchange.

use super::contribution::{ContributionBatch, Destination};
use super::flat_index::FlatIndex;
use super::identity::RowId;
use super::prefetch::prefetch;
use super::route::{EventAmount, RoutedFeature, Rows};
use crate::counter::{EventTime, Uniques};
use crate::epoch::Window;
use crate::pipeline::{Group, Pipeline};

/// Adds up what the events of a window add to each row, so that a row is looked up once per window
/// and not once per event, and a hot key costs its worker no more than any other.
///
/// Additions wait until there are some dozen, so that the memory they need can be asked for before
/// the first is done. Windows are closed into one batch per worker; the batches of all windows of an
/// epoch leave together.
pub struct WindowSums {
    waiting: Vec<Addition>,
    waiting_text: Vec<u8>,
    index: FlatIndex,
    /// One [record](HEADER_WORDS) behind the other; the index holds where each begins.
    sums: Vec<u64>,
    uniques: Vec<Uniques>,
    text: Vec<u8>,
    outgoing: Vec<Outgoing>,
}

/// A sum is a run of words: the row's identity (2), the last update, where the key begins in the
/// text, feature (low 32 bits) with key length and width (16 bits each), and `width` values. Of
/// uniques the width is 0, and one word more says where they stand.
const HEADER_WORDS: usize = 5;
const LAST_UPDATE_WORD: usize = 2;
const KEY_WORD: usize = 3;
const FEATURE_WORD: usize = 4;

/// How many additions wait for each other.
const TOGETHER: usize = 32;

/// One event's weight on its way to a sum.
#[derive(Clone, Copy)]
struct Addition {
    row: RowId,
    time: EventTime,
    amount: EventAmount,
    rows: Rows,
    key_length: u16,
    key_start: u32,
}

/// What is on its way to one worker.
#[derive(Default)]
struct Outgoing {
    batch: ContributionBatch,
    /// The place in the batch of each of the router's features; `NOT_SENT` if it has none yet.
    feature_places: Vec<u32>,
}

const NOT_SENT: u32 = u32::MAX;

impl WindowSums {
    /// Empty sums, to be sent to this many workers.
    pub fn new(workers: usize) -> WindowSums {
        WindowSums {
            waiting: Vec::with_capacity(TOGETHER),
            waiting_text: Vec::new(),
            index: FlatIndex::default(),
            sums: Vec::new(),
            uniques: Vec::new(),
            text: Vec::new(),
            outgoing: (0..workers).map(|_| Outgoing::default()).collect(),
        }
    }

    /// Adds one event to a row of the open window.
    #[inline]
    pub fn add(
        &mut self,
        row: RowId,
        rows: Rows,
        key: &[u8],
        time: EventTime,
        amount: EventAmount,
        pipeline: &Pipeline,
    ) {
        self.index.prefetch(row.index_hash());
        let (key_start, key_length) = (self.waiting_text.len() as u32, key.len() as u16);
        self.waiting_text.extend_from_slice(key);
        self.waiting.push(Addition { row, time, amount, rows, key_length, key_start });
        if self.waiting.len() == TOGETHER {
            self.add_waiting(pipeline);
        }
    }

    /// Does the additions that wait.
    fn add_waiting(&mut self, pipeline: &Pipeline) {
        for addition in &self.waiting {
            if let Some(place) = self.index.candidate(addition.row.index_hash()) {
                let place = place as usize;
                prefetch(&self.sums[place]);
                prefetch(&self.sums[place + HEADER_WORDS]);
            }
        }
        let waiting = std::mem::take(&mut self.waiting);
        for addition in &waiting {
            self.add_now(addition, pipeline.group(addition.rows.group));
        }
        self.waiting = waiting;
        self.waiting.clear();
        self.waiting_text.clear();
    }

    #[inline]
    fn add_now(&mut self, addition: &Addition, group: &Group) {
        let is_it = |place: u32| addition.row.is_at_beginning_of(&self.sums[place as usize..]);
        let Some(place) = self.index.find(addition.row.index_hash(), is_it) else {
            return self.insert(addition, group);
        };
        let sum = &mut self.sums[place as usize..];
        let mut last_update = EventTime(sum[LAST_UPDATE_WORD] as i64);
        match addition.amount {
            EventAmount::Weight(weight) => {
                let decays = group.decays_of(addition.rows.shape);
                let values = bytemuck::cast_slice_mut(&mut sum[HEADER_WORDS..][..decays.width()]);
                decays.add(&mut last_update, values, addition.time, weight);
            }
            EventAmount::Member(member) => {
                let uniques = &mut self.uniques[sum[HEADER_WORDS] as usize];
                uniques.add(&group.other_shapes.window_uniques, member, addition.time);
                last_update = last_update.max(addition.time);
            }
        }
        sum[LAST_UPDATE_WORD] = last_update.0 as u64;
    }

    fn insert(&mut self, addition: &Addition, group: &Group) {
        let place = self.sums.len();
        let decays = group.decays_of(addition.rows.shape);
        let width = match addition.amount {
            EventAmount::Weight(_) => decays.width(),
            EventAmount::Member(_) => 0,
        };
        let key = &self.waiting_text[addition.key_start as usize..][..usize::from(addition.key_length)];
        let (key_length, feature) = (u64::from(addition.key_length), u64::from(addition.rows.feature));
        self.sums.extend_from_slice(&addition.row.words());
        self.sums.push(addition.time.0 as u64);
        self.sums.push(self.text.len() as u64);
        self.sums.push((width as u64) << 48 | key_length << 32 | feature);
        match addition.amount {
            EventAmount::Weight(weight) => {
                self.sums.resize(place + HEADER_WORDS + width, 0);
                decays.begin(bytemuck::cast_slice_mut(&mut self.sums[place + HEADER_WORDS..]), weight);
            }
            EventAmount::Member(member) => {
                self.sums.push(self.uniques.len() as u64);
                let mut uniques = Uniques::new();
                uniques.add(&group.other_shapes.window_uniques, member, addition.time);
                self.uniques.push(uniques);
            }
        }
        self.text.extend_from_slice(key);
        self.index.insert(addition.row.index_hash(), place as u32);
    }

    /// Whether there is so much that the window must be closed now, whatever the clock says: places
    /// are 32-bit numbers. (A window may be closed in parts: the receiver merges them.)
    pub fn is_full(&self) -> bool {
        const ROOM: usize = 1 << 30;
        self.sums.len() > ROOM
    }

    /// Ends the open window: its sums are ready to leave with the epoch.
    pub fn close_window(&mut self, window: Window, features: &[RoutedFeature], pipeline: &Pipeline) {
        self.add_waiting(pipeline);
        let before: Vec<usize> = self.outgoing.iter().map(|outgoing| outgoing.batch.len()).collect();
        let mut rest = self.sums.as_slice();
        while let Some((sum, behind)) = split_sum(rest) {
            rest = behind;
            let worker = sum.row.shard().worker(self.outgoing.len());
            let outgoing = &mut self.outgoing[worker];
            let destination = Destination {
                row: sum.row,
                feature: outgoing.place_of(sum.feature, features),
                key: &self.text[sum.key_start..][..sum.key_length],
                last_update: sum.last_update,
            };
            match sum.amount {
                SumAmount::Values(values) => outgoing.batch.push_values(destination, values),
                SumAmount::Uniques(place) => {
                    let uniques = std::mem::take(&mut self.uniques[place]);
                    outgoing.batch.push_uniques(destination, uniques);
                }
            }
        }
        for (outgoing, before) in self.outgoing.iter_mut().zip(before) {
            let records = (outgoing.batch.len() - before) as u32;
            if records > 0 {
                outgoing.batch.windows.push((window, records));
            }
        }
        self.clear();
    }

    /// Ends the epoch: the batches for all workers, in the order of their indices. Every worker gets
    /// one, be it empty: it carries the time in the stream.
    pub fn take_epoch(&mut self, stream_time: Option<EventTime>) -> impl Iterator<Item = ContributionBatch> + '_ {
        self.outgoing.iter_mut().zip(0u64..).map(move |(outgoing, target)| {
            outgoing.feature_places.clear();
            let mut batch = std::mem::take(&mut outgoing.batch);
            (batch.target, batch.stream_time) = (target, stream_time);
            batch
        })
    }

    /// Hands over the rows that the open window holds, each with the router's number of its feature
    /// and its key's text, and forgets them: for a plan, which counts rows and not what is in them.
    pub fn drain_rows(&mut self, pipeline: &Pipeline, mut each: impl FnMut(RowId, u32, &[u8])) {
        self.add_waiting(pipeline);
        let mut rest = self.sums.as_slice();
        while let Some((sum, behind)) = split_sum(rest) {
            rest = behind;
            each(sum.row, sum.feature, &self.text[sum.key_start..][..sum.key_length]);
        }
        self.clear();
    }

    fn clear(&mut self) {
        let mut rest = self.sums.as_slice();
        let places = std::iter::from_fn(|| {
            let place = (self.sums.len() - rest.len()) as u32;
            let (sum, behind) = split_sum(rest)?;
            rest = behind;
            Some((sum.row.index_hash(), place))
        });
        self.index.clear(places);
        self.sums.clear();
        self.uniques.clear();
        self.text.clear();
    }
}

/// One record of [`WindowSums::sums`].
struct Sum<'a> {
    row: RowId,
    last_update: EventTime,
    feature: u32,
    key_start: usize,
    key_length: usize,
    amount: SumAmount<'a>,
}

enum SumAmount<'a> {
    Values(&'a [f64]),
    /// The place in [`WindowSums::uniques`].
    Uniques(usize),
}

/// The first record, and those behind it.
#[inline]
fn split_sum(words: &[u64]) -> Option<(Sum<'_>, &[u64])> {
    let header = words.get(..HEADER_WORDS)?;
    let (amount, behind) = match (header[FEATURE_WORD] >> 48) as usize {
        0 => (SumAmount::Uniques(words[HEADER_WORDS] as usize), &words[HEADER_WORDS + 1..]),
        width => {
            let (values, behind) = words[HEADER_WORDS..].split_at(width);
            (SumAmount::Values(bytemuck::cast_slice(values)), behind)
        }
    };
    let sum = Sum {
        row: RowId::from_words([header[0], header[1]]),
        last_update: EventTime(header[LAST_UPDATE_WORD] as i64),
        feature: header[FEATURE_WORD] as u32,
        key_start: header[KEY_WORD] as usize,
        key_length: usize::from((header[FEATURE_WORD] >> 32) as u16),
        amount,
    };
    Some((sum, behind))
}

impl Outgoing {
    fn place_of(&mut self, feature: u32, features: &[RoutedFeature]) -> u32 {
        let number = feature as usize;
        if self.feature_places.len() <= number {
            self.feature_places.resize(number + 1, NOT_SENT);
        }
        if self.feature_places[number] == NOT_SENT {
            self.feature_places[number] = self.batch.push_feature(features[number].key.clone());
        }
        self.feature_places[number]
    }
}
