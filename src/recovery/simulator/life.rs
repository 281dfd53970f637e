//! The life of a run: opened over what is durable, then moved step by step until it ends or dies.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::{Sender, bounded};

use super::check;
use super::fault::Fault;
use super::ground::{Partitions, SharedPartitions, offsets};
use super::keeper::Keeper;
use super::objects::{Objects, Risk};
use super::table::Flight;
use super::worker::{Batches, Surroundings, Worker};
use super::world::{NAMES, SEED, World};
use crate::checkpoint::{CheckpointErrorKind, Checksum, DeadLetterFile, Location, Manifest};
use crate::clock::TimeSamples;
use crate::counter::EventTime;
use crate::epoch::{Epoch, Version, Versions, Window};
use crate::event::{Arrival, Utf8};
use crate::peers::Peers;
use crate::publish::{Handed, Next};
use crate::recovery::message::ToCoordinator;
use crate::recovery::open::Kept;
use crate::recovery::{
    Coordinator, CoordinatorParts, JournalWriter, Journaled, NoOthers, Opened, Snapshotter, StateOptions,
};
use crate::sink::{Intake, Order, Outcome};
use crate::source::{Cuts, Feed, FeedSender, feed};
use crate::state::{DecayCounters, Handover, Moment, Publishing, RhythmId, Selection};
use crate::sums::WindowSums;
use crate::telemetry::Metrics;

/// What comes of a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    GoesOn,
    /// It has come to its end: everything is counted, published, and in a checkpoint.
    Finished,
    /// It is dead, or another run has the state.
    Over(String),
}

/// A reader of some partitions.
struct Reader {
    /// None once it has ended.
    sender: Option<FeedSender>,
    feed: Feed,
    partitions: Vec<usize>,
}

/// A letter that is to be written.
struct Letter {
    epoch: u64,
    position: (usize, i64),
}

/// A run.
pub(super) struct Life {
    pub run: usize,
    pub objects: Arc<Objects>,
    /// The moment 0 of the run, in milliseconds since the world began.
    began: u64,
    /// The epoch before the first that it reads.
    before: u64,
    /// Where it goes on.
    from: Vec<i64>,
    partitions: Arc<Partitions>,
    cuts: Arc<Cuts>,
    readers: Vec<Reader>,
    /// Which events are in which epoch.
    epochs: BTreeMap<u64, Vec<(usize, i64)>>,
    /// All epochs before this one have been summed up.
    summed: u64,
    sums: WindowSums,
    /// By worker.
    batches: Vec<Batches>,
    workers: Vec<Worker>,
    outbox: Sender<ToCoordinator>,
    keeper: Keeper,
    journal: JournalWriter,
    letters: VecDeque<Letter>,
    /// Those that stand in the file already and have not come again.
    known_letters: BTreeSet<(usize, i64)>,
    /// How long the file was by the checkpoint that the run goes on from.
    marked_letters: u64,
    is_over: bool,
}

