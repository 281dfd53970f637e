//! Segments there and back, their merges against a map, and every damage found.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::layout::{BadHeader, check_header, header};
use super::*;
use crate::checkpoint::tests::{
    Model, apply, chunk, clear_marks, dictionary, key, memory, open_all, read_all, segments,
};
use crate::checkpoint::{Depth, Merge, SegmentIds, Store, compact};
use crate::epoch::Generation;
use crate::sums::{KeyId, Shard};

type Said = (KeyId, RecordKind, Vec<u8>);

fn names() -> SegmentIds {
    SegmentIds::new(Generation(1_790_000_000))
}

fn any_record() -> impl Strategy<Value = Said> {
    let kind = prop_oneof![
        1 => Just(RecordKind::Tombstone),
        4 => Just(RecordKind::Key),
        2 => Just(RecordKind::Published),
    ];
    (0u64..60, kind, proptest::collection::vec(any::<u8>(), 1..40)).prop_map(|(number, kind, payload)| {
        let payload = if kind == RecordKind::Key { payload } else { Vec::new() };
        (key(number), kind, payload)
    })
}

fn all_records(store: &Store, entries: &[SegmentEntry], depth: Depth) -> Vec<Said> {
    let mut merge = Merge::new(&open_all(store, entries), |_| true, depth, clear_marks).unwrap();
    let mut records = Vec::new();
    while let Some(record) = merge.next().unwrap() {
        records.push((record.key(), record.kind(), record.payload().to_vec()));
    }
    records
}

proptest! {
    #[test]
    fn merged_segments_say_what_all_records_said_one_after_the_other(
        checkpoints in proptest::collection::vec(proptest::collection::vec(any_record(), 0..50), 1..6),
        most_bytes in prop_oneof![Just(200usize), Just(1 << 20)],
        merged in (0usize..6, 1usize..6),
    ) {
        let (store, names) = (memory(), names());
        let mut model = Model::new();
        let mut entries = Vec::new();
        for records in &checkpoints {
            records.iter().for_each(|(key, kind, payload)| apply(&mut model, *key, *kind, payload));
            entries.extend(segments(&store, &names, most_bytes, records).unwrap());
        }
        prop_assert_eq!(&read_all(&open_all(&store, &entries)).unwrap(), &model);

        // Any run of them may be merged without changing what all say.
        let first = merged.0.min(entries.len());
        let run = first..(first + merged.1).min(entries.len());
        if !run.is_empty() {
            let depth = if first == 0 { Depth::ToTheBase } else { Depth::AboveOthers };
            let one = compact(&store, names.next(), &entries[run.clone()], depth, clear_marks).unwrap();
            let base = all_records(&store, std::slice::from_ref(&one), Depth::AboveOthers);
            prop_assert!(first > 0 || base.iter().all(|(_, kind, _)| *kind == RecordKind::Key), "a base has only keys");
            prop_assert_eq!(one.records, base.len() as u64);
            entries.splice(run, [one]);
            prop_assert_eq!(&read_all(&open_all(&store, &entries)).unwrap(), &model);
        }
    }

    #[test]
    fn only_wanted_shards_are_read(records in proptest::collection::vec(any_record(), 1..200), workers in 1u32..4) {
        let (store, names) = (memory(), names());
        let entries = segments(&store, &names, 1 << 20, &records).unwrap();
        let all = all_records(&store, &entries, Depth::AboveOthers);
        let mut parts = BTreeMap::new();
        for worker in 0..workers {
            let segment = &open_all(&store, &entries)[0];
            let mut blocks = segment.blocks(|shard| shard.owner(workers).0 == worker);
            while let Some(block) = blocks.next().unwrap() {
                prop_assert_eq!(block.shard().owner(workers).0, worker);
                for record in block.records() {
                    parts.insert(record.key(), record.kind());
                }
            }
        }
        prop_assert_eq!(parts.into_iter().collect::<Vec<_>>(), all.into_iter().map(|(key, kind, _)| (key, kind)).collect::<Vec<_>>());
    }
}

