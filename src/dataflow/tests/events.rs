//! Mapped and weighed events, exploded keys, conditions and nested fields, against a recount.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::event::Reason;

fn pipeline(groups: &str) -> Arc<Pipeline> {
    let text = format!(
        r#"
        name = "test"
        [event]
        name = "eventName"
        time = "eventTs"
        [event.map]
        unlike = {{ event = "like", weight = -1 }}
        superlike = {{ event = "like", weight = 2.5 }}
        glance = {{ weight = 0.5 }}
        {groups}
        "#
    );
    Arc::new(Pipeline::parse(&text, "test.toml", &|_| None).expect("a valid pipeline"))
}

fn setup(groups: &str, workers: usize) -> Setup {
    Setup { pipeline: pipeline(groups), ..Setup::new("none", workers) }
}

/// Runs the events, each in an epoch of its own.
fn run(groups: &str, events: Vec<Value>) -> (BTreeMap<(String, String), Item>, Arc<Metrics>) {
    let (items, metrics) = setup(groups, 1).run(move |sender, _| {
        for (epoch, event) in (1..).zip(events) {
            sender.send(block(epoch, &event.to_string(), Vec::new())).expect("taken");
        }
    });
    (newest(items), metrics)
}

fn values(item: &Item) -> Vec<f64> {
    item.counts.values().map(|count| count.value).collect()
}

const MATRIX: &str = r#"
    [[counters]]
    name = "user"
    key = ["user.id"]
    events = "*"
    decays = ["5s", "1h"]
    ttl = "none"
    feature = "user.{event}"
    [[counters]]
    name = "category"
    key = ["categoryIds"]
    explode = ["categoryIds"]
    events = ["like", "glance"]
    measures = ["count", "sum(order.total)"]
    decays = ["15m"]
    ttl = "none"
    [[counters]]
    name = "feed"
    key = ["categoryIds", "user.id", "tags"]
    explode = ["tags", "categoryIds"]
    events = ["like", "view"]
    measures = ["count", "sum(order.total)"]
    decays = ["1h"]
    weight = "boost"
    where = { surface = ["feed", 7], "user.plan" = "free" }
    where_not = { bot = true }
    feature = "feed.{measure}"
    ttl = "none"
    [[counters]]
    name = "category_feed"
    key = ["categoryIds"]
    explode = ["categoryIds"]
    events = ["like"]
    decays = ["1d"]
    where = { surface = "feed" }
    ttl = "none"
"#;

const NAMES: [&str; 5] = ["view", "like", "unlike", "superlike", "glance"];

/// A member of a list, and a plain value in its place.
fn member() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (0..4u8).prop_map(|number| json!(number)),
        2 => (0..4u8).prop_map(|number| json!(number.to_string())),
        1 => Just(json!("a|b")),
        1 => Just(json!(null)),
        1 => Just(json!("")),
        1 => any::<bool>().prop_map(|truth| json!(truth)),
    ]
}

fn list() -> impl Strategy<Value = Value> {
    prop_oneof![4 => prop::collection::vec(member(), 0..5).prop_map(Value::from), 1 => member()]
}

fn event() -> impl Strategy<Value = Value> {
    let surface = prop_oneof![3 => Just(json!("feed")), 1 => Just(json!(7)), 1 => Just(json!("7")), 1 => Just(json!("search")), 1 => Just(json!(null))];
    let bot =
        prop_oneof![3 => Just(json!(null)), 1 => Just(json!(true)), 1 => Just(json!("true")), 1 => Just(json!(false))];
    let user = (0..3u8, prop::option::weighted(0.8, Just("free")));
    let number = || prop::option::weighted(0.8, -50..50i32);
    (0..NAMES.len(), 0..5_000i64, user, list(), list(), surface, bot, number(), number()).prop_map(
        |(name, time, (id, plan), categories, tags, surface, bot, total, boost)| {
            json!({
                "eventName": NAMES[name], "eventTs": time, "user": {"id": id, "plan": plan}, "tags": tags,
                "categoryIds": categories, "surface": surface, "bot": bot, "order": {"total": total}, "boost": boost,
            })
        },
    )
}

