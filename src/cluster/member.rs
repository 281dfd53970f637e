//! A process that is not process 0: it does its share, and as it is told.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, select, unbounded};

use super::PeerError;
use super::blocks::take_block;
use super::fate::{END_WITHIN, Fate};
use super::frame::split;
use super::heard::Heard;
use super::items::HandedOn;
use super::link::{Outbox, converse};
use super::message::{HowItEnded, RestoreFacts, StartFacts, ToLeader, ToMember};
use super::watch::Watch;
use crate::checkpoint::CheckpointError;
use crate::dataflow::{Failure, HandOn};
use crate::lease::Leave;
use crate::mesh::{Link, Members};
use crate::recovery::{FromMember, MemberEar};
use crate::source::kafka::KafkaProgress;
use crate::source::{CaughtUp, CutNews, FeedSender, Followed, KnownCuts, ReaderNote};
use crate::telemetry::{Metrics, Totals};

/// So many messages wait for a connection, at most.
const CONTROL_WAITING: usize = 4_096;
const BULK_WAITING: usize = 2;

/// What its run is made of, as far as process 0 has to do with it.
pub(crate) struct MemberRun {
    pub cuts: Arc<KnownCuts>,
    pub followed: Arc<Followed>,
    /// Of a topic.
    pub topic: Option<Arc<KafkaProgress>>,
    /// Where blocks of event logs come in.
    pub feed: Option<FeedSender>,
    pub caught_up: Arc<CaughtUp>,
    /// With a state.
    pub recovery: Option<MemberEar>,
    pub stop: Arc<AtomicBool>,
    pub signalled: Arc<AtomicBool>,
}

/// Its connection with process 0.
pub(crate) struct MemberOfRun {
    shared: Arc<Shared>,
    early: Receiver<Early>,
}

enum Early {
    Restore(RestoreFacts),
    Start(Box<StartFacts>),
    Bye(HowItEnded),
}

struct Shared {
    leader: String,
    heard: Arc<Heard>,
    fate: Arc<Fate>,
    control: OnceLock<Outbox>,
    bulk: OnceLock<Outbox>,
    early: Sender<Early>,
    run: OnceLock<MemberRun>,
    /// Taken out of the run, and gone when no blocks come any more.
    feed: Mutex<Option<FeedSender>>,
    items: Arc<HandedOn>,
    /// Process 0 was told to read no further: 1, and 2 where a signal said so.
    stop_told: Mutex<u8>,
}

impl MemberOfRun {
    /// Begins to talk to process 0, which is lost when nothing is heard of it for so long.
    pub fn begin(
        members: &Members,
        link: Link,
        within: Duration,
        metrics: Arc<Metrics>,
        leave: Leave,
    ) -> io::Result<MemberOfRun> {
        let (early, heard_early) = unbounded();
        let heard = Heard::of(members.name(0));
        let shared = Arc::new(Shared {
            leader: members.name(0),
            heard: Arc::clone(&heard),
            fate: Arc::new(Fate::new(members.name(members.process()), within)),
            control: OnceLock::new(),
            bulk: OnceLock::new(),
            early,
            run: OnceLock::new(),
            feed: Mutex::new(None),
            items: Arc::default(),
            stop_told: Mutex::new(0),
        });
        let (hears, loses) = (Arc::clone(&shared), Arc::clone(&shared));
        let control = converse(
            "p0",
            link.control,
            CONTROL_WAITING,
            move |message| hears.hear(message),
            move |why| loses.lose(why),
        )?;
        let hears = Arc::clone(&shared);
        let bulk = converse("p0", link.bulk, BULK_WAITING, move |message| hears.hear_bulk(message), |_| ())?;
        let _ = (shared.control.set(control.clone()), shared.bulk.set(bulk));
        let (ticking, losing) = (Arc::clone(&shared), Arc::clone(&shared));
        let (names, beats) = (members.clone(), Arc::clone(&metrics));
        Watch {
            name: members.name(members.process()),
            peers: vec![heard],
            leave,
            within,
            metrics,
            fate: Arc::clone(&shared.fate),
            watches_run: false,
            lose: Box::new(move |culprit| losing.lose_for_all(culprit)),
            name_of: Box::new(move |process| names.name(process)),
            beat: Box::new(move || _ = control.try_tell(&ToLeader::Beat(beats.gauges()))),
            tick: Box::new(move || ticking.tick()),
        }
        .start()?;
        Ok(MemberOfRun { shared, early: heard_early })
    }

    /// With what this process goes on.
    pub fn restore_facts(&self, stop: &AtomicBool) -> Result<RestoreFacts, PeerError> {
        loop {
            if let Some(Early::Restore(facts)) = self.wait_early(stop)? {
                return Ok(facts);
            }
        }
    }

    /// Says that the rows are back, or why not: then the run is over for all, and this returns when that is heard.
    pub fn restored(&self, restored: Result<(), CheckpointError>) {
        let is_well = restored.is_ok();
        self.shared.tell(&ToLeader::Restored(restored));
        if !is_well {
            let _ = self.shared.fate.lost().recv_timeout(END_WITHIN);
        }
    }

    /// How this process begins.
    pub fn start_facts(&self, stop: &AtomicBool) -> Result<StartFacts, PeerError> {
        loop {
            if let Some(Early::Start(facts)) = self.wait_early(stop)? {
                return Ok(*facts);
            }
        }
    }

