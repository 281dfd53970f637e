//! The threads of a run with a state: one that makes checkpoints, and one that writes the journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::coordinator::{Coordinator, Made};
use super::journal::{JournalWriter, Journaled};
use super::member::{MemberParts, forward_parts, forward_wants};
use super::message::{ToCoordinator, Verdict};
use super::others::Others;
use super::sleepers::Sleepers;
use super::snapshotter::Snapshotter;
use crate::checkpoint::{CheckpointError, CheckpointErrorKind, DeadLetterFile};
use crate::sink::STOP_WITHIN;
use crate::source::{Cuts, KnownCuts, SourcePositions};
use crate::telemetry::Metrics;

/// So many pieces of snapshots wait for the coordinator, at most.
const PIECES_WAITING: usize = 8;
/// After so many failed checkpoints in a row the run reads no further.
const MOST_FAILURES: u32 = 5;
/// How soon a checkpoint is tried again at the end of a run.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked whether the input has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a run gives its recovery.
pub(crate) enum Recovery {
    /// Process 0, which makes the checkpoints of all.
    Leads(Box<RecoveryParts>),
    /// Another one, which writes its part of each.
    Follows(Box<MemberParts>),
}

/// What process 0 gives its recovery.
pub(crate) struct RecoveryParts {
    pub coordinator: Coordinator,
    /// What the coordinator is told.
    pub messages: Messages,
    pub others: Arc<dyn Others>,
    pub journal: JournalWriter,
    pub journaled: Journaled,
    pub cuts: Arc<Cuts>,
    /// How often a checkpoint is made.
    pub every: Duration,
    /// How long the file of dead letters is.
    pub dead_letters: Box<dyn FnMut() -> Option<DeadLetterFile> + Send>,
    /// Is told the positions of each checkpoint that was made.
    pub made: Box<dyn FnMut(&SourcePositions) + Send>,
    /// Set by the first signal to stop.
    pub signalled: Arc<AtomicBool>,
    /// Where errors go that end the run.
    pub fail: Arc<dyn Fn(CheckpointError) + Send + Sync>,
    pub metrics: Arc<Metrics>,
    /// Milliseconds since 1970 at the moment 0 of the run.
    pub began_at: i64,
    pub workers: usize,
    /// Of all processes.
    pub all_workers: usize,
}

/// The way to the coordinator.
pub(crate) struct Messages {
    sender: Sender<ToCoordinator>,
    receiver: Receiver<ToCoordinator>,
}

impl Messages {
    pub fn new() -> Messages {
        let (sender, receiver) = bounded(PIECES_WAITING);
        Messages { sender, receiver }
    }

    /// For the parts of other processes.
    pub fn sender(&self) -> Sender<ToCoordinator> {
        self.sender.clone()
    }
}

/// A worker's part of it.
pub(crate) struct WorkerRecovery {
    pub snapshotter: Snapshotter,
    pub journaled: Journaled,
    /// Nothing of the state is to be written any more: the worker may end.
    pub is_finished: Arc<AtomicBool>,
}

/// The threads.
pub(crate) struct RecoveryThreads {
    journaled: Journaled,
    threads: [JoinHandle<()>; 2],
}

impl Recovery {
    /// What is told of cuts to the workers of this process.
    pub fn cuts(&self) -> Arc<KnownCuts> {
        match self {
            Recovery::Leads(parts) => parts.cuts.known(),
            Recovery::Follows(parts) => Arc::clone(&parts.cuts),
        }
    }

    /// Starts its threads; each worker of this process gets its part.
    pub fn start(self) -> std::io::Result<(RecoveryThreads, Vec<WorkerRecovery>)> {
        match self {
            Recovery::Leads(parts) => lead(*parts),
            Recovery::Follows(parts) => follow(*parts),
        }
    }
}

impl RecoveryThreads {
    /// Waits for them, once the workers have ended; whether both have ended well.
    pub fn join(self) -> bool {
        self.journaled.end();
        let joined = self.threads.map(JoinHandle::join);
        joined.iter().all(Result::is_ok)
    }
}

