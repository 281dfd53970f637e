//! What a checkpoint is: a page that names all of it.
//!
//! A manifest is written once, under a new number, and never changed; the checkpoint is there when its manifest is. The text is a
//! line of JSON and a line with its checksum (`sealed.rs`), in an order of members that is always the same.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::blob::BlobEntry;
use super::error::{CheckpointError, CheckpointErrorKind};
use super::names::ManifestNumber;
use super::sealed::{seal, unseal};
use super::segment::{Checksum, SegmentEntry};
use super::store::Store;
use crate::epoch::{Epoch, Generation, Window};
use crate::sums::{HashSeed, Shard};

/// The format that is written, and read.
const FORMAT: u32 = 1;

/// A checkpoint's description.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Of this page and of all that it names.
    format: u32,
    /// Which checkpoint it is.
    pub number: ManifestNumber,
    /// The run that wrote it.
    pub generation: Generation,
    /// When, as RFC 3339, by the wall clock: for people.
    pub created: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// What the run published into: a state belongs to one sink.
    pub sink: String,
    /// By group, what gives its rows their meaning.
    pub groups: BTreeMap<String, String>,
    /// Since when what was added to it counts.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub since: Value,
    /// What keys are hashed with.
    pub seed: HashSeed,
    /// How many shards there are.
    shards: u16,
    /// The epoch at whose end the state was like this.
    pub epoch: Epoch,
    /// The last window of that epoch.
    pub window: Window,
    /// The stream's clock, over all workers.
    pub stream_clock: Value,
    /// Up to where every source was read.
    pub positions: Value,
    /// The file of dead letters.
    pub dead_letters: Option<DeadLetterFile>,
    /// The records of keys, the oldest segment first.
    pub segments: Vec<SegmentEntry>,
    /// The filters of evicted keys.
    pub evicted: Vec<BlobEntry>,
}

/// What is known of a file of dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterFile {
    /// Where it is.
    pub path: PathBuf,
    /// How long it was at the epoch's end, in bytes.
    pub length: u64,
    /// The checksum of how it begins.
    pub head_hash: Checksum,
}

impl Manifest {
    /// The description of a checkpoint that holds nothing yet. Number and generation are set when it is committed.
    pub fn new(pipeline: String, seed: HashSeed, created: SystemTime) -> Manifest {
        let created = jiff::Timestamp::try_from(created).map(|created| created.to_string()).unwrap_or_default();
        Manifest {
            format: FORMAT,
            number: ManifestNumber::default(),
            generation: Generation::default(),
            created,
            pipeline,
            sink: String::new(),
            groups: BTreeMap::new(),
            since: Value::Null,
            seed,
            shards: Shard::COUNT,
            epoch: Epoch::default(),
            window: Window::default(),
            stream_clock: Value::Null,
            positions: Value::Null,
            dead_letters: None,
            segments: Vec::new(),
            evicted: Vec::new(),
        }
    }

    /// Its text.
    pub(super) fn to_text(&self) -> Result<Bytes, CheckpointError> {
        seal(self)
    }

    /// Reads the checkpoint of this number.
    ///
    /// Fails with [`CheckpointErrorKind::Missing`] or [`CheckpointErrorKind::Damaged`] where it is not whole, and with
    /// [`CheckpointErrorKind::Newer`] or [`CheckpointErrorKind::Foreign`] where it is, but not for this program.
    pub fn read(store: &Store, number: ManifestNumber) -> Result<Manifest, CheckpointError> {
        let object = number.object();
        let place = store.place(&object);
        let manifest: Manifest = unseal(&place, &store.get(&object)?, FORMAT)?;
        if manifest.number != number {
            let what = format!("it says that its number is {}", manifest.number);
            return Err(CheckpointError::damaged(place, what));
        }
        if manifest.shards != Shard::COUNT {
            let message = format!(
                "{place}: its keys are spread over {} shards, this version of counter-machine has {}: use the version that \
                 wrote it",
                manifest.shards,
                Shard::COUNT
            );
            return Err(CheckpointError::new(CheckpointErrorKind::Foreign, message));
        }
        Ok(manifest)
    }

    /// Sets the checkpoint of this number aside, which was found damaged by whoever has read all of it: nobody tries it again.
    pub fn set_aside(store: &Store, number: ManifestNumber) -> Result<(), CheckpointError> {
        let object = number.object();
        match store.create(&number.object_aside(), &store.get(&object)?) {
            Err(error) if error.kind() != CheckpointErrorKind::Exists => Err(error),
            _ => store.delete(&object),
        }
    }

    /// The numbers of all manifests that are there, rising.
    pub fn numbers(store: &Store) -> Result<Vec<ManifestNumber>, CheckpointError> {
        let names = store.list(super::names::MANIFESTS)?;
        let mut numbers: Vec<ManifestNumber> = names.iter().filter_map(|name| ManifestNumber::of(name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}
