//! Rows that go, rows that stay, and rows that start again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::clock::TimeSamples;
use crate::counter::MemberHash;
use crate::epoch::{Generation, Versions, Window};
use crate::peers::Peers;
use crate::pipeline::{FeatureKey, GroupId, MeasureId};
use crate::sink::Item;
use crate::state::{Publishing, Swept};
use crate::sums::{Addition, Additions as _, Amount, FeatureRef, HashSeed, WindowSums};
use crate::telemetry::Metrics;

/// Each group makes one feature, named like it.
fn pipeline(limits: &str) -> Arc<Pipeline> {
    let text = format!(
        r#"
        name = "test"
        event = {{ name = "n", time = "t" }}
        [limits]
        {limits}
        [[counters]]
        name = "user"
        key = ["u"]
        events = ["like"]
        decays = ["1h", "1d"]
        feature = "{{group}}"
        ttl = "none"
        [[counters]]
        name = "pair"
        key = ["u", "c"]
        events = ["like"]
        decays = ["1m", "1h", "1d"]
        feature = "{{group}}"
        ttl = "none"
        [[counters]]
        name = "audience"
        key = ["c"]
        events = ["like"]
        measures = ["uniques(u)"]
        decays = ["1h", "1d"]
        feature = "{{group}}"
        ttl = "none"
        [[counters]]
        name = "visit"
        key = ["v"]
        events = ["like"]
        decays = ["1m"]
        feature = "{{group}}"
        ttl = "1h"
        "#
    );
    Arc::new(Pipeline::parse(&text, "test.toml", &|_| None).expect("a valid pipeline"))
}

const USER: u16 = 0;
const PAIR: u16 = 1;
const AUDIENCE: u16 = 2;
const VISIT: u16 = 3;

/// What one event adds: to `AUDIENCE` as many members as it weighs.
#[derive(Clone, Debug)]
struct Event {
    group: u16,
    key: String,
    time: i64,
    weight: f64,
}

fn event(group: u16, key: impl ToString, time: i64, weight: f64) -> Event {
    Event { group, key: key.to_string(), time, weight }
}

/// The rows of one worker, and what it has published.
struct Worker {
    counters: DecayCounters,
    pipeline: Arc<Pipeline>,
    features: Vec<FeatureKey>,
    metrics: Arc<Metrics>,
    epoch: u64,
    items: BTreeMap<(String, String), Item>,
    /// What was held, at most, when an epoch had been applied.
    most: Usage,
}

impl Worker {
    fn new(limits: &str) -> Worker {
        let (pipeline, metrics) = (pipeline(limits), Arc::new(Metrics::default()));
        let versions = Versions::new(Generation(1), Window(1));
        let counters = DecayCounters::new(
            Arc::clone(&pipeline),
            versions,
            Peers::alone(1),
            Publishing::Changelog,
            Arc::clone(&metrics),
        );
        let feature = |(number, group): (u16, &crate::pipeline::Group)| FeatureKey {
            group: GroupId(number),
            measure: MeasureId(0),
            name: group.name.clone(),
        };
        let features = (0u16..).zip(&pipeline.groups).map(feature).collect();
        Worker { counters, pipeline, features, metrics, epoch: 0, items: BTreeMap::new(), most: Usage::default() }
    }

    fn used(&self) -> Usage {
        Usage { rows: self.counters.keys.rows(), bytes: self.counters.allocated_bytes() }
    }

    fn apply(&mut self, now: i64, events: impl IntoIterator<Item = Event>) {
        self.epoch += 1;
        let mut sums = WindowSums::new(1);
        for event in events {
            self.push(&mut sums, &event);
        }
        sums.close_window(Window(self.epoch), &self.pipeline);
        // So many that the stream's time is known.
        let times = TimeSamples::of(vec![EventTime(now); 512]);
        let batches: Vec<_> = sums.take_epoch(&times, &self.features, &self.pipeline).collect();
        let (pipeline, items) = (&self.pipeline, &mut self.items);
        let applied = self.counters.apply_epoch(&batches, Moment(0), |batch| {
            for item in batch.items(pipeline).map(|item| item.to_item()) {
                items.insert((item.key.clone(), item.feature_name.clone()), item);
            }
        });
        applied.expect("what was made here is right");
        while self.counters.forget_expired() == Swept::MoreToDo {}
        crate::state::tests::assert_held(&mut self.counters);
        let used = self.used();
        self.most = Usage { rows: self.most.rows.max(used.rows), bytes: self.most.bytes.max(used.bytes) };
        let held = self.metrics.rows.get() as usize;
        assert_eq!(held, used.rows);
    }

