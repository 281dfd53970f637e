//! Up to where every reader had read when an epoch ended, and which epoch's end is to be a checkpoint.
//!
//! A reader *notes* its positions each time before it announces a later epoch: everything that it handed over until then has an earlier one.
//! So of the cut at the end of epoch `e`, what a reader had read is what it noted before it first announced an epoch above `e`; a cut is
//! known when every reader has announced one, or has ended.
//!
//! Whoever wants a checkpoint asks for it; the next reader whose epoch ends says which cut it will be: the one before the epoch that it is
//! about to announce, or that of the newest epoch which any reader has announced, whichever is later. So everything is in it that was
//! handed over before somebody asked; and no worker can have passed it, because this reader has not announced a later epoch yet.
//!
//! In a cluster all of this is in process 0. The readers of the others note there (see [`Noting`]), and announce no epoch that process 0 has not
//! announced to them. So they, too, have not left a cut's epoch when it is told ([`CutNews`]), and every process hears of a cut before it hears of
//! a later epoch. A reader of theirs that has ended goes on announcing until all have: its process must not run ahead of what it hears.

mod elsewhere;
mod known;
mod news;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use elsewhere::{Noted, NoterElsewhere, ReaderNote, TellNote};
pub use known::{Cut, KnownCuts};
pub(crate) use news::CutNews;
use news::HearCuts;
use reader::Reader;

use super::{OffsetRange, SourcePositions};
use crate::epoch::Epoch;

/// What the readers of a run read: partitions or logs, each with a number.
pub(crate) trait Ground: fmt::Debug + Send + Sync {
    /// What this reader has handed over by now of all that it reads.
    fn all_of(&self, reader: usize) -> Vec<(usize, OffsetRange)>;

    /// The same, without what cannot have changed since this was asked before.
    fn changed(&self, reader: usize) -> Vec<(usize, OffsetRange)> {
        self.all_of(reader)
    }

    /// Up to where something of this partition or log may have been published by an earlier run.
    fn published(&self, number: usize) -> i64;

    /// Positions where so much was handed over.
    fn positions(&self, handed_over: &BTreeMap<usize, OffsetRange>) -> SourcePositions;
}

/// The notes of all readers of a run.
#[derive(Debug)]
pub struct Cuts {
    ground: Box<dyn Ground>,
    first: SourcePositions,
    known: Arc<KnownCuts>,
    state: Mutex<State>,
}

struct State {
    readers: Vec<Reader>,
    /// Somebody wants a checkpoint, and no epoch has ended since.
    is_wanted: bool,
    /// Cuts before the end of this epoch are not known any more.
    forgotten: Epoch,
    /// The other processes.
    others: Option<HearCuts>,
    /// The newest epoch that they know of.
    told: Epoch,
}

impl Cuts {
    /// Of so many readers of this ground, of which none has begun.
    pub(crate) fn new(ground: Box<dyn Ground>, readers: usize) -> Cuts {
        let at_first = |reader| Reader::new(ground.all_of(reader), |number| ground.published(number));
        let readers: Vec<_> = (0..readers).map(at_first).collect();
        let first = ground.positions(&readers.iter().flat_map(Reader::at_first).collect());
        let state = State { readers, is_wanted: false, forgotten: Epoch(0), others: None, told: Epoch(0) };
        let known = Arc::<KnownCuts>::default();
        if let Some(passed) = state.passed() {
            known.passed_at(passed);
        }
        Cuts { ground, first, known, state: Mutex::new(state) }
    }

    /// What workers are told of them.
    pub fn known(&self) -> Arc<KnownCuts> {
        Arc::clone(&self.known)
    }

    /// Through which this reader notes its positions.
    pub fn noter(self: &Arc<Cuts>, reader: usize) -> Noter {
        Noter { cuts: Arc::clone(self), reader }
    }

    /// Tells the other processes from now on, and how it stands: before any reader begins.
    pub(crate) fn tell(&self, others: HearCuts) {
        let mut state = self.lock();
        if let Some(passed) = state.passed() {
            others(CutNews::Passed(passed));
        }
        state.others = Some(others);
    }

    /// A reader of another process notes; what it has handed over is known to the ground by now.
    pub(crate) fn note_elsewhere(&self, reader: usize, what: Noted) {
        match what {
            Noted::Begins(epoch) => self.begin(reader, epoch),
            Noted::Announces(next) => self.note(reader, Some(next)),
            Noted::Ends => self.note(reader, None),
        }
    }

    /// Announces this epoch to the other processes, whose readers announce no other, unless it was already.
    pub(crate) fn announce_elsewhere(&self, next: Epoch) {
        let mut state = self.lock();
        if next > state.told && !state.have_ended() {
            self.cut_if_wanted(Some(next), &mut state);
            state.told = next;
            state.tell(CutNews::Announced(next));
        }
    }

    /// Asks for a checkpoint at the end of an epoch that ends soon: the first that has everything which was handed over
    /// by now. (That is the same as before where nothing was announced since.)
    pub fn want_checkpoint(&self) {
        let mut state = self.lock();
        if state.have_ended() {
            // Nobody will announce anything any more.
            let last = state.last_epoch();
            self.cut_at(last, &mut state);
        } else {
            state.is_wanted = true;
        }
    }

    /// The cut of the newest checkpoint that was asked for; `None` before the first.
    pub fn checkpoint(&self) -> Option<Cut> {
        self.known.cut()
    }

    /// The positions before anything of this run is read.
    pub fn first(&self) -> SourcePositions {
        self.first.clone()
    }

