//! Names that last: what an item is called, and what it holds, does not hang on where in the pipeline file its group,
//! its measure and its decays stand.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::json::agrees;
use crate::program::Workplace;
use crate::recount::RowName;

/// `[[counters]]`, of which two are keyed alike and two share names of events; lists are as they are moved about.
struct Group {
    name: &'static str,
    key: &'static str,
    events: &'static [&'static str],
    measures: &'static [&'static str],
    decays: &'static [&'static str],
    ttl: &'static str,
}

const GROUPS: [Group; 3] = [
    Group {
        name: "post",
        key: r#"["post"]"#,
        events: &["view", "like"],
        measures: &["count", "sum(seconds)"],
        decays: &["30s", "10m", "1h"],
        ttl: "none",
    },
    Group {
        name: "crowd",
        key: r#"["post"]"#,
        events: &["like", "view", "share"],
        measures: &["uniques(user)", "sum(seconds)", "count"],
        decays: &["1h", "5m"],
        ttl: "30d",
    },
    Group {
        name: "pair",
        key: r#"["user", "post"]"#,
        events: &["share", "like", "view"],
        measures: &["count"],
        decays: &["10m", "1d", "30s"],
        ttl: "60d",
    },
];

/// Its denominator keeps squares.
const RATIO: &str = r#"
[[ratios]]
name = "post.rate"
numerator = "post.like.count"
denominator = "post.view.count"
kind = "proportion"
"#;

/// How a pipeline file is written down: the order of its groups, and how far their lists are turned.
#[derive(Clone, Copy, Debug)]
struct Order {
    groups: [usize; 3],
    turned: usize,
    ratio_first: bool,
}

const AS_IT_STANDS: Order = Order { groups: [0, 1, 2], turned: 0, ratio_first: false };

const MOVED: [Order; 3] = [
    Order { groups: [2, 1, 0], turned: 1, ratio_first: false },
    Order { groups: [1, 2, 0], turned: 2, ratio_first: true },
    Order { groups: [0, 1, 2], turned: 1, ratio_first: true },
];

fn pipeline(order: Order) -> String {
    let list = |texts: &[&str]| {
        let mut texts = texts.to_vec();
        let turned = order.turned % texts.len();
        texts.rotate_left(turned);
        format!("{texts:?}")
    };
    let group = |index: usize| {
        let Group { name, key, events, measures, decays, ttl } = &GROUPS[index];
        let (events, measures, decays) = (list(events), list(measures), list(decays));
        format!(
            "[[counters]]\nname = \"{name}\"\nkey = {key}\nevents = {events}\nmeasures = {measures}\ndecays = {decays}\n\
             ttl = \"{ttl}\"\n"
        )
    };
    let groups: String = order.groups.into_iter().map(group).collect();
    let sections = if order.ratio_first { format!("{RATIO}{groups}") } else { format!("{groups}{RATIO}") };
    format!("name = \"p\"\nevent = {{ name = \"n\", time = \"t\" }}\n{sections}")
}

/// Events over two hours, some of them late, some without a user or without seconds. There are fewer users than make
/// uniques an estimate. What nobody counts makes the log long enough for several blocks, without which it is one epoch.
fn log() -> String {
    let ignored = format!(",\"ignored\":\"{}\"}}\n", "x".repeat(2_000));
    let mut state = 1_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut log = String::new();
    for event in 0..4_000_u64 {
        let name = ["view", "view", "view", "like", "share"][random(5) as usize];
        let time = 1_707_605_599 + 2 * event - if random(10) == 0 { random(1_500) } else { 0 };
        log += &format!("{{\"n\":\"{name}\",\"t\":{time},\"post\":\"p|{}\"", random(25));
        if random(20) > 0 {
            log += &format!(",\"user\":\"u\\\\{}\"", random(40));
        }
        if random(4) > 0 {
            log += &format!(",\"seconds\":{}.5", random(60));
        }
        log += &ignored;
    }
    log
}

/// The newest item of every key and feature, without its version, which says when it was published.
fn counted(order: Order, workers: &str, more: &[&str]) -> BTreeMap<RowName, Value> {
    let place = Workplace::new();
    place.write("p.toml", pipeline(order));
    place.write("events.jsonl", log());
    let run = ["run", "p.toml", "--events", "events.jsonl", "--sink", "jsonl:items.jsonl", "-w", workers];
    let ended = place.run(&[&run, more].concat()).exits(0);
    assert_eq!((ended.summary("events"), ended.summary("dead letters")), (4_000, 0));
    let mut items = BTreeMap::new();
    let mut versions = BTreeSet::new();
    for line in place.run(&["dump", "jsonl:items.jsonl"]).exits(0).stdout.lines() {
        let mut item: Value = serde_json::from_str(line).unwrap();
        versions.insert(item.as_object_mut().unwrap().remove("version").unwrap().as_u64());
        let name = |member: &str| item[member].as_str().unwrap().to_owned();
        items.insert((name("key"), name("featureName")), item);
    }
    assert!(versions.len() >= 5, "it came in several epochs");
    items
}

#[test]
fn the_order_of_a_pipeline_file_changes_no_item() {
    let expected = counted(AS_IT_STANDS, "1", &["--replay-batch", "300"]);
    let features: BTreeSet<&str> = expected.keys().map(|(_, feature)| feature.as_str()).collect();
    // Two and three of each event, and the pairs.
    assert_eq!(features.len(), 2 * 2 + 3 * 3 + 3, "{features:?}");
    assert!(expected.len() > 2_000 && expected.contains_key(&(r"u\\7|p\|7".to_owned(), "pair.view.count".to_owned())));
    let squares = &expected[&("p|7".to_owned(), "post.view.count".to_owned())]["counts"]["3600"]["squares"];
    assert!(squares.as_f64().is_some_and(|squares| squares > 0.0));
    let rhythms: [&[&str]; 2] = [&["--replay-batch", "300"], &["--every-window"]];
    for (order, workers, rhythm) in [
        (AS_IT_STANDS, "2", rhythms[0]),
        (MOVED[0], "1", rhythms[0]),
        (MOVED[0], "2", rhythms[0]),
        (MOVED[1], "1", rhythms[1]),
        (MOVED[1], "2", rhythms[1]),
        (MOVED[2], "2", rhythms[0]),
    ] {
        let what = format!("{order:?}, {workers} workers, {rhythm:?}");
        let items = counted(order, workers, rhythm);
        let (names, expected_names): (Vec<_>, Vec<_>) = (items.keys().collect(), expected.keys().collect());
        assert!(names == expected_names, "{what}: {} and {} items", names.len(), expected_names.len());
        for (name, item) in &items {
            assert!(agrees(item, &expected[name], 1e-9), "{what}: {item:#} is not {:#}", expected[name]);
        }
    }
}