    /// Adds what an event of a single weight adds, or of so many members.
    fn push(&self, sums: &mut WindowSums, event: &Event) {
        let Event { group: number, key, time, weight } = event;
        let group = self.pipeline.group(GroupId(*number));
        let fields = group.key.iter().map(|field| self.pipeline.event.fields[usize::from(field.0)].name.as_str());
        let id = HashSeed(1).key(HashSeed(1).key_fields(fields), key.as_bytes());
        sums.begin_key(id, key.as_bytes(), &self.pipeline);
        let shape = self.pipeline.shape(&self.features[usize::from(*number)]);
        let width = group.decays_of(shape).width() as u16;
        let feature = FeatureRef { group: GroupId(*number), number: u32::from(*number), shape, width };
        let mut add = |amount| sums.add(Addition { feature, time: EventTime(*time), amount });
        if group.measures[0].members.is_some() {
            (0..*weight as u64).for_each(|member| add(Amount::Member(MemberHash(member << 40 | 7))));
        } else {
            add(Amount::Weight(*weight));
        }
    }

    fn item(&self, key: &str, group: &str) -> &Item {
        &self.items[&(key.to_owned(), group.to_owned())]
    }

    /// The keys that are held.
    fn keys(&mut self) -> Vec<String> {
        let mut keys = Vec::new();
        self.counters.keys.for_each_key(|table, key| keys.push(table.block(key).text().to_vec()));
        let keys = keys.into_iter();
        let mut keys: Vec<_> = keys.map(|key| String::from_utf8(key).expect("text")).collect();
        keys.sort_unstable();
        keys
    }
}

fn values(item: &Item) -> Vec<f64> {
    item.counts.values().map(|count| count.value).collect()
}

#[test]
fn what_has_expired_goes_before_anything_is_evicted() {
    let mut worker = Worker::new("rows = 2200");
    worker.apply(0, (0..1_000).map(|visit| event(VISIT, format!("old {visit}"), 0, 1.0)));
    worker.apply(86_400, (0..1_200).map(|visit| event(VISIT, visit, 86_400, 1.0)));
    assert_eq!((worker.used().rows, worker.metrics.evictions.rows.get()), (1_200, 0));
}

#[test]
fn a_key_explosion_leaves_other_keys_intact() {
    const ROWS: usize = 2_000;
    const BOTS: usize = 500;
    let run = |limits| {
        let mut worker = Worker::new(limits);
        for epoch in 0..60 {
            let now = 1_000_000 + 60 * epoch;
            let people = (0..300).flat_map(|person| [0, 20].map(|late| event(USER, person, now - late, 1.0)));
            let bots =
                (0..if epoch < 3 { 0 } else { BOTS }).map(|bot| event(USER, format!("bot {epoch} {bot}"), now, 1.0));
            worker.apply(now, people.chain(bots));
        }
        worker
    };
    let (mut limited, unlimited) = (run(&format!("rows = {ROWS}")), run(""));
    assert_eq!(unlimited.metrics.evictions.rows.get(), 0);
    let evicted = limited.metrics.evictions.rows.get();
    assert_eq!(evicted as usize, unlimited.used().rows - limited.used().rows);
    assert!(evicted > 20_000 && limited.most.rows <= ROWS, "{evicted} went, at most {} stayed", limited.most.rows);
    for person in (0..300).map(|person| person.to_string()) {
        let (item, expected) = (limited.item(&person, "user"), unlimited.item(&person, "user"));
        assert_eq!(item.since, None, "{person}");
        for (value, expected) in values(item).into_iter().zip(values(expected)) {
            assert!(expected > 1.0 && (value / expected - 1.0).abs() < 1e-9, "{person}: {value} is not {expected}");
        }
    }
    // An evicted one that comes again has the value of its new life, and one that is new has no mark.
    let now = 1_010_000;
    let back = (0..100).map(|bot| event(USER, format!("bot 5 {bot}"), now - 7, 3.0));
    let new = (0..100).map(|new| event(USER, format!("new {new}"), now, 1.0));
    limited.apply(now, back.chain(new));
    limited.apply(now + 1, (0..100).map(|bot| event(USER, format!("bot 5 {bot}"), now - 7, 2.0)));
    for bot in 0..100 {
        let item = limited.item(&format!("bot 5 {bot}"), "user");
        assert_eq!((values(item), item.since), (vec![5.0, 5.0], Some(EventTime(now - 7))));
    }
    assert!(limited.metrics.evictions.largest_worth() <= 1.0);
}

#[test]
fn memory_of_one_group_is_given_back_to_others() {
    const LIMIT: usize = 8 << 20;
    let held_after = |phases: &[u16]| {
        let mut worker = Worker::new("memory = \"8MiB\"");
        let mut now = 0;
        for (phase, group) in phases.iter().enumerate() {
            // Long enough for what was there before to be worth less than what comes.
            now += 30 * 86_400;
            for epoch in 0..50 {
                now += 60;
                let key = |bot: usize| match *group {
                    USER => format!("{phase}.{epoch}.{bot}"),
                    _ => format!("{phase}.{epoch}.{bot}.{}", "x".repeat(40)),
                };
                // Uniques: mostly one member, some exact sets, some sketches.
                let weight = |bot: usize| {
                    if *group == AUDIENCE && bot.is_multiple_of(10) { [30.0, 200.0][bot / 10 % 2] } else { 1.0 }
                };
                worker.apply(now, (0..2_000_usize).map(|bot| event(*group, key(bot), now, weight(bot))));
                assert!(
                    worker.used().bytes <= LIMIT,
                    "{} bytes in epoch {epoch} of phase {phase}",
                    worker.used().bytes
                );
            }
        }
        assert!(worker.used().bytes > LIMIT / 2, "the memory is used: {}", worker.used().bytes);
        worker.used().rows
    };
    for last in [USER, PAIR, AUDIENCE] {
        let alone = held_after(&[last]);
        let after_others = held_after(&[USER, AUDIENCE, PAIR, USER, last]);
        assert!(after_others > alone / 10 * 9, "{after_others} rows after others, {alone} alone");
    }
}

