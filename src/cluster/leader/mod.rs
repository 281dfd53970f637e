//! Process 0: it hears what the others note, and tells them what is decided.

mod hearing;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select, unbounded};

use self::hearing::{Early, Hearing};
use super::PeerError;
use super::blocks::HandsOn;
use super::fate::{END_WITHIN, Fate};
use super::items::ItemsOfMember;
use super::link::talk_with;
use super::message::{HowItEnded, RestoreFacts, StartFacts, ToMember};
use super::stop::StopRelay;
use super::watch::Watch;
use crate::clock::WallClock;
use crate::dataflow::{Failure, TakeWriter};
use crate::lease::Leave;
use crate::mesh::{Link, Members};
use crate::recovery::{Journaled, Others, ToCoordinator};
use crate::source::kafka::KafkaProgress;
use crate::source::{CaughtUp, Cuts, Feed, KnownCuts};
use crate::telemetry::{Metrics, Totals};

/// How often epochs are announced, where they go by the wall clock.
const ANNOUNCE_EVERY: Duration = Duration::from_millis(5);

/// What the run of process 0 is made of, as far as the others have to do with it.
pub(crate) struct LeaderParts {
    pub cuts: Option<Arc<Cuts>>,
    /// Of a topic, how far it is read, and the clock.
    pub topic: Option<(Arc<KafkaProgress>, Arc<WallClock>)>,
    pub caught_up: Arc<CaughtUp>,
    /// Of a run with a state.
    pub coordinator: Option<Sender<ToCoordinator>>,
    pub journaled: Option<Journaled>,
    pub stop: StopRelay,
}

/// Process 0's side of the connections with all others.
pub(crate) struct Leader {
    /// This process.
    name: String,
    shared: Arc<Hearing>,
    early: Receiver<(usize, Early)>,
}

impl Leader {
    /// Begins to talk to the others. They are lost when nothing is heard of them for so long.
    pub fn begin(
        members: &Members,
        links: Vec<Link>,
        within: Duration,
        metrics: Arc<Metrics>,
        leave: Leave,
    ) -> io::Result<Leader> {
        let (early, heard_early) = unbounded();
        let others = links.iter().map(|link| members.name(link.peer));
        let fate = Arc::new(Fate::new(members.name(0), within));
        let shared = Arc::new(Hearing::new(others, fate, Arc::clone(&metrics), early));
        for (index, link) in links.into_iter().enumerate() {
            let (hears, hears_bulk, loses) = (Arc::clone(&shared), Arc::clone(&shared), Arc::clone(&shared));
            let (control, bulk) = talk_with(
                &format!("p{}", index + 1),
                link,
                move |frame| hears.hear(index, &frame.head),
                move |frame| hears_bulk.hear_bulk(index, &frame),
                move |how| loses.lose(index, &how),
            )?;
            let member = &shared.members[index];
            let _ = (member.control.set(control), member.bulk.set(bulk));
        }
        let watching = Arc::clone(&shared);
        let (ticking, losing) = (Arc::clone(&shared), Arc::clone(&shared));
        let names = members.clone();
        Watch {
            name: members.name(0),
            peers: shared.members.iter().map(|member| Arc::clone(&member.heard)).collect(),
            leave,
            within,
            metrics,
            fate: Arc::clone(&shared.fate),
            watches_run: true,
            lose: Box::new(move |culprit| losing.fail(culprit)),
            name_of: Box::new(move |process| names.name(process)),
            beat: Box::new(move || _ = watching.try_tell_all(&ToMember::Beat)),
            tick: Box::new(move || ticking.tick()),
        }
        .start()?;
        Ok(Leader { name: members.name(0), shared, early: heard_early })
    }

    /// Tells with what the others go on.
    pub fn restore(&self, facts: &RestoreFacts) {
        self.shared.tell_all(&ToMember::Restore(facts.clone()));
    }

    /// What recovery tells the others.
    pub fn others(&self) -> Arc<dyn Others> {
        Arc::clone(&self.shared) as Arc<dyn Others>
    }

    /// Gives them the way to the writer of a table, once there is one.
    pub fn take_writer(&self) -> TakeWriter {
        let shared = Arc::clone(&self.shared);
        TakeWriter(Box::new(move |writer| {
            for (index, member) in shared.members.iter().enumerate() {
                let control = member.control.get().cloned();
                if let Some(control) = control
                    && let Ok(items) = ItemsOfMember::new(index, writer.clone(), control)
                {
                    let _ = member.items.set(items);
                }
            }
        }))
    }