impl Life {
    /// Begins a run. `None`: it could not.
    pub fn open(world: &mut World, risk: Risk) -> Result<Option<Life>, String> {
        let run = world.next_run();
        let objects = Arc::new(Objects::new(Arc::clone(&world.disk), run, world.dice.fork(), risk));
        let store = crate::checkpoint::tests::over(objects.clone(), "");
        let location: Location = "s3://memory/state".parse().expect("a location");
        let newest = world.table.rows.values().map(|(version, _)| version.generation()).max();
        let options = StateOptions {
            location: &location,
            pipeline: "test",
            sink: "table",
            recorded: newest.filter(|_| world.dice.one_in(2)),
            now: world.wall(),
            accept: &|_| Ok(()),
        };
        let Ok(mut opened) = Opened::take(store, &options) else { return Ok(None) };
        if world.has(Fault::SkipsTheClaim) {
            check::forget_claim(world, opened.generation());
        }
        let first = opened.next_epoch().0.max(1);
        let versions = Versions::new(opened.generation(), Window(first - 1));
        let workers = 1 + world.dice.below(3);
        let (pipeline, metrics) = (Arc::clone(&world.pipeline), Arc::new(Metrics::default()));
        let peers = Peers::alone(workers as u32);
        let new = || {
            DecayCounters::new(Arc::clone(&pipeline), versions, peers, Publishing::Pull, Arc::clone(&metrics)).small()
        };
        let began_at = 1_790_000_000_000 + world.now as i64;
        let Ok(mut counters) = opened.restore(peers, &new, began_at, false) else { return Ok(None) };
        let partitions = world.events.len();
        let counted = opened.counted().map_err(|error| error.to_string())?;
        let counted = counted.map_or_else(|| vec![0; partitions], |counted| offsets(&counted, partitions));
        let published = published(world, &opened, partitions);
        note_opening(world, &opened, &counters, &counted, &published, workers);
        if world.has(Fault::DropsMarks) {
            counters.iter_mut().for_each(drop_marks);
        }
        let from = match world.has(Fault::ReadsOnFromTheJournal) {
            true => counted.iter().zip(&published).map(|(counted, published)| *counted.max(published)).collect(),
            false => counted,
        };
        let known = opened.dead_letters().map_or(0, |file| file.length as usize);
        let known_letters = match world.has(Fault::ForgetsLetters) {
            true => BTreeSet::new(),
            false => world.letters[known..].iter().copied().collect(),
        };

        let readers = 1 + world.dice.below(3);
        let partitions = Arc::new(Partitions::new(readers, &from, &published));
        let cuts = Arc::new(Cuts::new(Box::new(SharedPartitions(Arc::clone(&partitions))), readers));
        let reader = |reader: usize| {
            let (sender, feed) = feed(Epoch(first));
            Reader { sender: Some(sender.noting(cuts.noter(reader))), feed, partitions: partitions.of(reader) }
        };
        let readers: Vec<Reader> = (0..readers).map(reader).collect();

        let Kept { store, commits, journal, epoch, .. } = opened.into_kept();
        let mut description = Manifest::new("test".to_owned(), SEED, world.wall());
        description.sink = "table".to_owned();
        description.groups = world.pipeline.meaning();
        let mut coordinator = Coordinator::new(CoordinatorParts {
            store,
            commits,
            description,
            cuts: Arc::clone(&cuts),
            workers,
            processes: 1,
            is_spoilt: Arc::new(AtomicBool::new(false)),
            most_bytes: 1 + world.dice.below(600),
        });
        let epoch = match epoch {
            Some(epoch) => epoch,
            None => {
                let length = world.letters.len() as u64;
                let file = DeadLetterFile { path: "letters".into(), length, head_hash: Checksum::of(b"") };
                if coordinator.make_first(Epoch(first - 1), Some(file)).is_err() {
                    return Ok(None);
                }
                Epoch(first - 1)
            }
        };
        let journaled = Journaled::default();
        let (outbox, inbox) = bounded(1 + world.dice.below(4));
        let room_bytes = world.dice.pick(&[1, 40_000, 1 << 20]);
        let (mut verdicts, mut all) = (Vec::new(), Vec::new());
        for counters in counters {
            let (verdict, heard) = bounded(1);
            verdicts.push(verdict);
            let snapshotter = Snapshotter::new(cuts.known(), outbox.clone(), heard, began_at);
            let waits_for = (!world.has(Fault::PublishesUnjournaled)).then(|| journaled.clone());
            all.push(Worker::new(counters, snapshotter, waits_for, &pipeline, &metrics, epoch, room_bytes));
        }
        Ok(Some(Life {
            run,
            objects,
            began: world.now,
            before: first - 1,
            from,
            partitions,
            readers,
            epochs: BTreeMap::new(),
            summed: first,
            sums: WindowSums::new(workers as u32),
            batches: vec![Batches::new(); workers],
            workers: all,
            outbox,
            keeper: Keeper::new(coordinator, inbox, verdicts),
            journal: JournalWriter::new(journal, journaled, Arc::clone(&cuts), Arc::new(NoOthers)),
            cuts,
            letters: VecDeque::new(),
            known_letters,
            marked_letters: known as u64,
            is_over: false,
        }))
    }

    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Where it stands, for messages.
    pub fn describe(&self) -> String {
        let workers: Vec<_> = self.workers.iter().map(|worker| (worker.done, worker.has_settled)).collect();
        format!("{}; workers {workers:?}; ended: {}", self.keeper.describe(), self.cuts.have_ended())
    }

