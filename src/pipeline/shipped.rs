//! The pipelines and the log that ship with the project say what the README shows.

use std::collections::HashSet;
use std::time::Duration;

use super::*;
use crate::event::TimeUnit;

const REFERENCE: &str = include_str!("../../pipelines/user_counters.toml");
const SAMPLE: &str = include_str!("../../pipelines/sample.jsonl");

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_name: String,
    user_id: String,
    creator_id: String,
    event_ts: i64,
}

fn sample() -> Vec<Event> {
    SAMPLE.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn reference(environment: Environment<'_>) -> Pipeline {
    Pipeline::parse(REFERENCE, "user_counters.toml", environment).expect("the reference pipeline is valid")
}

#[test]
fn the_reference_pipeline_is_the_reference_job() {
    let pipeline = reference(&|_| None);
    let sink = pipeline.sink.as_ref().map(SinkTarget::to_string);
    assert_eq!((pipeline.name.as_str(), sink.as_deref()), ("user_counters", Some("sqlite:user_counters.db")));
    assert_eq!((pipeline.event.name_field.as_str(), pipeline.event.time_field.as_str()), ("eventName", "eventTs"));
    assert_eq!(pipeline.event.time_unit, TimeUnit::Seconds);
    assert_eq!(pipeline.window.length, Duration::from_secs(5));
    assert_eq!(pipeline.dynamodb.table, "UserCounters");
    let [group] = pipeline.groups.as_slice() else { panic!("one group") };
    let intervals: Vec<i64> = group.decays.intervals().iter().map(|interval| interval.units()).collect();
    assert_eq!((intervals, group.ttl), (vec![5, 10, 15], Some(604_800)));
    assert_eq!(pipeline.event.fields[usize::from(group.key[0].0)].name.as_str(), "userId");
    assert_eq!(group.feature_name("like", MeasureId(0)), "like");
    assert_eq!(pipeline.warnings(), Vec::<String>::new());
}

#[test]
fn the_reference_pipeline_finds_its_services_by_the_environment() {
    let pipeline = reference(&|name| {
        Some(if name == "DYNAMODB_ENDPOINT" { "http://my-endpoint".to_owned() } else { format!("my-{name}") })
    });
    let kafka = pipeline.kafka.expect("a [kafka] section");
    assert_eq!((kafka.brokers.as_str(), kafka.topic.as_str()), ("my-KAFKA_BROKERS", "my-KAFKA_TOPIC"));
    assert_eq!(pipeline.dynamodb.endpoint.as_deref(), Some("http://my-endpoint"));
    assert_eq!(pipeline.dynamodb.region, "my-AWS_REGION");
}

#[test]
fn the_sample_log_has_many_users_every_event_and_late_ones() {
    let events = sample();
    let names: HashSet<&str> = events.iter().map(|event| event.event_name.as_str()).collect();
    assert_eq!(names, HashSet::from(["like", "view", "click", "comment"]));
    assert!(events.iter().map(|event| &event.user_id).collect::<HashSet<_>>().len() >= 10);
    assert!(events.iter().map(|event| &event.creator_id).collect::<HashSet<_>>().len() >= 4);
    let late = events.windows(2).filter(|pair| pair[1].event_ts < pair[0].event_ts).count();
    assert_eq!(late, 2);
}

/// What `get --key userId=1234` shows for `like`, by the definition.
#[test]
fn the_sample_log_leaves_user_1234_with_likes_worth_looking_at() {
    let likes: Vec<i64> = sample()
        .iter()
        .filter(|event| event.user_id == "1234" && event.event_name == "like")
        .map(|event| event.event_ts)
        .collect();
    let newest = 1_707_605_599;
    assert_eq!((likes.len(), likes.iter().max()), (14, Some(&newest)));
    for (interval, expected) in [(5.0, 4.3712), (10.0, 6.3846), (15.0, 7.6529)] {
        let value: f64 = likes.iter().map(|time| (-((newest - time) as f64) / interval).exp()).sum();
        assert!((value - expected).abs() < 1e-4, "{value} with an interval of {interval} s");
    }
}

const FEED: &str = include_str!("../../pipelines/feed.toml");
const RETAIL: &str = include_str!("../../pipelines/retail.toml");
const RETAIL_SAMPLE: &str = include_str!("../../pipelines/retail_sample.jsonl");

fn shipped(text: &str, file: &str) -> Pipeline {
    Pipeline::parse(text, file, &|_| None).expect("a shipped pipeline is valid")
}

fn features(group: &Group) -> usize {
    let measures = 0..group.measures.len() as u16;
    measures.map(|measure| group.fixed_names(MeasureId(measure)).len()).sum()
}

/// A counter is one feature with one decay.
#[test]
fn the_feed_has_more_than_a_thousand_counters_for_every_key() {
    let pipeline = shipped(FEED, "feed.toml");
    let counters: usize = pipeline.groups.iter().map(|group| features(group) * group.decays.intervals().len()).sum();
    assert!(counters >= 1_000, "{counters}");
    let field = |id: &crate::event::FieldId| pipeline.event.fields[usize::from(id.0)].name.to_string();
    let keys: HashSet<String> =
        pipeline.groups.iter().map(|group| group.key.iter().map(field).collect::<Vec<_>>().join("|")).collect();
    let expected =
        ["postId", "userId", "userId|postId", "userId|creatorId", "userId|categoryIds", "creatorId", "categoryIds"];
    assert_eq!(keys, expected.map(str::to_owned).into());
    let units: Vec<i64> =
        pipeline.groups.iter().flat_map(|group| group.decays.intervals()).map(|d| d.units()).collect();
    assert_eq!((units.iter().min(), units.iter().max()), (Some(&60_000), Some(&(90 * 86_400_000))));
    assert_eq!(pipeline.warnings(), Vec::<String>::new());
}

/// What keeps a thousand counters affordable: an event adds to the rows of its own name.
#[test]
fn the_feed_takes_back_likes_and_names_every_event() {
    let pipeline = shipped(FEED, "feed.toml");
    assert_eq!((pipeline.event_map.of("unlike"), pipeline.event_map.of("view")), (("like", -1.0), ("view", 1.0)));
    assert!(pipeline.groups.iter().all(|group| matches!(group.events, EventSelector::Listed(_))));
}

#[test]
fn the_shop_takes_back_what_is_cancelled() {
    let pipeline = shipped(RETAIL, "retail.toml");
    assert_eq!(pipeline.warnings(), Vec::<String>::new());
    let sales = &pipeline.groups[0];
    assert_eq!(
        sales.weight.map(|id| pipeline.event.fields[usize::from(id.0)].name.to_string()),
        Some("quantity".into())
    );
    assert!(sales.events.selects("cancel") && !sales.feature.names_event());

    let mut units: std::collections::HashMap<&str, i64> = std::collections::HashMap::new();
    let lines: Vec<serde_json::Value> =
        RETAIL_SAMPLE.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        let quantity = line["quantity"].as_i64().expect("a whole number");
        assert_eq!(quantity < 0, line["eventName"] == "cancel", "{line}");
        *units.entry(line["itemId"].as_str().expect("text")).or_default() += quantity;
    }
    assert_eq!(lines.len(), 100);
    assert!(units.values().all(|units| *units >= 0), "nothing is cancelled that was not bought: {units:?}");
    assert!(lines.iter().any(|line| line["userId"].is_null()));
}
