//! The whole dataflow, with a sink in memory, against a recount of single events.

mod events;
mod feed;
mod writers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::Receiver;
use proptest::prelude::*;

use super::*;
use crate::counter::EventTime;
use crate::epoch::{Epoch, Generation, Versions, Window};
use crate::event::Arrival;
use crate::findings::Observations;
use crate::peers::Peers;
use crate::pipeline::Pipeline;
use crate::sink::{DeadLetterFile, Desk, Intake, Item, ItemBatch, Order, Outcome, Part, Sink, SinkError, Writers};
use crate::source::{Block, FeedSender, LogBytes, Message, Payload, feed};
use crate::sums::HashSeed;
use crate::telemetry::Metrics;

const LONG: i64 = 1_000_000_000_000;

fn pipeline(ttl: &str) -> Arc<Pipeline> {
    let text = format!(
        r#"
        name = "test"
        [event]
        name = "eventName"
        time = "eventTs"
        [[counters]]
        name = "user"
        key = ["userId"]
        events = "*"
        measures = ["count"]
        decays = ["5s", "15m", "{LONG}s"]
        feature = "user.{{event}}"
        ttl = "{ttl}"
        [[counters]]
        name = "pair"
        key = ["userId", "creatorId"]
        events = ["buy", "cancel"]
        measures = ["count", "sum(amount)"]
        decays = ["1h"]
        feature = "pair.{{measure}}"
        ttl = "{ttl}"
        [[counters]]
        name = "creator"
        key = ["creatorId"]
        events = ["view", "buy"]
        measures = ["uniques(userId)"]
        decays = ["1h", "{LONG}s"]
        feature = "creator.{{measure}}"
        ttl = "{ttl}"
        "#
    );
    Arc::new(Pipeline::parse(&text, "test.toml", &|_| None).expect("a valid pipeline"))
}

/// Keeps what is written, and is slow if asked to be.
#[derive(Clone)]
struct MemorySink {
    pipeline: Arc<Pipeline>,
    items: Arc<Mutex<Vec<Item>>>,
    pause: Duration,
}

impl Sink for MemorySink {
    fn write(&mut self, batches: &[ItemBatch], desk: &mut dyn Desk) -> Result<(), SinkError> {
        std::thread::sleep(self.pause);
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        for batch in batches {
            items.extend(batch.items(&self.pipeline).map(|item| item.to_item()));
        }
        answer_all(batches, desk);
        Ok(())
    }
}

fn answer_all(batches: &[ItemBatch], desk: &mut dyn Desk) {
    for (batch, items) in batches.iter().enumerate() {
        desk.answer(Part { batch, items: 0..items.len() as u32, outcome: Outcome::Written });
    }
}

struct Setup {
    pipeline: Arc<Pipeline>,
    workers: usize,
    serialise: bool,
    delivery: ItemDelivery,
    sink_pause: Duration,
}

impl Setup {
    fn new(ttl: &str, workers: usize) -> Setup {
        Setup {
            pipeline: pipeline(ttl),
            workers,
            serialise: false,
            delivery: ItemDelivery::Changelog(Writers::OnePerCluster),
            sink_pause: Duration::ZERO,
        }
    }

    /// Runs the dataflow on what `produce` sends; the items in the order in which they were written.
    fn run(&self, produce: impl FnOnce(FeedSender, &Metrics) + Send + 'static) -> (Vec<Item>, Arc<Metrics>) {
        let items = Arc::new(Mutex::new(Vec::new()));
        let pipeline = Arc::clone(&self.pipeline);
        let sink = MemorySink { pipeline, items: Arc::clone(&items), pause: self.sink_pause };
        let metrics = self.run_into(Box::new(sink), produce);
        let items = std::mem::take(&mut *items.lock().unwrap_or_else(PoisonError::into_inner));
        (items, metrics)
    }

