//! The plan of `check` beside a count that shares no code with it but the size of an item: rows as lists of values, windows
//! by the time of the event.

use super::*;

const TEXT: &str = r#"
    name = "p"
    event = { name = "n", time = "t" }
    window = { length = "5s" }
    [[counters]]
    name = "post"
    key = ["p"]
    events = ["like", "view"]
    decays = ["1h", "1d"]
    ttl = "none"
    [[counters]]
    name = "other"
    key = ["p"]
    events = ["view"]
    measures = ["sum(a)"]
    decays = ["7d"]
    ttl = "none"
    publish = { every = "1m" }
    [[counters]]
    name = "user"
    key = ["u"]
    events = "*"
    decays = ["30d"]
    ttl = "none"
"#;

struct Event {
    view: bool,
    post: u64,
    user: u64,
    time: i64,
}

/// Ten events a second, most of them of few posts.
fn events() -> Vec<Event> {
    let mut random = 12_345u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let event = |number: i64| {
        let (spread, post) = (1 << next(12), next(1 << 20));
        Event { view: next(5) > 0, post: post % spread, user: next(3_000), time: 1_700_000_000 + number / 10 }
    };
    (0..60_000).map(event).collect()
}

/// A row of a key: which group, which event.
type Row = (usize, bool);

#[derive(Clone, Default)]
struct Held {
    last: i64,
    values: Vec<f64>,
    shown: Option<(i64, Vec<f64>)>,
    waits_since: Option<i64>,
}

/// Writes by group, and of whole keys (of posts, of users).
#[derive(Debug, Default)]
struct Recounted {
    by_group: [f64; 3],
    by_key: [f64; 2],
}

const DECAYS: [&[f64]; 3] = [&[3_600.0, 86_400.0], &[604_800.0], &[2_592_000.0]];

fn recount(events: &[Event], min_change: f64, whole_keys: bool) -> Recounted {
    let mut keys: BTreeMap<(bool, u64), BTreeMap<Row, Held>> = BTreeMap::new();
    let mut written = Recounted::default();
    let start = events[0].time;
    let mut next = 0;
    for window in 1.. {
        let ends = start + 5 * window;
        while let Some(event) = events.get(next).filter(|event| event.time < ends) {
            next += 1;
            let mut rows = vec![((true, event.post), (0, event.view)), ((false, event.user), (2, event.view))];
            rows.extend(event.view.then_some(((true, event.post), (1, true))));
            for (key, row) in rows {
                let held = keys.entry(key).or_default().entry(row).or_default();
                held.values.resize(DECAYS[row.0].len(), 0.0);
                for (value, decay) in held.values.iter_mut().zip(DECAYS[row.0]) {
                    *value = *value * (-((event.time - held.last) as f64) / decay).exp() + 1.0;
                }
                held.last = event.time;
                held.waits_since.get_or_insert(ends);
            }
        }
        let last = next == events.len();
        for ((is_post, _), rows) in &mut keys {
            let is_due = |row: &Row, held: &Held| {
                let due = last || row.0 != 1 || window % 12 == 0;
                let Some(since) = held.waits_since.filter(|_| due) else { return false };
                let Some((at, shown)) = held.shown.as_ref().filter(|_| !last && ends - since < 600) else {
                    return true;
                };
                let far = |((own, shown), decay): ((&f64, &f64), &f64)| {
                    let shown = shown * (-((held.last - at) as f64) / decay).exp();
                    (own - shown).abs() > min_change * shown.abs()
                };
                held.values.iter().zip(shown).zip(DECAYS[row.0]).any(far)
            };
            let any = rows.iter().any(|(row, held)| is_due(row, held));
            written.by_key[usize::from(!*is_post)] += f64::from(u8::from(any));
            for (row, held) in rows {
                if is_due(row, held) || whole_keys && any {
                    written.by_group[row.0] += 1.0;
                    held.shown = Some((held.last, held.values.clone()));
                    held.waits_since = None;
                }
            }
        }
        if last {
            return written;
        }
    }
    written
}

#[track_caller]
fn assert_near(planned: f64, counted: f64, what: &str) {
    assert!(counted > 1_000.0 && (planned / counted - 1.0).abs() < 0.1, "{what}: {planned} planned, {counted} counted");
}

/// Which figures of a group.
type OfGroup = fn(&GroupPlan) -> GroupPublishing;

#[test]
fn a_plan_is_near_what_is_counted_for_both_layouts_with_and_without_holding_back() {
    let events = events();
    let pipeline = Arc::new(Pipeline::parse(TEXT, "p", &|_| None).expect("a valid pipeline"));
    let mut planner = Planner::new(pipeline, Arrival::before(EventTime(2_000_000_000)));
    for Event { view, post, user, time } in &events {
        let name = if *view { "view" } else { "like" };
        planner.observe(format!("{{\"n\":\"{name}\",\"p\":{post},\"u\":{user},\"a\":1,\"t\":{time}}}").as_bytes());
    }
    let plan = planner.finish();
    let figures: [(f64, OfGroup); 2] = [(0.0, |group| group.all_changes), (0.01, |group| group.held_back)];
    let mut held = Vec::new();
    for (min_change, of) in figures {
        let groups: Vec<GroupPublishing> = plan.groups.iter().map(of).collect();
        let by_feature = recount(&events, min_change, false);
        for (index, group) in groups.iter().enumerate() {
            let (written, counted) = (group.by_feature, by_feature.by_group[index]);
            assert_near(written.writes, counted, &format!("group {index}, {min_change}"));
            assert_eq!(written.units, written.writes, "items are small");
            assert_eq!(written.first_writes, plan.groups[index].rows as f64);
        }
        let by_key = recount(&events, min_change, true).by_key;
        let of_posts = groups[0].by_key.plus(groups[1].by_key);
        assert_near(of_posts.writes, by_key[0], "posts");
        assert_near(groups[2].by_key.writes, by_key[1], "users");
        held.push(groups[0].by_feature.writes);
    }
    assert!(held[1] < 0.9 * held[0], "little is held back: {held:?}");
}
