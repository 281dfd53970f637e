//! Any order of growing, marking, removing and closing holes, against a map.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const RHYTHM: RhythmId = RhythmId(0);

fn id(key: u64) -> KeyId {
    KeyId::of_test_key(&key.to_le_bytes())
}

fn text(key: u64) -> String {
    format!("{key}{}", "x".repeat((key % 37) as usize))
}

/// How many words a row of this feature has that is not single.
fn width(feature: u32) -> usize {
    1 + feature as usize % 5
}

/// What a map knows of a row: its last update, and its words.
type Row = (i64, Vec<u64>);

/// A table beside what must be in it.
struct Twins {
    table: KeyTable,
    model: BTreeMap<u64, BTreeMap<u32, Row>>,
    /// Which keys are marked.
    marked: BTreeSet<[u64; 2]>,
    /// What was noted of keys, at all times.
    notes: Vec<Note>,
}

impl Twins {
    fn new() -> Twins {
        Twins { table: KeyTable::new(1), model: BTreeMap::new(), marked: BTreeSet::new(), notes: Vec::new() }
    }

    /// As a merge does it: a first event makes a single row, a second one gives it all its words.
    fn change(&mut self, key: u64, feature: u32, time: i64) {
        let table = &mut self.table;
        let since = key.is_multiple_of(3).then_some(EventTime(key as i64));
        let found = table.find(id(key));
        let address = found.or_else(|| table.insert(id(key), text(key).as_bytes(), since, row_words(1))).expect("room");
        let rows = self.model.entry(key).or_default();
        let address = match table.block(address).find(feature) {
            Err(row) => {
                let address = table.make_room(address, row_words(1)).expect("small enough");
                table.insert_row(address, row, feature, true, EventTime(time), &[u64::from(feature)]);
                rows.insert(feature, (time, vec![u64::from(feature)]));
                address
            }
            Ok(row) => {
                let mut address = address;
                if table.block(address).row(row).is_single() {
                    address = table.make_room(address, width(feature) - 1).expect("small enough");
                    table.block_mut(address).grow_row(row, width(feature) - 1);
                }
                let (last_update, words) = table.change_row(address, row, width(feature));
                *last_update = time as u64;
                words.iter_mut().enumerate().for_each(|(index, word)| *word = time as u64 * 10 + index as u64);
                rows.insert(feature, (time, words.to_vec()));
                address
            }
        };
        table.queue(address, RHYTHM, Moment(time as u64));
        self.notes.push(Note { id: id(key), at: address });
        self.marked.insert(id(key).words());
    }

    /// Takes the marks away, as publishing does: each changed key is there once.
    fn publish(&mut self) {
        self.take(usize::MAX);
        self.take(usize::MAX);
        assert_eq!((self.table.marked_rows(), self.marked.len()), (0, 0));
        assert_eq!(self.table.marks().oldest(), None);
    }

    /// Takes so many keys of the round that is under way, or of a new one.
    fn take(&mut self, most: usize) {
        if !self.table.marks().is_in_round(RHYTHM) {
            self.table.begin_round(RHYTHM);
        }
        for _ in 0..most {
            let oldest = self.table.marks().oldest();
            let Some((key, since)) = self.table.take(RHYTHM) else { return };
            assert!(oldest.is_some_and(|oldest| oldest <= since), "{oldest:?}, {since:?}");
            assert!(self.marked.remove(&self.table.block(key).id().words()));
            self.table.settle_rows(key, || Fate::Taken);
        }
    }

    /// Removes the rows of one feature, or the whole key.
    fn remove(&mut self, key: u64, feature: Option<u32>) {
        let Some(address) = self.table.find(id(key)) else { return };
        match feature {
            None => {
                self.table.remove(address);
                self.model.remove(&key);
                self.marked.remove(&id(key).words());
            }
            Some(feature) => {
                self.table.remove_rows(address, |row| {
                    let words = if row.is_single() { 1 } else { width(feature) };
                    (row.feature() == feature).then_some(words)
                });
                let rows = self.model.get_mut(&key).expect("is in both");
                rows.remove(&feature);
                if rows.is_empty() {
                    self.model.remove(&key);
                    self.marked.remove(&id(key).words());
                }
            }
        }
    }

    /// A note of a key leads to it, whatever has moved or left since, and to no other.
    fn assert_noted(&self) {
        for note in &self.notes {
            self.table.prefetch_noted(*note);
            assert_eq!(self.table.find_noted(*note), self.table.find(note.id), "{note:?}");
        }
    }

    fn assert_alike(&mut self) {
        self.assert_noted();
        for (key, rows) in &self.model {
            let address = self.table.find(id(*key)).unwrap_or_else(|| panic!("{key} is there"));
            let block = self.table.block(address);
            assert_eq!((block.id(), block.text(), block.rows()), (id(*key), text(*key).as_bytes(), rows.len()));
            assert_eq!(block.since(), key.is_multiple_of(3).then_some(EventTime(*key as i64)));
            for (row, (feature, (last_update, words))) in rows.iter().enumerate() {
                assert_eq!(block.find(*feature), Ok(row));
                let row = block.row(row);
                assert_eq!((row.feature(), row.last_update()), (*feature, EventTime(*last_update)));
                assert_eq!(row.words(if row.is_single() { 1 } else { width(*feature) }), words, "{key} {feature}");
            }
        }
        let rows: usize = self.model.values().map(BTreeMap::len).sum();
        assert_eq!((self.table.keys(), self.table.rows()), (self.model.len(), rows));
        let mut visited = Vec::new();
        self.table.for_each_key(|table, key| visited.push(table.block(key).id().words()));
        visited.sort_unstable();
        let mut expected: Vec<_> = self.model.keys().map(|key| id(*key).words()).collect();
        expected.sort_unstable();
        assert_eq!(visited, expected);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Change(u64, u32),
    Publish,
    Take(usize),
    Sort(usize),
    Remove(u64, Option<u32>),
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..40u64, prop_oneof![0..4u32, 0..120u32]).prop_map(|(key, feature)| Step::Change(key, feature)),
        1 => Just(Step::Publish),
        2 => (1..10usize).prop_map(Step::Take),
        1 => (1..10usize).prop_map(Step::Sort),
        3 => (0..40u64, prop::option::of(0..4u32)).prop_map(|(key, feature)| Step::Remove(key, feature)),
        1 => Just(Step::Compact),
    ]
}