    /// One of its threads does something. Towards its end nothing goes wrong any more, and readers stop where nothing more comes.
    pub fn step(&mut self, world: &mut World, is_last: bool) -> Result<Step, String> {
        world.now += world.dice.below(700) as u64;
        let step = match world.dice.below(100) {
            0..22 => self.read(world, is_last),
            22..58 => self.work(world)?,
            58..66 => self.write_letter(world),
            66..74 => self.write_journal(world),
            74..86 => {
                let mark = self.letters_mark(world);
                self.keeper.step(world, &self.cuts, mark)
            }
            86..98 => self.answer(world, is_last)?,
            98 => {
                world.append();
                Step::GoesOn
            }
            _ => {
                let has_come = world.table.arrive_late()?;
                world.stakes.note_if(has_come, "a write that arrived after the next run had begun");
                if world.dice.one_in(8) {
                    world.late_object_arrives();
                }
                Step::GoesOn
            }
        };
        if self.objects.is_dead() {
            self.is_over = true;
            world.stakes.note("a run that died in a call of the disk");
            return Ok(Step::Over("it has died".to_owned()));
        }
        self.is_over |= step != Step::GoesOn;
        let is_finished = self.keeper.is_finished() && self.workers.iter().all(|worker| worker.has_settled);
        Ok(if is_finished && step == Step::GoesOn { Step::Finished } else { step })
    }

    /// A reader hands something over, announces a later epoch, or ends.
    fn read(&mut self, world: &mut World, is_last: bool) -> Step {
        let index = world.dice.below(self.readers.len());
        let reader = &mut self.readers[index];
        let Some(sender) = &reader.sender else { return Step::GoesOn };
        let epoch = reader.feed.announced().0;
        let mut handed_over = self.partitions.handed_over();
        let waiting: Vec<usize> =
            reader.partitions.iter().copied().filter(|of| (handed_over[*of] as usize) < world.there[*of]).collect();
        if waiting.is_empty() && world.dice.one_in(if is_last { 3 } else { 12 }) {
            drop(handed_over);
            reader.sender = None;
        } else if waiting.is_empty() || world.dice.one_in(3) {
            drop(handed_over);
            sender.announce(Epoch(epoch + 1 + world.dice.below(3) as u64));
        } else {
            let partition = world.dice.pick(&waiting);
            let offset = handed_over[partition];
            handed_over[partition] += 1;
            self.epochs.entry(epoch).or_default().push((partition, offset));
            if world.events[partition][offset as usize].is_bad {
                self.letters.push_back(Letter { epoch, position: (partition, offset) });
            }
        }
        Step::GoesOn
    }

    /// Below which epoch nothing comes any more.
    fn frontier(&self) -> u64 {
        let open = self.readers.iter().filter(|reader| reader.sender.is_some());
        open.map(|reader| reader.feed.announced().0).min().unwrap_or(u64::MAX)
    }

    /// Everything below this epoch is applied, and its letters are written.
    fn done(&self) -> u64 {
        let applied = self.workers.iter().map(|worker| worker.done).min().unwrap_or_default();
        self.letters.iter().map(|letter| letter.epoch).min().map_or(applied, |waits| waits.min(applied))
    }

