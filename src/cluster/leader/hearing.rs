//! What process 0 hears of the others, and what it tells all of them.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crossbeam_channel::Sender;

use super::LeaderParts;
use crate::checkpoint::{CheckpointError, ManifestNumber};
use crate::cluster::blocks::Room;
use crate::cluster::fate::Fate;
use crate::cluster::frame::Frame;
use crate::cluster::heard::Heard;
use crate::cluster::items::ItemsOfMember;
use crate::cluster::link::Outbox;
use crate::cluster::message::{BulkToLeader, ToLeader, ToMember};
use crate::epoch::Epoch;
use crate::recovery::{FromMember, Others, ToCoordinator, Verdict};
use crate::telemetry::{Metrics, Totals};

/// What a process says before it begins, or at its end.
pub(super) enum Early {
    Restored(Option<ManifestNumber>, Result<(), CheckpointError>),
    Ready,
    Ended(Totals),
}

pub(super) struct Hearing {
    pub members: Vec<Member>,
    pub fate: Arc<Fate>,
    metrics: Arc<Metrics>,
    pub parts: OnceLock<LeaderParts>,
    early: Sender<(usize, Early)>,
    /// How many partitions the others know.
    partitions: Mutex<usize>,
}

/// One of the others.
pub(super) struct Member {
    pub name: String,
    pub heard: Arc<Heard>,
    pub control: OnceLock<Outbox>,
    pub bulk: OnceLock<Outbox>,
    pub items: OnceLock<ItemsOfMember>,
    /// For blocks.
    pub room: Room,
    /// It has closed its side.
    pub has_left: AtomicBool,
}

impl Hearing {
    /// Of the processes with these names, by index.
    pub fn new(
        others: impl Iterator<Item = String>,
        fate: Arc<Fate>,
        metrics: Arc<Metrics>,
        early: Sender<(usize, Early)>,
    ) -> Hearing {
        let member = |name: String| Member {
            heard: Heard::of(name.clone()),
            name,
            control: OnceLock::new(),
            bulk: OnceLock::new(),
            items: OnceLock::new(),
            room: Room::new(),
            has_left: AtomicBool::new(false),
        };
        Hearing {
            members: others.map(member).collect(),
            fate,
            metrics,
            parts: OnceLock::new(),
            early,
            partitions: Mutex::new(usize::MAX),
        }
    }

    /// From now on what others say has to do with this run.
    pub fn begin(&self, parts: LeaderParts) {
        if let Some((topic, _)) = &parts.topic {
            *self.partitions.lock().unwrap_or_else(PoisonError::into_inner) = topic.partition_count();
        }
        let _ = self.parts.set(parts);
    }

    pub fn tell_all(&self, message: &ToMember) {
        self.controls().for_each(|control| control.tell(message));
    }

    /// The same without waiting for anybody; whether there was room everywhere.
    pub fn try_tell_all(&self, message: &ToMember) -> bool {
        // All are told that have room, whoever has none.
        self.controls().filter(|control| !control.try_tell(message)).count() == 0
    }

    fn controls(&self) -> impl Iterator<Item = &Outbox> {
        self.members.iter().filter_map(|member| member.control.get())
    }

    /// Tells all others once why the run is over.
    pub fn fail(&self, why: String) {
        self.fate.lose(why.clone());
        if self.fate.has_ended() {
            // Whoever leaves now has heard that the run has ended well; the others are about to.
            return;
        }
        self.try_tell_all(&ToMember::Failed(self.fate.culprit().unwrap_or(why)));
    }

    pub fn lose(&self, index: usize, how: &str) {
        let member = &self.members[index];
        member.has_left.store(true, Ordering::Release);
        // Its items are not waited for any more.
        if let Some(items) = member.items.get() {
            items.end();
        }
        self.fail(format!("{} is gone: {how}", member.name));
    }