    /// Begins the run: from now on it is told what it needs.
    pub fn start(&self, mut run: MemberRun, failure: &Failure) {
        let shared = &self.shared;
        *shared.feed.lock().unwrap_or_else(PoisonError::into_inner) = run.feed.take();
        let tells = Arc::clone(shared);
        run.caught_up.tell(Box::new(move |epoch, _| tells.tell(&ToLeader::CaughtUp(epoch))));
        let _ = shared.run.set(run);
        shared.fate.tell(failure.clone());
        shared.tell(&ToLeader::Ready);
    }

    /// What readers note.
    pub fn tell_note(&self) -> Arc<dyn Fn(ReaderNote) + Send + Sync> {
        let shared = Arc::clone(&self.shared);
        Arc::new(move |note| shared.tell(&ToLeader::Note(note)))
    }

    /// How much was read in an epoch.
    pub fn tell_size(&self) -> Box<dyn Fn(crate::epoch::Epoch, u64, u64) + Send + Sync> {
        let shared = Arc::clone(&self.shared);
        Box::new(move |epoch, events, bytes| shared.tell(&ToLeader::Read { epoch, events, bytes }))
    }

    /// What recovery tells.
    pub fn tell_recovery(&self) -> Arc<dyn Fn(FromMember) + Send + Sync> {
        let shared = Arc::clone(&self.shared);
        Arc::new(move |message| shared.tell(&ToLeader::Recovery(message)))
    }

    /// Hands items on to process 0.
    pub fn hand_on(&self) -> HandOn {
        let shared = Arc::clone(&self.shared);
        HandOn(Box::new(move |inbox, given_up| {
            if let Some(bulk) = shared.bulk.get() {
                shared.items.hand_on(&inbox, &given_up, bulk);
            }
        }))
    }

    /// Says that the run has ended well, with so much counted, and waits until it has for all, and how.
    pub fn end(&self, totals: Totals) -> Result<HowItEnded, PeerError> {
        self.shared.tell(&ToLeader::Ended(totals));
        loop {
            select! {
                recv(self.early) -> early => if let Ok(Early::Bye(how)) = early {
                    return Ok(how);
                },
                recv(self.shared.fate.lost()) -> _ => return Err(self.lost()),
                default(END_WITHIN) => return Err(PeerError::Lost(format!("{} does not end", self.shared.leader))),
            }
        }
    }

    /// The run is over, because of this: process 0 tells all others.
    pub fn fail(&self, why: &str) {
        if self.shared.fate.lose(why.to_owned()) {
            self.shared.tell(&ToLeader::Failed(why.to_owned()));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn wait_early(&self, stop: &AtomicBool) -> Result<Option<Early>, PeerError> {
        select! {
            recv(self.early) -> early => Ok(early.ok()),
            recv(self.shared.fate.lost()) -> _ => Err(self.lost()),
            default(Duration::from_millis(100)) => match stop.load(Ordering::Acquire) {
                true => Err(PeerError::Stopped),
                false => Ok(None),
            },
        }
    }

    fn lost(&self) -> PeerError {
        PeerError::Lost(self.shared.fate.culprit().unwrap_or_default())
    }
}

impl Shared {
    fn tell(&self, message: &ToLeader) {
        if let Some(control) = self.control.get() {
            control.tell(message);
        }
    }

    /// The run is over for all, because of this.
    fn lose_for_all(&self, culprit: String) {
        if self.fate.lose(culprit)
            && let Some((control, culprit)) = self.control.get().zip(self.fate.culprit())
        {
            // Whoever is to blame may be whom this tells.
            let _ = control.try_tell(&ToLeader::Lost(culprit));
        }
    }

    fn lose(&self, why: io::Result<()>) {
        let how = why.map_or_else(|error| error.to_string(), |()| "it has closed its connection".to_owned());
        self.fate.lose(format!("{} is gone: {how}", self.leader));
    }

    fn hear(&self, message: &[u8]) -> io::Result<()> {
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
                *self.stop_told.lock().unwrap_or_else(PoisonError::into_inner) = 1 + u8::from(by_signal);
                if by_signal {
                    run.signalled.store(true, Ordering::Release);
                }
                run.stop.store(true, Ordering::Release);
            }
            _ => {}
        }
    }

    fn hear_bulk(&self, message: &[u8]) -> io::Result<()> {
        self.heard.now();
        let (head, body) = split(message).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        let Some(run) = self.run.get() else { return Ok(()) };
        let mut feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*feed {
            // A worker that is gone has said why.
            let taken = take_block(serde_json::from_slice(head)?, body, sender, &run.cuts);
            if taken.is_ok_and(|more| more.is_none()) {
                feed.take();
            }
        }
        Ok(())
    }

    /// What is told that nobody else tells. Whether the watch goes on.
    fn tick(&self) -> bool {
        if let Some(run) = self.run.get() {
            let wanted = u8::from(run.stop.load(Ordering::Acquire)) + u8::from(run.signalled.load(Ordering::Acquire));
            let mut told = self.stop_told.lock().unwrap_or_else(PoisonError::into_inner);
            // Who watches must not wait: where there is no room it is told again.
            let message = ToLeader::Stop { by_signal: wanted > 1 };
            if wanted > *told && self.control.get().is_some_and(|control| control.try_tell(&message)) {
                *told = wanted;
            }
        }
        !self.fate.has_ended()
    }
}