fn lead(parts: RecoveryParts) -> std::io::Result<(RecoveryThreads, Vec<WorkerRecovery>)> {
    let Messages { sender: outbox, receiver: inbox } = parts.messages;
    let is_finished = Arc::<AtomicBool>::default();
    let (mut workers, mut verdicts) = (Vec::new(), Vec::new());
    for _ in 0..parts.workers {
        let (verdict, heard) = bounded(1);
        verdicts.push(verdict);
        workers.push(WorkerRecovery {
            snapshotter: Snapshotter::new(parts.cuts.known(), outbox.clone(), heard, parts.began_at),
            journaled: parts.journaled.clone(),
            is_finished: Arc::clone(&is_finished),
        });
    }
    let (journal, fail) = (parts.journal, Arc::clone(&parts.fail));
    let journal = std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
        if let Err(error) = journal.run() {
            fail(error);
        }
    })?;
    let keeper = Keeper {
        coordinator: parts.coordinator,
        cuts: parts.cuts,
        every: parts.every,
        dead_letters: parts.dead_letters,
        made: parts.made,
        signalled: parts.signalled,
        metrics: parts.metrics,
        inbox,
        verdicts,
        others: Arc::clone(&parts.others),
        workers: parts.journaled.sleepers().clone(),
        all_workers: parts.all_workers,
        settled: 0,
        failed_in_row: 0,
    };
    let (fail, others) = (parts.fail, parts.others);
    let coordinator = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(move || {
        let workers = keeper.workers.clone();
        if let Err(error) = keeper.run() {
            fail(error);
        }
        is_finished.store(true, Ordering::Release);
        others.finished();
        workers.wake();
    })?;
    Ok((RecoveryThreads { journaled: parts.journaled, threads: [coordinator, journal] }, workers))
}

fn follow(parts: MemberParts) -> std::io::Result<(RecoveryThreads, Vec<WorkerRecovery>)> {
    let (outbox, inbox) = bounded(PIECES_WAITING);
    let workers = parts.heard.into_iter().map(|heard| WorkerRecovery {
        snapshotter: Snapshotter::new(Arc::clone(&parts.cuts), outbox.clone(), heard, parts.began_at),
        journaled: parts.journaled.clone(),
        is_finished: Arc::clone(&parts.is_finished),
    });
    let workers = workers.collect();
    let (journaled, tell) = (parts.journaled.clone(), Arc::clone(&parts.tell));
    let wants =
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || forward_wants(&journaled, &*tell))?;
    let (gatherer, is_spoilt, tell) = (parts.gatherer, parts.is_spoilt, parts.tell);
    let parts_of_checkpoints = std::thread::Builder::new()
        .name("checkpoints".to_owned())
        .spawn(move || forward_parts(gatherer, &inbox, &is_spoilt, &*tell))?;
    Ok((RecoveryThreads { journaled: parts.journaled, threads: [parts_of_checkpoints, wants] }, workers))
}

/// Moves the coordinator.
struct Keeper {
    coordinator: Coordinator,
    cuts: Arc<Cuts>,
    every: Duration,
    dead_letters: Box<dyn FnMut() -> Option<DeadLetterFile> + Send>,
    made: Box<dyn FnMut(&SourcePositions) + Send>,
    signalled: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    inbox: Receiver<ToCoordinator>,
    verdicts: Vec<Sender<Verdict>>,
    others: Arc<dyn Others>,
    /// Sleep between what they do.
    workers: Sleepers,
    /// How many there are, of all processes, and how many of them will publish nothing more.
    all_workers: usize,
    settled: usize,
    failed_in_row: u32,
}

/// No more checkpoints are made, and why is told elsewhere: every worker is gone, or what is counted is not what was read.
struct GivenUp;

impl Keeper {
    fn run(mut self) -> Result<(), CheckpointError> {
        match self.keep() {
            Ok(result) => result,
            Err(GivenUp) => Ok(()),
        }
    }