    /// A worker does some of what is to be done.
    fn work(&mut self, world: &mut World) -> Result<Step, String> {
        let index = world.dice.below(self.workers.len());
        let now = Moment(world.now - self.began);
        let frontier = self.frontier();
        self.sum_up(frontier, world);
        let done = self.done();
        let worker = &mut self.workers[index];
        match world.dice.below(4) {
            0 => worker.learn(frontier),
            1 => worker.apply(&mut self.batches[index], now, world.fault)?,
            2 => {
                let waits_not = world.has(Fault::DoesNotWaitForLetters);
                let Worker { snapshotter, counters, .. } = worker;
                snapshotter.work(&mut counters.borrow_mut(), |epoch| waits_not || done > epoch.0);
            }
            _ => {
                let around = Surroundings { now, done, passed: self.cuts.passed(), fault: world.fault };
                let next = worker.publish(around);
                if done == u64::MAX && next == Next::Done && !worker.has_settled && !self.outbox.is_full() {
                    worker.has_settled = true;
                    worker.snapshotter.settled();
                }
                while let Ok(handed) = self.workers[index].handed.try_recv() {
                    self.hand_over(handed, world)?;
                }
            }
        }
        Ok(Step::GoesOn)
    }

    /// Sums up the events of all epochs that have ended.
    fn sum_up(&mut self, frontier: u64, world: &mut World) {
        for (epoch, events) in self.epochs.range(self.summed..frontier) {
            let readable = events.iter().map(|(of, offset)| world.events[*of][*offset as usize]);
            for event in readable.filter(|event| !event.is_bad) {
                let (key, name) = (event.item.0, NAMES[usize::from(event.item.1)]);
                let line = format!("{{\"n\":\"{name}\",\"u\":\"{key}\",\"t\":5}}");
                let arrival = Arrival::before(EventTime(1_000_000));
                let event = world.decoder.decode(line.as_bytes(), arrival, Utf8::Checked);
                world.router.route(&event.expect("an event").expect("an event"), &mut self.sums).expect("it counts");
            }
            self.sums.close_window(Window(*epoch), &world.pipeline);
            let times = TimeSamples::default();
            for batch in self.sums.take_epoch(&times, world.router.features(), &world.pipeline) {
                self.batches[batch.owner.0 as usize].entry(*epoch).or_default().push(batch);
            }
        }
        self.summed = self.summed.max(frontier);
    }

    /// The table is given something: it must be what its version says, and in the journal.
    fn hand_over(&mut self, handed: Handed, world: &mut World) -> Result<(), String> {
        let items = check::items_of(&handed.items, world);
        let handed = Rc::new(handed);
        let is_answered = world.has(Fault::AcknowledgesWhenTaken);
        if is_answered {
            handed.receipt.answer(0..items.len() as u32, Outcome::Written);
        }
        for (index, (item, version, value)) in (0u32..).zip(items) {
            let contains = self.contents_of(version);
            let counted = world.count(&contains).get(&item).copied().unwrap_or_default();
            if value != counted {
                return Err(format!("I1: {item:?} is handed over as {value}, and at {contains:?} it is {counted}"));
            }
            let journaled = world.disk.journaled();
            let is_behind = |(of, to): (usize, &i64)| journaled.get(of).copied().unwrap_or_default() < *to;
            if contains.iter().enumerate().any(is_behind) {
                return Err(format!("I3: {item:?} contains {contains:?}, and the journal has {journaled:?}"));
            }
            world.stakes.note("an item handed over");
            let (handed, run) = (Rc::clone(&handed), self.run);
            world.table.begin(Flight { run, handed, index, item, version, value, is_answered, is_late: false })?;
        }
        Ok(())
    }

    /// Up to where was read what an item of this version contains.
    fn contents_of(&self, version: Version) -> Vec<i64> {
        let last = self.before + (version.0 & ((1 << Version::WINDOW_BITS) - 1)) - 1;
        let mut offsets = self.from.clone();
        for (of, _) in self.epochs.range(..=last).flat_map(|(_, events)| events) {
            offsets[*of] += 1;
        }
        offsets
    }