/// What a value adds to a key.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    }
}

fn members(value: &Value) -> BTreeSet<String> {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter().filter_map(text).collect()
}

fn expected(events: &[Value]) -> Events {
    let mut expected = Events::new();
    for event in events {
        let (name, name_weight) = match event["eventName"].as_str() {
            Some("unlike") => ("like", -1.0),
            Some("superlike") => ("like", 2.5),
            Some("glance") => ("glance", 0.5),
            name => (name.expect("a name"), 1.0),
        };
        let time = event["eventTs"].as_i64().expect("a time");
        let mut add = |key: &str, feature: String, weight: f64| {
            expected.entry((key.to_owned(), feature)).or_default().push((time, weight));
        };
        let user = text(&event["user"]["id"]).expect("a user");
        let total = event["order"]["total"].as_f64();
        let surface = text(&event["surface"]);
        add(&user, format!("user.{name}"), name_weight);
        for category in members(&event["categoryIds"]) {
            if name != "view" {
                add(&category, format!("category.{name}.count"), name_weight);
                total.into_iter().for_each(|total| {
                    add(&category, format!("category.{name}.sum_order.total"), name_weight * total);
                });
            }
            if name == "like" && surface.as_deref() == Some("feed") {
                add(&category, "category_feed.like.count".to_owned(), name_weight);
            }
            let in_feed = matches!(surface.as_deref(), Some("feed" | "7")) && event["user"]["plan"] == "free";
            let Some(boost) = event["boost"].as_f64() else { continue };
            if name == "glance" || !in_feed || text(&event["bot"]).as_deref() == Some("true") {
                continue;
            }
            for tag in members(&event["tags"]) {
                let key = [&category, &user, &tag].map(|part| part.replace('|', r"\|")).join("|");
                add(&key, "feed.count".to_owned(), name_weight * boost);
                total.into_iter().for_each(|total| {
                    add(&key, "feed.sum_order.total".to_owned(), name_weight * boost * total);
                });
            }
        }
    }
    expected
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn mapped_weighed_exploded_and_filtered_events_are_those_of_the_recount(
        events in prop::collection::vec(event(), 1..120),
        blocks in 1..6usize,
        workers in 1..3usize,
    ) {
        let lines: Vec<String> = events.iter().map(|event| format!("{event}\n")).collect();
        let (items, metrics) = setup(MATRIX, workers).run(move |sender, _| {
            for (epoch, lines) in (1..).zip(lines.chunks(lines.len().div_ceil(blocks))) {
                sender.send(block(epoch, &lines.concat(), Vec::new())).expect("taken");
            }
        });
        prop_assert_eq!(metrics.all_dead_letters(), 0);
        prop_assert_eq!(metrics.events.get(), events.len() as u64);
        assert_items_are(&newest(items), &expected(&events));
    }
}

const LIKES: &str = r#"
    [[counters]]
    name = "post"
    key = ["post"]
    events = ["like"]
    measures = ["count", "sum(price)"]
    decays = ["10s", "1h"]
    weight = "boost"
    ttl = "none"
"#;

fn like(name: &str, time: i64) -> Value {
    json!({"eventName": name, "post": "p", "price": 3.7, "boost": 0.1, "eventTs": time})
}

fn counts(events: Vec<Value>) -> (Vec<f64>, Vec<f64>) {
    let (items, _) = run(LIKES, events);
    let of = |measure: &str| values(&items[&("p".to_owned(), format!("post.like.{measure}"))]);
    (of("count"), of("sum_price"))
}

#[test]
fn an_unlike_at_the_time_of_the_like_leaves_exactly_nothing_and_the_row() {
    let (count, sum) = counts(vec![like("like", 100), like("unlike", 100)]);
    for value in count.into_iter().chain(sum) {
        assert_eq!(value.to_bits(), 0.0_f64.to_bits());
    }
}

