//! The contract of a table, step by step: any order of changes, rounds, answers and failures.

mod budget;
mod held_back;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::{Receiver, unbounded};
use proptest::prelude::*;

use super::*;
use crate::clock::TimeSamples;
use crate::counter::EventTime;
use crate::epoch::{Epoch, Generation, Version, Versions, Window};
use crate::event::{Arrival, Decoder, Utf8};
use crate::peers::Peers;
use crate::pipeline::Pipeline;
use crate::sink::{Intake, Order, Outcome};
use crate::state::{DecayCounters, Moment, Publishing};
use crate::sums::{HashSeed, Router, WindowSums};
use crate::telemetry::Metrics;

/// Every event is worth one for ever. Pairs are published once a minute, users with every window.
fn pipeline(limits: &str, publish: &str) -> Arc<Pipeline> {
    let text = format!(
        r#"
        name = "test"
        [event]
        name = "n"
        time = "t"
        [limits]
        {limits}
        [publish]
        {publish}
        [[counters]]
        name = "user"
        key = ["u"]
        events = "*"
        decays = ["1000000000000s"]
        feature = "any.{{event}}"
        ttl = "none"
        [[counters]]
        name = "slow"
        key = ["u"]
        events = ["like"]
        decays = ["1000000000000s"]
        feature = "slow.{{event}}"
        ttl = "none"
        [counters.publish]
        every = "1m"
        "#
    );
    Arc::new(Pipeline::parse(&text, "test.toml", &|_| None).expect("a valid pipeline"))
}

/// In one item per key.
const WHOLE_KEYS: &str = "layout = \"key\"";

type ItemId = (String, String);

/// An item on its way: which one, and its state.
#[derive(Clone, Debug)]
struct Pending {
    index: u32,
    id: ItemId,
    version: Version,
    value: u64,
}

/// A worker with its publisher, and a table that does what the test says.
struct Machine {
    pipeline: Arc<Pipeline>,
    counters: Rc<RefCell<DecayCounters>>,
    publisher: Publisher,
    inbox: Receiver<Handed>,
    metrics: Arc<Metrics>,
    decoder: Decoder,
    router: Router,
    sums: WindowSums,
    now: Moment,
    window: u64,
    /// How often each item was counted.
    expected: BTreeMap<ItemId, u64>,
    /// Since when items are not in the table as they are.
    changed: BTreeMap<ItemId, Moment>,
    pending: Vec<(Handed, Vec<Pending>)>,
    table: BTreeMap<ItemId, (Version, u64)>,
    /// Whose newest state was refused, and which that was.
    refused: BTreeMap<ItemId, u64>,
    writes: usize,
    /// What items are known to show.
    shown: BTreeMap<ItemId, u64>,
    /// So many batches were handed over.
    handed: usize,
    /// So many turns in a row had nothing to do and wanted another.
    idle_turns: usize,
}

impl Machine {
    fn new(limits: &str, order: Order, room_bytes: u64) -> Machine {
        Machine::with(pipeline(limits, ""), order, room_bytes)
    }

    fn with(pipeline: Arc<Pipeline>, order: Order, room_bytes: u64) -> Machine {
        let metrics = Arc::new(Metrics::default());
        let versions = Versions::new(Generation(1), Window(1));
        let counters = DecayCounters::new(
            Arc::clone(&pipeline),
            versions,
            Peers::alone(1),
            Publishing::Pull,
            Arc::clone(&metrics),
        );
        let counters = Rc::new(RefCell::new(counters));
        let (outbox, inbox) = unbounded();
        let publisher = Publisher::new(PublisherParts {
            counters: Rc::clone(&counters),
            pace: Pace::new(&pipeline.publish.rhythms, false),
            intake: Intake { order, items_at_once: usize::MAX, room_bytes },
            room_bytes,
            worker: 0,
            outbox,
            gauge: metrics.waiting.register(),
            journaled: None,
        });
        Machine {
            counters,
            publisher,
            inbox,
            metrics,
            decoder: Decoder::new(Arc::new(pipeline.event.clone())),
            router: Router::new(Arc::clone(&pipeline), HashSeed(3)),
            sums: WindowSums::new(1),
            pipeline,
            now: Moment(0),
            window: 0,
            expected: BTreeMap::new(),
            changed: BTreeMap::new(),
            pending: Vec::new(),
            table: BTreeMap::new(),
            refused: BTreeMap::new(),
            writes: 0,
            shown: BTreeMap::new(),
            handed: 0,
            idle_turns: 0,
        }
    }

