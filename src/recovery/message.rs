//! What workers and the coordinator of checkpoints tell each other.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::gather::Part;
use crate::state::{Piece, SnapshotEnd};

/// What the coordinator is told: by a worker of its process, but for the parts of others.
#[derive(Debug)]
pub(crate) enum ToCoordinator {
    /// Some of its snapshot.
    Piece(Piece),
    /// Filters of evicted keys.
    Evicted(Vec<u8>),
    /// It has handed over all of its snapshot (and how long that took at a time), and everything of the epochs before the cut is durable, but for what a table has not
    /// pulled yet.
    End(SnapshotEnd, LongestStretch),
    /// It will publish nothing more, and nothing more is read.
    Settled,
    /// What another process has gathered of its workers.
    Part(Box<Part>),
}

/// What became of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// The checkpoint is there.
    Durable,
    /// There will be none: the next one must hold what it held.
    Lost,
}

/// The longest time that a worker has spent on one snapshot between other work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LongestStretch {
    /// By the clock of the thread's processor time.
    pub cpu: Duration,
    /// By the wall clock: with what else the machine did meanwhile.
    pub wall: Duration,
}
