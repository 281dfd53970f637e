//! A segment: records of keys, sorted, in blocks that tell damage by themselves.
//!
//! ```text
//! header       16 bytes: "CMsegmnt", format (u32), check of these 12 bytes (u32)
//! block ...    records, one behind the other: of one shard, by key
//! dictionary   JSON: {"<feature id>": {"name": ..., ...}, ...}
//! index        20 bytes a block: shard (u16), 0 (u16), bytes (u32), records (u32), XXH3 of the block (u64)
//! footer       64 bytes: bytes of index and dictionary (2 x u64), records (u64), XXH3 of index and dictionary (2 x u64),
//!              format (u32), blocks (u32), XXH3 of the header and of this up to here (u64), "CMsegEND"
//! ```
//!
//! All numbers are little-endian. A *record* is a key's identity (16 bytes), its kind (u8), the length of what follows
//! (u32), and that: the payload, which is nobody's business here. Shards rise from block to block, keys within a shard; each key comes
//! once. A block has some 256 KiB, or less where its shard ends, or one record that is longer.
//!
//! The footer's checksum covers the index's, and that the blocks': so what a manifest says of a segment, its size and the
//! checksum of its footer, says all of it. Blocks are checked when they are read, before a record of theirs is seen.
//!
//! Blocks are not compressed: identities and values are random bits. Zstandard at its fastest takes a fifth off records like
//! those of `benches/segments`, and packs 250 MB/s and unpacks 600 MB/s where blocks are read and checked at 2,000 MB/s.

mod changes;
mod dictionary;
mod layout;
mod reader;
mod record;
mod rules;
#[cfg(test)]
mod tests;
mod writer;

pub use changes::Changes;
pub use dictionary::Dictionary;
pub use layout::{Checksum, SegmentEntry};
pub use reader::{Block, Blocks, Segment};
pub use record::{Record, RecordKind, append_record, records};
pub use rules::ClearMarks;
pub use writer::SegmentWriter;

pub(super) use rules::{Cleared, Taken, newest};
