//! Commits checkpoints: writes their manifests, and deletes what no manifest that is kept names.
//!
//! - A manifest has the next number and must not exist. If one of another run does, that run has the state, and this one must end.
//! - Two are kept: the last one and the one before it that was whole. Nothing of theirs is deleted.
//! - Nothing is deleted before the last manifest is durable; manifests go before what they name.
//! - What a later run has written is never deleted, and what is not this program's is left alone.

use std::collections::BTreeSet;

use super::error::{CheckpointError, CheckpointErrorKind};
use super::failpoint::Step;
use super::generation::Claim;
use super::manifest::Manifest;
use super::names::{FILTERS, ManifestNumber, SEGMENTS, SegmentId};
use super::store::Store;
use crate::epoch::Generation;

/// How many checkpoints are kept.
const KEPT: usize = 2;

/// What a run commits.
#[derive(Debug)]
pub struct Commits {
    pub(super) store: Store,
    claim: Claim,
    next: ManifestNumber,
    /// The newest last.
    kept: Vec<Manifest>,
}

impl Commits {
    /// Of the run of this generation, which goes on from `restored`, in a state whose largest number is `largest`.
    pub fn new(store: &Store, claim: Claim, restored: Option<Manifest>, largest: Option<ManifestNumber>) -> Commits {
        let next = largest.max(restored.as_ref().map(|restored| restored.number)).unwrap_or_default().next();
        Commits { store: store.clone(), claim, next, kept: restored.into_iter().collect() }
    }

    /// Makes a checkpoint durable of which everything else is, and gives it its generation and its number, which is
    /// returned.
    ///
    /// Fails with [`CheckpointErrorKind::InUse`] where another run has the state. After any other failure the same can be
    /// tried again, or a newer checkpoint with the same segments and more: what is durable stays so.
    pub fn commit(&mut self, mut manifest: Manifest) -> Result<ManifestNumber, CheckpointError> {
        self.store.reach(Step::BeforeManifest)?;
        self.claim.check_newest(&self.store)?;
        manifest.generation = self.claim.generation();
        loop {
            manifest.number = self.next;
            let (object, text) = (manifest.number.object(), manifest.to_text()?);
            self.store.reach_half_written(Step::ManifestPartlyWritten, &object, &text[..text.len() / 2])?;
            match self.store.create(&object, &text) {
                Ok(()) => break,
                Err(error) if error.kind() == CheckpointErrorKind::Exists => self.check_ours(error)?,
                Err(error) => return Err(error),
            }
            self.next = self.next.next();
        }
        let number = self.next;
        self.next = number.next();
        self.kept.push(manifest);
        if self.kept.len() > KEPT {
            self.kept.drain(..self.kept.len() - KEPT);
        }
        self.store.reach(Step::AfterManifest)?;
        Ok(number)
    }

    /// The generation of the run.
    pub fn generation(&self) -> Generation {
        self.claim.generation()
    }

    /// The checkpoints that are kept, the oldest first.
    pub fn kept(&self) -> &[Manifest] {
        &self.kept
    }

    /// Deletes manifests before the last one that are not kept, and then segments and filters that none of the kept ones names.
    /// What is being written, or was written and is for a manifest to come, is `in_use`. Returns how many objects went.
    pub fn delete_unused(&self, in_use: &BTreeSet<SegmentId>) -> Result<usize, CheckpointError> {
        let Some(last) = self.kept.last() else { return Ok(0) };
        self.store.reach(Step::BeforeDeleting)?;
        let is_kept = |number: &ManifestNumber| self.kept.iter().any(|kept| kept.number == *number);
        let mut deleted = 0;
        for number in Manifest::numbers(&self.store)?.into_iter().filter(|number| *number < last.number) {
            if !is_kept(&number) {
                self.store.delete(&number.object())?;
                deleted += 1;
            }
        }
        let segments = self.kept.iter().flat_map(|kept| kept.segments.iter().map(|entry| entry.name));
        let filters = self.kept.iter().flat_map(|kept| kept.evicted.iter().map(|entry| entry.name));
        let named: BTreeSet<SegmentId> = segments.chain(filters).chain(in_use.iter().copied()).collect();
        for folder in [SEGMENTS, FILTERS] {
            let ids = self.store.list(folder)?;
            let ids = ids.iter().filter_map(|name| SegmentId::of(name));
            for id in ids.filter(|id| id.generation <= self.claim.generation() && !named.contains(id)) {
                self.store.delete(&if folder == SEGMENTS { id.segment() } else { id.filter() })?;
                deleted += 1;
            }
        }
        self.store.reach(Step::AfterDeleting)?;
        Ok(deleted)
    }

    /// Whether the manifest that is in the way is one of this run: of an attempt that was thought to have failed.
    fn check_ours(&self, exists: CheckpointError) -> Result<(), CheckpointError> {
        let there = Manifest::read(&self.store, self.next)?;
        if there.generation == self.claim.generation() {
            return Ok(());
        }
        Err(CheckpointError::taken(self.store.place(&self.next.object()), there.generation, exists))
    }
}
