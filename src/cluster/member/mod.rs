//! A process that is not process 0: it does its share, and as it is told.

mod hearing;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, select, unbounded};

use self::hearing::{Early, Hearing};
use super::PeerError;
use super::fate::{END_WITHIN, Fate};
use super::heard::Heard;
use super::link::talk_with;
use super::message::{HowItEnded, RestoreFacts, StartFacts, ToLeader};
use super::stop::StopRelay;
use super::watch::Watch;
use crate::checkpoint::{CheckpointError, ManifestNumber};
use crate::dataflow::{Failure, HandOn};
use crate::lease::Leave;
use crate::mesh::{Link, Members};
use crate::recovery::{FromMember, MemberEar};
use crate::source::kafka::KafkaProgress;
use crate::source::{CaughtUp, FeedSender, Followed, KnownCuts, ReaderNote};
use crate::telemetry::{Metrics, Totals};

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
    pub stop: StopRelay,
}

/// Its connection with process 0.
pub(crate) struct MemberOfRun {
    shared: Arc<Hearing>,
    early: Receiver<Early>,
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
        let fate = Arc::new(Fate::new(members.name(members.process()), within));
        let shared = Arc::new(Hearing::new(members.name(0), Arc::clone(&heard), fate, early));
        let (hears, hears_bulk, loses) = (Arc::clone(&shared), Arc::clone(&shared), Arc::clone(&shared));
        let (control, bulk) = talk_with(
            "p0",
            link,
            move |frame| hears.hear(&frame.head),
            move |frame| hears_bulk.hear_bulk(frame),
            move |how| loses.lose(&how),
        )?;
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

    /// Says that the rows of this checkpoint are back, or why not: then the run is over for all, unless process 0 has passed it over as well.
    pub fn restored(&self, number: Option<ManifestNumber>, restored: Result<(), CheckpointError>) {
        self.shared.tell(&ToLeader::Restored(number, restored));
    }

    /// Waits until process 0 has heard that the run cannot begin, because of this.
    pub fn refused(&self, why: &str) -> PeerError {
        let _ = self.shared.fate.lost().recv_timeout(END_WITHIN);
        PeerError::Lost(self.shared.fate.culprit().unwrap_or_else(|| why.to_owned()))
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
