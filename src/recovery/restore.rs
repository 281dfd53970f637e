//! Rows as the last checkpoint has them, brought back into workers' states: each worker's shards by itself, all at the same time. Of
//! each, one thread reads and checks while another one fills the state.

use std::thread;

use bytes::Bytes;
use crossbeam_channel::{Sender, bounded};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::checkpoint::{
    CheckpointError, CheckpointErrorKind, Depth, Dictionary, Manifest, Merge, Restorable, Segment, Store, read_filter,
    records,
};
use crate::clock::StreamTime;
use crate::counter::EventTime;
use crate::peers::WorkerIndex;
use crate::pipeline::Beginnings;
use crate::state::{self, DecayCounters, RecordedFeature, RestoreError, RestoredFeatures};

/// As much is handed over at once: it stays in the processor's cache.
const BATCH_BYTES: usize = 256 << 10;
/// So often, at most, ahead of whoever takes it.
const BATCHES_WAITING: usize = 4;

/// What a worker's state is restored with.
pub(crate) struct RestoreInto<'a> {
    pub counters: &'a mut DecayCounters,
    /// Which of so many workers it is of.
    pub worker: WorkerIndex,
    pub workers: u32,
    /// Milliseconds since 1970 at the moment 0 of the run.
    pub began_at: i64,
    /// Every row is marked: the sink does not hold what an earlier run has published.
    pub mark_all: bool,
}

/// Brings the rows of a checkpoint back. Fails where some of it is damaged; what was restored by then is of no use.
pub(crate) fn restore(
    store: &Store,
    checkpoint: &Restorable,
    mut workers: Vec<RestoreInto<'_>>,
) -> Result<(), CheckpointError> {
    let evicted = checkpoint.manifest.evicted.iter().map(|entry| read_filter(store, entry));
    let found = &Found {
        checkpoint,
        stream: read_described(&checkpoint.manifest.stream_clock, "a checkpoint says no time that is one")?,
        features: features_of(&checkpoint.segments)?,
        evicted: evicted.collect::<Result<_, _>>()?,
    };
    let newest = match &mut workers[..] {
        [only] => restore_worker(found, only)?,
        many => thread::scope(|scope| {
            let threads: Vec<_> =
                many.iter_mut().map(|worker| scope.spawn(move || restore_worker(found, worker))).collect();
            let newest = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked())));
            newest.collect::<Result<Vec<_>, _>>().map(|newest| newest.into_iter().flatten().max())
        })?,
    };
    let beginnings = beginnings_of(&checkpoint.manifest)?;
    for RestoreInto { counters, .. } in workers {
        counters.begin_features(&checkpoint.manifest.groups, beginnings.clone(), newest);
    }
    Ok(())
}

/// A checkpoint, and what it says of all workers.
struct Found<'a> {
    checkpoint: &'a Restorable,
    stream: StreamTime,
    features: Vec<RecordedFeature>,
    evicted: Vec<Bytes>,
}

/// Returns the time of the newest event in any of its rows.
fn restore_worker(found: &Found<'_>, into: &mut RestoreInto<'_>) -> Result<Option<EventTime>, CheckpointError> {
    let Found { checkpoint, stream, features, evicted } = found;
    let RestoreInto { counters, worker, workers, began_at, mark_all } = into;
    let (worker, workers, began_at) = (*worker, *workers, *began_at);
    let mut known = if *mark_all { RestoredFeatures::marking_all() } else { RestoredFeatures::default() };
    counters.restore_stream(stream.clone());
    counters.restored_features(features, &mut known);
    for filters in evicted {
        let restored = counters.restore_evicted(worker, filters);
        restored.map_err(|error| CheckpointError::caused_by(CheckpointErrorKind::Damaged, error.to_string(), error))?;
    }
    let merge =
        Merge::new(&checkpoint.segments, |shard| shard.owner(workers) == worker, Depth::ToTheBase, clear_marks)?;
    let (outbox, batches) = bounded(BATCHES_WAITING);
    thread::scope(|scope| {
        let reader = thread::Builder::new().name("read state".to_owned()).spawn_scoped(scope, || read(merge, outbox));
        let reader = reader.map_err(|error| {
            CheckpointError::caused_by(CheckpointErrorKind::Failed, "cannot start a thread that reads the state", error)
        })?;
        for batch in batches {
            for record in records(&batch) {
                counters.restore_key(record.key(), record.payload(), &mut known, began_at).map_err(not_restored)?;
            }
        }
        reader.join().unwrap_or_else(|_| Err(panicked()))
    })?;
    counters.restored_all();
    Ok(known.newest())
}