    /// Begins the run of all: from now on they are heard. Returns when all others have said that they are ready.
    pub fn start(&self, parts: LeaderParts, facts: &StartFacts, failure: &Failure) -> Result<(), PeerError> {
        let shared = &self.shared;
        let cuts = parts.cuts.clone();
        let tells = Arc::clone(shared);
        parts.caught_up.tell(Box::new(move |epoch, is_last| {
            if is_last {
                tells.tell_all(&ToMember::CaughtUp(epoch));
            }
        }));
        shared.begin(parts);
        shared.tell_all(&ToMember::Start(facts.clone()));
        let mut missing: Vec<bool> = vec![true; shared.members.len()];
        while missing.contains(&true) {
            match self.wait_early(Duration::from_millis(100))? {
                Some((index, Early::Ready)) => missing[index] = false,
                // What is said of one that process 0 has passed over itself is no news.
                Some((index, Early::Restored(number, Err(error)))) if number == facts.manifest => {
                    let why = format!("{}: {error}", shared.members[index].name);
                    shared.fail(why);
                    return Err(PeerError::State(error));
                }
                Some(_) => {}
                None if shared.parts.get().is_some_and(|parts| parts.stop.is_wanted()) => {
                    return Err(PeerError::Stopped);
                }
                None => {}
            }
        }
        // They take what they are told from here on.
        if let Some(cuts) = cuts {
            let tells = Arc::clone(shared);
            cuts.tell(Box::new(move |news| tells.tell_all(&ToMember::Cuts(news))));
        }
        shared.fate.tell(failure.clone());
        Ok(())
    }

    /// Announces epochs by the wall clock of this process, until all readers have ended.
    pub fn announce(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new().name("epochs".to_owned()).spawn(move || {
            let Some(LeaderParts { cuts: Some(cuts), topic: Some((_, clock)), journaled, .. }) = shared.parts.get()
            else {
                return;
            };
            while !cuts.have_ended() && shared.fate.culprit().is_none() {
                let (epoch, _) = clock.now();
                cuts.announce_elsewhere(epoch);
                if journaled.is_none() {
                    // Nobody asks for an older cut.
                    cuts.forget_before(cuts.newest().unwrap_or_default());
                }
                std::thread::sleep(ANNOUNCE_EVERY);
            }
        })?;
        Ok(())
    }

    /// Hands blocks of this feed on to the others, as far as they have room.
    pub fn hand_on(&self, feed: &Feed, cuts: Option<Arc<KnownCuts>>, failure: &Failure) -> io::Result<()> {
        for (index, member) in self.shared.members.iter().enumerate() {
            let Some(to) = member.bulk.get().cloned() else { continue };
            let (feed, room, lost) = (feed.clone(), member.room.clone(), self.shared.fate.lost().clone());
            let hands_on = HandsOn { feed, cuts: cuts.clone(), room, to, failure: failure.clone(), lost };
            std::thread::Builder::new().name(format!("blocks p{}", index + 1)).spawn(move || hands_on.run())?;
        }
        Ok(())
    }

    /// Waits for the others, which have ended well or are about to, tells them how the run has ended, and gives back what they have counted.
    pub fn end(&self, how: HowItEnded) -> Result<Vec<Totals>, PeerError> {
        let until = Instant::now() + END_WITHIN;
        let mut ended: Vec<Option<Totals>> = self.shared.members.iter().map(|_| None).collect();
        while let Some(missing) = ended.iter().position(Option::is_none) {
            match self.wait_early(Duration::from_millis(100))? {
                Some((index, Early::Ended(totals))) => ended[index] = Some(totals),
                Some(_) => {}
                None if Instant::now() >= until => {
                    let name = &self.shared.members[missing].name;
                    return Err(PeerError::Lost(format!("{name} has not ended with the others")));
                }
                None => {}
            }
        }
        self.shared.fate.is_over();
        self.shared.tell_all(&ToMember::Bye(how));
        // They hear it before this process is gone.
        while Instant::now() < until
            && !self.shared.members.iter().all(|member| member.has_left.load(Ordering::Acquire))
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(ended.into_iter().flatten().collect())
    }

    /// The run is over, because of this: all others end with the same word.
    pub fn fail(&self, why: &str) {
        self.shared.fail(format!("{}: {why}", self.name));
    }

    fn wait_early(&self, at_most: Duration) -> Result<Option<(usize, Early)>, PeerError> {
        select! {
            recv(self.early) -> early => Ok(early.ok()),
            // What whoever is lost has said before says more.
            recv(self.shared.fate.lost()) -> _ => match self.early.try_recv() {
                Ok(early) => Ok(Some(early)),
                Err(_) => Err(PeerError::Lost(self.shared.fate.culprit().unwrap_or_default())),
            },
            default(at_most) => Ok(None),
        }
    }
}

impl Drop for Leader {
    /// The others hear why before this process is gone. Whoever is stopped does not, and is not waited for.
    fn drop(&mut self) {
        if !self.shared.fate.has_ended() {
            self.fail("it could not go on, and says why");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}