#[test]
fn holes_that_expired_rows_have_left_are_closed_before_any_row_goes() {
    const LIMIT: usize = 16 << 20;
    let mut worker = Worker::new("memory = \"16MiB\"");
    let long = "x".repeat(200);
    for epoch in 0..10 {
        worker.apply(epoch, (0..3_000).map(|visit| event(VISIT, format!("{epoch}.{visit}.{long}"), epoch, 1.0)));
    }
    for epoch in 0..40 {
        worker.apply(10_000 + epoch, [event(USER, "tick", 10_000 + epoch, 1.0)]);
    }
    assert_eq!(worker.used().rows, 1, "the visits have expired");
    let holes = worker.used().bytes;
    for epoch in 0..35 {
        worker.apply(11_000, (0..5_000).map(|user| event(USER, format!("{epoch}.{user}"), 11_000, 1.0)));
    }
    assert_eq!((worker.used().rows, worker.metrics.evictions.rows.get()), (175_001, 0));
    assert!(holes + 175_000 * 86 > LIMIT && worker.used().bytes < LIMIT, "{holes} of holes, {:?}", worker.used());
}

#[test]
fn a_limit_that_holds_less_than_an_epoch_leaves_what_is_worth_most() {
    for rows in [1, 7, 64] {
        let mut worker = Worker::new(&format!("rows = {rows}"));
        for epoch in 0..5 {
            let now = 1_000 + epoch;
            worker.apply(now, (0..500).map(|user| event(USER, user, now, 1.0 + f64::from(user))));
            assert!((1..=rows).contains(&worker.used().rows), "{} of {rows}", worker.used().rows);
            let least = worker.keys().iter().map(|key| key.parse::<usize>().expect("a number")).min();
            assert!(least >= Some(500 - rows - 10), "{least:?}");
        }
    }
    // Less memory than an epoch's rows need: most go, every time, and the items are published.
    let mut worker = Worker::new("memory = \"1MiB\"");
    for epoch in 0..3 {
        worker.apply(epoch, (0..20_000).map(|user| event(USER, format!("{epoch}.{user}"), epoch, 1.0)));
    }
    assert_eq!(worker.items.len(), 60_000);
}

/// Counts, retractions and uniques, of the past and of the future, in one order.
#[test]
fn of_all_rows_those_go_that_read_least_now() {
    let mut worker = Worker::new("rows = 6");
    let now = 864_000;
    worker.apply(
        now,
        [
            event(USER, "retracted", now, -50.0),
            event(USER, "of an hour ago", now - 3_600, 4.0),
            event(USER, "in the future", now + 864_000, 2.5),
            event(PAIR, "of 9 days ago", now - 9 * 86_400, 1_000.0),
            event(PAIR, "nothing", now, 0.0),
            event(AUDIENCE, "one", now, 1.0),
        ],
    );
    assert_eq!(worker.used().rows, 3, "the next epoch may be like it");
    assert_eq!(worker.keys(), ["in the future", "of an hour ago", "retracted"]);
    worker.apply(now, [event(AUDIENCE, "many", now, 30.0), event(AUDIENCE, "once many", now - 2 * 86_400, 30.0)]);
    worker.apply(now + 1, [event(AUDIENCE, "many", now, 30.0)]);
    assert!(worker.keys().contains(&"many".to_owned()), "{:?}", worker.keys());
    // 30 members of two days ago are worth 30 / e^2 = 4.06, which is less than 30 and more than 3.8.
    assert!(worker.keys().contains(&"once many".to_owned()), "{:?}", worker.keys());
    assert_eq!(worker.item("one", "audience").since, None);
    worker.apply(now + 2, [event(AUDIENCE, "one", now + 2, 1.0), event(PAIR, "nothing", now + 2, 1.0)]);
    assert_eq!(worker.item("one", "audience").since, Some(EventTime(now + 2)));
    assert_eq!(worker.item("nothing", "pair").since, None, "nothing was lost with it");
}

#[test]
fn without_limits_nothing_goes_and_nothing_is_measured() {
    let mut worker = Worker::new("");
    for epoch in 0..10 {
        worker.apply(epoch, (0..5_000).map(|user| event(USER, format!("{epoch}.{user}"), epoch, 1.0)));
    }
    assert_eq!((worker.used().rows, worker.metrics.evictions.rows.get()), (50_000, 0));
    assert!(worker.counters.limiter.is_none());
}
