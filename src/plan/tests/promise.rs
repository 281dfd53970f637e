//! Whatever comes, an item shows what the state was when its group was last due, within what may be held back: read at any
//! time that is not before its newest event.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::super::table::SimulatedTable;
use super::pipeline;
use crate::clock::TimeSamples;
use crate::counter::EventTime;
use crate::epoch::Window;
use crate::event::{Arrival, Decoder, Utf8};
use crate::pipeline::{Encoding, Layout, Pipeline};
use crate::sink::{Item, ItemBatch};
use crate::state::Moment;
use crate::sums::{HashSeed, Router, WindowSums};

const MIN_CHANGE: f64 = 0.05;
const WINDOW: u64 = 5_000;

const TEXT: &str = r#"
    name = "p"
    event = { name = "n", time = "t", map = { unlike = { event = "like", weight = -1 } } }
    publish = { min_change = 0.05, max_age = "40s" }
    ratios = [{ name = "r", numerator = "post.view.sum_a", denominator = "post.view.count" }]
    [[counters]]
    name = "post"
    key = ["p"]
    events = ["like", "view"]
    measures = ["count", "sum(a)", "uniques(u)"]
    decays = ["20s", "10m", "1d"]
    ttl = "none"
    [[counters]]
    name = "user"
    key = ["u"]
    events = ["like", "view"]
    decays = ["1h"]
    ttl = "none"
    publish = { every = "15s" }
"#;

#[derive(Clone, Debug)]
struct Event {
    name: &'static str,
    post: u8,
    user: u8,
    amount: i32,
    /// How long before the time it was read, in seconds.
    late: i64,
}

fn event() -> impl Strategy<Value = Event> {
    let name = prop_oneof![4 => Just("view"), 3 => Just("like"), 1 => Just("unlike")];
    let late = prop_oneof![4 => Just(0i64), 2 => 0..10i64, 1 => 0..5_000i64];
    (name, 0..3u8, 0..40u8, -5..20i32, late).prop_map(|(name, post, user, amount, late)| Event {
        name,
        post,
        user,
        amount,
        late,
    })
}

/// What is added to one feature of a key: times, weights and members.
type Added = Vec<(i64, f64, u8)>;

/// What each item should be, by key and feature name: added up naively.
#[derive(Default)]
struct Naive(BTreeMap<(String, String), Added>);

impl Naive {
    fn add(&mut self, event: &Event, time: i64) {
        let (name, weight) = if event.name == "unlike" { ("like", -1.0) } else { (event.name, 1.0) };
        let mut add = |key: String, feature: String, weight: f64| {
            self.0.entry((key, feature)).or_default().push((time, weight, event.user));
        };
        let amount = weight * f64::from(event.amount);
        add(event.post.to_string(), format!("post.{name}.count"), weight);
        add(event.post.to_string(), format!("post.{name}.sum_a"), amount);
        if weight > 0.0 {
            add(event.post.to_string(), format!("post.{name}.uniques_u"), 1.0);
        }
        add(event.user.to_string(), format!("user.{name}.count"), weight);
    }

    /// What one of them reads at a time, with this interval.
    fn read(feature: &str, added: &Added, interval: f64, at: i64) -> f64 {
        let worth = |time: i64| (-((at - time) as f64) / interval).exp();
        if !feature.contains("uniques") {
            return added.iter().map(|(time, weight, _)| weight * worth(*time)).sum();
        }
        let mut seen = HashMap::new();
        for (time, _, member) in added {
            let last: &mut i64 = seen.entry(*member).or_insert(*time);
            *last = (*last).max(*time);
        }
        seen.values().map(|time| worth(*time)).sum()
    }
}

/// A worker whose table is read.
struct Watched {
    table: SimulatedTable,
    items: BTreeMap<(String, String), Item>,
    pipeline: std::sync::Arc<Pipeline>,
}

