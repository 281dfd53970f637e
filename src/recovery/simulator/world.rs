//! What outlives runs: events, the disk, the table, the file of dead letters; and the lives of runs, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::check;
use super::dice::Dice;
use super::disk::Disk;
use super::fault::Fault;
use super::life::{Life, Step};
use super::objects::Risk;
use super::stakes::Stakes;
use super::table::{Item, Table};
use crate::checkpoint::Store;
use crate::event::Decoder;
use crate::pipeline::Pipeline;
use crate::sums::{HashSeed, Router};

pub(super) const SEED: HashSeed = HashSeed(3);
/// The names of events.
pub(super) const NAMES: [&str; 2] = ["like", "view"];
const PARTITIONS: usize = 3;
/// A run that should end takes so many steps at most.
const MOST_STEPS: usize = 60_000;

/// An event in a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub item: Item,
    /// It cannot be read, and goes to the dead letters.
    pub is_bad: bool,
}

/// Everything that is there whatever becomes of a run.
pub(super) struct World {
    pub dice: Dice,
    pub fault: Option<Fault>,
    pub stakes: Stakes,
    pub pipeline: Arc<Pipeline>,
    pub decoder: Decoder,
    pub router: Router,
    /// By partition.
    pub events: Vec<Vec<Event>>,
    /// How many of them are there by now.
    pub there: Vec<usize>,
    pub disk: Arc<Disk>,
    /// The disk as it is, through which no call fails.
    pub store: Store,
    pub table: Table,
    /// Of so many steps of the thread that writes dead letters one does something.
    pub letters_take: usize,
    /// The positions of dead letters, in their order.
    pub letters: Vec<(usize, i64)>,
    /// Milliseconds since the world began.
    pub now: u64,
    runs: usize,
    pub workers_before: usize,
    /// Commits, and those among them that were looked at.
    checked: usize,
}

/// Every event is worth one for ever: a counter is how many were counted.
fn pipeline() -> Arc<Pipeline> {
    static PIPELINE: OnceLock<Arc<Pipeline>> = OnceLock::new();
    let text = r#"
        name = "test"
        [event]
        name = "n"
        time = "t"
        [[counters]]
        name = "user"
        key = ["u"]
        events = "*"
        decays = ["1000000000000s"]
        feature = "{event}"
        ttl = "none"
    "#;
    let parse = || Arc::new(Pipeline::parse(text, "test.toml", &|_| None).expect("a valid pipeline"));
    Arc::clone(PIPELINE.get_or_init(parse))
}

