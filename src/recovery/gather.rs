//! A process's part of a checkpoint: what its workers write of their state, made durable.
//!
//! Each process writes what its own workers hold; process 0 commits all parts with one manifest.

use serde::{Deserialize, Serialize};

use super::message::{LongestStretch, ToCoordinator};
use super::restore::{clear_marks, dictionary_of};
use crate::checkpoint::{BlobEntry, Changes, CheckpointError, SegmentEntry, SegmentIds, Store, write_filter};
use crate::clock::StreamTime;
use crate::epoch::Window;
use crate::state::{Piece, SnapshotEnd};

/// Gathers parts of checkpoints, one at a time.
pub(crate) struct Gatherer {
    store: Store,
    names: SegmentIds,
    /// As much as is gathered before it is written.
    most_bytes: usize,
    /// How many workers of this process write snapshots.
    workers: usize,
    running: Option<Gathering>,
}

struct Gathering {
    changes: Result<Changes, CheckpointError>,
    evicted: Vec<u8>,
    ended: usize,
    about: AboutPart,
}

/// What a process has written of one checkpoint, or why it could not.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub files: Result<PartFiles, CheckpointError>,
    pub about: AboutPart,
}

/// What it has made durable.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PartFiles {
    pub segments: Vec<SegmentEntry>,
    pub evicted: Option<BlobEntry>,
}

/// What its workers say of their snapshots.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct AboutPart {
    pub stream: StreamTime,
    pub window: Window,
    pub rows: u64,
    pub longest: LongestStretch,
}

impl Gatherer {
    /// Of so many workers, whose records go into files with these names.
    pub fn new(store: Store, names: SegmentIds, most_bytes: usize, workers: usize) -> Gatherer {
        Gatherer { store, names, most_bytes, workers, running: None }
    }

    /// Takes what a worker has written. The part, when that was the last of it.
    pub fn take(&mut self, message: ToCoordinator) -> Option<Part> {
        if matches!(message, ToCoordinator::Settled | ToCoordinator::Part(_)) {
            return None;
        }
        let Gatherer { store, names, most_bytes, .. } = self;
        let running = self.running.get_or_insert_with(|| Gathering {
            changes: Ok(Changes::new(store, names, *most_bytes, clear_marks)),
            evicted: Vec::new(),
            ended: 0,
            about: AboutPart::default(),
        });
        running.take(message);
        let is_whole = running.ended == self.workers;
        let Gathering { changes, evicted, about, .. } = self.running.take_if(|_| is_whole)?;
        let files = changes.and_then(Changes::finish).and_then(|segments| {
            let filters = Some(evicted).filter(|evicted| !evicted.is_empty());
            let evicted = filters.map(|evicted| write_filter(&self.store, self.names.next(), &evicted)).transpose()?;
            Ok(PartFiles { segments, evicted })
        });
        Some(Part { files, about })
    }
}

impl Gathering {
    fn take(&mut self, message: ToCoordinator) {
        match message {
            ToCoordinator::Piece(Piece { records, features }) => {
                if let Ok(changes) = &mut self.changes {
                    let added = dictionary_of(&features)
                        .and_then(|dictionary| changes.add_features(&dictionary))
                        .and_then(|()| changes.add(&records));
                    if let Err(error) = added {
                        self.changes = Err(error);
                    }
                }
            }
            ToCoordinator::Evicted(filters) => self.evicted.extend(filters),
            ToCoordinator::End(SnapshotEnd { stream, window, rows }, longest) => {
                self.ended += 1;
                self.about.add(AboutPart { stream, window, rows, longest });
            }
            ToCoordinator::Settled | ToCoordinator::Part(_) => {}
        }
    }
}

impl AboutPart {
    /// Takes in what others say of theirs.
    pub fn add(&mut self, other: AboutPart) {
        let (own, LongestStretch { cpu, wall }) = (&mut self.longest, other.longest);
        (own.cpu, own.wall) = (own.cpu.max(cpu), own.wall.max(wall));
        self.rows += other.rows;
        self.window = self.window.max(other.window);
        // All workers learn the same times; of a worker without keys too.
        self.stream = other.stream;
    }
}
