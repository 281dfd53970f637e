//! The pipelines and the log that ship with the project say what the README shows.

use std::collections::HashSet;

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
    assert_eq!((pipeline.name.as_str(), pipeline.sink.as_deref()), ("user_counters", Some("sqlite:user_counters.db")));
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
    let pipeline = reference(&|name| Some(format!("my-{name}")));
    let kafka = pipeline.kafka.expect("a [kafka] section");
    assert_eq!((kafka.brokers.as_str(), kafka.topic.as_str()), ("my-KAFKA_BROKERS", "my-KAFKA_TOPIC"));
    assert_eq!(pipeline.dynamodb.endpoint.as_deref(), Some("my-DYNAMODB_ENDPOINT"));
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