    /// An epoch with one event of each of these users.
    fn change(&mut self, users: impl IntoIterator<Item = (u32, &'static str)>) {
        self.window += 1;
        for (user, event) in users {
            let line = format!("{{\"n\":\"{event}\",\"u\":\"{user}\",\"t\":5}}");
            let arrival = Arrival::before(EventTime(1_000_000));
            let decoded = self.decoder.decode(line.as_bytes(), arrival, Utf8::Checked);
            self.router.route(&decoded.expect("an event").expect("an event"), &mut self.sums).expect("it counts");
            let mut features = vec![format!("any.{event}")];
            features.extend((event == "like").then(|| "slow.like".to_owned()));
            for feature in features {
                let id = (user.to_string(), feature);
                *self.expected.entry(id.clone()).or_default() += 1;
                self.changed.entry(id).or_insert(self.now);
            }
        }
        self.sums.close_window(Window(self.window), &self.pipeline);
        let batches: Vec<_> =
            self.sums.take_epoch(&TimeSamples::default(), self.router.features(), &self.pipeline).collect();
        let applied = self.counters.borrow_mut().apply_epoch(&batches, self.now, |_| panic!("a table pulls"));
        applied.expect("right");
    }

    fn work(&mut self, run: RunState) -> Result<Next, GivenUp> {
        let handed_before = self.handed;
        let next = self.publisher.work(self.now, run)?;
        while let Ok(handed) = self.inbox.try_recv() {
            let items = (0u32..).zip(handed.items.items(&self.pipeline)).map(|(index, item)| Pending {
                index,
                id: (item.key_text().into_owned(), item.feature_name.to_owned()),
                version: item.version,
                value: item.values[0] as u64,
            });
            let items: Vec<Pending> = items.collect();
            if self.pipeline.publish.layout.holds_whole_keys() {
                for key in handed.items.keys(&self.pipeline) {
                    // Whole, and in one batch.
                    let user = &items[key.start as usize].id.0;
                    assert_eq!(key.len(), self.expected.keys().filter(|(of, _)| of == user).count(), "{user}");
                    assert!(items[key.start as usize..key.end as usize].iter().all(|item| item.id.0 == *user));
                }
            }
            for item in &items {
                // It is read as it is now.
                assert_eq!(item.value, self.expected[&item.id], "{item:?}");
                self.changed.remove(&item.id);
                self.shown.remove(&item.id);
            }
            self.pending.push((handed, items));
            self.handed += 1;
        }
        assert!(!matches!(next, Next::Wait(moment) if moment <= self.now), "it would spin");
        self.idle_turns = if next == Next::More && self.handed == handed_before { self.idle_turns + 1 } else { 0 };
        assert!(self.idle_turns <= 2, "it spins");
        let mut in_flight = BTreeSet::new();
        for item in self.pending.iter().flat_map(|(_, items)| items) {
            assert!(in_flight.insert(&item.id), "two writes of {item:?} at once");
        }
        Ok(next)
    }

    /// The table answers for one of the items in flight.
    fn answer(&mut self, choice: usize, outcome: Outcome) {
        let in_flight: usize = self.pending.iter().map(|(_, items)| items.len()).sum();
        let Some(mut nth) = choice.checked_rem(in_flight) else { return };
        for (handed, items) in &mut self.pending {
            if nth >= items.len() {
                nth -= items.len();
                continue;
            }
            let item = items.swap_remove(nth);
            match outcome {
                Outcome::Written | Outcome::Superseded => {
                    self.refused.remove(&item.id);
                    self.writes += 1;
                    self.shown.insert(item.id.clone(), item.value);
                    let before = self.table.insert(item.id.clone(), (item.version, item.value));
                    // What goes along with its key unchanged may be what stands there.
                    let is_the_same = before == Some((item.version, item.value));
                    let goes_along = self.pipeline.publish.layout.holds_whole_keys() && is_the_same;
                    let rises = before.is_none_or(|(version, _)| version < item.version);
                    assert!(rises || goes_along, "{item:?} after {before:?}");
                }
                Outcome::NotWritten => {
                    self.changed.entry(item.id).or_insert(self.now);
                }
                // It is not tried again before it changes.
                Outcome::Refused => {
                    self.refused.insert(item.id, item.value);
                }
            }
            handed.receipt.answer(item.index..item.index + 1, outcome);
            break;
        }
        self.pending.retain(|(_, items)| !items.is_empty());
    }

    fn answer_all(&mut self) {
        while !self.pending.is_empty() {
            self.answer(0, Outcome::Written);
        }
    }

    /// What is waited for is told, and no younger than it is.
    fn assert_fresh(&self) {
        let waiting = self.counters.borrow().unpublished();
        let in_flight = self.pending.iter().flat_map(|(_, items)| items);
        let waits: BTreeSet<&ItemId> = self.changed.keys().chain(in_flight.map(|item| &item.id)).collect();
        assert!(waiting.items >= waits.len(), "{} of {}", waiting.items, waits.len());
        if let Some(first) = self.changed.values().min() {
            assert!(waiting.oldest.is_some_and(|oldest| oldest <= *first), "{:?} {first:?}", waiting.oldest);
        }
        assert_eq!(waiting.oldest.is_none(), waiting.items == 0);
    }

    /// The end of the input: everything is published.
    fn finish(&mut self) {
        let end = RunState { is_drained: true, is_stopping: false, is_held: false, applied: Epoch(0) };
        while self.work(end).expect("no deadline") != Next::Done {
            self.answer_all();
        }
        let mut table: BTreeMap<_, _> = self.table.iter().map(|(id, (_, value))| (id.clone(), *value)).collect();
        table.extend(std::mem::take(&mut self.refused));
        assert_eq!(table, self.expected);
        assert_eq!((self.metrics.waiting.items(), self.metrics.waiting.oldest()), (0, None));
    }
}

const RUNNING: RunState = RunState { is_drained: false, is_stopping: false, is_held: false, applied: Epoch(0) };
const ROOM: u64 = 1 << 20;

#[derive(Clone, Debug)]
enum Step {
    Change(Vec<(u32, &'static str)>),
    Pass(u64),
    Work,
    Answer(usize, Outcome),
}

fn step() -> impl Strategy<Value = Step> {
    let event = prop_oneof![Just("like"), Just("view"), Just("share")];
    prop_oneof![
        3 => prop::collection::vec((0..12u32, event), 1..6).prop_map(Step::Change),
        2 => (0..40_000u64).prop_map(Step::Pass),
        4 => Just(Step::Work),
        5 => any::<usize>().prop_map(|item| Step::Answer(item, Outcome::Written)),
        2 => any::<usize>().prop_map(|item| Step::Answer(item, Outcome::NotWritten)),
        1 => any::<usize>().prop_map(|item| Step::Answer(item, Outcome::Refused)),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_in_between_nothing_is_lost_doubled_or_stale(
        steps in prop::collection::vec(step(), 1..150),
        order in prop_oneof![Just(Order::Waiting), Just(Order::Key)],
        room in prop_oneof![Just(1), Just(300), Just(ROOM)],
        layout in prop_oneof![Just(""), Just(WHOLE_KEYS)],
    ) {
        let mut machine = Machine::with(pipeline("", layout), order, room);
        for step in steps {
            match step {
                Step::Change(users) => machine.change(users),
                Step::Pass(time) => machine.now.0 += time,
                Step::Work => {
                    machine.work(RUNNING).expect("no deadline");
                }
                Step::Answer(item, outcome) => machine.answer(item, outcome),
            }
            machine.assert_fresh();
        }
        machine.finish();
    }
}

/// Minutes in which the table takes nothing, then a tenth of what is needed, then everything.
#[test]
fn a_table_that_is_away_costs_no_memory_and_gets_the_newest_when_it_is_back() {
    const USERS: u32 = 30_000;
    let room = 256 << 10;
    let mut machine = Machine::new("", Order::Waiting, room);
    let everybody = || (0..USERS).map(|user| (user, "view"));
    machine.change(everybody());
    let state_alone = machine.counters.borrow().bytes();
    for _ in 0..60 {
        machine.now.0 += 5_000;
        machine.change(everybody());
        while machine.work(RUNNING).expect("no deadline") == Next::More {}
        machine.assert_fresh();
        let oldest = machine.metrics.waiting.oldest().expect("something waits");
        assert!(machine.counters.borrow().unpublished().oldest == Some(Moment(0)), "{oldest:?}");
    }
    let counters = machine.counters.borrow();
    // A second event gives rows all their words; marks are four bytes a key in each of two lists, and their vectors double.
    let per_key = (counters.bytes() - state_alone) / USERS as usize;
    assert!(per_key <= 48, "{per_key} bytes a key");
    assert!(counters.bytes_in_flight() < 2 * room + (1 << 20), "{} bytes", counters.bytes_in_flight());
    assert_eq!(machine.writes, 0);
    drop(counters);
    for _ in 0..10 {
        machine.now.0 += 5_000;
        machine.change(everybody());
        (0..USERS / 10).for_each(|_| machine.answer(0, Outcome::Written));
        while machine.work(RUNNING).expect("no deadline") == Next::More {}
        machine.assert_fresh();
    }
    machine.finish();
    // Each at most as often as it was given, and not once for each of 71 changes.
    assert!(machine.writes < 4 * USERS as usize, "{} writes", machine.writes);
}

#[test]
fn groups_have_rhythms_of_their_own() {
    let mut machine = Machine::new("", Order::Waiting, ROOM);
    let mut writes = BTreeMap::<String, usize>::new();
    for _ in 0..60 {
        machine.now.0 += 5_000;
        machine.change([(1, "like"), (2, "view")]);
        machine.work(RUNNING).expect("no deadline");
        for (_, items) in &machine.pending {
            items.iter().for_each(|item| *writes.entry(item.id.1.clone()).or_default() += 1);
        }
        machine.answer_all();
    }
    // Five minutes: once with every window, and once a minute.
    assert_eq!((writes["any.like"], writes["any.view"]), (60, 60));
    assert!((5..=6).contains(&writes["slow.like"]), "{writes:?}");
    machine.finish();
}

#[test]
fn a_round_comes_before_rows_are_evicted_and_memory_is_held_when_the_table_is_away() {
    let mut machine = Machine::new("rows = 3000", Order::Waiting, ROOM);
    for epoch in 0..40 {
        machine.now.0 += 1;
        machine.change((0..200).map(|user| (epoch * 200 + user, "view")));
        machine.work(RUNNING).expect("no deadline");
        machine.answer_all();
        assert!(machine.metrics.rows.get() <= 3_000);
    }
    machine.finish();
    assert_eq!(machine.metrics.evictions.unpublished.get(), 0);

    let mut machine = Machine::new("rows = 3000", Order::Waiting, 1);
    for epoch in 0..1_000 {
        machine.change((0..200).map(|user| (epoch * 200 + user, "view")));
        machine.work(RUNNING).expect("no deadline");
        assert!(machine.metrics.rows.get() <= 3_000);
    }
    let unpublished = machine.metrics.evictions.unpublished.get();
    assert!(unpublished > 0);
    let end = RunState { is_drained: true, is_stopping: false, is_held: false, applied: Epoch(0) };
    while machine.work(end).expect("no deadline") != Next::Done {
        machine.answer_all();
    }
    assert_eq!(machine.table.len() as u64 + unpublished, 200_000);
}

#[test]
fn a_key_that_is_evicted_leaves_as_a_whole_where_it_is_one_item() {
    let mut machine = Machine::with(pipeline("rows = 3000", WHOLE_KEYS), Order::Waiting, ROOM);
    let worth_least = || 0..100;
    machine.change(worth_least().flat_map(|user| [(user, "view"), (user, "like")]));
    machine.work(RUNNING).expect("no deadline");
    machine.answer_all();
    // Of their four rows one is marked when they go.
    machine.change(worth_least().map(|user| (user, "share")));
    let mut cohort = 1;
    while machine.metrics.evictions.rows.get() == 0 {
        machine.change((0..300).map(|index| (100 * cohort + index % 100, "view")));
        cohort += 1;
    }
    assert!(machine.metrics.evictions.rows.get().is_multiple_of(4));
    machine.work(RUNNING).expect("no deadline");
    let (handed, _) = &machine.pending[0];
    assert!(handed.items.keys(&machine.pipeline).all(|key| key.len() == 4));
    machine.answer_all();
    machine.finish();
    assert_eq!(machine.metrics.evictions.unpublished.get(), 0);
}

#[test]
fn a_key_with_more_rows_than_a_batch_takes_is_read_at_once_where_it_is_one_item() {
    let mut machine = Machine::with(pipeline("", WHOLE_KEYS), Order::Waiting, ROOM);
    let names: Vec<&'static str> =
        (0..70_000).map(|number| &*Box::leak(format!("e{number}").into_boxed_str())).collect();
    machine.change(names.iter().map(|name| (1, *name)).chain([(2, "view")]));
    machine.work(RUNNING).expect("no deadline");
    assert!(machine.pending.iter().any(|(_, items)| items.len() >= names.len()));
    machine.answer_all();
    machine.finish();
}

#[test]
fn who_is_asked_to_stop_waits_so_long_for_the_table_and_no_longer() {
    let mut machine = Machine::new("", Order::Waiting, ROOM);
    machine.change([(1, "view")]);
    let stopping = RunState { is_drained: true, is_stopping: true, is_held: false, applied: Epoch(0) };
    machine.now = Moment(50_000);
    assert_eq!(machine.work(stopping).expect("not yet"), Next::More);
    assert_eq!(machine.work(stopping).expect("not yet"), Next::Wait(Moment(58_000)));
    machine.now = Moment(58_000);
    assert_eq!(machine.work(stopping), Err(GivenUp::TimeUp));
}

#[test]
fn nothing_is_handed_over_before_a_run_has_caught_up_and_then_everything() {
    let mut machine = Machine::new("", Order::Waiting, ROOM);
    let held = RunState { is_held: true, ..RUNNING };
    machine.change((0..10).map(|user| (user, "like")));
    for _ in 0..100 {
        machine.now.0 += 5_000;
        assert!(matches!(machine.work(held).expect("no deadline"), Next::Wait(moment) if moment > machine.now));
    }
    assert_eq!((machine.handed, machine.metrics.waiting.items()), (0, 20));
    // Asked to stop before that, it publishes nothing, and says so at once.
    let stopped = RunState { is_drained: true, is_stopping: true, is_held: true, applied: Epoch(0) };
    assert_eq!(machine.work(stopped), Err(GivenUp::NotCaughtUp));
    assert_eq!(machine.work(RUNNING).expect("no deadline"), Next::More);
    machine.answer_all();
    machine.finish();
}

#[test]
fn a_run_that_has_nothing_to_publish_need_not_have_caught_up() {
    let mut machine = Machine::new("", Order::Waiting, ROOM);
    let stopped = RunState { is_drained: true, is_stopping: true, is_held: true, applied: Epoch(0) };
    assert_eq!(machine.work(stopped), Ok(Next::Done));
}

#[test]
fn a_hot_key_of_two_rhythms_leaves_no_trace_in_the_slow_queue() {
    let mut machine = Machine::new("", Order::Waiting, ROOM);
    let mut bytes = 0;
    for round in 0..5_000 {
        machine.now.0 += 5;
        machine.change([(1, "like")]);
        machine.work(RUNNING).expect("no deadline");
        machine.answer_all();
        if round == 100 {
            bytes = machine.counters.borrow().bytes();
        }
    }
    let more = machine.counters.borrow().bytes() - bytes;
    assert!(more < 64 << 10, "{more} bytes more");
    machine.finish();
}