    /// Runs the dataflow into this sink on what `produce` sends.
    fn run_into(
        &self,
        sink: Box<dyn Sink>,
        produce: impl FnOnce(FeedSender, &Metrics) + Send + 'static,
    ) -> Arc<Metrics> {
        let directory = tempfile::tempdir().expect("a directory");
        let metrics = Arc::new(Metrics::default());
        let (failure, errors) = Failure::new(Arc::new(AtomicBool::new(false)));
        let (sender, shared) = feed(Epoch(1));
        let execution = start(Run {
            pipeline: Arc::clone(&self.pipeline),
            peers: Peers::alone(self.workers as u32),
            feeds: vec![shared; self.workers],
            mesh: None,
            sink: ItemsTo::Here(sink),
            delivery: self.delivery,
            signalled: Arc::default(),
            hold_until: None,
            dead_letters: DeadLetterFile::new(directory.path().join("dead.jsonl"), None, Arc::clone(&metrics)),
            seed: HashSeed(42),
            versions: Versions::new(Generation(1), Window(1)),
            serialise: self.serialise,
            metrics: Arc::clone(&metrics),
            observations: Arc::new(Observations::new(&self.pipeline, EventTime(2_000_000_000))),
            failure,
            kept: None,
        })
        .expect("started");
        let producer_metrics = Arc::clone(&metrics);
        let producer = std::thread::spawn(move || produce(sender, &producer_metrics));
        assert!(execution.done().recv().is_err(), "done is told by disconnecting");
        producer.join().expect("the producer ends");
        assert!(errors.try_recv().is_err(), "no error");
        metrics
    }
}

/// Later than every event of these tests.
const ARRIVAL: Arrival = Arrival::before(EventTime(2_000_000_000));

fn block(epoch: u64, lines: &str, window_starts: Vec<(usize, Window)>) -> Block {
    let bytes = LogBytes::Read(lines.as_bytes().to_vec());
    Block {
        epoch: Epoch(epoch),
        window_starts,
        payload: Payload::Lines { file: std::path::Path::new("test.jsonl").into(), offset: 0, bytes, arrival: ARRIVAL },
    }
}

#[derive(Clone, Debug)]
struct TestEvent {
    name: &'static str,
    user: u8,
    creator: Option<u8>,
    time: i64,
    amount: Option<i32>,
}

impl TestEvent {
    fn line(&self) -> String {
        let mut event = serde_json::json!({"eventName": self.name, "userId": self.user, "eventTs": self.time});
        if let Some(creator) = self.creator {
            event["creatorId"] = format!("c|{creator}").into();
        }
        if let Some(amount) = self.amount {
            event["amount"] = amount.into();
        }
        format!("{event}\n")
    }
}

type Events = BTreeMap<(String, String), Vec<(i64, f64)>>;

/// Which events, at which times and weights, each item must be made of.
fn expected(events: &[TestEvent]) -> Events {
    let mut expected = Events::new();
    let mut add = |key: String, feature: &str, time, weight| {
        expected.entry((key, feature.to_owned())).or_default().push((time, weight));
    };
    let mut seen: BTreeMap<(u8, u8), i64> = BTreeMap::new();
    for event in events {
        add(event.user.to_string(), &format!("user.{}", event.name), event.time, 1.0);
        let Some(creator) = event.creator else { continue };
        if event.name != "cancel" {
            seen.entry((creator, event.user)).and_modify(|last| *last = event.time.max(*last)).or_insert(event.time);
        }
        if event.name == "view" {
            continue;
        }
        let key = format!(r"{}|c\|{creator}", event.user);
        add(key.clone(), "pair.count", event.time, 1.0);
        if let Some(amount) = event.amount {
            add(key, "pair.sum_amount", event.time, f64::from(amount));
        }
    }
    for ((creator, _), last_seen) in seen {
        add(format!("c|{creator}"), "creator.uniques_userId", last_seen, 1.0);
    }
    expected
}

