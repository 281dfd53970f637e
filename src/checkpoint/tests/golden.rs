//! Files of each format that was ever written still load, and what is written now is what the last format says.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::epoch::{Epoch, Generation, Window};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoint")
}

/// What the golden state holds.
fn records() -> Vec<(KeyId, RecordKind, Vec<u8>)> {
    vec![
        (key(1), RecordKind::Key, b"rows of one".to_vec()),
        (key(2), RecordKind::Tombstone, vec![]),
        (key(9), RecordKind::Key, vec![0xff; 40]),
        (key(16), RecordKind::Published, vec![]),
    ]
}

/// Writes the golden state, as a run of today does.
fn write(store: &Store) {
    let claim = Claim::take(store, None, at(0)).unwrap();
    let names = SegmentIds::new(claim.generation());
    let mut draft = manifest(0, segments(store, &names, 1 << 20, &records()).unwrap());
    draft.epoch = Epoch(8_500_000_123);
    draft.groups.insert("user".to_owned(), "key userId; count; 5s, 10s".to_owned());
    draft.window = Window(8_500_000_124);
    draft.stream_clock = serde_json::json!({"time": 1_707_605_599, "fraction": 0.5});
    draft.positions = serde_json::json!({"topic": "events", "partitions": {"0": 42}});
    draft.dead_letters =
        Some(DeadLetterFile { path: "dead_letters.jsonl".into(), length: 120, head_hash: Checksum::of(b"{}") });
    draft.evicted = vec![write_filter(store, names.next(), b"a filter").unwrap()];
    Commits::new(store, claim, None, None).commit(draft).unwrap();
}

#[test]
fn a_state_of_format_1_still_loads() {
    let store = Store::open_existing(&Location::Folder(golden())).unwrap();
    let restored = Search::begin(&store, "likes").unwrap().next().unwrap().unwrap();
    restored.verify(&store).unwrap();
    let manifest = &restored.manifest;
    assert_eq!((manifest.number, manifest.generation), (ManifestNumber(1), Generation(1_790_000_000)));
    assert_eq!((manifest.epoch, manifest.window), (Epoch(8_500_000_123), Window(8_500_000_124)));
    assert_eq!(manifest.created, "2026-09-21T14:13:20Z");
    assert_eq!(manifest.positions["partitions"]["0"], 42);
    assert_eq!(read_filter(&store, &manifest.evicted[0]).unwrap(), &b"a filter"[..]);
    let mut merge = Merge::new(&restored.segments, |_| true, Depth::AboveOthers, clear_marks).unwrap();
    let mut read = Vec::new();
    while let Some(record) = merge.next().unwrap() {
        read.push((record.key(), record.kind(), record.payload().to_vec()));
    }
    let mut expected = records();
    expected.sort_by_key(|(key, _, _)| *key);
    assert_eq!(read, expected);
    assert_eq!(restored.segments[0].dictionary(), &dictionary());
}

#[test]
fn what_is_written_today_is_format_1_byte_by_byte() {
    let state = tempfile::tempdir().unwrap();
    write(&folder(state.path()));
    for name in ["manifests/0000000001.json", "segments/1790000000-0000000001", "filters/1790000000-0000000002"] {
        let (now, then) = (fs::read(state.path().join(name)).unwrap(), fs::read(golden().join(name)).unwrap());
        assert!(now == then, "{name}: {}", String::from_utf8_lossy(&now));
    }
}

#[test]
fn a_manifest_of_a_newer_format_is_refused_and_not_passed_over() {
    let store = memory();
    let (mut commits, _) = begin(&store, 0).unwrap();
    commits.commit(manifest(1, Vec::new())).unwrap();
    let newer = sealed::seal(&serde_json::json!({"format": 2, "number": 2, "what": "is not known yet"})).unwrap();
    store.create(&ManifestNumber(2).object(), &newer).unwrap();
    let error = Search::begin(&store, "likes").unwrap().next().unwrap_err();
    assert_eq!(error.kind(), CheckpointErrorKind::Newer);
    assert!(error.to_string().contains("0000000002.json has format 2"), "{error}");

    let foreign = sealed::seal(&serde_json::json!({"format": 1, "number": 3, "color": "red"})).unwrap();
    store.create(&ManifestNumber(3).object(), &foreign).unwrap();
    let error = Search::begin(&store, "likes").unwrap().next().unwrap_err();
    assert_eq!(error.kind(), CheckpointErrorKind::Foreign);
}

/// Writes the golden files anew: for a new format, beside those of the old ones.
#[test]
#[ignore = "writes files of the repository"]
fn write_golden_files() {
    write(&folder(&golden()));
    fs::remove_dir_all(golden().join("generations")).unwrap();
}
