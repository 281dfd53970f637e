//! What segments of checkpoints cost: written, read and merged, with their checksums, in the page cache.
//!
//! ```text
//! cargo bench --bench segments                        10 million records of 60 bytes
//! cargo bench --bench segments -- 1000000             so many
//! ```
//!
//! The machine is shared and noisy: read the best of the rounds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on says so by a panic")]

use std::time::{Duration, Instant};

use counter_machine::checkpoint::{
    Changes, Depth, Dictionary, Location, Merge, RecordKind, Segment, SegmentEntry, SegmentIds, Store, append_record,
    compact,
};
use counter_machine::epoch::Generation;
use counter_machine::sums::KeyId;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

const ROUNDS: usize = 3;
const PAYLOAD_BYTES: usize = 39;

fn main() {
    let asked = std::env::args().filter_map(|argument| argument.parse().ok()).next();
    let count: u64 = asked.unwrap_or(10_000_000);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::Folder(folder.path().to_owned())).unwrap();
    let names = SegmentIds::new(Generation(1));
    let chunks = chunks(count, 1);
    let bytes = chunks.iter().map(Vec::len).sum();
    for round in 1..=ROUNDS {
        println!("round {round}: {count} records, {:.1} MB", bytes as f64 / 1e6);
        let segments = told(bytes, "write (sorted, checked, synced)", || write(&store, &names, &chunks));
        let base = told(bytes, "merge into one", || {
            compact(&store, names.next(), &segments, Depth::ToTheBase, |_| {}).unwrap()
        });
        told(bytes, "read blocks", || read_blocks(&store, &base));
        told(bytes, "read records", || read_records(&store, &base));
        told(bytes, "read as a merge of one", || read_merged(&store, std::slice::from_ref(&base)));
        told(bytes, "read as a merge of all", || read_merged(&store, &segments));
    }
    zstd_of(&chunks);
}

/// What workers hand over: records in no order, with identities that are hashes and payloads like rows: a feature's
/// number, flags, a time and three values.
fn chunks(count: u64, seed: u64) -> Vec<Vec<u8>> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut chunks = vec![Vec::new()];
    for _ in 0..count {
        let mut payload = [0; PAYLOAD_BYTES];
        payload[0..8].copy_from_slice(&(random.random_range(0..20_u64) * 0x9e37_79b9_7f4a_7c15).to_le_bytes());
        payload[8..15].copy_from_slice(&(1_707_605_599_u64 + random.random_range(0..1 << 20_u64)).to_le_bytes()[..7]);
        for value in payload[15..].chunks_exact_mut(8) {
            value.copy_from_slice(&random.random_range(0.0..50.0_f64).to_le_bytes());
        }
        let key = KeyId::from_words([random.random(), random.random()]);
        let last = chunks.last_mut().unwrap();
        append_record(last, key, RecordKind::Key, &payload);
        if last.len() > 64 << 10 {
            chunks.push(Vec::new());
        }
    }
    chunks
}

fn write(store: &Store, names: &SegmentIds, chunks: &[Vec<u8>]) -> Vec<SegmentEntry> {
    let mut changes = Changes::new(store, names, Changes::MOST_BYTES, |_| {});
    changes.add_features(&Dictionary::default()).unwrap();
    chunks.iter().for_each(|chunk| changes.add(chunk).unwrap());
    changes.finish().unwrap()
}

fn read_blocks(store: &Store, entry: &SegmentEntry) {
    let mut blocks = Segment::open(store, entry).unwrap().blocks(|_| true);
    while blocks.next().unwrap().is_some() {}
}

fn read_records(store: &Store, entry: &SegmentEntry) {
    let (mut blocks, mut seen) = (Segment::open(store, entry).unwrap().blocks(|_| true), 0);
    while let Some(block) = blocks.next().unwrap() {
        for record in block.records() {
            seen += record.payload()[0] as u64 + 1;
        }
    }
    assert!(std::hint::black_box(seen) >= entry.records);
}

fn read_merged(store: &Store, entries: &[SegmentEntry]) {
    let segments: Vec<Segment> = entries.iter().map(|entry| Segment::open(store, entry).unwrap()).collect();
    let (mut merge, mut seen) = (Merge::new(&segments, |_| true, Depth::ToTheBase, |_| {}).unwrap(), 0);
    while let Some(record) = merge.next().unwrap() {
        seen += record.payload().len();
    }
    assert!(std::hint::black_box(seen) > 0);
}

/// What compressing blocks would save, and cost.
fn zstd_of(chunks: &[Vec<u8>]) {
    let some: Vec<&Vec<u8>> = chunks.iter().take(1000).collect();
    let bytes: usize = some.iter().map(|chunk| chunk.len()).sum();
    let start = Instant::now();
    let compressed: Vec<Vec<u8>> = some.iter().map(|chunk| zstd::bulk::compress(chunk, 1).unwrap()).collect();
    let compressing = start.elapsed();
    let start = Instant::now();
    some.iter().zip(&compressed).for_each(|(chunk, small)| drop(zstd::bulk::decompress(small, chunk.len()).unwrap()));
    let rate = |time: Duration| bytes as f64 / time.as_secs_f64() / 1e6;
    let part = compressed.iter().map(Vec::len).sum::<usize>() as f64 / bytes as f64;
    println!(
        "zstd, level 1: to {:.0} %, at {:.0} MB/s and back at {:.0} MB/s",
        part * 100.0,
        rate(compressing),
        rate(start.elapsed())
    );
}

fn told<T>(bytes: usize, what: &str, act: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = act();
    let seconds = start.elapsed().as_secs_f64();
    println!("  {what}: {seconds:.2} s, {:.0} MB/s", bytes as f64 / seconds / 1e6);
    done
}
