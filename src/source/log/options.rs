//! How event logs are to be read.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::ArrivalClock;
use crate::counter::EventTime;
use crate::epoch::Epoch;
use crate::event::EventSchema;
use crate::pipeline::ClockKind;

/// How the one reader cuts and stamps.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// What events look like.
    pub schema: Arc<EventSchema>,
    /// What drives windows.
    pub clock: ClockKind,
    /// How long a window is.
    pub window_length: Duration,
    /// Events per epoch, at least, with the event clock.
    pub replay_batch: u64,
    /// With the event clock: whether blocks say where each window begins, and epochs are made of
    /// whole windows.
    pub every_window: bool,
    /// The start of the run, in the unit of the event's time: every line of a file arrived before it.
    pub run_start: EventTime,
    /// Tells when the lines of a pipe arrive.
    pub now: ArrivalClock,
    /// The epoch to begin with.
    pub first_epoch: Epoch,
    /// How large a block is, at most, unless one line is larger.
    pub block_bytes: usize,
}

impl LogOptions {
    /// The usual [`LogOptions::block_bytes`].
    pub const BLOCK_BYTES: usize = 1 << 20;
}
