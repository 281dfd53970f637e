//! What the processes of a run tell each other, each with process 0.
//!
//! On the *control* connection everything is small and in order; on the *bulk* connection are blocks of event logs, to where there is room for
//! them, and items, to whoever writes them. Data of the dataflow itself goes between all processes, and is timely's.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::checkpoint::{CheckpointError, ManifestNumber};
use crate::counter::EventTime;
use crate::epoch::{Epoch, Generation, Window};
use crate::event::Arrival;
use crate::pipeline::TimeShift;
use crate::recovery::{FromMember, Verdict};
use crate::sink::Outcome;
use crate::source::kafka::TopicStarts;
use crate::source::{Cut, CutNews, ReaderNote};
use crate::sums::HashSeed;
use crate::telemetry::{Gauges, Totals};

/// What process 0 tells the others.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToMember {
    /// With what they go on.
    Restore(RestoreFacts),
    /// How they begin.
    Start(StartFacts),
    /// Of cuts and epochs.
    Cuts(CutNews),
    /// All readers have reached what there was at the start.
    CaughtUp(Epoch),
    /// What became of a checkpoint.
    Decided(Verdict),
    /// The journal covers this epoch.
    Covered(Epoch),
    /// Nothing of the state is to be written any more.
    Finished,
    /// What became of some items that were handed on.
    Answer { batch: u64, from: u32, to: u32, outcome: Outcome },
    /// Partitions that were found later, from this number on: where they begin, and end.
    Partitions { from: usize, bounds: Vec<(i64, i64)> },
    /// Read no further.
    Stop { by_signal: bool },
    /// It lives, and gets on.
    Beat,
    /// The run is over, because of this.
    Failed(String),
    /// The run has ended well, for all, and so.
    Bye(HowItEnded),
}

/// How a run has ended of which everything that was read is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HowItEnded {
    /// Its input was read to the end.
    Done,
    /// It was asked to stop.
    Stopped,
    /// It was asked to stop before the end of its input.
    Interrupted,
    /// In another way, which is process 0's own.
    Otherwise,
}

/// What the others tell process 0.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToLeader {
    /// The rows of this checkpoint are back, or not.
    Restored(Option<ManifestNumber>, Result<(), CheckpointError>),
    /// Everything is open.
    Ready,
    /// A reader notes.
    Note(ReaderNote),
    /// So many events and bytes were read in this epoch.
    Read { epoch: Epoch, events: u64, bytes: u64 },
    /// A reader has reached what there was at the start.
    CaughtUp(Epoch),
    /// Of checkpoints and the journal.
    Recovery(FromMember),
    /// Read no further.
    Stop { by_signal: bool },
    /// A block has found its place before the workers: there is room for one more.
    TookBlock,
    /// It lives, and gets on so.
    Beat(Gauges),
    /// It has failed, because of this.
    Failed(String),
    /// It has found that this process is lost, or a connection with it.
    Lost(String),
    /// It has ended well, and has counted so much.
    Ended(Totals),
}

/// With what a process goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RestoreFacts {
    /// Whether there is a state.
    pub is_kept: bool,
    /// The checkpoint; none: there is none yet.
    pub manifest: Option<ManifestNumber>,
    /// What keys are hashed with.
    pub seed: HashSeed,
    pub generation: Generation,
    /// The first window that versions count from.
    pub first_window: Window,
    /// Every row is to be published again.
    pub mark_all: bool,
    /// The epoch before the first that is read.
    pub before: Epoch,
}

/// How a process begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StartFacts {
    /// The checkpoint that process 0 has restored: the one before, where it has found the one damaged that it told of.
    pub manifest: Option<ManifestNumber>,
    pub run_start: EventTime,
    pub first_epoch: Epoch,
    /// Of a run without a state.
    pub generation: Generation,
    pub first_window: Window,
    pub seed: HashSeed,
    /// The topic; without one, event logs are handed on.
    pub topic: Option<TopicStarts>,
    /// Files are read to their end.
    pub is_replay: bool,
    pub shift: Option<TimeShift>,
    pub run_id: String,
    /// By then the last of what an earlier run of the state may have begun to send was sent, or will have been.
    pub alone_since: Option<ToldMoment>,
    /// Nothing is published before all is read that there was at the start.
    pub holds: bool,
}

/// A moment, as one process tells it to another: in so many milliseconds; negative: as many ago. It is off by as long as the message takes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct ToldMoment(i64);

impl ToldMoment {
    /// To be told now.
    pub fn tell(moment: Instant) -> ToldMoment {
        let now = Instant::now();
        let until = |to: Instant, from: Instant| to.saturating_duration_since(from).as_millis() as i64;
        ToldMoment(until(moment, now) - until(now, moment))
    }

    /// By the clock of the process that has just been told. `None`: before its machine began.
    pub fn hear(self) -> Option<Instant> {
        let ToldMoment(milliseconds) = self;
        let by = Duration::from_millis(milliseconds.unsigned_abs());
        if milliseconds < 0 { Instant::now().checked_sub(by) } else { Instant::now().checked_add(by) }
    }
}

/// What process 0 hands on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum BulkToMember {
    /// A piece of an event log; its bytes follow.
    Block(BlockHead),
    /// Later blocks have at least this epoch.
    Announced(Epoch, Option<Cut>),
    /// There are no more.
    End,
}

/// What a block is without its bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BlockHead {
    pub epoch: Epoch,
    /// The newest cut when it was handed on.
    pub cut: Option<Cut>,
    pub window_starts: Vec<(usize, Window)>,
    pub file: String,
    pub offset: u64,
    pub what: BlockBytes,
}

/// What its bytes are.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum BlockBytes {
    /// Whole lines.
    Lines(Arrival),
    /// The head of a line that is too long.
    LineTooLong { length: u64 },
}

/// What is handed on to process 0.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum BulkToLeader {
    /// Items for the table, which follow.
    Items { batch: u64, worker: usize, more_follows: bool },
    /// There are no more.
    End,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_heard_as_it_was_told() {
        let now = Instant::now();
        let hour = Duration::from_secs(3_600);
        for moment in [now + hour, now, now.checked_sub(Duration::from_secs(5)).unwrap()] {
            let heard = ToldMoment::tell(moment).hear().unwrap();
            let off = heard.max(moment) - heard.min(moment);
            assert!(off < Duration::from_secs(60), "{off:?}");
        }
    }
}
