//! Writes a segment from records that come in order.

use xxhash_rust::xxh3::xxh3_64;

use super::dictionary::Dictionary;
use super::layout::{BlockEntry, Checksum, Footer, SegmentEntry, header};
use super::record::Record;
use crate::checkpoint::error::{CheckpointError, CheckpointErrorKind};
use crate::checkpoint::failpoint::Step;
use crate::checkpoint::names::SegmentId;
use crate::checkpoint::store::{ObjectWriter, Store};
use crate::sums::{KeyId, Shard};

/// A block of this size is full.
const BLOCK_BYTES: usize = 256 << 10;

/// A segment that is being written. It is there with [`SegmentWriter::finish`]; if that is not called, it never was.
pub struct SegmentWriter {
    store: Store,
    name: SegmentId,
    object: ObjectWriter,
    block: Vec<u8>,
    block_records: u32,
    index: Vec<u8>,
    blocks: u32,
    records: u64,
    last: Option<KeyId>,
}

impl SegmentWriter {
    /// Begins a segment of about so many bytes.
    pub fn begin(store: &Store, name: SegmentId, expected_bytes: u64) -> Result<SegmentWriter, CheckpointError> {
        store.reach(Step::SegmentBegun)?;
        let mut object = store.writer(name.segment(), expected_bytes);
        object.write(&header())?;
        Ok(SegmentWriter {
            store: store.clone(),
            name,
            object,
            block: Vec::with_capacity(BLOCK_BYTES),
            block_records: 0,
            index: Vec::new(),
            blocks: 0,
            records: 0,
            last: None,
        })
    }

    /// Writes a record. Its key must be above all before; else it fails, and so does the segment.
    pub fn write(&mut self, record: Record<'_>) -> Result<(), CheckpointError> {
        let key = record.key();
        if let Some(last) = self.last {
            if key <= last {
                let message =
                    format!("cannot write {}: its keys are not in order", self.store.place(&self.name.segment()));
                return Err(CheckpointError::new(CheckpointErrorKind::Failed, message));
            }
            let full = self.block.len() + record.bytes().len() > BLOCK_BYTES;
            if key.shard() != last.shard() || (full && !self.block.is_empty()) {
                self.end_block(last.shard())?;
            }
        }
        self.block.extend_from_slice(record.bytes());
        self.block_records += 1;
        self.records += 1;
        self.last = Some(key);
        Ok(())
    }

    /// Makes the segment durable under its name.
    pub fn finish(mut self, dictionary: &Dictionary) -> Result<SegmentEntry, CheckpointError> {
        if let Some(last) = self.last {
            self.end_block(last.shard())?;
        }
        let dictionary = serde_json::to_vec(dictionary).map_err(|error| {
            let message = format!("cannot write the dictionary of {}", self.store.place(&self.name.segment()));
            CheckpointError::caused_by(CheckpointErrorKind::Failed, message, error)
        })?;
        let footer = Footer {
            index_bytes: self.index.len() as u64,
            dictionary_bytes: dictionary.len() as u64,
            records: self.records,
            index_hash: xxh3_64(&self.index),
            dictionary_hash: xxh3_64(&dictionary),
            blocks: self.blocks,
        };
        for part in [&dictionary[..], &self.index, &footer.bytes()] {
            self.object.write(part)?;
        }
        let bytes = self.object.written_bytes();
        self.object.finish()?;
        self.store.reach(Step::SegmentWritten)?;
        Ok(SegmentEntry { name: self.name, bytes, records: self.records, hash: Checksum::of(&footer.bytes()) })
    }

    /// How many records were written.
    pub fn records(&self) -> u64 {
        self.records
    }

    fn end_block(&mut self, shard: Shard) -> Result<(), CheckpointError> {
        if self.blocks == 0 {
            self.store.reach_half_written(Step::SegmentPartlyWritten, &self.name.segment(), &self.block)?;
        }
        // A record is shorter than 4 GiB and 21 bytes: only one of that very length does not fit.
        let bytes = u32::try_from(self.block.len()).map_err(|_| {
            let message = format!("cannot write {}: a key has 4 GiB of rows", self.store.place(&self.name.segment()));
            CheckpointError::new(CheckpointErrorKind::Failed, message)
        })?;
        let entry = BlockEntry { shard, bytes, records: self.block_records, hash: xxh3_64(&self.block) };
        entry.append(&mut self.index);
        self.object.write(&self.block)?;
        self.blocks += 1;
        self.block.clear();
        self.block_records = 0;
        Ok(())
    }
}
