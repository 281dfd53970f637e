//! Writing what a checkpoint needs of a worker, between other work.
//!
//! [`DecayCounters::cut`] begins a snapshot of the state as it is then: it takes no time. [`DecayCounters::write_snapshot`] writes a
//! slice of it with every call; whatever changes meanwhile is written as it was at the cut. Where several records of a snapshot are
//! of one key, the last one holds (and of one that says only what was published, what comes before it).

use std::collections::VecDeque;

use super::blocks::BlockAddress;
use super::counters::DecayCounters;
use super::features::FeatureTable;
use super::in_flight::InFlight;
use super::key_table::KeyTable;
use super::marks::Moment;
use super::record::{RecordWriter, RecordedFeature, write_head};
use super::touched::{IdSet, Note, Noted, Retired, TouchBits, Touched};
use super::uniques_store::UniquesStore;
use crate::checkpoint::RecordKind;
use crate::clock::StreamTime;
use crate::epoch::Window;
use crate::peers::WorkerIndex;
use crate::sums::KeyId;

/// Records leave in pieces of about so many bytes.
const PIECE_BYTES: usize = 256 << 10;
/// So many keys are written at once, at most: some tens of microseconds.
const KEYS_AT_ONCE: usize = if cfg!(test) { 2 } else { 256 };
/// So many pieces of lists that are of no use any more are given back at once: some tens of microseconds.
const RELEASED_AT_ONCE: usize = 8;
/// How many keys ahead of the one that is written memory is asked for.
const AHEAD: usize = 16;

/// What a worker keeps for checkpoints.
#[derive(Debug)]
pub(super) struct Snapshots {
    pub touched: Touched,
    running: Option<Snapshot>,
    /// What the last snapshot was of, until it is known to be durable.
    undecided: Option<Noted>,
    retired: Retired,
    /// Counts snapshots, from 1.
    number: u32,
    /// Which worker's state it is.
    worker: WorkerIndex,
}

/// A snapshot that is being written.
#[derive(Debug)]
struct Snapshot {
    noted: Noted,
    /// How many of each list were looked at: those that have left, those that were published, those that were touched.
    looked_at: [usize; 3],
    /// How many of the shards' filters of evicted keys were looked at. (What is evicted meanwhile may be in them.)
    filters: usize,
    /// Keys that were written because they changed, before all was said of what has left and was published: of them nothing more may be
    /// said.
    early: IdSet,
    piece: Vec<u8>,
    /// The features of rows that were written since the last full piece, and that the snapshot has not named before.
    features: Vec<RecordedFeature>,
    full: VecDeque<Piece>,
    /// Milliseconds since 1970 at the moment 0.
    began_at: i64,
    end: SnapshotEnd,
}

/// Some records of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    /// Whole records, one behind the other.
    pub records: Vec<u8>,
    /// The features that rows in here name, and no piece before.
    pub features: Vec<RecordedFeature>,
}

/// What follows behind the last records of a snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct SnapshotEnd {
    /// The stream's time at the cut.
    pub stream: StreamTime,
    /// The newest window in the rows.
    pub window: Window,
    /// How many rows were held.
    pub rows: u64,
}

/// What [`DecayCounters::write_snapshot`] has for whoever gathers it.
#[derive(Debug)]
pub(crate) enum Written {
    /// Some records.
    Records(Piece),
    /// The filters of the evicted keys of some shard.
    Evicted(Vec<u8>),
    /// All records have left.
    End(SnapshotEnd),
    /// Nothing yet; there is more to write.
    NotYet,
    /// There is no snapshot.
    Nothing,
}

/// What belongs to keys outside of their blocks.
pub(super) struct Held<'a> {
    pub features: &'a mut FeatureTable,
    pub uniques: &'a UniquesStore,
    pub in_flight: &'a InFlight,
}

impl Snapshots {
    pub fn new(worker: WorkerIndex) -> Snapshots {
        Snapshots {
            touched: Touched::default(),
            running: None,
            undecided: None,
            retired: Retired::default(),
            number: 0,
            worker,
        }
    }

    /// Writes a key that the running snapshot awaits.
    fn write_awaited(&mut self, keys: &mut KeyTable, key: BlockAddress, held: &mut Held<'_>) {
        let awaited = self.touched.awaited();
        let Some(snapshot) = &mut self.running else { return };
        let block = keys.block(key);
        let is_in_flight = held.in_flight.contains(block.id());
        let since = block.mark().map(|mark| keys.marks().since(mark));
        let marked_since = since.map(|Moment(since)| snapshot.began_at.saturating_add_unsigned(since));
        let mut writer = RecordWriter { features: held.features, uniques: held.uniques, snapshot: self.number };
        writer.write_key(block, is_in_flight, marked_since, &mut snapshot.features, &mut snapshot.piece);
        snapshot.cut_piece();
        if !snapshot.is_at_touched() {
            snapshot.early.insert(block.id());
        }
        let bits = block.touch_bits().without(awaited);
        keys.block_mut(key).set_touch_bits(bits);
    }