/// Reads all records that hold, and hands them over; ends early where nobody takes them any more.
fn read(mut merge: Merge, outbox: Sender<Vec<u8>>) -> Result<(), CheckpointError> {
    let mut batch = Vec::with_capacity(BATCH_BYTES);
    while let Some(record) = merge.next()? {
        if batch.len() + record.bytes().len() > BATCH_BYTES && !batch.is_empty() {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH_BYTES));
            if outbox.send(full).is_err() {
                return Ok(());
            }
        }
        batch.extend_from_slice(record.bytes());
    }
    let _ = outbox.send(batch);
    Ok(())
}

fn panicked() -> CheckpointError {
    CheckpointError::new(CheckpointErrorKind::Failed, "restoring has panicked: this is a bug")
}

fn not_restored(error: RestoreError) -> CheckpointError {
    let kind = match error {
        RestoreError::Invalid(_) => CheckpointErrorKind::Damaged,
        RestoreError::NoRoom(_) => CheckpointErrorKind::Failed,
    };
    CheckpointError::caused_by(kind, format!("a key cannot be restored: {error}"), error)
}

/// The features that rows of these segments may name.
fn features_of(segments: &[Segment]) -> Result<Vec<RecordedFeature>, CheckpointError> {
    let mut all = Dictionary::default();
    segments.iter().try_for_each(|segment| all.add_all(segment.dictionary()))?;
    let read = |(_, feature): (u64, &Value)| {
        serde_json::from_value(feature.clone()).map_err(|error| {
            let message = "a checkpoint names a feature in a way that is not understood";
            CheckpointError::caused_by(CheckpointErrorKind::Damaged, message, error)
        })
    };
    all.iter().map(read).collect()
}

/// Since when what had been added to a state by then counts.
pub(crate) fn beginnings_of(manifest: &Manifest) -> Result<Beginnings, CheckpointError> {
    if manifest.since.is_null() {
        return Ok(Beginnings::default());
    }
    read_described(
        &manifest.since,
        "a checkpoint says in a way that is not understood since when what was added counts",
    )
}

/// The same, as a manifest has it; all workers know the same.
pub(crate) fn described_beginnings(counters: &[DecayCounters]) -> Result<Value, CheckpointError> {
    let beginnings = counters.first().map(DecayCounters::beginnings).filter(|beginnings| !beginnings.is_empty());
    beginnings.map_or(Ok(Value::Null), described)
}

fn read_described<T: DeserializeOwned>(value: &Value, otherwise: &str) -> Result<T, CheckpointError> {
    T::deserialize(value).map_err(|error| CheckpointError::caused_by(CheckpointErrorKind::Damaged, otherwise, error))
}

/// Features as a segment names them.
pub(super) fn dictionary_of(features: &[RecordedFeature]) -> Result<Dictionary, CheckpointError> {
    let mut dictionary = Dictionary::default();
    for feature in features {
        dictionary.add(feature.hash().0, described(feature)?)?;
    }
    Ok(dictionary)
}

/// Something that a checkpoint or the journal holds, as JSON.
pub(super) fn described(what: &impl Serialize) -> Result<Value, CheckpointError> {
    serde_json::to_value(what).map_err(|error| {
        CheckpointError::caused_by(CheckpointErrorKind::Failed, "a checkpoint cannot be described", error)
    })
}

/// Takes the marks out of a key's rows. (A payload that is none is left as it is: whoever reads it finds that out.)
#[expect(clippy::ptr_arg, reason = "it is handed on as a function of this type")]
pub(super) fn clear_marks(payload: &mut Vec<u8>) {
    let _ = state::clear_marks(payload);
}