impl Watched {
    fn note(pipeline: &Pipeline, items: &mut BTreeMap<(String, String), Item>, batch: &ItemBatch) {
        for item in batch.items(pipeline) {
            items.insert((item.key_text().into_owned(), item.feature_name.to_owned()), item.to_item());
        }
    }

    /// Every item shows what it should, read so long after the newest event.
    fn assert_right(&self, naive: &Naive, min_change: f64, now: i64, later: i64) {
        for ((key, feature), added) in &naive.0 {
            let item = self.items.get(&(key.clone(), feature.clone()));
            let item = item.unwrap_or_else(|| panic!("{key} {feature} was never written"));
            for (interval, count) in &item.counts {
                let at = now + later;
                let elapsed = (at - count.last_update.0) as f64;
                let shown = count.value * (-elapsed / interval.units() as f64).exp();
                let expected = Naive::read(feature, added, interval.units() as f64, at);
                let allowed = min_change * shown.abs() + 1e-9 * (1.0 + expected.abs());
                assert!((shown - expected).abs() <= allowed, "{key} {feature} {interval:?}: {shown}, not {expected}");
            }
        }
    }
}

fn run(windows: &[(Vec<Event>, u8)], layout: Layout, later: i64) {
    let mut pipeline = pipeline(TEXT);
    std::sync::Arc::make_mut(&mut pipeline).publish.layout = layout;
    let mut decoder = Decoder::new(std::sync::Arc::new(pipeline.event.clone()));
    let mut router = Router::new(std::sync::Arc::clone(&pipeline), HashSeed(7));
    let mut sums = WindowSums::new(1);
    let table = SimulatedTable::new(&pipeline);
    let mut watched = Watched { table, items: BTreeMap::new(), pipeline: std::sync::Arc::clone(&pipeline) };
    let mut naive = Naive::default();
    let mut moment = Moment(0);
    let start = 1_000_000;
    let mut now = start;
    for (number, (events, quiet)) in (1u64..).zip(windows) {
        for event in events {
            let time = now - event.late;
            let (post, user, amount) = (event.post, event.user, event.amount);
            let line = format!("{{\"n\":\"{}\",\"p\":{post},\"u\":{user},\"a\":{amount},\"t\":{time}}}", event.name);
            let decoded = decoder.decode(line.as_bytes(), Arrival::before(EventTime(i64::MAX / 4)), Utf8::Checked);
            router.route(&decoded.expect("an event").expect("an event"), &mut sums).expect("it counts");
            naive.add(event, time);
        }
        moment.0 += WINDOW;
        now += 5;
        sums.close_window(Window(number), &pipeline);
        let batches: Vec<_> = sums.take_epoch(&TimeSamples::default(), router.features(), &pipeline).collect();
        let Watched { table, items, pipeline } = &mut watched;
        table.end_window(&batches, moment, &mut |batch| Watched::note(pipeline, items, batch)).expect("right");
        // Users are published every 15 seconds; then all are due.
        moment.0 += 4 * WINDOW * u64::from(1 + quiet);
        now += 20 * (1 + i64::from(*quiet));
        table.pass_to(moment, &mut |batch| Watched::note(pipeline, items, batch));
        watched.assert_right(&naive, MIN_CHANGE, now, later);
    }
    let Watched { table, items, pipeline } = &mut watched;
    table.finish(&mut |batch| Watched::note(pipeline, items, batch));
    watched.assert_right(&naive, 0.0, now, later);
}

proptest! {
    #[test]
    fn what_readers_see_is_what_was_asked_for(
        windows in prop::collection::vec((prop::collection::vec(event(), 0..60), 0..3u8), 1..12),
        layout in prop_oneof![Just(Layout::Feature), Just(Layout::Key(Encoding::Packed))],
        later in prop_oneof![Just(0i64), 0..100i64, 0..200_000i64],
    ) {
        run(&windows, layout, later);
    }
}
