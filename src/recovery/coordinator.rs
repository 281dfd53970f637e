//! Makes checkpoints: asks for a cut, gathers what the workers write of their state as it was then, and commits it.
//!
//! It knows no time and no thread (`threads` moves it), so every order of its steps can be tried. One checkpoint is under way at a
//! time; a failed one is lost as a whole, and the workers write again what it had.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use super::gather::{AboutPart, Gatherer, Part};
use super::message::{LongestStretch, ToCoordinator};
use super::restore::{clear_marks, described};
use crate::checkpoint::{
    BlobEntry, CheckpointError, CheckpointErrorKind, Commits, DeadLetterFile, Manifest, ManifestNumber, SegmentEntry,
    SegmentId, SegmentIds, Store, compact, compaction, read_filter, replace, write_filter,
};
use crate::clock::StreamTime;
use crate::epoch::Epoch;
use crate::source::{Cuts, SourcePositions};
use crate::state::merge_filters;

/// More objects with filters of evicted keys than this are merged.
const MOST_FILTERS: usize = 8;

/// What a coordinator is made of.
pub(crate) struct CoordinatorParts {
    pub store: Store,
    pub commits: Commits,
    /// What each manifest says beside what changes.
    pub description: Manifest,
    pub cuts: Arc<Cuts>,
    /// How many workers of this process write snapshots.
    pub workers: usize,
    /// How many processes write a part of each checkpoint, this one among them.
    pub processes: usize,
    /// Set when what is counted is of no use any more: no checkpoint may be made of it.
    pub is_spoilt: Arc<AtomicBool>,
    /// As much as is gathered before it is written.
    pub most_bytes: usize,
}

/// Makes checkpoints, one at a time.
pub(crate) struct Coordinator {
    parts: CoordinatorParts,
    gatherer: Gatherer,
    names: SegmentIds,
    /// Those of the last checkpoint; some may have been merged since.
    segments: Vec<SegmentEntry>,
    /// The filters of evicted keys, the oldest first; likewise.
    evicted: Vec<BlobEntry>,
    running: Option<Running>,
}

/// A checkpoint that is under way.
struct Running {
    dead_letters: Option<DeadLetterFile>,
    /// What all parts have written so far.
    written: Result<(Vec<SegmentEntry>, Vec<BlobEntry>), CheckpointError>,
    about: AboutPart,
    parts: usize,
}

/// A checkpoint that was made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub number: ManifestNumber,
    pub epoch: Epoch,
    pub positions: SourcePositions,
    /// What it has written.
    pub bytes: u64,
    pub rows: u64,
    /// The longest that a worker has spent on it between other work.
    pub longest: LongestStretch,
}

impl Coordinator {
    /// Goes on from the checkpoint that `commits` has last.
    pub fn new(parts: CoordinatorParts) -> Coordinator {
        let last = parts.commits.kept().last();
        let (segments, evicted) = last.map(|last| (last.segments.clone(), last.evicted.clone())).unwrap_or_default();
        let names = SegmentIds::new(parts.commits.generation());
        let gatherer = Gatherer::new(parts.store.clone(), names.clone(), parts.most_bytes, parts.workers);
        Coordinator { parts, gatherer, names, segments, evicted, running: None }
    }

    /// Whether what is counted is of no use any more: no checkpoint will be made of it.
    pub fn is_spoilt(&self) -> bool {
        self.parts.is_spoilt.load(Ordering::Acquire)
    }

    /// Asks for a checkpoint of the epoch that ends next. The file of dead letters is as long as this, at least, and nothing that is read
    /// after the cut stands in it yet. None may be under way.
    pub fn begin(&mut self, dead_letters: Option<DeadLetterFile>) {
        let (written, about) = (Ok((Vec::new(), Vec::new())), AboutPart::default());
        self.running = Some(Running { dead_letters, written, about, parts: 0 });
        self.parts.cuts.want_checkpoint();
    }

