//! Reads a segment: what it holds at first, then the blocks that are wanted.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::dictionary::Dictionary;
use super::layout::{
    BadHeader, BlockEntry, Checksum, FOOTER_BYTES, FORMAT, Footer, HEADER_BYTES, SegmentEntry, check_header,
};
use super::record::{Record, records};
use crate::checkpoint::error::{CheckpointError, CheckpointErrorKind};
use crate::checkpoint::names::SegmentId;
use crate::checkpoint::store::Store;
use crate::sums::Shard;

/// What is read at first from a segment's end: nearly always all that stands behind its blocks.
const TAIL_BYTES: u64 = 64 << 10;
/// How much is read at once: from a file, what stays in the processor's cache until it is used; from a bucket, what is worth a request.
const READ_BYTES: u64 = 1 << 20;
const REMOTE_READ_BYTES: u64 = 4 << 20;

/// A segment whose footer, index and dictionary are whole. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Segment(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    store: Store,
    entry: SegmentEntry,
    dictionary: Dictionary,
    blocks: Vec<(BlockEntry, Range<u64>)>,
}

/// The wanted blocks of a segment, in order.
#[derive(Debug)]
pub struct Blocks {
    segment: Segment,
    /// Indices of blocks that are still to be read.
    wanted: VecDeque<usize>,
    read: VecDeque<(usize, Bytes)>,
}

/// Records of one shard, checked.
#[derive(Clone, Debug)]
pub struct Block {
    shard: Shard,
    bytes: Bytes,
}

impl Segment {
    /// Opens a segment that a manifest names. Fails where it is missing, or not what the manifest says; its blocks are
    /// looked at when they are read.
    pub fn open(store: &Store, entry: &SegmentEntry) -> Result<Segment, CheckpointError> {
        let segment = Segment::find(store, entry.name)?;
        let found = &segment.0.entry;
        if found == entry {
            return Ok(segment);
        }
        let what = format!(
            "its manifest names one of {} bytes with the checksum {}, there is one of {} bytes with {}",
            entry.bytes, entry.hash, found.bytes, found.hash
        );
        Err(CheckpointError::damaged(store.place(&entry.name.segment()), what))
    }

    /// Opens the segment of this name, whatever is in it.
    pub fn find(store: &Store, name: SegmentId) -> Result<Segment, CheckpointError> {
        let object = name.segment();
        let damaged = |what: &str| CheckpointError::damaged(store.place(&object), what);
        let bytes = store.size(&object)?;
        if bytes < (HEADER_BYTES + FOOTER_BYTES) as u64 {
            return Err(damaged("it is shorter than any segment"));
        }
        let read_tail = |tail: u64| -> Result<[Bytes; 2], CheckpointError> {
            let ranges = [0..HEADER_BYTES as u64, bytes - tail.min(bytes)..bytes];
            let parts = store.get_ranges(&object, &ranges)?;
            parts.try_into().map_err(|_| damaged("it is shorter than what was written"))
        };
        let [header, mut tail] = read_tail(TAIL_BYTES)?;
        check_header(&header).map_err(|bad| match bad {
            BadHeader::NoSegment => damaged("it does not begin like a segment of counter-machine"),
            BadHeader::Newer(found) => {
                let message = format!(
                    "{} has format {found}, this version of counter-machine reads format {FORMAT}: use the version that \
                     wrote it, or a later one",
                    store.place(&object)
                );
                CheckpointError::new(CheckpointErrorKind::Newer, message)
            }
        })?;
        let footer_bytes = tail.split_off(tail.len() - FOOTER_BYTES);
        let cut = "it is cut off, or its footer was changed";
        let footer = Footer::read(&footer_bytes).ok_or_else(|| damaged(cut))?;
        let tail_bytes =
            footer.tail_bytes().filter(|tail| *tail <= bytes - HEADER_BYTES as u64).ok_or_else(|| damaged(cut))?;
        if tail_bytes > tail.len() as u64 + FOOTER_BYTES as u64 {
            [_, tail] = read_tail(tail_bytes)?;
            tail.truncate(tail.len() - FOOTER_BYTES);
        }
        let index = tail.split_off(tail.len() - footer.index_bytes as usize);
        let dictionary = tail.split_off(tail.len() - footer.dictionary_bytes as usize);
        if xxh3_64(&index) != footer.index_hash {
            return Err(damaged("its index of blocks was changed"));
        }
        let dictionary =
            (xxh3_64(&dictionary) == footer.dictionary_hash).then(|| serde_json::from_slice(&dictionary).ok());
        let dictionary = dictionary.flatten().ok_or_else(|| damaged("its dictionary was changed"))?;
        let blocks = with_ranges(BlockEntry::all(&index), bytes - tail_bytes)
            .ok_or_else(|| damaged("its index and its size do not fit together"))?;
        let entry = SegmentEntry { name, bytes, records: footer.records, hash: Checksum::of(&footer_bytes) };
        Ok(Segment(Arc::new(Opened { store: store.clone(), entry, dictionary, blocks })))
    }

