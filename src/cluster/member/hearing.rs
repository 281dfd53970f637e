//! What a process hears of process 0, and what it tells it.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crossbeam_channel::Sender;

use super::MemberRun;
use crate::cluster::blocks::take_block;
use crate::cluster::fate::Fate;
use crate::cluster::frame::Frame;
use crate::cluster::heard::Heard;
use crate::cluster::items::HandedOn;
use crate::cluster::link::Outbox;
use crate::cluster::message::{BulkToMember, HowItEnded, RestoreFacts, StartFacts, ToLeader, ToMember};
use crate::recovery::MemberEar;
use crate::source::{CutNews, FeedSender};

/// What process 0 says before the run begins, or at its end.
pub(super) enum Early {
    Restore(RestoreFacts),
    Start(Box<StartFacts>),
    Bye(HowItEnded),
}

/// What is heard of process 0, and what it is told.
pub(super) struct Hearing {
    pub leader: String,
    heard: Arc<Heard>,
    pub fate: Arc<Fate>,
    pub control: OnceLock<Outbox>,
    pub bulk: OnceLock<Outbox>,
    early: Sender<Early>,
    pub run: OnceLock<MemberRun>,
    /// Taken out of the run, and gone when no blocks come any more.
    pub feed: Mutex<Option<FeedSender>>,
    pub items: Arc<HandedOn>,
}

impl Hearing {
    /// Of the process with this name.
    pub fn new(leader: String, heard: Arc<Heard>, fate: Arc<Fate>, early: Sender<Early>) -> Hearing {
        Hearing {
            leader,
            heard,
            fate,
            control: OnceLock::new(),
            bulk: OnceLock::new(),
            early,
            run: OnceLock::new(),
            feed: Mutex::new(None),
            items: Arc::default(),
        }
    }

    pub fn tell(&self, message: &ToLeader) {
        if let Some(control) = self.control.get() {
            control.tell(message);
        }
    }

    /// The run is over for all, because of this.
    pub fn lose_for_all(&self, culprit: String) {
        if self.fate.lose(culprit)
            && let Some((control, culprit)) = self.control.get().zip(self.fate.culprit())
        {
            // Whoever is to blame may be whom this tells.
            let _ = control.try_tell(&ToLeader::Lost(culprit));
        }
    }

    pub fn lose(&self, how: &str) {
        self.fate.lose(format!("{} is gone: {how}", self.leader));
    }

    pub fn hear(&self, message: &[u8]) -> io::Result<()> {
        self.heard.now();
        let early = |early| {
            let _ = self.early.send(early);
        };
        match serde_json::from_slice(message)? {
            ToMember::Beat => {}
            ToMember::Restore(facts) => early(Early::Restore(facts)),
            ToMember::Start(facts) => early(Early::Start(Box::new(facts))),
            ToMember::Bye(how) => {
                self.fate.is_over();
                early(Early::Bye(how));
            }
            ToMember::Failed(why) => _ = self.fate.lose(why),
            ToMember::Answer { batch, from, to, outcome } => self.items.answer(batch, from..to, outcome),
            later => self.hear_later(later),
        }
        Ok(())
    }

    /// Of a run that has begun.
    fn hear_later(&self, message: ToMember) {
        let Some(run) = self.run.get() else { return };
        match message {
            ToMember::Cuts(CutNews::Cut(cut)) => {
                run.cuts.cut_at(cut);
                run.recovery.iter().for_each(MemberEar::wake);
            }
            ToMember::Cuts(CutNews::Announced(epoch)) => run.followed.announce(epoch),
            ToMember::Cuts(CutNews::Passed(epoch)) => run.cuts.passed_at(epoch),
            ToMember::Cuts(CutNews::AllEnded) => run.followed.end(),
            ToMember::CaughtUp(epoch) => run.caught_up.all_reached(epoch),
            ToMember::Decided(verdict) => run.recovery.iter().for_each(|recovery| recovery.decided(verdict)),
            ToMember::Covered(epoch) => run.recovery.iter().for_each(|recovery| recovery.covered(epoch)),
            ToMember::Finished => run.recovery.iter().for_each(MemberEar::finished),
            ToMember::Partitions { from, bounds } => {
                if let Some(topic) = &run.topic {
                    // Some may be known: it is told again where another process had no room.
                    let known = topic.partition_count().saturating_sub(from);
                    bounds.iter().skip(known).for_each(|(begin, end)| topic.add_partition(*begin, *end));
                }
            }
            ToMember::Stop { by_signal } => {
                // What process 0 says it knows already.
                run.stop.is_known(by_signal);
                run.stop.hear(by_signal);
            }
            _ => {}
        }
    }

    pub fn hear_bulk(&self, Frame { head, body }: Frame) -> io::Result<()> {
        self.heard.now();
        let Some(run) = self.run.get() else { return Ok(()) };
        let mut feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*feed {
            let message: BulkToMember = serde_json::from_slice(&head)?;
            let is_block = matches!(message, BulkToMember::Block(_));
            // A worker that is gone has said why.
            let taken = take_block(message, body, sender, &run.cuts);
            if taken.is_ok_and(|more| more.is_none()) {
                feed.take();
            }
            if is_block {
                self.tell(&ToLeader::TookBlock);
            }
        }
        Ok(())
    }

    /// What is told that nobody else tells. Whether the watch goes on.
    pub fn tick(&self) -> bool {
        if let Some(run) = self.run.get() {
            let control = self.control.get();
            run.stop.relay(|by_signal| control.is_some_and(|control| control.try_tell(&ToLeader::Stop { by_signal })));
        }
        !self.fate.has_ended()
    }
}