impl World {
    pub fn new(seed: u64, fault: Option<Fault>) -> World {
        let mut dice = Dice::new(seed);
        let keys = 1 + dice.below(7);
        let events: Vec<Vec<Event>> = (0..1 + dice.below(PARTITIONS))
            .map(|_| {
                let event = |dice: &mut Dice| Event {
                    item: (dice.below(keys).min(dice.below(keys)) as u8, dice.below(NAMES.len()) as u8),
                    is_bad: dice.one_in(8),
                };
                (0..4 + dice.below(28)).map(|_| event(&mut dice)).collect()
            })
            .collect();
        let there = events.iter().map(|events| dice.below(events.len() + 1)).collect();
        let disk = Arc::new(Disk::default());
        let pipeline = pipeline();
        let objects = super::objects::Objects::new(Arc::clone(&disk), 0, dice.fork(), Risk::default());
        World {
            fault,
            stakes: Stakes::default(),
            decoder: Decoder::new(Arc::new(pipeline.event.clone())),
            router: Router::new(Arc::clone(&pipeline), SEED),
            pipeline,
            events,
            there,
            store: crate::checkpoint::tests::over(Arc::new(objects), ""),
            disk,
            table: Table { is_conditional: dice.one_in(2), ..Table::default() },
            letters_take: if dice.one_in(4) { 25 } else { 1 },
            letters: Vec::new(),
            now: 0,
            runs: 0,
            workers_before: 0,
            checked: 0,
            dice,
        }
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// The wall clock, which is wrong now and then.
    pub fn wall(&mut self) -> SystemTime {
        let back = if self.dice.one_in(8) { 3_600 } else { 0 };
        UNIX_EPOCH + Duration::from_secs(1_790_000_000 - back) + Duration::from_millis(self.now)
    }

    pub fn next_run(&mut self) -> usize {
        self.runs += 1;
        self.runs
    }

    /// Whether no run has begun after this one.
    pub fn is_newest(&self, run: usize) -> bool {
        self.runs == run
    }

    /// How often each item stands before these offsets: a plain loop.
    pub fn count(&self, offsets: &[i64]) -> BTreeMap<Item, u64> {
        let mut counts = BTreeMap::new();
        for (events, offset) in self.events.iter().zip(offsets) {
            for event in events[..*offset as usize].iter().filter(|event| !event.is_bad) {
                *counts.entry(event.item).or_default() += 1;
            }
        }
        counts
    }

    /// More events come.
    pub fn append(&mut self) {
        let partition = self.dice.below(self.events.len());
        let more = self.dice.below(4);
        self.there[partition] = (self.there[partition] + more).min(self.events[partition].len());
    }

    /// Some lives that end at any moment, and one that comes to its end.
    pub fn play(&mut self) -> Result<(), String> {
        let mut old = None;
        for _ in 0..1 + self.dice.below(4) {
            old = self.live(old)?;
            self.rest(&mut old)?;
        }
        if let Some(old) = old.take() {
            self.end(old)?;
        }
        while self.table.arrive_late()? {}
        while self.late_object_arrives() {}
        self.last_life()?;
        self.final_checks()
    }

    /// A run that ends before its time. One that goes on when the next begins is returned; `old` is such a one.
    fn live(&mut self, mut old: Option<Life>) -> Result<Option<Life>, String> {
        let mut steps = if self.dice.one_in(16) { 1_500 } else { self.dice.below(300) };
        // A run that does not begin shows little: that happens seldom.
        let at_the_start = Risk {
            one_in: self.dice.one_in(12).then_some(10),
            dies_after: self.dice.one_in(10).then(|| self.dice.below(25)),
        };
        let risk = Risk {
            one_in: self.dice.pick(&[None, None, Some(12), Some(3)]),
            dies_after: self.dice.one_in(2).then(|| self.dice.below(30)),
        };
        let opened = Life::open(self, at_the_start);
        self.look()?;
        let Some(mut life) = opened? else {
            self.stakes.note("a run that could not begin");
            return Ok(old);
        };
        life.objects.take_risk(risk);
        self.stakes.note_if(old.is_some(), "two runs at once");
        let (mut old_steps, old_one_in) = (self.dice.below(120), self.dice.pick(&[3, 12]));
        while steps > 0 {
            steps -= 1;
            if let Some(mut other) = old.take_if(|_| self.dice.one_in(old_one_in)) {
                old_steps = old_steps.saturating_sub(1);
                let goes_on = other.step(self, false)? == Step::GoesOn && old_steps > 0;
                self.look()?;
                if goes_on {
                    old = Some(other);
                } else {
                    self.end(other)?;
                }
                continue;
            }
            let step = life.step(self, false)?;
            self.look()?;
            if step != Step::GoesOn {
                self.stakes.note_if(step == Step::Finished, "a run that came to its end");
                break;
            }
        }
        if let Some(old) = old {
            self.end(old)?;
        }
        // Two at once are only where the table tells them apart.
        let stays = self.table.is_conditional && !life.is_over() && self.dice.one_in(2);
        if stays {
            return Ok(Some(life));
        }
        self.end(life)?;
        Ok(None)
    }

    fn last_life(&mut self) -> Result<(), String> {
        self.there = self.events.iter().map(Vec::len).collect();
        let opened = Life::open(self, Risk::default());
        self.look()?;
        let mut life = opened?.ok_or("the last run cannot begin")?;
        for _ in 0..MOST_STEPS {
            let step = life.step(self, true)?;
            self.look()?;
            match step {
                Step::GoesOn => {}
                Step::Finished => return self.end(life),
                Step::Over(why) => return Err(format!("the last run is over: {why}")),
            }
        }
        Err(format!("the last run does not come to its end: {}", life.describe()))
    }

    /// A run is gone, with all that it had in memory.
    fn end(&mut self, life: Life) -> Result<(), String> {
        life.objects.die();
        self.stakes.add("calls of the disk that failed", life.objects.failed() as u64);
        let (had, arrived) = self.table.run_ends(life.run, &mut self.dice)?;
        self.stakes.note_if(had > 0, "an end with writes under way");
        self.stakes.note_if(arrived > 0, "an end after which a write arrived");
        Ok(())
    }

    /// Between two lives: what was under way arrives or not, something is damaged, a partition comes.
    fn rest(&mut self, old: &mut Option<Life>) -> Result<(), String> {
        self.now += self.dice.below(5_000) as u64;
        if self.dice.one_in(2) {
            self.late_object_arrives();
        }
        if self.has(Fault::PrunesTheJournal) && old.is_none() {
            check::prune_journal(self);
        }
        if self.dice.one_in(6) && old.is_none() {
            check::damage(self);
        }
        if self.dice.one_in(6) && self.events.len() < PARTITIONS {
            self.stakes.note("a partition that no checkpoint knows");
            let event = Event { item: (self.dice.below(3) as u8, 0), is_bad: false };
            self.events.push(vec![event; 1 + self.dice.below(8)]);
            self.there.push(0);
        }
        Ok(())
    }

    /// Something that a run had under way when it died arrives at the disk.
    pub fn late_object_arrives(&mut self) -> bool {
        let Some((path, content)) = self.disk.seen().late.pop() else { return false };
        let has_come = check::wait(self.disk.arrive(&path, content));
        self.stakes.note_if(has_come, "an object that arrived after its run's end");
        true
    }

    /// Looks at what has happened on the disk.
    fn look(&mut self) -> Result<(), String> {
        let (violation, has_committed) = {
            let mut seen = self.disk.seen();
            (seen.violations.pop(), std::mem::take(&mut seen.has_committed))
        };
        if let Some(violation) = violation {
            return Err(violation);
        }
        if has_committed {
            check::newest_checkpoint(self)?;
            self.checked += 1;
        }
        Ok(())
    }

    fn final_checks(&mut self) -> Result<(), String> {
        if self.checked == 0 {
            return Err("no checkpoint was ever made".to_owned());
        }
        self.stakes.add("checkpoints that were recounted", self.checked as u64);
        let ends: Vec<i64> = self.there.iter().map(|there| *there as i64).collect();
        let expected = self.count(&ends);
        let (offsets, _) = check::restored(self)?.ok_or("there is no checkpoint at the end")?;
        if offsets[..] != ends[..] {
            return Err(format!("I1: the last checkpoint has {offsets:?}, and there is {ends:?}"));
        }
        let table: BTreeMap<Item, u64> = self.table.rows.iter().map(|(item, (_, value))| (*item, *value)).collect();
        if table != expected {
            return Err(format!("I2: the table has {table:?}, and should have {expected:?}"));
        }
        let unreadable = |(partition, events): (usize, &Vec<Event>)| {
            let bad = events.iter().enumerate().filter(|(_, event)| event.is_bad);
            bad.map(|(offset, _)| (partition, offset as i64)).collect::<Vec<_>>()
        };
        let bad: BTreeSet<_> = self.events.iter().enumerate().flat_map(unreadable).collect();
        let letters: BTreeSet<_> = self.letters.iter().copied().collect();
        if letters != bad || letters.len() != self.letters.len() {
            return Err(format!("I7: letters of {:?}, and there should be {bad:?}", self.letters));
        }
        Ok(())
    }
}
