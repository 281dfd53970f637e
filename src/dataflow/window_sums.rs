//! The sums of one worker's open window, before the exchange.

use hashbrown::HashTable;

use super::contribution::{Contribution, ContributionBatch};
use super::identity::RowId;
use super::route::RoutedFeature;
use crate::counter::{DecaySet, EventTime};
use crate::epoch::Window;

/// Adds up what the events of a window add to each row, so that a row is looked up once per window
/// and not once per event, and a hot key costs its worker no more than any other.
///
/// Windows are closed into one batch per worker; the batches of all windows of an epoch leave
/// together.
pub struct WindowSums {
    index: HashTable<u32>,
    sums: Vec<Sum>,
    values: Vec<f64>,
    text: Vec<u8>,
    outgoing: Vec<Outgoing>,
}

struct Sum {
    row: RowId,
    last_update: EventTime,
    key_start: u32,
    values_start: u32,
    feature: u32,
    key_length: u16,
    width: u16,
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
            index: HashTable::new(),
            sums: Vec::new(),
            values: Vec::new(),
            text: Vec::new(),
            outgoing: (0..workers).map(|_| Outgoing::default()).collect(),
        }
    }

    /// Adds one event to a row of the open window. `feature` is the router's number for it.
    #[inline]
    pub fn add(&mut self, row: RowId, feature: u32, decays: &DecaySet, key: &[u8], time: EventTime, weight: f64) {
        let found = self.index.find(row.table_hash(), |place| self.sums[*place as usize].row == row);
        if let Some(place) = found {
            let sum = &mut self.sums[*place as usize];
            let values = &mut self.values[sum.values_start as usize..][..decays.width()];
            decays.add(&mut sum.last_update, values, time, weight);
        } else {
            self.insert(row, feature, decays, key, time, weight);
        }
    }

    fn insert(&mut self, row: RowId, feature: u32, decays: &DecaySet, key: &[u8], time: EventTime, weight: f64) {
        let place = self.sums.len() as u32;
        self.sums.push(Sum {
            row,
            last_update: time,
            key_start: self.text.len() as u32,
            values_start: self.values.len() as u32,
            feature,
            key_length: key.len() as u16,
            width: decays.width() as u16,
        });
        self.text.extend_from_slice(key);
        self.values.extend(std::iter::repeat_n(weight, decays.width()));
        let sums = &self.sums;
        self.index.insert_unique(row.table_hash(), place, |place| sums[*place as usize].row.table_hash());
    }

    /// Whether the arenas are so large that the window must be closed now, whatever the clock says:
    /// their places are 32-bit numbers. (A window may be closed in parts: the receiver merges them.)
    pub fn is_full(&self) -> bool {
        const ROOM: usize = 1 << 30;
        self.text.len() > ROOM || self.values.len() > ROOM / 8
    }

    /// Ends the open window: its sums are ready to leave with the epoch.
    pub fn close_window(&mut self, window: Window, features: &[RoutedFeature]) {
        let before: Vec<usize> = self.outgoing.iter().map(|outgoing| outgoing.batch.len()).collect();
        for sum in &self.sums {
            let worker = sum.row.shard().worker(self.outgoing.len());
            let outgoing = &mut self.outgoing[worker];
            let contribution = Contribution {
                row: sum.row,
                feature: outgoing.place_of(sum.feature, features),
                key: &self.text[sum.key_start as usize..][..usize::from(sum.key_length)],
                last_update: sum.last_update,
                values: &self.values[sum.values_start as usize..][..usize::from(sum.width)],
            };
            outgoing.batch.push(contribution);
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
    pub fn drain_rows(&mut self, mut each: impl FnMut(RowId, u32, &[u8])) {
        for sum in &self.sums {
            each(sum.row, sum.feature, &self.text[sum.key_start as usize..][..usize::from(sum.key_length)]);
        }
        self.clear();
    }

    fn clear(&mut self) {
        // Clearing a table touches all of it: for the few rows of a short window that is too much.
        if self.sums.len() * 16 < self.index.capacity() {
            for (place, sum) in self.sums.iter().enumerate() {
                if let Ok(entry) = self.index.find_entry(sum.row.table_hash(), |other| *other as usize == place) {
                    entry.remove();
                }
            }
        } else {
            self.index.clear();
        }
        self.sums.clear();
        self.values.clear();
        self.text.clear();
    }
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