    /// From where on the next run must look for letters that it will come to again.
    fn letters_mark(&self, world: &World) -> u64 {
        let is_at_the_end = self.known_letters.is_empty() || world.has(Fault::MarksLettersTooLate);
        if is_at_the_end { world.letters.len() as u64 } else { self.marked_letters }
    }

    fn write_letter(&mut self, world: &mut World) -> Step {
        if !world.dice.one_in(world.letters_take) {
            return Step::GoesOn;
        }
        if let Some(Letter { position, .. }) = self.letters.pop_front() {
            if self.known_letters.remove(&position) {
                world.stakes.note("a letter that stands in the file already");
            } else if world.is_newest(self.run) {
                // A run that was overtaken is on another machine, and has a file of its own.
                world.letters.push(position);
            }
        }
        Step::GoesOn
    }

    fn write_journal(&mut self, world: &mut World) -> Step {
        match self.journal.step() {
            Ok(written) => world.stakes.note_if(written, "an entry of the journal"),
            Err(error) if error.kind() == CheckpointErrorKind::InUse => {
                world.stakes.note("an entry of the journal refused because another run has the state");
                return Step::Over(error.to_string());
            }
            Err(_) => world.stakes.note("an entry of the journal that could not be written"),
        }
        Step::GoesOn
    }

    fn answer(&mut self, world: &mut World, is_last: bool) -> Result<Step, String> {
        if world.has(Fault::AnswersTooEarly)
            && let Some(flight) =
                world.table.flights.iter_mut().find(|flight| flight.run == self.run && !flight.is_answered)
        {
            flight.is_answered = true;
            flight.handed.receipt.answer(flight.index..flight.index + 1, Outcome::NotWritten);
            return Ok(Step::GoesOn);
        }
        let World { table, dice, stakes, .. } = world;
        if table.answer_some(self.run, dice, is_last)? {
            stakes.note("a run that found a newer one in the table");
            return Ok(Step::Over("another run has the table".to_owned()));
        }
        Ok(Step::GoesOn)
    }
}

/// Takes all marks away, as if everything were in the table.
fn drop_marks(counters: &mut DecayCounters) {
    counters.begin_round(RhythmId(0), Selection::Everything, Moment(0));
    let intake = Intake { order: Order::Waiting, items_at_once: usize::MAX, room_bytes: u64::MAX };
    while let Some(Handover { id, items }) = counters.take(&intake) {
        counters.answer(id, 0..items.len() as u32, Outcome::Written);
    }
}

/// Up to where something may have been published, by partition.
fn published(world: &World, opened: &Opened, partitions: usize) -> Vec<i64> {
    let mut published = vec![0; partitions];
    let mut raise = |to: Vec<i64>| published.iter_mut().zip(to).for_each(|(from, to)| *from = i64::max(*from, to));
    opened.published.iter().for_each(|entry| raise(offsets(entry, partitions)));
    if opened.journal_is_damaged {
        raise(world.there.iter().map(|there| *there as i64).collect());
    }
    if world.has(Fault::GateOfOnePartition) {
        published[1..].fill(0);
    }
    published
}

fn note_opening(
    world: &mut World,
    opened: &Opened,
    counters: &[DecayCounters],
    counted: &[i64],
    published: &[i64],
    workers: usize,
) {
    let stakes = &mut world.stakes;
    stakes.note_if(counted.iter().zip(published).any(|(counted, to)| counted < to), "a closed gate");
    stakes.note_if(opened.journal_is_damaged, "a gate at the ends because the journal is damaged");
    stakes.note_if(counters.iter().any(|counters| counters.unpublished_items() > 0), "a checkpoint with marks");
    stakes.note_if(opened.has_passed_over(), "a checkpoint that was passed over");
    stakes.note_if(![0, workers].contains(&world.workers_before), "another number of workers");
    world.workers_before = workers;
}