fn assert_items_are(newest: &BTreeMap<(String, String), Item>, expected: &Events) {
    assert_eq!(newest.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, events) in expected {
        let last_update = events.iter().map(|(time, _)| *time).max().expect("an event");
        for count in newest[key].counts.values() {
            assert_eq!(count.last_update, EventTime(last_update), "{key:?}");
            let decayed = |(time, weight): &(i64, f64)| {
                weight * (-((last_update - time) as f64) / count.decay_interval.units() as f64).exp()
            };
            let value: f64 = events.iter().map(decayed).sum();
            let scale: f64 = events.iter().map(|event| decayed(event).abs()).sum();
            // What is smaller than any number that DynamoDB holds is an item's 0.
            let tolerance = 1e-9 * scale + 1e-130;
            assert!((count.value - value).abs() <= tolerance, "{key:?}: {} is not {value}", count.value);
        }
    }
}

/// The last item of each key and feature; versions must have risen.
fn newest(items: Vec<Item>) -> BTreeMap<(String, String), Item> {
    let mut newest: BTreeMap<_, Item> = BTreeMap::new();
    for item in items {
        let key = (item.key.clone(), item.feature_name.clone());
        if let Some(older) = newest.insert(key, item.clone()) {
            assert!(older.version < item.version, "versions of {item:?} do not rise");
        }
    }
    newest
}

fn event() -> impl Strategy<Value = TestEvent> {
    let time = prop_oneof![1_000_000..1_000_050i64, 0..2_000_000i64];
    let name = prop_oneof![Just("view"), Just("buy"), Just("cancel")];
    (name, 0..12u8, prop::option::of(0..3u8), time, prop::option::of(-50..50i32))
        .prop_map(|(name, user, creator, time, amount)| TestEvent { name, user, creator, time, amount })
}

fn intake(order: Order) -> Intake {
    Intake { order, items_at_once: 100, room_bytes: 1 << 20 }
}

