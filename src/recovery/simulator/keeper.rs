//! The thread that makes checkpoints, step by step: the order of `threads.rs`, with the real coordinator.

use crossbeam_channel::{Receiver, Sender};

use super::check;
use super::fault::Fault;
use super::life::Step;
use super::world::World;
use crate::checkpoint::{CheckpointErrorKind, Checksum, DeadLetterFile};
use crate::recovery::Coordinator;
use crate::recovery::message::{ToCoordinator, Verdict};
use crate::source::Cuts;

/// What it does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Nothing,
    /// Workers write their snapshots.
    Gathers,
    /// All of them have.
    Commits,
    /// What is not needed any more goes.
    TidiesUp,
}

/// How far the run is, for its checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Reads,
    /// One of all that was counted.
    AllIsCounted,
    Publishes,
    /// One of all that was published.
    AllIsPublished,
    Finished,
}

/// Moves a coordinator.
pub(super) struct Keeper {
    coordinator: Coordinator,
    inbox: Receiver<ToCoordinator>,
    verdicts: Vec<Sender<Verdict>>,
    settled: usize,
    doing: Doing,
    stage: Stage,
}

impl Keeper {
    pub fn new(coordinator: Coordinator, inbox: Receiver<ToCoordinator>, verdicts: Vec<Sender<Verdict>>) -> Keeper {
        Keeper { coordinator, inbox, verdicts, settled: 0, doing: Doing::Nothing, stage: Stage::Reads }
    }

    pub fn is_finished(&self) -> bool {
        self.stage == Stage::Finished
    }

    pub fn describe(&self) -> String {
        format!("{:?} {:?}, {} settled", self.stage, self.doing, self.settled)
    }

    pub fn step(&mut self, world: &mut World, cuts: &Cuts, letters: u64) -> Step {
        match self.doing {
            Doing::Nothing => self.begin_some(world, cuts, letters),
            Doing::Gathers => {
                let Ok(message) = self.inbox.try_recv() else { return Step::GoesOn };
                self.settled += usize::from(matches!(message, ToCoordinator::Settled));
                if self.coordinator.take(message) {
                    self.doing = Doing::Commits;
                }
            }
            Doing::Commits => return self.commit(world),
            Doing::TidiesUp => {
                let failed = self.coordinator.tidy_up().is_err();
                world.stakes.note_if(failed, "a tidying up that failed");
                if world.has(Fault::DeletesTooMuch) {
                    check::delete_too_much(world);
                }
                self.doing = Doing::Nothing;
            }
        }
        Step::GoesOn
    }

    fn begin_some(&mut self, world: &mut World, cuts: &Cuts, letters: u64) {
        if let Ok(message) = self.inbox.try_recv() {
            self.settled += usize::from(matches!(message, ToCoordinator::Settled));
        }
        match self.stage {
            Stage::Reads if cuts.have_ended() => self.stage = Stage::AllIsCounted,
            Stage::Publishes if self.settled == self.verdicts.len() => self.stage = Stage::AllIsPublished,
            Stage::Finished => {}
            Stage::Reads | Stage::Publishes if !world.dice.one_in(4) => {}
            _ => {
                let file = DeadLetterFile { path: "letters".into(), length: letters, head_hash: Checksum::of(b"") };
                self.coordinator.begin(Some(file));
                self.doing = Doing::Gathers;
            }
        }
    }

    fn commit(&mut self, world: &mut World) -> Step {
        let now = world.wall();
        let made = self.coordinator.end(now);
        let is_durable = made.is_ok() || world.has(Fault::LostIsDurable);
        for worker in &self.verdicts {
            let _ = worker.send(if is_durable { Verdict::Durable } else { Verdict::Lost });
        }
        self.doing = Doing::Nothing;
        match made {
            Ok(_) => {
                world.stakes.note("a checkpoint");
                self.doing = Doing::TidiesUp;
                self.stage = match self.stage {
                    Stage::AllIsCounted => Stage::Publishes,
                    Stage::AllIsPublished => Stage::Finished,
                    stage => stage,
                };
                Step::GoesOn
            }
            Err(error) if error.kind() == CheckpointErrorKind::InUse => {
                world.stakes.note("a commit refused because another run has the state");
                Step::Over(error.to_string())
            }
            Err(_) => {
                world.stakes.note("a lost snapshot");
                Step::GoesOn
            }
        }
    }
}
