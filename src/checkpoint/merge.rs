//! Several segments read as one: each key once, by what holds of it.
//!
//! A restore reads all segments of a checkpoint so, a compaction some that follow each other. Memory is bounded by what
//! is read at once of each segment.

use super::error::CheckpointError;
use super::segment::{Block, Blocks, ClearMarks, Cleared, Record, RecordKind, Segment, Taken, newest};
use crate::sums::{KeyId, Shard};

/// Whether there is anything below the segments that are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The oldest is the base: what is gone leaves nothing behind.
    ToTheBase,
    /// Older segments lie below: a tombstone must stay to hide what they hold, and so must word of what was published.
    AboveOthers,
}

/// The records that hold, by key.
#[derive(Debug)]
pub struct Merge {
    /// The newest first.
    sources: Vec<Source>,
    depth: Depth,
    clear_marks: ClearMarks,
    /// The key of the record that was lent last: sources that have it there are still to step over it.
    last: Option<KeyId>,
    cleared: Cleared,
}

/// A segment, and where it is being read.
#[derive(Debug)]
struct Source {
    blocks: Blocks,
    block: Option<Block>,
    at: usize,
    /// Of the record there: how long it is, its key (`None` at the end) and kind.
    bytes: usize,
    key: Option<KeyId>,
    kind: RecordKind,
}

impl Merge {
    /// The records of the wanted shards in these segments, the oldest segment first.
    pub fn new(
        segments: &[Segment],
        wanted: impl Fn(Shard) -> bool,
        depth: Depth,
        clear_marks: ClearMarks,
    ) -> Result<Merge, CheckpointError> {
        let sources = segments.iter().rev().map(|segment| Source::new(segment.blocks(&wanted)));
        let sources = sources.collect::<Result<_, _>>()?;
        Ok(Merge { sources, depth, clear_marks, last: None, cleared: Cleared::default() })
    }

    /// The next record. Fails where a segment is damaged; whoever goes on after that is wrong.
    #[expect(clippy::should_implement_trait, reason = "a record is lent until the next is asked for")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, CheckpointError> {
        let taken = loop {
            let Some(taken) = self.take()? else { return Ok(None) };
            if self.depth == Depth::AboveOthers || self.sources[taken.index].kind == RecordKind::Key {
                break taken;
            }
        };
        let record = self.sources[taken.index].record();
        let Some(record) = record.filter(|_| taken.cleared) else { return Ok(record) };
        Ok(self.cleared.of(record, self.clear_marks))
    }

    /// Goes on to the next key. Returns which source has the record that holds.
    fn take(&mut self) -> Result<Option<Taken>, CheckpointError> {
        if let Some(last) = self.last {
            self.sources.iter_mut().filter(|source| source.key == Some(last)).try_for_each(Source::step)?;
        }
        let (mut least, mut newest_with_it, mut with_it) = (None, 0, 0);
        for (index, source) in self.sources.iter().enumerate() {
            match (source.key, least) {
                (None, _) => {}
                (Some(key), Some(least)) if key > least => {}
                (Some(key), Some(least)) if key == least => with_it += 1,
                (Some(key), _) => (least, newest_with_it, with_it) = (Some(key), index, 1),
            }
        }
        self.last = least;
        match with_it {
            0 => Ok(None),
            // Most keys stand in one segment only.
            1 => Ok(Some(Taken { index: newest_with_it, cleared: false })),
            _ => Ok(self.newest_with(least)),
        }
    }

    /// Which of the sources that have this key has the record that holds.
    fn newest_with(&self, key: Option<KeyId>) -> Option<Taken> {
        let with_it = || (0..self.sources.len()).filter(|&source| self.sources[source].key == key);
        let taken = newest(with_it().map(|source| self.sources[source].kind));
        with_it().nth(taken.index).map(|index| Taken { index, ..taken })
    }
}

impl Source {
    fn new(blocks: Blocks) -> Result<Source, CheckpointError> {
        let mut source = Source { blocks, block: None, at: 0, bytes: 0, key: None, kind: RecordKind::Tombstone };
        source.step()?;
        Ok(source)
    }

    /// Steps over the record that is there.
    #[inline]
    fn step(&mut self) -> Result<(), CheckpointError> {
        self.at += self.bytes;
        loop {
            if let Some(record) = self.record() {
                let (bytes, key, kind) = (record.bytes().len(), record.key(), record.kind());
                (self.bytes, self.key, self.kind) = (bytes, Some(key), kind);
                return Ok(());
            }
            (self.at, self.bytes, self.key) = (0, 0, None);
            self.block = self.blocks.next()?;
            if self.block.is_none() {
                return Ok(());
            }
        }
    }

    #[inline]
    fn record(&self) -> Option<Record<'_>> {
        self.block.as_ref()?.record_at(self.at)
    }
}