proptest! {
    #[test]
    fn it_holds_what_a_map_holds(steps in prop::collection::vec(step(), 1..400)) {
        let mut twins = Twins::new();
        for (time, step) in (0..).zip(steps) {
            match step {
                Step::Change(key, feature) => twins.change(key, feature, time),
                Step::Publish => twins.publish(),
                Step::Take(most) => twins.take(most),
                Step::Sort(most) => twins.table.sort_round(RHYTHM, most),
                Step::Remove(key, feature) => twins.remove(key, feature),
                Step::Compact => twins.table.compact(),
            }
            twins.assert_noted();
        }
        twins.assert_alike();
        twins.publish();
        twins.assert_alike();
    }
}

#[test]
fn a_key_of_very_many_features_has_a_block_of_its_own() {
    let mut twins = Twins::new();
    for round in 0..3 {
        (0..2_000).for_each(|feature| twins.change(7, feature * 7919 % 2_003, round));
        twins.change(8, 1, round);
    }
    twins.publish();
    twins.assert_alike();
    let full = twins.table.allocated_bytes();
    (0..2_003).for_each(|feature| twins.remove(7, Some(feature)));
    twins.assert_alike();
    twins.table.compact();
    assert!(twins.table.allocated_bytes() < full / 2, "{} of {full}", twins.table.allocated_bytes());
}

#[test]
fn memory_of_outgrown_and_removed_keys_comes_back() {
    const KEYS: u64 = 200_000;
    let mut twins = Twins::new();
    (0..KEYS).for_each(|key| twins.change(key, 4, 0));
    twins.publish();
    let singles = twins.table.allocated_bytes();
    (0..KEYS).for_each(|key| twins.change(key, 4, 1));
    twins.publish();
    let values = twins.table.allocated_bytes();
    // Four words more a key, and not the singles beside them.
    assert!(values < singles + KEYS as usize * 8 * 7, "{singles} and {values} bytes");
    (0..KEYS).filter(|key| key % 10 > 0).for_each(|key| twins.remove(key, None));
    twins.assert_alike();
    let some = twins.table.allocated_bytes();
    // Without being asked to; half a slab of each class may be left.
    assert!(some < values / 2, "{some} of {values}");
    twins.table.compact();
    assert!(twins.table.allocated_bytes() < values / 7, "{} of {values}", twins.table.allocated_bytes());
    (0..KEYS).for_each(|key| twins.remove(key, None));
    assert_eq!(twins.table.keys(), 0);
    twins.change(5, 1, 2);
    twins.assert_alike();
}

/// Whatever is removed and grows between two looks, no key is left out of a round.
#[test]
fn a_round_visits_all_keys_that_stay() {
    const KEYS: u64 = 20_000;
    let mut twins = Twins::new();
    (0..KEYS).for_each(|key| twins.change(key, (key % 5) as u32, 0));
    twins.publish();
    while !twins.table.next_in_round().is_some_and(|(_, new_round)| new_round) {}
    let mut visited = BTreeSet::new();
    let mut next = 0;
    while let Some((key, new_round)) = twins.table.next_in_round() {
        if new_round {
            break;
        }
        visited.insert(twins.table.block(key).id().words());
        // Every third goes, every third grows, in an order of its own.
        let other = next * 7_919 % KEYS;
        next += 1;
        match other % 3 {
            0 => twins.remove(other, None),
            1 => (0..5).for_each(|feature| twins.change(other, feature, 1)),
            _ => {}
        }
        twins.publish();
    }
    let missed = twins.model.keys().filter(|key| !visited.contains(&id(**key).words())).count();
    // The very first was visited to begin the round.
    assert!(missed <= 1, "{missed} of {} keys", twins.model.len());
}

#[test]
fn keys_that_come_and_go_while_nobody_publishes_leave_no_trace_in_the_queue() {
    let mut twins = Twins::new();
    twins.change(0, 1, 0);
    let few = twins.table.marks().allocated_bytes();
    for time in 0..100_000 {
        twins.change(7 + time as u64 % 5, 1, time);
        twins.remove(7 + time as u64 % 5, None);
    }
    assert!(twins.table.marks().allocated_bytes() < few + 64 * 1024);
    twins.publish();
    twins.assert_alike();
}

#[test]
fn a_sorted_round_goes_by_the_bytes_of_texts() {
    let mut twins = Twins::new();
    (0..1_000).for_each(|key| twins.change(key * 7_919 % 1_000, 1, 0));
    twins.table.begin_round(RHYTHM);
    let mut texts = Vec::new();
    loop {
        twins.table.sort_round(RHYTHM, 600);
        let Some((key, _)) = twins.table.take(RHYTHM) else { break };
        texts.push(twins.table.block(key).text().to_vec());
    }
    assert!(texts[..600].is_sorted() && texts[600..].is_sorted() && texts.len() == 1_000);
}