    /// Takes what a worker has written, or another process; whether that was the last of the checkpoint, which is then to be
    /// [ended](Coordinator::end).
    pub fn take(&mut self, message: ToCoordinator) -> bool {
        let part = match message {
            ToCoordinator::Part(part) => Some(*part),
            message => self.gatherer.take(message),
        };
        let (Some(running), Some(Part { files, about })) = (&mut self.running, part) else { return false };
        running.parts += 1;
        running.about.add(about);
        match (&mut running.written, files) {
            (Ok((segments, filters)), Ok(files)) => {
                segments.extend(files.segments);
                filters.extend(files.evicted);
            }
            (Ok(_), Err(error)) => running.written = Err(error),
            (Err(_), _) => {}
        }
        running.parts == self.parts.processes
    }

    /// Commits what was gathered. The workers are to be told what became of it.
    pub fn end(&mut self, now: SystemTime) -> Result<Made, CheckpointError> {
        let bug = |what: &str| CheckpointError::new(CheckpointErrorKind::Failed, format!("{what}: this is a bug"));
        let running = self.running.take().ok_or_else(|| bug("a checkpoint ends that has not begun"))?;
        let (written, filters) = running.written?;
        let AboutPart { stream, window, rows, longest } = running.about;
        let evicted: Vec<BlobEntry> = self.evicted.iter().cloned().chain(filters).collect();
        let epoch = self.parts.cuts.checkpoint().ok_or_else(|| bug("a checkpoint without an epoch"))?.epoch;
        let positions = self.parts.cuts.positions(epoch).ok_or_else(|| bug("a checkpoint without positions"))?;
        if self.is_spoilt() {
            let message = "no checkpoint is made any more: what is counted is not what was read";
            return Err(CheckpointError::new(CheckpointErrorKind::Failed, message));
        }
        let bytes = written.iter().map(|segment| segment.bytes).sum();
        let segments: Vec<SegmentEntry> = self.segments.iter().cloned().chain(written).collect();
        let mut manifest = self.parts.description.clone();
        manifest.created = jiff::Timestamp::try_from(now).map(|now| now.to_string()).unwrap_or_default();
        manifest.epoch = epoch;
        manifest.window = window;
        manifest.stream_clock = described(&stream)?;
        manifest.positions = described(&positions)?;
        manifest.dead_letters = running.dead_letters;
        manifest.segments.clone_from(&segments);
        manifest.evicted.clone_from(&evicted);
        let number = self.parts.commits.commit(manifest)?;
        (self.segments, self.evicted) = (segments, evicted);
        self.parts.cuts.forget_before(epoch);
        Ok(Made { number, epoch, positions, bytes, rows, longest })
    }

    /// Merges segments where there are too many, and deletes what no checkpoint that is kept needs: both may fail without harm.
    pub fn tidy_up(&mut self) -> Result<(), CheckpointError> {
        let CoordinatorParts { store, commits, .. } = &self.parts;
        let sizes: Vec<u64> = self.segments.iter().map(|segment| segment.bytes).collect();
        let mut in_use: BTreeSet<SegmentId> = self.segments.iter().map(|segment| segment.name).collect();
        if let Some(compaction::Compaction { segments, depth }) = compaction::choose(&sizes) {
            let merged_of = self.segments[segments].to_vec();
            let merged = compact(store, self.names.next(), &merged_of, depth, clear_marks)?;
            in_use.insert(merged.name);
            replace(&mut self.segments, &merged_of, merged)?;
        }
        if self.evicted.len() > MOST_FILTERS {
            let blobs = self.evicted.iter().map(|entry| read_filter(store, entry)).collect::<Result<Vec<_>, _>>()?;
            let merged = merge_filters(blobs.iter().map(AsRef::as_ref))
                .map_err(|error| CheckpointError::caused_by(CheckpointErrorKind::Damaged, error.to_string(), error))?;
            self.evicted = vec![write_filter(store, self.names.next(), &merged)?];
        }
        in_use.extend(self.evicted.iter().map(|entry| entry.name));
        commits.delete_unused(&in_use).map(drop)
    }

    /// Makes the first checkpoint of a new state, before anything is read: with where reading begins.
    pub fn make_first(&mut self, epoch: Epoch, dead_letters: Option<DeadLetterFile>) -> Result<(), CheckpointError> {
        let mut manifest = self.parts.description.clone();
        manifest.epoch = epoch;
        manifest.positions = described(&self.parts.cuts.first())?;
        manifest.stream_clock = described(&StreamTime::default())?;
        manifest.dead_letters = dead_letters;
        self.parts.commits.commit(manifest).map(drop)
    }
}
