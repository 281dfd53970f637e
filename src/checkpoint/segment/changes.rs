//! Makes segments of what workers hand over in any order.

use super::dictionary::Dictionary;
use super::layout::SegmentEntry;
use super::record::{Record, records};
use super::rules::{ClearMarks, Cleared, newest};
use super::writer::SegmentWriter;
use crate::checkpoint::error::{CheckpointError, CheckpointErrorKind};
use crate::checkpoint::names::SegmentIds;
use crate::checkpoint::store::Store;
use crate::sums::{KeyId, Shard};

/// What was touched between two checkpoints.
///
/// Records are gathered by shard, sorted and written as a segment, and that before the end as often as `most_bytes` are gathered:
/// so memory is bounded (by some 3 x `most_bytes`), and a large checkpoint has several segments. Where a key comes twice,
/// the later record holds, by the same rules as between segments.
pub struct Changes {
    store: Store,
    names: SegmentIds,
    clear_marks: ClearMarks,
    most_bytes: usize,
    shards: Vec<Vec<u8>>,
    gathered_bytes: usize,
    dictionary: Dictionary,
    written: Vec<SegmentEntry>,
}

impl Changes {
    /// As much as is gathered, as a rule, before it is written.
    pub const MOST_BYTES: usize = 64 << 20;

    /// No changes yet.
    pub fn new(store: &Store, names: &SegmentIds, most_bytes: usize, clear_marks: ClearMarks) -> Changes {
        let shards = vec![Vec::new(); usize::from(Shard::COUNT)];
        let (dictionary, written) = (Dictionary::default(), Vec::new());
        let (store, names) = (store.clone(), names.clone());
        Changes { store, names, clear_marks, most_bytes, shards, gathered_bytes: 0, dictionary, written }
    }

    /// Features that rows name: to be called before records that name them are added.
    pub fn add_features(&mut self, features: &Dictionary) -> Result<(), CheckpointError> {
        self.dictionary.add_all(features)
    }

    /// Adds whole records, one behind the other, in any order.
    pub fn add(&mut self, chunk: &[u8]) -> Result<(), CheckpointError> {
        let mut end = 0;
        for record in records(chunk) {
            self.shards[usize::from(record.key().shard().0)].extend_from_slice(record.bytes());
            end += record.bytes().len();
        }
        if end != chunk.len() {
            let message = "a worker's part of a checkpoint is no sequence of records: this is a bug";
            return Err(CheckpointError::new(CheckpointErrorKind::Failed, message));
        }
        self.gathered_bytes += end;
        if self.gathered_bytes >= self.most_bytes { self.write_segment() } else { Ok(()) }
    }

    /// Makes the rest durable. Returns all segments, the oldest first; none if nothing was added.
    pub fn finish(mut self) -> Result<Vec<SegmentEntry>, CheckpointError> {
        if self.gathered_bytes > 0 {
            self.write_segment()?;
        }
        Ok(self.written)
    }

    fn write_segment(&mut self) -> Result<(), CheckpointError> {
        let mut segment = SegmentWriter::begin(&self.store, self.names.next(), self.gathered_bytes as u64)?;
        let mut order = Vec::new();
        for shard in &mut self.shards {
            write_sorted(shard, &mut order, &mut segment, self.clear_marks)?;
            // What a shard had last time it will have again, give or take; what it had beyond that is given back.
            shard.shrink_to(shard.len());
            shard.clear();
        }
        self.written.push(segment.finish(&self.dictionary)?);
        self.gathered_bytes = 0;
        Ok(())
    }
}

/// Writes the records of a shard by key, each key once. `order` is room to work in.
fn write_sorted(
    shard: &[u8],
    order: &mut Vec<(KeyId, usize)>,
    segment: &mut SegmentWriter,
    clear_marks: ClearMarks,
) -> Result<(), CheckpointError> {
    let mut cleared = Cleared::default();
    order.clear();
    let mut start = 0;
    order.extend(records(shard).map(|record| {
        let this = (record.key(), start);
        start += record.bytes().len();
        this
    }));
    order.sort_unstable();
    for same in order.chunk_by(|(one, _), (other, _)| one == other) {
        let newest_first = || same.iter().rev().filter_map(|&(_, start)| Record::first_of(&shard[start..]));
        let taken = newest(newest_first().map(|record| record.kind()));
        let Some(record) = newest_first().nth(taken.index) else { continue };
        let record = if taken.cleared { cleared.of(record, clear_marks) } else { Some(record) };
        if let Some(record) = record {
            segment.write(record)?;
        }
    }
    Ok(())
}