    /// Checkpoints until everything is read, one of all that was counted, and one of what was published of it.
    fn keep(&mut self) -> Result<Result<(), CheckpointError>, GivenUp> {
        let mut due = Instant::now() + self.every;
        while !self.cuts.have_ended() {
            self.wait(due.min(Instant::now() + LOOK_EVERY))?;
            if Instant::now() < due {
                continue;
            }
            due = Instant::now() + self.every;
            if let Err(error) = self.checkpoint()?
                && (self.failed_in_row >= MOST_FAILURES || error.kind() == CheckpointErrorKind::InUse)
            {
                return Ok(Err(error));
            }
        }
        tracing::debug!("all is read: the last checkpoints are made");
        if let Err(error) = self.last_checkpoint()? {
            return Ok(Err(error));
        }
        let mut due = Instant::now() + self.every;
        while self.settled < self.all_workers {
            self.wait(due)?;
            if Instant::now() >= due {
                due = Instant::now() + self.every;
                // What was counted is safe; this one is about what was published of it.
                let _ = self.checkpoint()?;
            }
        }
        self.last_checkpoint()
    }

    /// Takes what workers say, until then.
    fn wait(&mut self, until: Instant) -> Result<(), GivenUp> {
        match self.inbox.recv_deadline(until) {
            Ok(message) => {
                self.settled += usize::from(matches!(message, ToCoordinator::Settled));
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(GivenUp),
        }
    }

    /// Tries until there is one, but not for ever.
    fn last_checkpoint(&mut self) -> Result<Result<(), CheckpointError>, GivenUp> {
        let began = Instant::now();
        loop {
            let Err(error) = self.checkpoint()? else { return Ok(Ok(())) };
            let time_is_up = self.signalled.load(Ordering::Acquire) && began.elapsed() >= STOP_WITHIN / 2;
            if self.failed_in_row >= MOST_FAILURES || time_is_up || error.kind() == CheckpointErrorKind::InUse {
                return Ok(Err(error));
            }
            std::thread::sleep(TRY_AGAIN);
        }
    }

    fn checkpoint(&mut self) -> Result<Result<Made, CheckpointError>, GivenUp> {
        if self.coordinator.is_spoilt() {
            return Err(GivenUp);
        }
        let began = Instant::now();
        // In this order: what the file holds now is of epochs that the cut will hold.
        let dead_letters = (self.dead_letters)();
        self.coordinator.begin(dead_letters);
        self.workers.wake();
        loop {
            let message = self.inbox.recv().map_err(|_| GivenUp)?;
            self.settled += usize::from(matches!(message, ToCoordinator::Settled));
            if self.coordinator.take(message) {
                break;
            }
        }
        let made = self.coordinator.end(SystemTime::now());
        let verdict = if made.is_ok() { Verdict::Durable } else { Verdict::Lost };
        for worker in &self.verdicts {
            let _ = worker.send(verdict);
        }
        self.others.decided(verdict);
        self.workers.wake();
        match &made {
            Ok(made) => {
                self.failed_in_row = 0;
                self.metrics.checkpoints.made(made.bytes, began.elapsed());
                (self.made)(&made.positions);
                let Made { number, epoch, bytes, rows, longest, .. } = made;
                tracing::debug!(
                    number = number.0,
                    epoch = epoch.0,
                    rows,
                    bytes,
                    seconds = began.elapsed().as_secs_f64(),
                    longest_stretch_us = longest.cpu.as_micros() as u64,
                    longest_stretch_wall_us = longest.wall.as_micros() as u64,
                    "a checkpoint was made"
                );
                if let Err(error) = self.coordinator.tidy_up() {
                    tracing::warn!("older parts of the state stay for now: {error}");
                }
            }
            Err(_) if self.coordinator.is_spoilt() => return Err(GivenUp),
            Err(error) => {
                self.failed_in_row += 1;
                self.metrics.checkpoints.failed(error.to_string());
                tracing::warn!(
                    "no checkpoint ({} failed in a row): {error}; after a restart is counted again what was read since the last one",
                    self.failed_in_row
                );
            }
        }
        Ok(made)
    }
}