    /// Takes notice that a key is about to leave with all its rows.
    pub fn note_leaving(&mut self, keys: &mut KeyTable, key: BlockAddress, held: &mut Held<'_>) {
        if keys.block(key).touch_bits().contains(self.touched.awaited()) {
            self.write_awaited(keys, key, held);
        }
        self.touched.noted.gone.push(keys.block(key).id());
    }
}

impl DecayCounters {
    /// From here on, what is touched is noted. Before any key is there. This is the state of that worker.
    pub fn keep_for_checkpoints(&mut self, worker: WorkerIndex) {
        self.snapshots = Some(Snapshots::new(worker));
        self.in_flight.tell_answered();
        self.touch_is_done = (TouchBits::MASK, self.snapshots.as_ref().map_or(0, |own| own.touched.now().bits()));
    }

    /// Begins a snapshot of the state as it is now; the one before must have ended, and what became of it must be told. Moments count
    /// from `began_at`, in milliseconds since 1970.
    pub fn cut(&mut self, began_at: i64) {
        let (rows, window) = (self.keys.rows() as u64, self.window);
        let Some(snapshots) = &mut self.snapshots else { return };
        debug_assert!(snapshots.running.is_none() && snapshots.undecided.is_none());
        snapshots.number += 1;
        let noted = snapshots.touched.cut();
        snapshots.running = Some(Snapshot {
            noted,
            looked_at: [0; 3],
            filters: 0,
            early: IdSet::new(),
            piece: Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4),
            features: Vec::new(),
            full: VecDeque::new(),
            began_at,
            end: SnapshotEnd { stream: self.stream.clone(), window, rows },
        });
        self.touch_is_done.1 = snapshots.touched.now().bits();
    }

    /// Takes notice that the last snapshot, which has ended, is durable.
    pub fn snapshot_is_durable(&mut self) {
        if let Some(snapshots) = &mut self.snapshots
            && let Some(noted) = snapshots.undecided.take()
        {
            snapshots.retired.add(noted);
        }
    }

    /// Gives back some memory of snapshots that are durable. To be called between other work.
    pub fn release_some(&mut self) {
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.retired.release_some(RELEASED_AT_ONCE);
        }
    }

    /// Takes notice that the last snapshot, which has ended, is lost: the next one will hold what it held. Goes over all of its keys.
    pub fn snapshot_is_lost(&mut self) {
        let undecided = self.snapshots.as_mut().and_then(|snapshots| snapshots.undecided.take());
        let Some(Noted { touched, gone, published }) = undecided else { return };
        if let Some(limiter) = &mut self.limiter {
            limiter.evicted.changed_all();
        }
        for note in touched.iter() {
            if let Some(key) = self.keys.find_noted(note) {
                self.touch(key);
            }
        }
        for id in published.iter() {
            self.note_answered(id);
        }
        if let Some(snapshots) = &mut self.snapshots {
            gone.iter().for_each(|id| snapshots.touched.noted.gone.push(id));
        }
    }

    /// Writes the next slice of the snapshot. To be called between other work, whenever there is room for what it writes.
    pub fn write_snapshot(&mut self) -> Written {
        let Some(snapshot) = self.snapshots.as_mut().and_then(|snapshots| snapshots.running.as_mut()) else {
            return Written::Nothing;
        };
        if let Some(piece) = snapshot.full.pop_front() {
            return Written::Records(piece);
        }
        for _ in 0..KEYS_AT_ONCE {
            if !self.write_next() {
                return self.end_snapshot();
            }
            if let Some(piece) = self.full_piece() {
                return Written::Records(piece);
            }
        }
        Written::NotYet
    }

    /// The last records, and then the end.
    fn end_snapshot(&mut self) -> Written {
        let Some(snapshots) = &mut self.snapshots else { return Written::Nothing };
        let Some(mut snapshot) = snapshots.running.take() else { return Written::Nothing };
        if let Some(piece) = snapshot.full.pop_front() {
            snapshots.running = Some(snapshot);
            return Written::Records(piece);
        }
        if !snapshot.piece.is_empty() {
            let (records, features) = (std::mem::take(&mut snapshot.piece), std::mem::take(&mut snapshot.features));
            snapshots.running = Some(snapshot);
            return Written::Records(Piece { records, features });
        }
        let mut filters = Vec::new();
        if let Some(limiter) = &mut self.limiter
            && let Some(next) = limiter.evicted.write_changed(snapshots.worker, snapshot.filters, &mut filters)
        {
            snapshot.filters = next;
            snapshots.running = Some(snapshot);
            return Written::Evicted(filters);
        }
        snapshots.undecided = Some(snapshot.noted);
        Written::End(snapshot.end)
    }

    fn full_piece(&mut self) -> Option<Piece> {
        let snapshot = self.snapshots.as_mut()?.running.as_mut()?;
        snapshot.full.pop_front()
    }

    /// Writes what is noted next; `false`: there is no more.
    fn write_next(&mut self) -> bool {
        let Some(snapshots) = &mut self.snapshots else { return false };
        let awaited = snapshots.touched.awaited();
        let Some(snapshot) = &mut snapshots.running else { return false };
        let [gone, published, touched] = &mut snapshot.looked_at;
        if let Some(id) = snapshot.noted.gone.get(*gone) {
            *gone += 1;
            snapshot.say_of(id, RecordKind::Tombstone);
            return true;
        }
        if let Some(id) = snapshot.noted.published.get(*published) {
            *published += 1;
            snapshot.say_of(id, RecordKind::Published);
            return true;
        }
        snapshot.early.release_some();
        let Some(note) = snapshot.noted.touched.get(*touched) else { return false };
        *touched += 1;
        if let Some(ahead) = snapshot.noted.touched.get(*touched + AHEAD) {
            self.keys.prefetch_noted(ahead);
        }
        // What has left was written before it did.
        if let Some(key) = self.keys.find_noted(note)
            && self.keys.block(key).touch_bits().contains(awaited)
        {
            self.write_awaited(key);
        }
        true
    }

    /// Writes a key that the running snapshot awaits.
    fn write_awaited(&mut self, key: BlockAddress) {
        let DecayCounters { keys, features, uniques, in_flight, snapshots, .. } = self;
        if let Some(snapshots) = snapshots {
            snapshots.write_awaited(keys, key, &mut Held { features, uniques, in_flight });
        }
    }

    /// Takes notice that a key is about to change, or is new.
    #[inline(always)]
    pub(super) fn touch(&mut self, key: BlockAddress) {
        let (mask, done) = self.touch_is_done;
        if self.keys.block(key).touch_bits().bits() & mask != done {
            self.note_touch(key);
        }
    }

    #[cold]
    #[inline(never)]
    fn note_touch(&mut self, key: BlockAddress) {
        let Some(snapshots) = &self.snapshots else { return };
        let (now, awaited) = (snapshots.touched.now(), snapshots.touched.awaited());
        if self.keys.block(key).touch_bits().contains(awaited) {
            self.write_awaited(key);
        }
        let block = self.keys.block(key);
        let (id, bits) = (block.id(), block.touch_bits());
        if !bits.contains(now)
            && let Some(snapshots) = &mut self.snapshots
        {
            snapshots.touched.noted.touched.push(Note { id, at: key });
            self.keys.block_mut(key).set_touch_bits(bits.with(now));
        }
    }

    /// Takes notice that a key is about to leave with all its rows.
    pub(super) fn note_leaving(&mut self, key: BlockAddress) {
        let DecayCounters { keys, features, uniques, in_flight, snapshots, .. } = self;
        if let Some(snapshots) = snapshots {
            snapshots.note_leaving(keys, key, &mut Held { features, uniques, in_flight });
        }
    }

    /// Takes notice of keys of which all that was read is answered for.
    pub(super) fn note_answered(&mut self, id: KeyId) {
        let Some(snapshots) = &mut self.snapshots else { return };
        let Some(key) = self.keys.find(id) else { return };
        let block = self.keys.block(key);
        // What was touched is written as a whole.
        if block.mark().is_none() && !block.touch_bits().contains(snapshots.touched.now()) {
            snapshots.touched.noted.published.push(id);
        }
    }
}

impl Snapshot {
    /// Says that a key has left, or that it was published, unless its rows were written already.
    fn say_of(&mut self, id: KeyId, kind: RecordKind) {
        if !self.early.contains(id) {
            write_head(id, kind, &mut self.piece);
            self.cut_piece();
        }
    }

    /// Whether all was said of what has left and was published.
    fn is_at_touched(&self) -> bool {
        let [gone, published, _] = self.looked_at;
        gone >= self.noted.gone.len() && published >= self.noted.published.len()
    }

    fn cut_piece(&mut self) {
        if self.piece.len() >= PIECE_BYTES {
            let next = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
            let records = std::mem::replace(&mut self.piece, next);
            self.full.push_back(Piece { records, features: std::mem::take(&mut self.features) });
        }
    }
}

#[cfg(test)]
mod tests;
