//! What is kept so that a run can end at any moment: checkpoints, the journal, generations, and the store they lie in.
//!
//! A *checkpoint* is the state at an epoch's end. Its *manifest* (`manifest`) names the *segments* (`segment`) that hold it:
//! each has what was touched between two checkpoints, and a later one wins over an earlier one (`merge`). So that they
//! stay few, some are merged now and then (`compaction` decides which, `compact` does it). `commit` writes manifests and
//! deletes what none of those that are kept names; `search` finds the newest that is whole.
//!
//! `generation` numbers runs, `journal` keeps the positions of what may have been published, and `store` is the folder or
//! bucket below all of it. `names` lists the objects. `failpoint` makes steps fail in tests.
//!
//! Nothing here knows what is in a key's record beyond its head, and nothing here knows a thread or the dataflow. Every
//! call blocks until what it did is durable.

mod blob;
mod commit;
mod compact;
pub mod compaction;
mod error;
pub mod failpoint;
mod generation;
mod journal;
mod lease;
mod manifest;
mod merge;
mod names;
mod sealed;
mod search;
mod segment;
mod store;
#[cfg(test)]
pub(crate) mod tests;

pub use blob::{BlobEntry, read_filter, write_filter};
pub use commit::Commits;
pub use compact::{compact, replace};
pub use error::{CheckpointError, CheckpointErrorKind};
pub use generation::Claim;
pub use journal::{Journal, JournalEntry, KeptEntries};
pub use lease::{FreeLease, HeldLease, LeaseRecord};
pub use manifest::{DeadLetterFile, Manifest};
pub use merge::{Depth, Merge};
pub use names::{JournalNumber, ManifestNumber, ObjectName, SegmentId, SegmentIds};
pub use search::{PassedOver, Restorable, Search};
pub use segment::{
    Block, Blocks, Changes, Checksum, ClearMarks, Dictionary, Record, RecordKind, Segment, SegmentEntry, SegmentWriter,
    append_record, records,
};
pub use store::{Contents, Location, LockHolder, ObjectWriter, StateLock, Store, set_aside};
