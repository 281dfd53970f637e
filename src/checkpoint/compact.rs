//! Merges segments into one.

use super::error::{CheckpointError, CheckpointErrorKind};
use super::merge::{Depth, Merge};
use super::names::SegmentId;
use super::segment::{ClearMarks, Dictionary, Segment, SegmentEntry, SegmentWriter};
use super::store::Store;

/// Writes what these segments say, the oldest first, as one segment. They stay as they are.
///
/// It may run while checkpoints are written: what it makes stands for just these segments, which [`replace`] puts into a
/// list that has grown behind them meanwhile.
pub fn compact(
    store: &Store,
    name: SegmentId,
    segments: &[SegmentEntry],
    depth: Depth,
    clear_marks: ClearMarks,
) -> Result<SegmentEntry, CheckpointError> {
    let opened = segments.iter().map(|entry| Segment::open(store, entry)).collect::<Result<Vec<_>, _>>()?;
    let mut dictionary = Dictionary::default();
    opened.iter().try_for_each(|segment| dictionary.add_all(segment.dictionary()))?;
    let mut merge = Merge::new(&opened, |_| true, depth, clear_marks)?;
    let expected_bytes = segments.iter().map(|entry| entry.bytes).sum();
    let mut merged = SegmentWriter::begin(store, name, expected_bytes)?;
    while let Some(record) = merge.next()? {
        merged.write(record)?;
    }
    merged.finish(&dictionary)
}

/// Puts a merged segment in the place of those that it was made of. Fails where these do not stand in the list as they did.
pub fn replace(
    list: &mut Vec<SegmentEntry>,
    merged_of: &[SegmentEntry],
    merged: SegmentEntry,
) -> Result<(), CheckpointError> {
    let first = merged_of.first().and_then(|first| list.iter().position(|entry| entry == first));
    match first {
        Some(first) if list[first..].starts_with(merged_of) => {
            list.splice(first..first + merged_of.len(), [merged]);
            Ok(())
        }
        _ => {
            let message = "segments were merged that the state does not have any more: this is a bug";
            Err(CheckpointError::new(CheckpointErrorKind::Failed, message))
        }
    }
}