#[test]
fn an_unlike_that_comes_later_takes_one_from_what_is_left() {
    let (count, _) = counts(vec![like("like", 100), like("unlike", 110)]);
    let left = |interval: f64| 0.1 * (-10.0 / interval).exp() - 0.1;
    assert!((count[0] - left(10.0)).abs() < 1e-12 && (count[1] - left(3_600.0)).abs() < 1e-12, "{count:?}");
}

#[test]
fn a_member_counts_only_where_the_events_weight_is_there_and_takes_nothing_back() {
    const BUYERS: &str = r#"
        [[counters]]
        name = "item"
        key = ["item"]
        events = ["like"]
        measures = ["uniques(buyer)"]
        decays = ["1h"]
        weight = "quantity"
        ttl = "none"
    "#;
    let by = |buyer, quantity: Value| json!({"eventName": "like", "item": "i", "buyer": buyer, "quantity": quantity, "eventTs": 1});
    let (items, metrics) =
        run(BUYERS, vec![by("ann", json!(2)), by("bob", json!(-2)), by("cid", Value::Null), by("dan", json!(0))]);
    assert_eq!(values(&items[&("i".to_owned(), "item.like.uniques_buyer".to_owned())]), [2.0]);
    assert_eq!(metrics.missing_values.get(), 1);
}

#[test]
fn a_retraction_adds_no_member_and_takes_none_back() {
    const USERS: &str = r#"
        [[counters]]
        name = "post"
        key = ["post"]
        events = ["like"]
        measures = ["count", "uniques(user)"]
        decays = ["1h"]
        ttl = "none"
    "#;
    let by = |user: &str, name: &str, time| json!({"eventName": name, "post": "p", "user": user, "eventTs": time});
    let row = |events| {
        let (items, _) = run(USERS, events);
        let of = |measure: &str| {
            let item = items.get(&("p".to_owned(), format!("post.like.{measure}")))?;
            item.counts.values().next().map(|count| (count.last_update, count.value))
        };
        (of("count"), of("uniques_user"))
    };
    let like = Some((EventTime(100), 1.0));
    assert_eq!(row(vec![by("ann", "unlike", 100)]), (Some((EventTime(100), -1.0)), None));
    assert_eq!(row(vec![by("ann", "superlike", 100), by("bob", "unlike", 100)]).1, like);
    let undone = row(vec![by("ann", "like", 100), by("ann", "unlike", 200)]);
    assert_eq!((undone.0.map(|count| count.0), undone.1), (Some(EventTime(200)), like));
}

#[test]
fn weights_whose_product_nothing_can_hold_stay_finite() {
    let heavy = |name: &str| json!({"eventName": name, "post": "p", "price": 1e300, "boost": -1e300, "eventTs": 1});
    assert!(counts(vec![heavy("superlike")]).1[0] < -1e100);
    // Both products are the largest number there is, and what they leave is no NaN.
    assert_eq!(counts(vec![heavy("superlike"), heavy("unlike")]).1, [0.0, 0.0]);
    let nothing = json!({"eventName": "unlike", "post": "p", "price": 0, "boost": 5, "eventTs": 1});
    assert!(counts(vec![nothing]).1[0].is_sign_positive());
}

#[test]
fn an_event_without_its_weight_touches_no_row_of_the_group() {
    let (items, metrics) = run(LIKES, vec![json!({"eventName": "like", "post": "p", "price": 1, "eventTs": 1})]);
    assert!(items.is_empty());
    assert_eq!((metrics.events.get(), metrics.missing_values.get()), (1, 2));
}

