//! A worker's side of checkpoints.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::message::{LongestStretch, ToCoordinator, Verdict};
use crate::epoch::Epoch;
use crate::source::{Cut, KnownCuts};
use crate::state::{DecayCounters, SnapshotEnd, Written};
use crate::telemetry::thread_cpu_time;

/// A worker writes its snapshot for a part of the time that other work has just taken, so that a snapshot ends soon also where that takes
/// long at a time.
const PART_OF_OTHER_WORK: u32 = 6;
/// But at least so long at a time, and at most so long. (In tests it is one step: so other work comes between any two, and always the same.)
const SLICES: [Duration; 2] =
    if cfg!(test) { [Duration::ZERO; 2] } else { [Duration::from_micros(300), Duration::from_millis(3)] };

/// Cuts a worker's state where the run says so, and hands the snapshot over in slices.
///
/// A cut that is wanted is made before an epoch is applied that lies behind it; between two cuts the coordinator has said what
/// became of the first. Of what is written no more waits here than one piece (and what the state writes early because it changes).
pub(crate) struct Snapshotter {
    cuts: Arc<KnownCuts>,
    /// The last cut that was made.
    last: Option<Cut>,
    phase: Phase,
    outbox: Sender<ToCoordinator>,
    verdicts: Receiver<Verdict>,
    /// Milliseconds since 1970 at the moment 0 of the run.
    began_at: i64,
    longest: LongestStretch,
    /// When the last slice ended.
    rested: Option<Instant>,
}

/// How far the last snapshot is.
enum Phase {
    /// Nothing is to be done.
    Idle,
    /// It is being written; a piece of it may have found no room yet.
    Writing(Option<ToCoordinator>),
    /// All of it is written.
    Written(SnapshotEnd),
    /// The coordinator has all of it.
    Undecided,
}

/// What there is to do for a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// Nothing before the next cut.
    Nothing,
    /// The next slice, at once.
    More,
    /// It waits for room.
    Waits,
}

impl Snapshotter {
    /// Of a worker that hands its snapshots over into `outbox`, and is told what became of them.
    pub fn new(
        cuts: Arc<KnownCuts>,
        outbox: Sender<ToCoordinator>,
        verdicts: Receiver<Verdict>,
        began_at: i64,
    ) -> Snapshotter {
        let longest = LongestStretch::default();
        Snapshotter { cuts, last: None, phase: Phase::Idle, outbox, verdicts, began_at, longest, rested: None }
    }

    /// Makes the cut that is wanted, if all that it holds is applied: to be called before the epoch `next` is applied, and
    /// where `next` is the first that can still come.
    pub fn cut_before(&mut self, next: Epoch, counters: &mut DecayCounters) {
        let last = self.last.map_or(0, |cut| cut.number);
        let Some(cut) = self.cuts.behind(last).filter(|cut| cut.epoch < next) else { return };
        debug_assert!(matches!(self.phase, Phase::Idle | Phase::Undecided), "the one before has not ended");
        let (began, cpu_before) = (Instant::now(), thread_cpu_time());
        self.hear(counters);
        counters.cut(self.began_at);
        self.last = Some(cut);
        self.phase = Phase::Writing(None);
        self.longest = LongestStretch::default();
        self.note_stretch(began, cpu_before);
    }

    /// Does what there is to do, for a moment. To be called between other work. `is_done` says whether everything of an epoch
    /// and those before it is done and durable, but for what a table has not pulled yet.
    pub fn work(&mut self, counters: &mut DecayCounters, is_done: impl Fn(Epoch) -> bool) -> Writing {
        self.hear(counters);
        counters.release_some();
        match self.phase {
            Phase::Writing(_) => {}
            Phase::Idle => return Writing::Nothing,
            // Until then there is nothing to do, however long it takes.
            Phase::Undecided => return Writing::Nothing,
            Phase::Written(_) => return self.hand_over_end(is_done),
        }
        let (began, cpu_before) = (Instant::now(), thread_cpu_time());
        let [least, most] = SLICES;
        let slice = self.rested.map_or(least, |since| began.saturating_duration_since(since) / PART_OF_OTHER_WORK);
        let writing = self.write(counters, began + slice.clamp(least, most));
        self.rested = Some(Instant::now());
        self.note_stretch(began, cpu_before);
        writing
    }

    /// Takes notice that a stretch ends that began then, and before which the thread had had so much processor time.
    fn note_stretch(&mut self, began: Instant, cpu_before: Duration) {
        let LongestStretch { cpu, wall } = self.longest;
        let took = thread_cpu_time().saturating_sub(cpu_before);
        self.longest = LongestStretch { cpu: cpu.max(took), wall: wall.max(began.elapsed()) };
    }

    /// Dead letters of what the snapshot holds must be durable before the checkpoint is.
    fn hand_over_end(&mut self, is_done: impl Fn(Epoch) -> bool) -> Writing {
        if let Phase::Written(end) = &mut self.phase
            && self.last.is_some_and(|cut| is_done(cut.epoch))
        {
            let end = ToCoordinator::End(std::mem::take(end), self.longest);
            match self.outbox.try_send(end) {
                Err(TrySendError::Full(ToCoordinator::End(end, _))) => self.phase = Phase::Written(end),
                _ => self.phase = Phase::Undecided,
            }
        }
        Writing::Waits
    }

    fn write(&mut self, counters: &mut DecayCounters, until: Instant) -> Writing {
        loop {
            match &mut self.phase {
                Phase::Idle | Phase::Undecided => return Writing::Nothing,
                Phase::Written(_) => return Writing::Waits,
                Phase::Writing(waiting) => {
                    if let Some(piece) = waiting.take()
                        && let Err(TrySendError::Full(piece)) = self.outbox.try_send(piece)
                    {
                        *waiting = Some(piece);
                        return Writing::Waits;
                    }
                    match counters.write_snapshot() {
                        Written::Records(piece) => *waiting = Some(ToCoordinator::Piece(piece)),
                        Written::Evicted(filters) => *waiting = Some(ToCoordinator::Evicted(filters)),
                        Written::NotYet => {}
                        Written::End(end) => self.phase = Phase::Written(end),
                        Written::Nothing => self.phase = Phase::Idle,
                    }
                }
            }
            if Instant::now() >= until {
                return Writing::More;
            }
        }
    }

    /// Says that nothing more will be published, and nothing more is read.
    pub fn settled(&self) {
        let _ = self.outbox.send(ToCoordinator::Settled);
    }

    fn hear(&mut self, counters: &mut DecayCounters) {
        for verdict in self.verdicts.try_iter() {
            match verdict {
                Verdict::Durable => counters.snapshot_is_durable(),
                Verdict::Lost => counters.snapshot_is_lost(),
            }
            self.phase = Phase::Idle;
        }
    }
}
