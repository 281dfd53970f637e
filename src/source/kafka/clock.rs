//! The clock that a run's readers share.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::stamp::EventStamper;
use crate::clock::WallClock;
use crate::epoch::Epoch;
use crate::source::{Block, Followed, Payload};

/// How soon a reader without messages notices that others moved the event clock, or that process 0 has announced an epoch.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Drives the windows of all readers of a run.
#[derive(Debug)]
pub enum KafkaClock {
    /// Live: each window of the wall clock is an epoch.
    Wall(Arc<WallClock>),
    /// The wall clock of process 0.
    Followed(FollowedClock),
    /// A replay: windows follow the times of the messages.
    Event(Box<EventStamper>),
}

/// The epochs that process 0 announces.
#[derive(Debug)]
pub struct FollowedClock {
    /// What it has announced.
    pub followed: Arc<Followed>,
    /// Tells it what was read.
    pub tell: TellSize,
}

/// Tells process 0 that so many events and bytes were read in this epoch.
pub struct TellSize(pub Box<dyn Fn(Epoch, u64, u64) + Send + Sync>);

impl fmt::Debug for TellSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TellSize")
    }
}

impl KafkaClock {
    /// The current epoch, and when to ask again.
    pub(super) fn now(&self) -> (Epoch, Instant) {
        match self {
            KafkaClock::Wall(clock) => clock.now(),
            KafkaClock::Followed(clock) => (clock.followed.epoch(), Instant::now() + LOOK_AGAIN),
            KafkaClock::Event(stamper) => (stamper.clock().epoch(), Instant::now() + LOOK_AGAIN),
        }
    }

    /// Takes notice that a reader has nothing more to read at present.
    pub(super) fn caught_up(&self) {
        match self {
            KafkaClock::Wall(_) | KafkaClock::Followed(_) => {}
            KafkaClock::Event(stamper) => stamper.clock().caught_up(),
        }
    }

    /// Stamps what was read while [`KafkaClock::now`] gave `epoch`.
    pub(super) fn stamp(&self, epoch: Epoch, payload: Payload) -> Vec<Block> {
        match (self, payload) {
            (KafkaClock::Event(stamper), Payload::Messages { topic, bytes, messages }) => {
                stamper.stamp(topic, bytes, messages)
            }
            (KafkaClock::Wall(clock), Payload::Messages { topic, bytes, messages }) => {
                clock.after_block(epoch, messages.len() as u64, bytes.len() as u64);
                let payload = Payload::Messages { topic, bytes, messages };
                vec![Block { epoch, window_starts: Vec::new(), payload }]
            }
            (KafkaClock::Followed(clock), Payload::Messages { topic, bytes, messages }) => {
                (clock.tell.0)(epoch, messages.len() as u64, bytes.len() as u64);
                let payload = Payload::Messages { topic, bytes, messages };
                vec![Block { epoch, window_starts: Vec::new(), payload }]
            }
            (_, payload) => vec![Block { epoch, window_starts: Vec::new(), payload }],
        }
    }
}
