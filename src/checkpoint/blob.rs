//! What a checkpoint has beside records of keys: bytes that others make, as the filters of evicted keys.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::CheckpointError;
use super::names::SegmentId;
use super::segment::Checksum;
use super::store::Store;

/// What a manifest says of such an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobEntry {
    /// Which it is.
    pub name: SegmentId,
    /// Its size.
    pub bytes: u64,
    /// The checksum of all of it.
    pub hash: Checksum,
}

/// Makes these bytes durable as a filter.
pub fn write_filter(store: &Store, name: SegmentId, content: &[u8]) -> Result<BlobEntry, CheckpointError> {
    let mut object = store.writer(name.filter(), content.len() as u64);
    object.write(content)?;
    object.finish()?;
    Ok(BlobEntry { name, bytes: content.len() as u64, hash: Checksum::of(content) })
}

/// The bytes of a filter. Fails where they are not those that were written.
pub fn read_filter(store: &Store, entry: &BlobEntry) -> Result<Bytes, CheckpointError> {
    let object = entry.name.filter();
    let content = store.get(&object)?;
    if content.len() as u64 == entry.bytes && Checksum::of(&content) == entry.hash {
        return Ok(content);
    }
    let what = format!("it has {} bytes, and {} bytes of other content were written", content.len(), entry.bytes);
    Err(CheckpointError::damaged(store.place(&object), what))
}

/// Checks that a filter is there and as long as it was.
pub(super) fn look_for_filter(store: &Store, entry: &BlobEntry) -> Result<(), CheckpointError> {
    let object = entry.name.filter();
    let bytes = store.size(&object)?;
    if bytes == entry.bytes {
        return Ok(());
    }
    let what = format!("it has {bytes} bytes, and {} were written", entry.bytes);
    Err(CheckpointError::damaged(store.place(&object), what))
}
