//! The clock that a run's readers share.

use std::time::Instant;

use crate::epoch::{Epoch, Window};
use crate::source::{Block, Payload, WallClock};

/// Drives the windows of all readers of a run.
#[derive(Debug)]
pub enum KafkaClock {
    /// Live: each window of the wall clock is an epoch.
    Wall(WallClock),
}

impl KafkaClock {
    /// The epoch of what is read now, and when to ask again.
    pub(super) fn now(&self) -> (Epoch, Instant) {
        match self {
            KafkaClock::Wall(clock) => clock.now(),
        }
    }

    /// Stamps what was read in `epoch`.
    pub(super) fn stamp(&self, epoch: Epoch, payload: Payload) -> Vec<Block> {
        match self {
            KafkaClock::Wall(_) => vec![Block { epoch, window_starts: Vec::<(usize, Window)>::new(), payload }],
        }
    }
}
