//! What has been read for a table and is not yet known to be in it.
//!
//! A mark is gone from the state once the row has been read, but the table may never get what was read. So what is in
//! flight is kept here, by the identities of keys and not by where they lie: a key that goes and comes back must not be
//! written twice at once. A key in flight is not read again before all that was read of it is answered for.

use std::collections::BTreeMap;
use std::ops::Range;

use hashbrown::HashTable;

use super::marks::Moment;
use crate::sink::{ItemBatch, Outcome};
use crate::sums::KeyId;

/// Names one batch in flight of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BatchId(pub u64);

/// Items for a table, to be [answered](InFlight::answer) for.
#[derive(Debug)]
pub(crate) struct Handover {
    pub id: BatchId,
    pub items: ItemBatch,
}

/// A batch counts as so many bytes at least: so their number is bounded, too.
const LEAST_BYTES: u64 = 16 << 10;

/// The keys in flight, and of which batches they are. As many as a table has room for.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    keys: HashTable<Held>,
    batches: BTreeMap<BatchId, Batch>,
    next: u64,
    items: usize,
    bytes_given: u64,
    /// What was written is given back, too: somebody wants to know what items show.
    gives_back_written: bool,
    /// Keys that have left the table's hands since they were last [taken](InFlight::take_answered), where somebody wants to know.
    answered: Option<Vec<KeyId>>,
}

/// A key that may not be read again yet.
#[derive(Debug)]
struct Held {
    id: KeyId,
    /// In so many batches.
    batches: u32,
    /// The table has one of them.
    is_given: bool,
}

/// What was read at once. Items are counted in the order in which they were read, key by key.
#[derive(Debug, Default)]
pub(super) struct Batch {
    keys: Vec<KeyInFlight>,
    /// The feature of each item.
    features: Vec<u32>,
    /// Since when the first of them waited, or longer.
    since: Option<Moment>,
    unanswered: usize,
    bytes: u64,
}

#[derive(Debug)]
struct KeyInFlight {
    id: KeyId,
    /// Its items end before this one.
    end: u32,
    unanswered: u32,
}

/// An item that was answered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Returned {
    pub key: KeyId,
    pub feature: u32,
    pub since: Moment,
}

impl Batch {
    /// Takes notice of a key, whose items follow.
    #[inline]
    pub fn begin_key(&mut self, id: KeyId, since: Moment) {
        self.keys.push(KeyInFlight { id, end: self.features.len() as u32, unanswered: 0 });
        self.since = Some(self.since.map_or(since, |first| first.min(since)));
    }

    #[inline]
    pub fn push(&mut self, feature: u32) {
        self.features.push(feature);
        if let Some(key) = self.keys.last_mut() {
            key.end += 1;
            key.unanswered += 1;
        }
    }
}

impl InFlight {
    /// With nothing in flight. What was written is given back, too, where that is asked for.
    pub fn new(gives_back_written: bool) -> InFlight {
        InFlight { gives_back_written, ..InFlight::default() }
    }

    /// From here on it is told which keys all that was read is answered for of.
    pub fn tell_answered(&mut self) {
        self.answered = Some(Vec::new());
    }

    /// The keys of which all that was read has been answered for since the last time.
    pub fn take_answered(&mut self) -> Vec<KeyId> {
        self.answered.as_mut().map(std::mem::take).unwrap_or_default()
    }

    #[inline]
    pub fn contains(&self, id: KeyId) -> bool {
        self.keys.find(hash(id), |held| held.id == id).is_some()
    }

    /// How many items have no answer yet.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Since when the oldest item has waited, or longer.
    pub fn oldest(&self) -> Option<Moment> {
        self.batches.values().filter_map(|batch| batch.since).min()
    }

    /// Since when the first item of a batch has waited, or longer.
    pub fn since(&self, id: BatchId) -> Option<Moment> {
        self.batches.get(&id)?.since
    }

    /// The bytes of the batches that the table has and has not answered for in full.
    pub fn bytes_given(&self) -> u64 {
        self.bytes_given
    }

    /// Takes notice of a batch whose items take so many bytes. It may be [given](InFlight::give) to the table when that has
    /// answered for all earlier ones with the same keys.
    pub fn depart(&mut self, mut batch: Batch, bytes: u64) -> BatchId {
        let id = BatchId(self.next);
        self.next += 1;
        // A key that waits for no answer would wait for ever.
        batch.keys.retain(|key| key.unanswered > 0);
        for key in &batch.keys {
            let held = self.keys.entry(hash(key.id), |held| held.id == key.id, |held| hash(held.id));
            held.or_insert(Held { id: key.id, batches: 0, is_given: false }).into_mut().batches += 1;
        }
        batch.unanswered = batch.features.len();
        self.items += batch.unanswered;
        batch.bytes = bytes.max(LEAST_BYTES);
        self.batches.insert(id, batch);
        id
    }