    /// What a manifest says of it.
    pub fn entry(&self) -> &SegmentEntry {
        &self.0.entry
    }

    /// The features that its rows name.
    pub fn dictionary(&self) -> &Dictionary {
        &self.0.dictionary
    }

    /// The blocks of the shards that are wanted. Each is checked before it is handed out.
    pub fn blocks(&self, wanted: impl Fn(Shard) -> bool) -> Blocks {
        let all = self.0.blocks.iter().enumerate();
        let wanted = all.filter(|(_, (entry, _))| wanted(entry.shard)).map(|(index, _)| index).collect();
        Blocks { segment: self.clone(), wanted, read: VecDeque::new() }
    }
}

/// Where blocks lie: one behind the other, behind the header, up to `end`. `None` if they do not end there, or are not in order.
fn with_ranges(entries: Vec<BlockEntry>, end: u64) -> Option<Vec<(BlockEntry, Range<u64>)>> {
    let mut next = HEADER_BYTES as u64;
    let blocks: Vec<_> = entries
        .into_iter()
        .map(|entry| {
            let start = next;
            next += u64::from(entry.bytes);
            (entry, start..next)
        })
        .collect();
    let in_order = blocks.is_sorted_by_key(|(entry, _)| entry.shard);
    let known = blocks.last().is_none_or(|(entry, _)| entry.shard.0 < Shard::COUNT);
    (next == end && in_order && known).then_some(blocks)
}

impl Blocks {
    /// The next block. Fails where it is damaged.
    #[expect(clippy::should_implement_trait, reason = "it fails, and who goes on after that is wrong")]
    pub fn next(&mut self) -> Result<Option<Block>, CheckpointError> {
        if self.read.is_empty() {
            self.read_some()?;
        }
        let Some((index, bytes)) = self.read.pop_front() else { return Ok(None) };
        let opened = &self.segment.0;
        let (entry, range) = &opened.blocks[index];
        if xxh3_64(&bytes) == entry.hash && are_records(&bytes, *entry) {
            return Ok(Some(Block { shard: entry.shard, bytes }));
        }
        let what = format!(
            "block {index} (shard {}, bytes {} to {}) is not what was written",
            entry.shard.0, range.start, range.end
        );
        Err(CheckpointError::damaged(opened.store.place(&opened.entry.name.segment()), what))
    }

    fn read_some(&mut self) -> Result<(), CheckpointError> {
        let opened = &self.segment.0;
        let at_once = if opened.store.is_remote() { REMOTE_READ_BYTES } else { READ_BYTES };
        let (mut indices, mut ranges, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(&index) = self.wanted.front() {
            let range = opened.blocks[index].1.clone();
            bytes += range.end - range.start;
            if bytes > at_once && !indices.is_empty() {
                break;
            }
            indices.push(index);
            ranges.push(range);
            self.wanted.pop_front();
        }
        if !indices.is_empty() {
            let parts = opened.store.get_ranges(&opened.entry.name.segment(), &ranges)?;
            self.read.extend(indices.into_iter().zip(parts));
        }
        Ok(())
    }
}

/// Whether a block holds what its index says: so many records, all of that shard, in order.
fn are_records(bytes: &[u8], entry: BlockEntry) -> bool {
    let (mut count, mut end, mut last) = (0, 0, None);
    for record in records(bytes) {
        if last >= Some(record.key()) || record.key().shard() != entry.shard {
            return false;
        }
        last = Some(record.key());
        count += 1;
        end += record.bytes().len();
    }
    count == entry.records && end == bytes.len()
}

impl Block {
    /// The shard of all its keys.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// Its records, by key.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        records(&self.bytes)
    }

    /// The record that begins so many bytes behind the block's beginning; `None` at its end.
    #[inline]
    pub(in crate::checkpoint) fn record_at(&self, at: usize) -> Option<Record<'_>> {
        Record::first_of(self.bytes.get(at..)?)
    }
}
