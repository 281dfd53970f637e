//! Recovery in a process that is not process 0: it writes its part of each checkpoint, asks for the journal, and hears what became of both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use serde::{Deserialize, Serialize};

use super::gather::{Gatherer, Part};
use super::journal::Journaled;
use super::message::{ToCoordinator, Verdict};
use crate::checkpoint::{CheckpointError, CheckpointErrorKind};
use crate::epoch::Epoch;
use crate::source::KnownCuts;

/// What process 0 is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromMember {
    /// A part of the checkpoint that is under way.
    Part(Box<Part>),
    /// One more worker will publish nothing more.
    Settled,
    /// What contains this epoch is to be published.
    Wanted(Epoch),
}

/// Tells process 0.
pub(crate) type TellLeader = Arc<dyn Fn(FromMember) + Send + Sync>;

/// What such a process gives its recovery.
pub(crate) struct MemberParts {
    pub(super) gatherer: Gatherer,
    pub(super) cuts: Arc<KnownCuts>,
    pub(super) journaled: Journaled,
    /// By worker, what became of its snapshots.
    pub(super) heard: Vec<Receiver<Verdict>>,
    pub(super) is_finished: Arc<AtomicBool>,
    /// Set when what is counted here is of no use any more.
    pub(super) is_spoilt: Arc<AtomicBool>,
    pub(super) tell: TellLeader,
    /// Milliseconds since 1970 at the moment 0 of the run.
    pub(super) began_at: i64,
}

/// Hears what process 0 says, for the workers of this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct MemberEar {
    journaled: Journaled,
    verdicts: Vec<Sender<Verdict>>,
    is_finished: Arc<AtomicBool>,
}

impl MemberParts {
    /// Of so many workers; and through what they hear.
    pub fn new(
        gatherer: Gatherer,
        workers: usize,
        cuts: Arc<KnownCuts>,
        is_spoilt: Arc<AtomicBool>,
        tell: TellLeader,
        began_at: i64,
    ) -> (MemberParts, MemberEar) {
        let (verdicts, heard) = (0..workers).map(|_| bounded(1)).unzip();
        let (journaled, is_finished) = (Journaled::default(), Arc::<AtomicBool>::default());
        let ear = MemberEar { journaled: journaled.clone(), verdicts, is_finished: Arc::clone(&is_finished) };
        (MemberParts { gatherer, cuts, journaled, heard, is_finished, is_spoilt, tell, began_at }, ear)
    }
}

impl MemberEar {
    /// This became of the checkpoint.
    pub fn decided(&self, verdict: Verdict) {
        for worker in &self.verdicts {
            let _ = worker.send(verdict);
        }
        self.wake();
    }

    /// The journal covers all up to this epoch.
    pub fn covered(&self, epoch: Epoch) {
        self.journaled.cover(epoch);
    }

    /// Nothing of the state is to be written any more.
    pub fn finished(&self) {
        self.is_finished.store(true, Ordering::Release);
        self.wake();
    }

    /// Has workers look what there is to do: a cut, for instance.
    pub fn wake(&self) {
        self.journaled.sleepers().wake();
    }
}

/// Hands on what the workers of this process write, a part at a time, until they have ended.
pub(super) fn forward_parts(
    mut gatherer: Gatherer,
    inbox: &Receiver<ToCoordinator>,
    is_spoilt: &AtomicBool,
    tell: &(dyn Fn(FromMember) + Send + Sync),
) {
    for message in inbox {
        if matches!(message, ToCoordinator::Settled) {
            tell(FromMember::Settled);
        } else if let Some(mut part) = gatherer.take(message) {
            if is_spoilt.load(Ordering::Acquire) {
                let message = "what is counted is not what was read";
                part.files = Err(CheckpointError::new(CheckpointErrorKind::Failed, message));
            }
            tell(FromMember::Part(Box::new(part)));
        }
    }
}

/// Asks process 0 for the journal, as far as something is to be published here.
pub(super) fn forward_wants(journaled: &Journaled, tell: &(dyn Fn(FromMember) + Send + Sync)) {
    let mut asked = None;
    while let Some(wanted) = journaled.next_wanted(asked) {
        tell(FromMember::Wanted(wanted));
        asked = Some(wanted);
    }
}