fn delivery() -> impl Strategy<Value = ItemDelivery> {
    prop_oneof![
        prop_oneof![Just(Writers::OnePerProcess), Just(Writers::OnePerCluster)].prop_map(ItemDelivery::Changelog),
        (prop_oneof![Just(Order::Waiting), Just(Order::Key)], any::<bool>()).prop_map(|(order, is_replay)| {
            ItemDelivery::Pull { intake: intake(order), writers: Writers::OnePerProcess, is_replay }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Any order and lateness, any cut into blocks and epochs, any number of workers, threads or
    /// serialised: the items are the fold over the single events.
    #[test]
    fn any_batching_and_any_number_of_workers_give_the_recount(
        events in prop::collection::vec(event(), 1..200),
        cuts in prop::collection::vec((1..40usize, any::<bool>()), 1..20),
        workers in 1..4usize,
        serialise in any::<bool>(),
        delivery in delivery(),
    ) {
        let mut blocks = Vec::new();
        let (mut epoch, mut rest) = (1, events.as_slice());
        for (length, new_epoch) in cuts.into_iter().cycle() {
            let (taken, left) = rest.split_at(length.min(rest.len()));
            blocks.push(block(epoch, &taken.iter().map(TestEvent::line).collect::<String>(), Vec::new()));
            epoch += u64::from(new_epoch);
            rest = left;
            if rest.is_empty() {
                break;
            }
        }
        let setup = Setup { serialise, delivery, ..Setup::new("none", workers) };
        let (items, metrics) = setup.run(move |sender, _| blocks.into_iter().for_each(|block| {
            sender.send(block).expect("somebody takes it");
        }));
        prop_assert_eq!(metrics.events.get(), events.len() as u64);
        prop_assert_eq!(metrics.items_written.get(), items.len() as u64);
        let newest = newest(items);
        prop_assert_eq!(metrics.rows.get(), newest.len() as u64);
        assert_items_are(&newest, &expected(&events));
    }
}

#[test]
fn every_window_inside_an_epoch_publishes_the_rows_that_it_changed() {
    let line = |user: u8, time| TestEvent { name: "view", user, creator: None, time, amount: None }.line();
    let lines = [line(1, 100), line(2, 101), line(1, 105), line(1, 106), line(2, 111)];
    let place = |line: usize| lines[..line].iter().map(String::len).sum();
    let (first, second) = (lines[..4].concat(), lines[4..].concat());
    let starts = vec![(place(2), Window(4))];
    let (items, _) = Setup::new("none", 2).run(move |sender, _| {
        sender.send(block(3, &first, starts)).expect("taken");
        sender.send(block(3, &second, vec![(0, Window(5))])).expect("taken");
    });
    let published: Vec<(String, u64, i64)> = items
        .iter()
        .map(|item| {
            let count = &item.counts.values().last().expect("a count");
            (item.key.clone(), item.version.0 & 0xff, (count.value * 10.0).round() as i64)
        })
        .collect();
    let mut by_key = published.clone();
    by_key.sort();
    let expected = [("1", 3, 10), ("1", 4, 30), ("2", 3, 10), ("2", 5, 20)];
    assert_eq!(by_key, expected.map(|(key, window, value)| (key.to_owned(), window, value)));
    newest(items);
}

#[test]
fn windows_begin_at_messages_too() {
    let lines = [(1, 100), (1, 105), (2, 106)]
        .map(|(user, time)| TestEvent { name: "view", user, creator: None, time, amount: None }.line());
    let mut messages = Vec::new();
    for (offset, line) in (0i64..).zip(&lines) {
        let start = messages.last().map_or(0, |last: &Message| last.start + last.length);
        messages.push(Message { partition: 0, offset, arrival: ARRIVAL, start, length: line.len() });
    }
    let payload = Payload::Messages { topic: "topic".into(), bytes: lines.concat().into_bytes(), messages };
    let block = Block { epoch: Epoch(3), window_starts: vec![(1, Window(4))], payload };
    let (items, metrics) = Setup::new("none", 1).run(move |sender, _| sender.send(block).expect("taken"));
    let published: Vec<_> = items.iter().map(|item| (item.key.as_str(), item.version.0 & 0xff)).collect();
    assert_eq!((published, metrics.all_dead_letters()), (vec![("1", 3), ("1", 4), ("2", 4)], 0));
}

#[test]
fn a_slow_sink_holds_the_source_back() {
    const EPOCHS: u64 = 200;
    let setup = Setup { sink_pause: Duration::from_millis(2), ..Setup::new("none", 2) };
    let (report, most_in_flight) = std::sync::mpsc::channel();
    let (items, _) = setup.run(move |sender, metrics| {
        let mut most = 0;
        for epoch in 1..=EPOCHS {
            let line = TestEvent { name: "view", user: epoch as u8, creator: None, time: 5, amount: None }.line();
            sender.send(block(epoch, &line, Vec::new())).expect("taken");
            most = most.max(epoch - metrics.items_written.get());
        }
        report.send(most).expect("somebody listens");
    });
    assert_eq!(items.len() as u64, EPOCHS);
    // A few epochs in the dataflow and a few blocks in the feed, whatever the number of epochs.
    let most = most_in_flight.recv().expect("reported");
    assert!(most < 20, "{most} epochs were read ahead of the sink");
}

/// A table that takes nothing until it is let.
struct LockedTable {
    pipeline: Arc<Pipeline>,
    items: Arc<Mutex<Vec<Item>>>,
    released: Receiver<()>,
}

impl Sink for LockedTable {
    fn write(&mut self, batches: &[ItemBatch], desk: &mut dyn Desk) -> Result<(), SinkError> {
        // An error is the release: the other end is dropped.
        let _ = self.released.recv();
        let items = batches.iter().flat_map(|batch| batch.items(&self.pipeline)).map(|item| item.to_item());
        self.items.lock().unwrap_or_else(PoisonError::into_inner).extend(items);
        answer_all(batches, desk);
        Ok(())
    }
}

#[test]
fn a_table_that_takes_nothing_holds_nobody_up_and_gets_the_newest_at_last() {
    const EPOCHS: u64 = 300;
    for (workers, order) in [(1, Order::Key), (2, Order::Waiting)] {
        let setup = Setup {
            delivery: ItemDelivery::Pull { intake: intake(order), writers: Writers::OnePerProcess, is_replay: false },
            ..Setup::new("none", workers)
        };
        let items = Arc::new(Mutex::new(Vec::new()));
        let (release, released) = crossbeam_channel::bounded::<()>(0);
        let table = LockedTable { pipeline: Arc::clone(&setup.pipeline), items: Arc::clone(&items), released };
        let metrics = setup.run_into(Box::new(table), move |sender, metrics| {
            for epoch in 1..=EPOCHS {
                let line = TestEvent { name: "view", user: epoch as u8, creator: None, time: 5, amount: None }.line();
                sender.send(block(epoch, &line, Vec::new())).expect("taken");
            }
            // All is counted, though nothing was written.
            while metrics.events.get() < EPOCHS || metrics.waiting.items() < 256 {
                std::thread::sleep(Duration::from_millis(5));
            }
            assert_eq!(metrics.items_written.get(), 0);
            assert!(metrics.waiting.oldest().is_some());
            drop(release);
        });
        assert_eq!(metrics.waiting.oldest(), None);
        let newest = newest(std::mem::take(&mut *items.lock().unwrap_or_else(PoisonError::into_inner)));
        assert_eq!(newest.len(), 256);
        for ((user, _), item) in newest {
            let times = (1..=EPOCHS).filter(|epoch| (*epoch as u8).to_string() == user).count();
            let value = item.counts.values().last().expect("a count").value;
            assert!((value - times as f64).abs() < 1e-6, "{user}: {value} is not {times}");
        }
    }
}

#[test]
fn rows_whose_ttl_has_passed_leave_memory_little_by_little() {
    const WEEKS: i64 = 6;
    const USERS_PER_DAY: i64 = 2_000;
    const EVENTS_PER_USER: usize = 5;
    let setup = Setup::new("40000s", 2);
    let (items, metrics) = setup.run(move |sender, _| {
        for day in 0..7 * WEEKS {
            let lines: String = (0..USERS_PER_DAY)
                .map(|user| {
                    let time = day * 86_400 + user * 40;
                    let event = |user: &str| {
                        format!("{{\"eventName\":\"e{}\",\"userId\":\"{user}\",\"eventTs\":{time}}}\n", day % 3)
                    };
                    // Many events by one user: the stream's time goes by their number.
                    event(&format!("{day}-{user}")) + &event("busy").repeat(EVENTS_PER_USER - 1)
                })
                .collect();
            for (epoch, lines) in (1..).zip(lines.as_bytes().chunks_exact(lines.len() / 4)) {
                // Cut anywhere: half lines are dead letters, which is no matter here.
                let lines = String::from_utf8_lossy(lines);
                sender.send(block((day * 4 + epoch) as u64, &lines, Vec::new())).expect("taken");
            }
        }
    });
    let made = items.iter().map(|item| (&item.key, &item.feature_name)).collect::<BTreeSet<_>>().len() as u64;
    assert!(made > (7 * WEEKS - 1) as u64 * USERS_PER_DAY as u64);
    assert_eq!(metrics.rows.get() + metrics.rows_expired.get(), made);
    // A day's users are kept, the stream's time is a day or two behind, and the sweep an epoch or two.
    assert!(metrics.rows.get() < 4 * USERS_PER_DAY as u64, "{} of {made} rows are left", metrics.rows.get());
}