#[test]
fn a_tombstone_hides_what_lies_below_until_the_base_is_reached() {
    let (store, names) = (memory(), names());
    let old = segments(&store, &names, 1 << 20, &[(key(1), RecordKind::Key, b"1".to_vec())]).unwrap();
    let gone = segments(&store, &names, 1 << 20, &[(key(1), RecordKind::Tombstone, vec![])]).unwrap();
    let word = segments(&store, &names, 1 << 20, &[(key(2), RecordKind::Published, vec![])]).unwrap();
    let deltas = [gone, word].concat();
    let delta = compact(&store, names.next(), &deltas, Depth::AboveOthers, clear_marks).unwrap();
    assert_eq!(delta.records, 2);
    let base = compact(&store, names.next(), &[&old[..], &[delta]].concat(), Depth::ToTheBase, clear_marks).unwrap();
    assert_eq!(base.records, 0);
}

#[test]
fn within_a_checkpoint_word_of_publishing_does_not_replace_rows() {
    let (store, names) = (memory(), names());
    let records = [(key(1), RecordKind::Key, vec![1, 5]), (key(1), RecordKind::Published, vec![])];
    let entries = segments(&store, &names, 1 << 20, &records).unwrap();
    assert_eq!(all_records(&store, &entries, Depth::AboveOthers), [(key(1), RecordKind::Key, vec![0, 5])]);
}

#[test]
fn a_shard_may_be_larger_than_a_block_and_a_record_larger_than_both() {
    let (store, names) = (memory(), names());
    let records: Vec<Said> = (0..3000)
        .map(|number| {
            let length = if number % 1000 == 7 { 3 << 20 } else { 300 };
            (KeyId::from_words([number, 0]), RecordKind::Key, vec![number as u8; length])
        })
        .collect();
    let entries = segments(&store, &names, 1 << 30, &records).unwrap();
    let mut blocks = open_all(&store, &entries)[0].blocks(|shard| shard == Shard(0));
    let mut sizes = Vec::new();
    while let Some(block) = blocks.next().unwrap() {
        sizes.push(block.records().map(|record| record.bytes().len()).sum::<usize>());
    }
    assert!(sizes.iter().all(|size| *size <= 256 << 10 || *size == (3 << 20) + 21) && sizes.len() > 6, "{sizes:?}");
    assert_eq!(all_records(&store, &entries, Depth::AboveOthers), records);
}

#[test]
fn records_out_of_order_and_chunks_of_something_else_are_refused() {
    let (store, names) = (memory(), names());
    let mut segment = SegmentWriter::begin(&store, names.next(), 0).unwrap();
    let bytes = chunk(&[(key(1), RecordKind::Tombstone, vec![])]);
    segment.write(Record::first_of(&bytes).unwrap()).unwrap();
    let error = segment.write(Record::first_of(&bytes).unwrap()).unwrap_err().to_string();
    assert!(error.contains("not in order"), "{error}");
    let mut changes = Changes::new(&store, &names, 1 << 20, clear_marks);
    let error = changes.add(&bytes[..20]).unwrap_err().to_string();
    assert!(error.contains("no sequence of records"), "{error}");
}

#[test]
fn a_dictionary_is_that_of_all_merged_segments() {
    let (store, names) = (memory(), names());
    let one = segments(&store, &names, 1 << 20, &[(key(1), RecordKind::Key, vec![1])]).unwrap();
    let mut changes = Changes::new(&store, &names, 1 << 20, clear_marks);
    let mut more = Dictionary::default();
    more.add(8, serde_json::json!({"name": "view"})).unwrap();
    changes.add_features(&more).unwrap();
    changes.add(&chunk(&[(key(2), RecordKind::Key, vec![1])])).unwrap();
    let entries = [one, changes.finish().unwrap()].concat();
    let merged = compact(&store, names.next(), &entries, Depth::ToTheBase, clear_marks).unwrap();
    let mut both = dictionary();
    both.add_all(&more).unwrap();
    assert_eq!(Segment::open(&store, &merged).unwrap().dictionary(), &both);
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let mut newer = header();
    newer[8] = 2;
    assert_eq!(check_header(&newer), Err(BadHeader::NoSegment), "its check is that of format 1");
    let check = xxhash_rust::xxh3::xxh3_64(&newer[..12]) as u32;
    newer[12..].copy_from_slice(&check.to_le_bytes());
    assert_eq!(check_header(&newer), Err(BadHeader::Newer(2)));
    assert_eq!(check_header(b"SQLite format 3\0"), Err(BadHeader::NoSegment));
}
