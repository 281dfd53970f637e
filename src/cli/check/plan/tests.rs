//! A plan says what a run would do.

mod recount;

use std::collections::{BTreeSet, HashMap};

use super::*;
use crate::event::TimeFault;
use crate::pipeline::FeatureKey;

const PIPELINE: &str = r#"
    name = "p"
    event = { name = "n", time = "t" }
    window = { length = "5s" }
    features = { drop = ["pair.view.*"] }
    ratios = [{ name = "ctr", numerator = "pair.like.count", denominator = "pair.like.sum_a" }]
    [[counters]]
    name = "user"
    key = ["u"]
    events = "*"
    decays = ["5s", "1h"]
    [[counters]]
    name = "pair"
    key = ["u", "c"]
    events = ["like", "view"]
    measures = ["count", "sum(a)"]
    decays = ["1h"]
"#;

fn pipeline() -> Arc<Pipeline> {
    Arc::new(Pipeline::parse(PIPELINE, "p", &|_| None).expect("a valid pipeline"))
}

fn plan(lines: &[String]) -> Plan {
    let mut planner = Planner::new(pipeline(), Arrival::before(EventTime(1_000_000)));
    lines.iter().for_each(|line| planner.observe(line.as_bytes()));
    planner.finish()
}

fn line(name: &str, user: u64, creator: u64, time: u64) -> String {
    format!("{{\"n\":\"{name}\",\"u\":{user},\"c\":\"c{creator}\",\"a\":1,\"t\":{time}}}")
}

#[test]
fn it_counts_keys_rows_and_the_items_of_each_window() {
    // 7 users like, and view every other second, from second 100 to 199: 20 windows of 5 s.
    let mut lines = Vec::new();
    let (mut rows, mut items) = (HashMap::<_, BTreeSet<u64>>::new(), 0);
    for second in 100..200u64 {
        for user in 0..7u64 {
            let name = if second % 2 == 0 { "view" } else { "like" };
            lines.push(line(name, user, second % 3, second));
            rows.entry((0, name, user, 9)).or_default().insert(second / 5);
            if name == "like" {
                rows.entry((1, name, user, second % 3)).or_default().insert(second / 5);
            }
        }
    }
    let plan = plan(&lines);
    assert_eq!((plan.events, plan.windows, plan.is_estimate), (700, 20, false));
    let [user, pair] = plan.groups.as_slice() else { panic!("two groups") };
    assert_eq!((user.contributions, user.key_uses, user.keys), (700, 700, [7, 7, 7]));
    assert_eq!((pair.contributions, pair.key_uses, pair.keys), (700, 350, [21, 21, 21]));
    assert_eq!((user.rows, pair.rows), (14, 42), "pair has two measures");
    for windows in rows.iter().filter(|((group, ..), _)| *group == 0).map(|(_, windows)| windows) {
        items += windows.len() as u64;
    }
    // The clock is a median of the last nine times: it is a second behind where a window begins.
    let written = user.all_changes.by_feature;
    assert!((written.writes - items as f64).abs() <= items as f64 / 20.0, "{} and {items}", written.writes);
    assert_eq!(user.growth_exponent(), Some(0.0));
    assert_eq!(written.units, written.writes, "one unit for each: an item is small");
    assert_eq!(written.first_writes, user.rows as f64);
    // A key: 4 words and its text in one, two rows of two intervals in 4 each, in a block of 14; the index, and the
    // list of marked keys.
    assert_eq!(user.row_bytes, 7 * (8 * 14 + 22 + 8));
}

#[test]
fn what_keeps_squares_has_larger_items() {
    let plan = plan(&[line("like", 1, 1, 100)]);
    let one = |name: &str| {
        let pipeline = pipeline();
        let key = FeatureKey {
            group: crate::pipeline::GroupId(1),
            measure: crate::pipeline::MeasureId(0),
            name: name.to_owned(),
        };
        typical_item_bytes(&pipeline, &key)
    };
    let squares = "squares".len() + 1 + 9;
    assert_eq!(one("pair.like.sum_a"), one("pair.like.sum_b") + squares);
    let key = "1|c1".len();
    let sizes = one("pair.like.sum_a") + one("pair.like.count") + 2 * key;
    assert_eq!(plan.groups[1].table_bytes, sizes as u64);
}

#[test]
fn what_keeps_members_or_squares_takes_more_memory() {
    let text =
        PIPELINE.replace("measures = [\"count\", \"sum(a)\"]", "measures = [\"count\", \"sum(a)\", \"uniques(v)\"]");
    let pipeline = Arc::new(Pipeline::parse(&text, "p", &|_| None).expect("a valid pipeline"));
    let bytes_with = |members: u64| {
        let mut planner = Planner::new(Arc::clone(&pipeline), Arrival::before(EventTime(1_000_000)));
        for event in 0..500 {
            let line = line("like", 1, 1, 100).replace('}', &format!(",\"v\":{}}}", event % members));
            planner.observe(line.as_bytes());
        }
        planner.finish().groups[1].row_bytes
    };
    // One interval: a count in 3 words, a sum with its squares in 4, and a member in 3, or members in a store of 24
    // bytes; with the key that makes 15 words, in a block of 16; the index, and the list of marked keys.
    let rows = 8 * 16 + 22 + 8;
    assert_eq!(bytes_with(1), rows);
    assert!(bytes_with(20) > rows + 24 + 15 * 16);
    assert!((rows + 24 + 256..rows + 24 + 400).contains(&bytes_with(500)), "a sketch of 256 registers");
}

#[test]
fn keys_that_are_always_new_grow_with_the_log() {
    let lines: Vec<String> = (0..10_000).map(|event| line("like", event, event / 2, 100 + event / 100)).collect();
    let plan = plan(&lines);
    assert_eq!(plan.groups[0].keys, [2_500, 5_000, 10_000]);
    assert!((plan.groups[0].growth_exponent().expect("keys") - 1.0).abs() < 1e-9);
}

#[test]
fn what_does_not_count_is_told_by_reason() {
    let lines =
        ["", "no event", "{\"n\":\"like\"}", "{\"n\":\"like\",\"u\":{},\"t\":5}", "{\"n\":\"x\",\"t\":2000000}"];
    let plan = plan(&lines.map(str::to_owned));
    let expected = [Reason::NotAnObject, Reason::BadTime(TimeFault::Missing), Reason::TimeAhead, Reason::BadKey]
        .map(|reason| (reason, 1));
    assert_eq!((plan.events, plan.windows, plan.dead_letters), (0, 0, BTreeMap::from(expected)));
}