#[test]
fn an_event_that_would_make_too_many_keys_adds_to_none() {
    let numbers = |count: u16| Value::from_iter(0..count);
    let event = |categories, tags| {
        json!({"eventName": "like", "user": {"id": 1, "plan": "free"}, "categoryIds": categories, "tags": tags,
            "surface": "feed", "boost": 1, "eventTs": 1})
    };
    let (items, metrics) = run(MATRIX, vec![event(numbers(25), numbers(40))]);
    assert_eq!(metrics.all_dead_letters(), 0);
    assert_eq!(items.keys().filter(|(_, feature)| feature == "feed.count").count(), 1_000);
    for (categories, tags) in [(25, 41), (1_001, 0)] {
        let (items, metrics) = run(MATRIX, vec![event(numbers(categories), numbers(tags))]);
        assert!(items.is_empty(), "{categories} and {tags}");
        assert_eq!(metrics.dead_letters(Reason::BadKey).get(), 1);
    }
    // A group that does not want the event makes no keys of it.
    let mut elsewhere = event(numbers(25), numbers(41));
    elsewhere["surface"] = "profile".into();
    let (items, metrics) = run(MATRIX, vec![elsewhere]);
    assert_eq!((items.len(), metrics.all_dead_letters()), (26, 0));
}

#[test]
fn missing_keys_are_counted_only_where_the_event_is_wanted() {
    let event = |surface: &str| json!({"eventName": "like", "user": {"id": 1, "plan": "free"}, "surface": surface, "categoryIds": 1, "tags": [], "boost": 1, "eventTs": 1});
    assert_eq!(run(MATRIX, vec![event("feed")]).1.missing_keys.get(), 1);
    assert_eq!(run(MATRIX, vec![event("profile")]).1.missing_keys.get(), 0);
}

#[test]
fn a_key_that_is_too_long_among_others_makes_a_dead_letter() {
    let event = json!({"eventName": "like", "user": {"id": 1}, "categoryIds": ["a", "b".repeat(2_049)], "eventTs": 1});
    let (items, metrics) = run(MATRIX, vec![event]);
    assert_eq!((items.len(), metrics.dead_letters(Reason::KeyTooLong).get()), (0, 1));
}

const READERS: &str = r#"
    [[counters]]
    name = "post"
    key = ["post"]
    events = "*"
    measures = ["uniques(reader)"]
    decays = ["1h", "1d"]
    ttl = "none"
"#;

/// What a window gathers of a row's members is kept in one way or another, by how many there are.
#[test]
fn uniques_do_not_hang_on_how_often_members_are_seen_in_one_window() {
    let sightings = |post: &str, count: u64, readers: u64| {
        let seen = |i| json!({"eventName": "view", "post": post, "reader": i % readers, "eventTs": i / 10}).to_string();
        (0..count).map(seen).collect::<Vec<_>>()
    };
    let posts = [
        ("once", 1, 1),
        ("few", 30, 7),
        ("same", 1_500, 1),
        ("hot, few", 3_000, 3),
        ("many", 900, 800),
        ("hot", 4_000, 3_000),
    ];
    let lines: Vec<String> =
        posts.iter().flat_map(|(post, count, readers)| sightings(post, *count, *readers)).collect();
    let run = |lines_per_epoch: usize| {
        let epochs: Vec<String> = lines.chunks(lines_per_epoch).map(|lines| lines.join("\n")).collect();
        let (items, _) = setup(READERS, 2).run(move |sender, _| {
            for (epoch, lines) in (1..).zip(epochs) {
                sender.send(block(epoch, &lines, Vec::new())).expect("taken");
            }
        });
        newest(items).into_iter().map(|((post, _), item)| (post, item.counts)).collect::<BTreeMap<_, _>>()
    };
    let at_once = run(usize::MAX);
    assert_eq!(at_once, run(97));
    for (post, count, readers) in posts {
        let uniques = at_once[post].values().last().expect("a day");
        let (expected, error) = (count.min(readers) as f64, uniques.error.expect("uniques"));
        assert_eq!(error == 0.0, readers <= 64, "{post}");
        // Within minutes a day's decay takes less than 1 %.
        assert!((uniques.value / expected - 1.0).abs() < 4.0 * error + 0.01, "{post}: {}", uniques.value);
    }
}