    pub fn hear(&self, index: usize, message: &[u8]) -> io::Result<()> {
        let member = &self.members[index];
        member.heard.now();
        let message: ToLeader = serde_json::from_slice(message)?;
        let early = |early| {
            let _ = self.early.send((index, early));
        };
        match message {
            ToLeader::Beat(gauges) => self.metrics.elsewhere.hear(index, gauges),
            ToLeader::Restored(number, restored) => early(Early::Restored(number, restored)),
            ToLeader::Ready => early(Early::Ready),
            ToLeader::Ended(totals) => early(Early::Ended(totals)),
            ToLeader::TookBlock => member.room.is_free(),
            ToLeader::Failed(why) => self.fail(format!("{}: {why}", member.name)),
            ToLeader::Lost(culprit) => self.fail(culprit),
            later => self.hear_later(later),
        }
        Ok(())
    }

    /// Of a run that has begun.
    fn hear_later(&self, message: ToLeader) {
        let Some(parts) = self.parts.get() else { return };
        match message {
            ToLeader::Note(note) => {
                if let (Some((topic, _)), Some(cuts)) = (&parts.topic, &parts.cuts) {
                    note.handed_over.iter().for_each(|(partition, range)| topic.hear(*partition, *range));
                    cuts.note_elsewhere(note.reader, note.what);
                }
            }
            ToLeader::Read { epoch, events, bytes } => {
                if let Some((_, clock)) = &parts.topic {
                    clock.after_block(epoch, events, bytes);
                }
            }
            ToLeader::CaughtUp(epoch) => parts.caught_up.reached(epoch),
            ToLeader::Recovery(FromMember::Wanted(epoch)) => {
                if let Some(covered) = parts.journaled.as_ref().and_then(|journaled| journaled.want(epoch)) {
                    self.covered(covered);
                }
            }
            ToLeader::Recovery(FromMember::Part(part)) => Self::coordinate(parts, ToCoordinator::Part(part)),
            ToLeader::Recovery(FromMember::Settled) => Self::coordinate(parts, ToCoordinator::Settled),
            ToLeader::Stop { by_signal } => parts.stop.hear(by_signal),
            _ => {}
        }
    }

    fn coordinate(parts: &LeaderParts, message: ToCoordinator) {
        if let Some(coordinator) = &parts.coordinator {
            let _ = coordinator.send(message);
        }
    }

    pub fn hear_bulk(&self, index: usize, Frame { head, body }: &Frame) -> io::Result<()> {
        let member = &self.members[index];
        member.heard.now();
        // The way to the writer is there as soon as this process has started its own workers.
        let items = loop {
            match member.items.get() {
                Some(items) => break items,
                None if self.fate.culprit().is_some() => return Ok(()),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        match serde_json::from_slice(head)? {
            BulkToLeader::Items { batch, worker, more_follows } => items.take(batch, worker, more_follows, body),
            BulkToLeader::End => {
                items.end();
                Ok(())
            }
        }
    }

    /// What is told that nobody else tells. Whether the watch goes on.
    pub fn tick(&self) -> bool {
        if let Some(parts) = self.parts.get() {
            parts.stop.relay(|by_signal| self.try_tell_all(&ToMember::Stop { by_signal }));
            if let Some((topic, _)) = &parts.topic {
                let mut told = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
                let new = topic.partitions_from(*told);
                let known = *told + new.len();
                if !new.is_empty() && self.try_tell_all(&ToMember::Partitions { from: *told, bounds: new }) {
                    *told = known;
                }
            }
        }
        !self.fate.has_ended()
    }
}

impl Others for Hearing {
    fn decided(&self, verdict: Verdict) {
        self.tell_all(&ToMember::Decided(verdict));
    }

    fn covered(&self, epoch: Epoch) {
        self.tell_all(&ToMember::Covered(epoch));
    }

    fn finished(&self) {
        self.tell_all(&ToMember::Finished);
    }
}
