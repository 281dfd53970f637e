//! Finds the newest checkpoint that is whole.
//!
//! From the newest on, each is tried. One of which anything is missing or damaged is passed over, with the reason, and the one before
//! it is tried. What is whole but not for this pipeline or this version ends the search: to take an older one
//! instead would be to guess. So does a store that cannot be read just now.

use super::blob::look_for_filter;
use super::error::{CheckpointError, CheckpointErrorKind};
use super::manifest::Manifest;
use super::names::ManifestNumber;
use super::segment::Segment;
use super::store::Store;

/// A search for a checkpoint.
#[derive(Debug)]
pub struct Search {
    store: Store,
    pipeline: String,
    /// Not tried yet, rising.
    left: Vec<ManifestNumber>,
    largest: Option<ManifestNumber>,
    passed_over: Vec<PassedOver>,
}

/// A checkpoint that is not whole.
#[derive(Debug)]
pub struct PassedOver {
    /// Which.
    pub number: ManifestNumber,
    /// What is wrong with it.
    pub why: CheckpointError,
}

/// A checkpoint, and its segments, the oldest first.
#[derive(Clone, Debug)]
pub struct Restorable {
    /// What it is.
    pub manifest: Manifest,
    /// Opened; their blocks are checked as they are read.
    pub segments: Vec<Segment>,
}

impl Search {
    /// Begins with the newest of what is there for this pipeline.
    pub fn begin(store: &Store, pipeline: &str) -> Result<Search, CheckpointError> {
        let left = Manifest::numbers(store)?;
        let largest = left.last().copied();
        let (store, pipeline) = (store.clone(), pipeline.to_owned());
        Ok(Search { store, pipeline, left, largest, passed_over: Vec::new() })
    }

    /// The next checkpoint that looks whole: its manifest, and its segments but for their blocks. `None`: there never was a
    /// checkpoint.
    ///
    /// Fails where none of those that are there is whole, and where one is that is not for this pipeline or version.
    #[expect(clippy::should_implement_trait, reason = "it fails")]
    pub fn next(&mut self) -> Result<Option<Restorable>, CheckpointError> {
        while let Some(number) = self.left.pop() {
            match self.open(number) {
                Err(why) if why.is_damage() => self.pass_over(number, why),
                opened => return opened.map(Some),
            }
        }
        if self.passed_over.is_empty() {
            return Ok(None);
        }
        let which: Vec<String> =
            self.passed_over.iter().map(|passed| format!("{}: {}", passed.number, passed.why)).collect();
        let message = format!(
            "none of the checkpoints in {} is whole ({}): bring back what is missing, or start over with another state",
            self.store.location(),
            which.join("; ")
        );
        Err(CheckpointError::new(CheckpointErrorKind::Damaged, message))
    }

    /// Passes over a checkpoint whose damage was found later, when its blocks were read.
    pub fn pass_over(&mut self, number: ManifestNumber, why: CheckpointError) {
        self.passed_over.push(PassedOver { number, why });
    }

    /// What was passed over, the newest first.
    pub fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    /// The largest number there is, whole or not: the next checkpoint has a larger one.
    pub fn largest(&self) -> Option<ManifestNumber> {
        self.largest
    }

    fn open(&self, number: ManifestNumber) -> Result<Restorable, CheckpointError> {
        let manifest = Manifest::read(&self.store, number)?;
        if manifest.pipeline != self.pipeline {
            let message = format!(
                "{} holds the state of the pipeline '{}', this one is '{}': name another state, or give the pipeline its \
                 old name",
                self.store.location(),
                manifest.pipeline,
                self.pipeline
            );
            return Err(CheckpointError::new(CheckpointErrorKind::Foreign, message));
        }
        Restorable::of(&self.store, manifest)
    }
}

impl Restorable {
    /// Opens the checkpoint of this number, whichever pipeline it is of. Fails where it does not look whole.
    pub fn open(store: &Store, number: ManifestNumber) -> Result<Restorable, CheckpointError> {
        Restorable::of(store, Manifest::read(store, number)?)
    }

    fn of(store: &Store, manifest: Manifest) -> Result<Restorable, CheckpointError> {
        manifest.evicted.iter().try_for_each(|entry| look_for_filter(store, entry))?;
        let segments = manifest.segments.iter().map(|entry| Segment::open(store, entry)).collect::<Result<_, _>>()?;
        Ok(Restorable { manifest, segments })
    }

    /// Reads all of it. Fails at the first damage.
    pub fn verify(&self, store: &Store) -> Result<(), CheckpointError> {
        self.manifest.evicted.iter().try_for_each(|entry| super::blob::read_filter(store, entry).map(drop))?;
        self.segments.iter().try_for_each(|segment| {
            let mut blocks = segment.blocks(|_| true);
            while blocks.next()?.is_some() {}
            Ok(())
        })
    }
}