    /// The largest epoch whose whole cut is known by now; where every reader has ended, the last there is.
    pub fn newest(&self) -> Option<Epoch> {
        let state = self.lock();
        if state.have_ended() {
            return Some(state.last_epoch());
        }
        state.readers.iter().filter(|reader| !reader.has_ended()).map(Reader::newest).min()?
    }

    /// The whole cut: what every reader had read at the end of this epoch, with what earlier runs have read. `None` while
    /// some reader is still in that epoch.
    pub fn positions(&self, epoch: Epoch) -> Option<SourcePositions> {
        let state = self.lock();
        if epoch < state.forgotten {
            return None;
        }
        let mut handed_over = BTreeMap::new();
        for reader in &state.readers {
            handed_over.extend(reader.at_the_end_of(epoch)?);
        }
        drop(state);
        Some(self.ground.positions(&handed_over))
    }

    /// Whether every reader has ended, so that no epoch comes behind [`Cuts::last_epoch`].
    pub fn have_ended(&self) -> bool {
        self.lock().have_ended()
    }

    /// The largest epoch that any reader has announced.
    pub fn last_epoch(&self) -> Epoch {
        self.lock().last_epoch()
    }

    /// From which epoch's end on everything has been read again that an earlier run may have published: the smallest whose
    /// whole cut has it. `None` until that is known.
    pub fn passed(&self) -> Option<Epoch> {
        self.lock().passed()
    }

    /// How much of what may have been published is to be read again still: bytes of logs, messages of a topic.
    pub fn left_to_read_again(&self) -> u64 {
        let published = |number| self.ground.published(number);
        self.lock().readers.iter().map(|reader| reader.is_behind_by(published)).sum()
    }

    /// Nobody will ask for a cut before the end of this epoch any more.
    pub fn forget_before(&self, epoch: Epoch) {
        let mut state = self.lock();
        state.forgotten = state.forgotten.max(epoch);
        state.readers.iter_mut().for_each(|reader| reader.forget_before(epoch));
    }

    /// A reader begins in this epoch.
    fn begin(&self, reader: usize, epoch: Epoch) {
        if let Some(reader) = self.lock().readers.get_mut(reader) {
            reader.begin(epoch);
        }
    }

    /// A reader is about to announce a later epoch, or, with `None`, that it has ended.
    fn note(&self, reader: usize, next: Option<Epoch>) {
        let changed = self.ground.changed(reader);
        let mut state = self.lock();
        self.cut_if_wanted(next, &mut state);
        let had_passed = state.passed().is_some();
        if let Some(reader) = state.readers.get_mut(reader) {
            reader.note(next, changed, |number| self.ground.published(number));
        }
        if let Some(passed) = state.passed().filter(|_| !had_passed) {
            self.known.passed_at(passed);
            state.tell(CutNews::Passed(passed));
        }
        if next.is_none() && state.have_ended() {
            state.tell(CutNews::AllEnded);
        }
    }

    /// This epoch is about to be announced, or, with `None`, nothing any more: the cut that is wanted is before that.
    fn cut_if_wanted(&self, next: Option<Epoch>, state: &mut State) {
        if std::mem::take(&mut state.is_wanted) {
            let before_next = Epoch(next.map_or(0, |next| next.0.saturating_sub(1)));
            let epoch = before_next.max(state.last_epoch()).max(state.told);
            self.cut_at(epoch, state);
        }
    }

    /// The next checkpoint is at the end of this epoch, or where the one before was, if that is later.
    fn cut_at(&self, epoch: Epoch, state: &mut State) {
        let (number, before) = self.known.cut().map_or((0, epoch), |cut| (cut.number, cut.epoch));
        let cut = Cut { number: number + 1, epoch: epoch.max(before) };
        // Before any process can know of a later epoch.
        state.tell(CutNews::Cut(cut));
        self.known.cut_at(cut);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { readers, is_wanted, forgotten, others: _, told: _ } = self;
        let mut state = f.debug_struct("State");
        state
            .field("readers", readers)
            .field("is_wanted", is_wanted)
            .field("forgotten", forgotten)
            .finish_non_exhaustive()
    }
}

impl State {
    fn have_ended(&self) -> bool {
        self.readers.iter().all(Reader::has_ended)
    }

    fn last_epoch(&self) -> Epoch {
        self.readers.iter().map(Reader::last).max().unwrap_or_default()
    }

    fn passed(&self) -> Option<Epoch> {
        let passed = self.readers.iter().map(Reader::passed).collect::<Option<Vec<_>>>()?;
        Some(passed.into_iter().max().unwrap_or_default())
    }

    fn tell(&self, news: CutNews) {
        if let Some(others) = &self.others {
            others(news);
        }
    }
}

/// How a reader notes its positions, wherever that is done.
pub trait Noting: fmt::Debug + Send + Sync {
    /// The reader begins in this epoch.
    fn begins(&self, epoch: Epoch);

    /// The reader is about to announce this epoch, which is later than all before.
    fn announces(&self, next: Epoch);

    /// Whether [`Noting::ends`] waits for others.
    fn waits(&self) -> bool {
        false
    }

    /// The reader will hand over nothing more. Returns when its feed may end; until then `follow` announces epochs on it.
    fn ends(&self, follow: &dyn Fn(Epoch));
}

/// Through which one reader notes its positions; see [`FeedSender::noting`](super::FeedSender::noting).
#[derive(Debug)]
pub struct Noter {
    cuts: Arc<Cuts>,
    reader: usize,
}

impl Noting for Noter {
    fn begins(&self, epoch: Epoch) {
        self.cuts.begin(self.reader, epoch);
    }

    fn announces(&self, next: Epoch) {
        self.cuts.note(self.reader, Some(next));
    }

    fn ends(&self, _follow: &dyn Fn(Epoch)) {
        self.cuts.note(self.reader, None);
    }
}
