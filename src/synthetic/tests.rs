//! What a synthetic log promises.

use std::collections::{HashMap, HashSet};

use super::*;

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Event {
    event_name: String,
    user_id: String,
    creator_id: String,
    event_ts: i64,
}

fn traffic() -> Traffic {
    Traffic {
        users: 1_000,
        zipf: 1.1,
        events_per_second: 100.0,
        late_share: 0.1,
        late_by_seconds: 60,
        start: EventTime(1_707_605_599),
        seed: 1,
    }
}

fn config() -> SyntheticConfig {
    SyntheticConfig { traffic: traffic(), mix: "like=5,view=80,click=10,comment=5".parse().expect("a mix") }
}

fn with(change: impl FnOnce(&mut Traffic)) -> SyntheticConfig {
    let mut config = config();
    change(&mut config.traffic);
    config
}

fn text(config: &SyntheticConfig, lines: u64) -> String {
    let mut bytes = Vec::new();
    let mut log = SyntheticLog::new(config).expect("a possible log");
    log.write_lines(lines, &mut bytes).expect("memory can be written to");
    String::from_utf8(bytes).expect("text")
}

fn events(config: &SyntheticConfig, lines: u64) -> Vec<Event> {
    text(config, lines).lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn count_by<'a>(events: &'a [Event], field: impl Fn(&'a Event) -> &'a str) -> HashMap<&'a str, usize> {
    let mut counts = HashMap::new();
    events.iter().for_each(|event| *counts.entry(field(event)).or_default() += 1);
    counts
}

/// These bytes are a promise: whoever has a seed has the log.
#[test]
fn the_same_seed_gives_the_same_bytes_in_every_version() {
    let expected = r#"{"eventName":"view","userId":"159070","creatorId":"43699","eventTs":1707605599}
{"eventName":"view","userId":"178806","creatorId":"29133","eventTs":1707605599}
{"eventName":"view","userId":"871523","creatorId":"7911","eventTs":1707605599}
{"eventName":"view","userId":"916529","creatorId":"43045","eventTs":1707605599}
"#;
    assert_eq!(text(&with(|traffic| traffic.users = 1_000_000), 4), expected);
    let many = text(&config(), 100_000);
    assert_eq!(xxhash_rust::xxh3::xxh3_128(many.as_bytes()), 100181453051107905520850179136561088429);
}

#[test]
fn another_seed_gives_another_log_and_a_longer_log_begins_like_a_shorter_one() {
    assert_ne!(text(&config(), 100), text(&with(|traffic| traffic.seed = 2), 100));
    assert!(text(&config(), 50_000).starts_with(&text(&config(), 10_000)));
}

#[test]
fn events_come_in_the_proportions_of_the_mix() {
    let events = events(&config(), 100_000);
    let counts = count_by(&events, |event| &event.event_name);
    for (name, percent) in [("like", 5.0), ("view", 80.0), ("click", 10.0), ("comment", 5.0)] {
        let share = counts[name] as f64 / 1_000.0;
        assert!((share - percent).abs() < 0.5, "{share} % of {name}");
    }
    let mix = "never=0,\"quoted\"=1".parse().expect("a mix");
    let only = self::events(&SyntheticConfig { mix, ..config() }, 100);
    assert!(only.iter().all(|event| event.event_name == "\"quoted\""));
}

#[test]
fn the_busiest_user_has_the_share_of_zipfs_law_and_ids_are_those_of_all_users() {
    let events = events(&config(), 100_000);
    let counts = count_by(&events, |event| &event.user_id);
    let sum: f64 = (1..=1_000).map(|rank| f64::from(rank).powf(-1.1)).sum();
    let busiest = *counts.values().max().expect("a user") as f64 / 100_000.0;
    assert!((busiest - 1.0 / sum).abs() < 0.01, "{busiest}");
    assert!(counts.keys().all(|id| id.parse::<u32>().is_ok_and(|id| (1..=1_000).contains(&id))));
    let creators = count_by(&events, |event| &event.creator_id);
    assert!(creators.keys().all(|id| id.parse::<u32>().is_ok_and(|id| (1..=100).contains(&id))));
    assert_eq!(creators.len(), 100);
}

#[test]
fn every_user_has_an_id_of_their_own() {
    let even = with(|traffic| {
        traffic.users = 300;
        traffic.zipf = 0.0;
    });
    let events = events(&even, 30_000);
    let ids: HashSet<&str> = events.iter().map(|event| event.user_id.as_str()).collect();
    assert_eq!(ids.len(), 300);
}

#[test]
fn event_time_goes_on_evenly_and_so_many_events_are_late_by_so_much() {
    let events = events(&config(), 100_000);
    let lateness = |(index, event): (usize, &Event)| 1_707_605_599 + index as i64 / 100 - event.event_ts;
    let late: Vec<i64> = events.iter().enumerate().map(lateness).filter(|late| *late != 0).collect();
    assert!((9_700..10_300).contains(&late.len()), "{} are late", late.len());
    assert_eq!((late.iter().min(), late.iter().max()), (Some(&1), Some(&60)));
}

#[test]
fn logs_that_differ_only_in_their_late_events_have_the_same_users() {
    let users = |late_share| -> Vec<String> {
        let events = events(&with(|traffic| traffic.late_share = late_share), 1_000);
        events.into_iter().map(|event| event.user_id).collect()
    };
    assert_eq!(users(0.0), users(0.5));
}

#[test]
fn times_stay_in_their_range() {
    let early = with(|traffic| {
        traffic.start = EventTime(0);
        traffic.late_share = 1.0;
    });
    assert!(events(&early, 100).iter().all(|event| event.event_ts == 0));
    let far = with(|traffic| {
        traffic.start = EventTime(i64::MAX);
        traffic.events_per_second = 1e-300;
        traffic.late_share = 0.0;
    });
    assert!(events(&far, 100).iter().all(|event| event.event_ts == i64::MAX));
}

#[test]
fn a_log_that_could_not_be_is_refused() {
    let refused = |config: SyntheticConfig| SyntheticLog::new(&config).expect_err("refused");
    assert_eq!(refused(with(|traffic| traffic.users = 0)), InvalidSynthetic::Users(0));
    assert_eq!(refused(with(|traffic| traffic.users = 10_000_000)), InvalidSynthetic::Users(10_000_000));
    assert_eq!(refused(with(|traffic| traffic.zipf = -0.1)), InvalidSynthetic::Exponent(-0.1));
    assert!(matches!(refused(with(|traffic| traffic.zipf = f64::NAN)), InvalidSynthetic::Exponent(_)));
    assert_eq!(refused(with(|traffic| traffic.events_per_second = 0.0)), InvalidSynthetic::Rate(0.0));
    assert_eq!(refused(with(|traffic| traffic.late_share = 1.5)), InvalidSynthetic::LateShare(1.5));
    assert_eq!(refused(with(|traffic| traffic.late_by_seconds = 0)), InvalidSynthetic::LateBy);
    assert_eq!(refused(with(|traffic| traffic.late_by_seconds = u64::MAX)), InvalidSynthetic::LateBy);
    assert_eq!(refused(with(|traffic| traffic.start = EventTime(-1))), InvalidSynthetic::Start);
}

#[test]
fn a_line_has_the_shape_of_the_reference_job() {
    let traffic = Traffic { users: 1, late_share: 0.0, ..traffic() };
    let text = text(&SyntheticConfig { traffic, mix: "like=1".parse().expect("a mix") }, 1);
    assert_eq!(text, "{\"eventName\":\"like\",\"userId\":\"1\",\"creatorId\":\"1\",\"eventTs\":1707605599}\n");
}