    /// Notes that the table gets a batch now, unless it has an earlier one with one of its keys; returns whether it does.
    pub fn give(&mut self, id: BatchId) -> bool {
        let Some(batch) = self.batches.get(&id) else { return false };
        let bytes = batch.bytes;
        let is_given = |key: &KeyInFlight| {
            self.keys.find(hash(key.id), |held| held.id == key.id).is_some_and(|held| held.is_given)
        };
        if batch.keys.iter().any(is_given) {
            return false;
        }
        for key in &batch.keys {
            if let Some(held) = self.keys.find_mut(hash(key.id), |held| held.id == key.id) {
                held.is_given = true;
            }
        }
        self.bytes_given += bytes;
        true
    }

    /// Takes the answer for some items of a batch, each answered for once, and gives them back if they must be marked again, or
    /// if all are wanted back.
    pub fn answer(&mut self, id: BatchId, items: Range<u32>, outcome: Outcome) -> Vec<Returned> {
        let Some(batch) = self.batches.get_mut(&id) else { return Vec::new() };
        let mut returned = Vec::new();
        let first = batch.keys.partition_point(|key| key.end <= items.start);
        let mut start = first.checked_sub(1).map_or(0, |before| batch.keys[before].end);
        for key in &mut batch.keys[first..] {
            if start >= items.end {
                break;
            }
            let own = start.max(items.start)..key.end.min(items.end);
            start = key.end;
            key.unanswered -= own.len() as u32;
            if key.unanswered == 0
                && let Ok(mut entry) = self.keys.find_entry(hash(key.id), |held| held.id == key.id)
            {
                let held = entry.get_mut();
                (held.batches, held.is_given) = (held.batches - 1, false);
                if held.batches == 0 {
                    entry.remove();
                    if let Some(answered) = &mut self.answered {
                        answered.push(key.id);
                    }
                }
            }
            if outcome == Outcome::NotWritten || self.gives_back_written {
                let since = batch.since.unwrap_or_default();
                let again = |item: u32| Returned { key: key.id, feature: batch.features[item as usize], since };
                returned.extend(own.map(again));
            }
        }
        batch.unanswered -= items.len();
        self.items -= items.len();
        if batch.unanswered == 0 {
            self.bytes_given -= batch.bytes;
            self.batches.remove(&id);
        }
        returned
    }
}

/// An identity is a hash already.
#[inline]
fn hash(id: KeyId) -> u64 {
    id.words()[1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(key: u64) -> KeyId {
        KeyId::of_test_key(&key.to_le_bytes())
    }

    fn batch(keys: &[(u64, u32)]) -> Batch {
        let mut batch = Batch::default();
        for (key, items) in keys {
            batch.begin_key(id(*key), Moment(*key));
            (0..*items).for_each(|feature| batch.push(feature));
        }
        batch
    }

    #[test]
    fn a_key_is_in_flight_until_each_of_its_items_has_an_answer() {
        let mut in_flight = InFlight::default();
        let first = in_flight.depart(batch(&[(5, 2), (6, 3)]), 100_000);
        let second = in_flight.depart(batch(&[(7, 1)]), 10);
        assert!(in_flight.give(first) && in_flight.give(second));
        assert_eq!((in_flight.items(), in_flight.oldest()), (6, Some(Moment(5))));
        assert_eq!(in_flight.answer(first, 1..3, Outcome::Written), []);
        assert!([5, 6, 7].into_iter().all(|key| in_flight.contains(id(key))));
        let again = in_flight.answer(first, 3..5, Outcome::NotWritten);
        let expected = [1, 2].map(|feature| Returned { key: id(6), feature, since: Moment(5) });
        assert_eq!(again, expected);
        assert!(!in_flight.contains(id(6)) && in_flight.contains(id(5)));
        assert_eq!(in_flight.bytes_given(), 100_000 + LEAST_BYTES);
        in_flight.answer(first, 0..1, Outcome::Written);
        assert_eq!(in_flight.bytes_given(), LEAST_BYTES);
        assert_eq!((in_flight.contains(id(5)), in_flight.oldest()), (false, Some(Moment(7))));
        in_flight.answer(second, 0..1, Outcome::Written);
        assert_eq!((in_flight.items(), in_flight.bytes_given()), (0, 0));
    }

    #[test]
    fn of_two_batches_with_the_same_key_the_second_is_given_when_the_first_is_answered_for() {
        let mut in_flight = InFlight::default();
        let first = in_flight.depart(batch(&[(5, 1)]), 1);
        let second = in_flight.depart(batch(&[(5, 1), (6, 1)]), 1);
        assert!(in_flight.give(first) && !in_flight.give(second));
        in_flight.answer(first, 0..1, Outcome::Written);
        assert!(in_flight.contains(id(5)) && in_flight.give(second));
        in_flight.answer(second, 0..2, Outcome::Written);
        assert!(!in_flight.contains(id(5)) && !in_flight.contains(id(6)));
    }
}
