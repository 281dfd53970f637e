//! What tests of checkpoints share, and tests of how the parts work together.

mod commits;
mod damage;
mod disks;
mod golden;
mod kills;
mod restarts;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;

use super::failpoint::Failpoints;
use super::*;
use crate::sums::{HashSeed, KeyId};

/// What holds, by key.
pub(super) type Model = BTreeMap<KeyId, Vec<u8>>;

/// A time of the tests: these seconds after they begin.
pub(super) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds)
}

/// A store in memory.
pub(super) fn memory() -> Store {
    over(Arc::new(InMemory::new()), "")
}

/// A store over these objects, with these failures.
pub(crate) fn over(objects: Arc<dyn ObjectStore>, failures: &str) -> Store {
    let location = "s3://memory/state".parse().unwrap();
    Store::over(objects, ObjectPath::default(), location, Failpoints::parse(failures).unwrap()).unwrap()
}

/// A store in a folder.
pub(super) fn folder(path: &Path) -> Store {
    Store::open(&Location::Folder(path.to_owned())).unwrap()
}

/// A key of the tests: some spread over shards, some are in one.
pub(super) fn key(number: u64) -> KeyId {
    KeyId::from_words([number % 7 * (u64::MAX / 7) + number / 7, number])
}

/// Marks are the first byte of a payload.
#[expect(clippy::ptr_arg, reason = "it is a `ClearMarks`, which may make a payload shorter")]
pub(super) fn clear_marks(payload: &mut Vec<u8>) {
    if let Some(marks) = payload.first_mut() {
        *marks = 0;
    }
}

/// Says of a key in a model what a record says.
pub(super) fn apply(model: &mut Model, key: KeyId, kind: RecordKind, payload: &[u8]) {
    match kind {
        RecordKind::Key => drop(model.insert(key, payload.to_vec())),
        RecordKind::Tombstone => drop(model.remove(&key)),
        RecordKind::Published => {
            model.entry(key).and_modify(clear_marks);
        }
    }
}

/// Records, one behind the other.
pub(super) fn chunk(records: &[(KeyId, RecordKind, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, kind, payload) in records {
        assert!(append_record(&mut bytes, *key, *kind, payload));
    }
    bytes
}

/// Segments of these records, of at most about so many bytes.
pub(super) fn segments(
    store: &Store,
    names: &SegmentIds,
    most_bytes: usize,
    records: &[(KeyId, RecordKind, Vec<u8>)],
) -> Result<Vec<SegmentEntry>, CheckpointError> {
    let mut changes = Changes::new(store, names, most_bytes, clear_marks);
    changes.add_features(&dictionary())?;
    for record in records {
        changes.add(&chunk(std::slice::from_ref(record)))?;
    }
    changes.finish()
}

/// A dictionary.
pub(super) fn dictionary() -> Dictionary {
    let mut dictionary = Dictionary::default();
    dictionary.add(7, serde_json::json!({"name": "like"})).unwrap();
    dictionary
}

/// All that segments say, the oldest first, down to the base.
pub(super) fn read_all(segments: &[Segment]) -> Result<Model, CheckpointError> {
    let mut merge = Merge::new(segments, |_| true, Depth::ToTheBase, clear_marks)?;
    let mut model = Model::new();
    while let Some(record) = merge.next()? {
        assert_eq!(record.kind(), RecordKind::Key);
        assert!(model.insert(record.key(), record.payload().to_vec()).is_none(), "each key comes once");
    }
    Ok(model)
}

/// The first segments of a state, opened.
pub(super) fn open_all(store: &Store, entries: &[SegmentEntry]) -> Vec<Segment> {
    entries.iter().map(|entry| Segment::open(store, entry).unwrap()).collect()
}

/// A checkpoint of the tests' pipeline.
pub(super) fn manifest(epoch: u64, segments: Vec<SegmentEntry>) -> Manifest {
    let mut manifest = Manifest::new("likes".to_owned(), HashSeed(7), at(epoch));
    manifest.epoch = crate::epoch::Epoch(epoch);
    manifest.segments = segments;
    manifest
}

/// Merges what is to be merged, as if segments were larger than they are.
pub(super) fn compact_some(
    store: &Store,
    names: &SegmentIds,
    entries: &mut Vec<SegmentEntry>,
) -> Result<(), CheckpointError> {
    let sizes: Vec<u64> = entries.iter().map(|entry| entry.bytes << 12).collect();
    let Some(chosen) = compaction::choose(&sizes) else { return Ok(()) };
    let merged_of = entries[chosen.segments].to_vec();
    let merged = compact(store, names.next(), &merged_of, chosen.depth, clear_marks)?;
    replace(entries, &merged_of, merged)
}

/// Begins a run as programs do: returns what it commits with, and what it starts from.
pub(super) fn begin(store: &Store, seconds: u64) -> Result<(Commits, Option<Restorable>), CheckpointError> {
    let claim = Claim::take(store, None, at(seconds))?;
    let mut search = Search::begin(store, "likes")?;
    let restored = search.next()?;
    let manifest = restored.as_ref().map(|restored| restored.manifest.clone());
    Ok((Commits::new(store, claim, manifest, search.largest()), restored))
}
