//! The numbers of a state's objects, and the names that follow from them.
//!
//! | object | what |
//! |---|---|
//! | `lock` | of a folder only: locked while a run uses the state |
//! | `lease.json` | who has the state, and how that is getting on (`lease.rs`) |
//! | `generations/<generation>` | a run has begun (`generation.rs`) |
//! | `manifests/<number>.json` | a checkpoint (`manifest.rs`) |
//! | `segments/<generation>-<serial>` | records of keys (`segment`) |
//! | `filters/<generation>-<serial>` | what else a checkpoint has, as bytes of others (`blob.rs`) |
//! | `journal/<number>.json` | positions that may have been published (`journal.rs`) |
//!
//! Segments are named after the run that wrote them: two runs that believe that the state is theirs never write to the
//! same name, and none deletes what a later one wrote. Numbers are decimal with leading zeros, so that a listing is in
//! order. What has another name is nobody's business here, and is left alone.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::epoch::Generation;

pub(super) const GENERATIONS: &str = "generations";
pub(super) const MANIFESTS: &str = "manifests";
pub(super) const SEGMENTS: &str = "segments";
pub(super) const FILTERS: &str = "filters";
pub(super) const JOURNAL: &str = "journal";

/// All folders of a state.
pub(super) const FOLDERS: [&str; 5] = [GENERATIONS, MANIFESTS, SEGMENTS, FILTERS, JOURNAL];

/// The name of an object within a state: a folder and a name, as `manifests/0000000007.json`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(String);

impl ObjectName {
    fn new(folder: &str, name: impl fmt::Display) -> ObjectName {
        ObjectName(format!("{folder}/{name}"))
    }

    /// The one that says who has the state.
    pub(super) fn lease() -> ObjectName {
        ObjectName("lease.json".to_owned())
    }

    /// As text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Counts checkpoints, over runs: of two, the one with the larger number is the newer. Numbers may be skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ManifestNumber(pub u64);

/// Counts entries of the journal, over runs. Numbers may be skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JournalNumber(pub u64);

/// Names a segment, or a filter: who wrote it, and which of its own it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SegmentId {
    /// The run that wrote it.
    pub generation: Generation,
    /// Counts what that run has written.
    pub serial: u64,
}

/// Hands out the names of what a run writes, each once. Clones hand out the same.
#[derive(Clone, Debug)]
pub struct SegmentIds {
    generation: Generation,
    next: Arc<AtomicU64>,
}

impl ManifestNumber {
    /// Its object.
    pub(super) fn object(self) -> ObjectName {
        ObjectName::new(MANIFESTS, format_args!("{self}.json"))
    }

    /// Its object, where the checkpoint was found damaged.
    pub(super) fn object_aside(self) -> ObjectName {
        ObjectName::new(MANIFESTS, format_args!("{self}.damaged"))
    }

    /// The number that an object of this name in the folder of manifests has.
    pub(super) fn of(name: &str) -> Option<ManifestNumber> {
        number(name.strip_suffix(".json")?).map(ManifestNumber)
    }

    /// The next one.
    pub(super) fn next(self) -> ManifestNumber {
        ManifestNumber(self.0 + 1)
    }
}

impl JournalNumber {
    /// Its object.
    pub(super) fn object(self) -> ObjectName {
        ObjectName::new(JOURNAL, format_args!("{self}.json"))
    }

    /// The number that an object of this name in the folder of the journal has.
    pub(super) fn of(name: &str) -> Option<JournalNumber> {
        number(name.strip_suffix(".json")?).map(JournalNumber)
    }

    /// The next one.
    pub(super) fn next(self) -> JournalNumber {
        JournalNumber(self.0 + 1)
    }
}

impl SegmentId {
    /// Its object, where it is a segment.
    pub(super) fn segment(self) -> ObjectName {
        ObjectName::new(SEGMENTS, self)
    }

    /// Its object, where it is a filter.
    pub(super) fn filter(self) -> ObjectName {
        ObjectName::new(FILTERS, self)
    }

    /// What an object of this name is, in the folder of segments or filters.
    pub(super) fn of(name: &str) -> Option<SegmentId> {
        let (generation, serial) = name.split_once('-')?;
        let generation = Generation(u32::try_from(number(generation)?).ok()?);
        Some(SegmentId { generation, serial: number(serial)? })
    }
}

impl SegmentIds {
    /// The names that this run gives.
    pub fn new(generation: Generation) -> SegmentIds {
        SegmentIds::of_process(generation, 0)
    }

    /// Those that this process of the run gives: no other process gives the same.
    pub fn of_process(generation: Generation, process: u32) -> SegmentIds {
        let first = (u64::from(process) << Self::SERIAL_BITS) + 1;
        SegmentIds { generation, next: Arc::new(AtomicU64::new(first)) }
    }

    /// So many names, in bits, has each process of a run.
    const SERIAL_BITS: u32 = 40;

    /// A name that was not given yet.
    pub fn next(&self) -> SegmentId {
        SegmentId { generation: self.generation, serial: self.next.fetch_add(1, Ordering::Relaxed) }
    }
}

/// The object that says that a run of this generation has begun.
pub(super) fn generation_object(generation: Generation) -> ObjectName {
    ObjectName::new(GENERATIONS, format_args!("{:010}", generation.0))
}

/// The generation that an object of this name stands for.
pub(super) fn generation_of(name: &str) -> Option<Generation> {
    u32::try_from(number(name)?).ok().map(Generation)
}

/// Digits alone, at least as many as are written here.
fn number(text: &str) -> Option<u64> {
    (text.len() >= 10 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

impl fmt::Display for ManifestNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}", self.0)
    }
}

impl fmt::Display for JournalNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}", self.0)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}-{:010}", self.generation.0, self.serial)
    }
}

impl TryFrom<String> for SegmentId {
    type Error = String;

    fn try_from(text: String) -> Result<SegmentId, String> {
        SegmentId::of(&text).ok_or_else(|| format!("'{text}' is not the name of a segment"))
    }
}

impl From<SegmentId> for String {
    fn from(id: SegmentId) -> String {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_go_there_and_back() {
        let id = SegmentId { generation: Generation(1_790_000_000), serial: 12 };
        assert_eq!(id.segment().to_string(), "segments/1790000000-0000000012");
        assert_eq!(SegmentId::of("1790000000-0000000012"), Some(id));
        assert_eq!(ManifestNumber(7).object().to_string(), "manifests/0000000007.json");
        assert_eq!(ManifestNumber::of("0000000007.json"), Some(ManifestNumber(7)));
        assert_eq!(JournalNumber::of("12345678901.json"), Some(JournalNumber(12_345_678_901)));
    }

    #[test]
    fn other_files_have_no_number() {
        for name in ["", "7.json", "notes.json", "0000000007", "0000000007.json#1", "+000000007.json", "0000000007.bak"]
        {
            assert_eq!(ManifestNumber::of(name), None, "{name}");
        }
        for name in ["1790000000", "1790000000-1", "9999999999-0000000001", "1790000000-0000000001-0000000001"] {
            assert_eq!(SegmentId::of(name), None, "{name}");
        }
    }
}
