//! What a synthetic feed promises.

use std::collections::{HashMap, HashSet};

use super::world::{CATEGORIES, PostId, UserId};
use super::*;
use crate::counter::EventTime;
use crate::event::TimeUnit;
use crate::synthetic::Traffic;

const START: i64 = 1_707_605_599;
const START_MS: i64 = START * 1_000;

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Event {
    event_name: String,
    user_id: String,
    post_id: String,
    creator_id: String,
    category_ids: Vec<String>,
    surface: String,
    seconds: Option<f64>,
    length: Option<u64>,
    event_ts: i64,
}

impl Event {
    fn is_of_bot(&self) -> bool {
        self.user_id.len() > 7
    }

    fn who_and_what(&self) -> (&str, &str) {
        (&self.user_id, &self.post_id)
    }
}

fn traffic() -> Traffic {
    Traffic {
        users: 2_000,
        zipf: 1.1,
        events_per_second: 100.0,
        late_share: 0.05,
        late_by_seconds: 600,
        start: EventTime(START),
        seed: 1,
    }
}

fn config() -> FeedConfig {
    FeedConfig {
        traffic: traffic(),
        bot_share: 0.02,
        name_field: "eventName".to_owned(),
        time_field: "eventTs".to_owned(),
        time_unit: TimeUnit::Milliseconds,
    }
}

fn text(config: &FeedConfig, lines: u64) -> String {
    let mut bytes = Vec::new();
    FeedLog::new(config).expect("a possible log").write_lines(lines, &mut bytes).expect("memory can be written to");
    String::from_utf8(bytes).expect("text")
}

fn events(config: &FeedConfig, lines: u64) -> Vec<Event> {
    text(config, lines).lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// These bytes are a promise: whoever has a seed has the log.
#[test]
fn the_same_seed_gives_the_same_bytes_in_every_version() {
    let begins = text(&config(), 2);
    let expected = r#"{"eventName":"view","userId":"89","postId":"39407464","creatorId":"65","categoryIds":["space","music"],"surface":"feed","eventTs":1707605599000}
{"eventName":"view","userId":"1081","postId":"25496471","creatorId":"72","categoryIds":["parenting"],"surface":"feed","eventTs":1707605599010}
"#;
    assert_eq!(begins, expected);
    assert_eq!(
        xxhash_rust::xxh3::xxh3_128(text(&config(), 100_000).as_bytes()),
        11_819_185_210_608_753_433_173_848_586_721_876_147
    );
}

#[test]
fn another_seed_gives_another_log_and_a_longer_log_begins_like_a_shorter_one() {
    assert_ne!(text(&config(), 100), text(&FeedConfig { traffic: Traffic { seed: 2, ..traffic() }, ..config() }, 100));
    assert!(text(&config(), 20_000).starts_with(&text(&config(), 5_000)));
}

/// What takes back or follows needs one of what it is about: earlier in the log and not later in time.
#[track_caller]
fn assert_follows(events: &[Event], first: &str, second: &str, uses_up: bool) -> usize {
    let mut before: HashMap<(&str, &str), Vec<i64>> = HashMap::new();
    let mut followers = 0;
    for event in events {
        if event.event_name == first {
            before.entry(event.who_and_what()).or_default().push(event.event_ts);
        } else if event.event_name == second {
            followers += 1;
            let times = before.get_mut(&event.who_and_what()).expect("there was one before");
            let index = times.iter().position(|time| *time <= event.event_ts).expect("it happened before");
            if uses_up {
                times.swap_remove(index);
            }
        }
    }
    followers
}

#[test]
fn everything_follows_from_a_view_and_is_taken_back_at_most_once() {
    let events = events(&config(), 100_000);
    for reaction in ["time_spent", "like", "click", "comment", "profile_click", "share"] {
        assert!(assert_follows(&events, "view", reaction, false) > 100, "{reaction}");
    }
    assert!(assert_follows(&events, "like", "unlike", true) > 100);
    assert!(assert_follows(&events, "share", "unshare", true) > 10);
}

#[test]
fn event_time_goes_on_evenly_and_so_many_events_are_late_by_so_much() {
    let config = FeedConfig { bot_share: 0.0, ..config() };
    let events = events(&config, 100_000);
    let mut late = 0;
    for (index, event) in (0i64..).zip(&events) {
        let behind = START_MS + index * 10 - event.event_ts;
        assert!(behind == 0 || (1_000..=600_000).contains(&behind), "{behind}");
        late += usize::from(behind > 0);
    }
    let share = late as f64 / 100_000.0;
    assert!((0.03..0.07).contains(&share), "{share}");
}

#[test]
fn views_are_most_and_each_kind_of_event_has_its_own_fields() {
    let events = events(&config(), 100_000);
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for event in &events {
        *counts.entry(&event.event_name).or_default() += 1;
        assert_eq!(event.seconds.is_some(), event.event_name == "time_spent");
        assert_eq!(event.length.is_some(), event.event_name == "comment");
        assert!(event.seconds.is_none_or(|seconds| (2.0..3_600.0).contains(&seconds)));
        assert!(["feed", "search", "profile", "notification"].contains(&event.surface.as_str()));
        let categories: HashSet<_> = event.category_ids.iter().collect();
        assert!((1..=3).contains(&categories.len()) && categories.len() == event.category_ids.len());
        assert!(categories.iter().all(|category| CATEGORIES.contains(&category.as_str())));
    }
    assert_eq!(counts.len(), 9);
    assert!((35_000..60_000).contains(&counts["view"]), "{counts:?}");
    let descending = ["view", "time_spent", "click", "like", "profile_click", "share", "unshare"];
    assert!(descending.windows(2).all(|pair| counts[pair[0]] > counts[pair[1]]), "{counts:?}");
}

#[test]
fn a_post_always_has_the_same_creator_and_categories() {
    let mut seen: HashMap<String, (String, Vec<String>)> = HashMap::new();
    for event in events(&config(), 50_000) {
        let about = (event.creator_id, event.category_ids);
        assert_eq!(*seen.entry(event.post_id).or_insert_with(|| about.clone()), about);
    }
    assert!(seen.len() > 500, "{}", seen.len());
}

/// Over three days: views per hour of a post's age.
#[test]
fn the_popularity_of_posts_rises_and_dies() {
    let config = FeedConfig {
        traffic: Traffic { events_per_second: 0.4, late_share: 0.0, ..traffic() },
        bot_share: 0.0,
        ..config()
    };
    let world = World::new(config.traffic.users, config.traffic.zipf, config.traffic.seed);
    let mut views_at_hour = [0; 49];
    for event in events(&config, 100_000).iter().filter(|event| event.event_name == "view") {
        let age = event.event_ts - world.created(PostId(event.post_id.parse().expect("a number")));
        assert!(age >= 0, "nobody sees a post that is not there yet");
        views_at_hour[((age / 3_600_000) as usize).min(48)] += 1;
    }
    let most = (1..12).max_by_key(|hour| views_at_hour[*hour]).expect("hours");
    assert!(views_at_hour[0] * 2 < views_at_hour[most], "{views_at_hour:?}");
    assert!(views_at_hour[24] * 10 < views_at_hour[most], "{views_at_hour:?}");
    assert!(views_at_hour[48] * 50 < views_at_hour[most], "{views_at_hour:?}");
}

#[test]
fn users_come_at_their_hours_and_back_to_the_same_creators() {
    let config =
        FeedConfig { traffic: Traffic { late_share: 0.0, zipf: 0.5, ..traffic() }, bot_share: 0.0, ..config() };
    let world = World::new(config.traffic.users, config.traffic.zipf, config.traffic.seed);
    let events = events(&config, 100_000);
    let (mut in_hours, mut creators_of): (usize, HashMap<&str, HashMap<&str, usize>>) = (0, HashMap::new());
    for event in &events {
        let user = UserId(event.user_id.parse().expect("a number"));
        let hour = (event.event_ts / 3_600_000 % 24) as u64;
        in_hours += usize::from(world.is_active(user, hour));
        *creators_of.entry(&event.user_id).or_default().entry(&event.creator_id).or_default() += 1;
    }
    assert!(in_hours > 80_000, "{in_hours}");
    let of_favourites: usize = creators_of.values().map(|creators| creators.values().max().expect("one")).sum();
    // Were everybody alike, the most seen of 200 creators would have a few percent.
    assert!(of_favourites > 10_000, "{of_favourites}");
}

#[test]
fn each_view_of_a_bot_is_by_a_new_user_and_many_are_of_one_post() {
    let events = events(&config(), 100_000);
    let of_bots: Vec<&Event> = events.iter().filter(|event| event.is_of_bot()).collect();
    assert!((1_500..2_500).contains(&of_bots.len()), "{}", of_bots.len());
    let views: Vec<_> = of_bots.iter().filter(|event| event.event_name == "view").collect();
    let users: HashSet<&str> = views.iter().map(|event| event.user_id.as_str()).collect();
    let posts: HashSet<&str> = views.iter().map(|event| event.post_id.as_str()).collect();
    assert_eq!(users.len(), views.len());
    assert!(posts.len() * 50 < views.len(), "{} posts, {} views", posts.len(), views.len());
    let none = FeedConfig { bot_share: 0.0, ..config() };
    assert!(!self::events(&none, 10_000).iter().any(Event::is_of_bot));
}

#[test]
fn names_and_times_are_those_of_the_pipeline() {
    let in_unit = |time_unit| {
        let config = FeedConfig { name_field: "what\"".to_owned(), time_field: "at".to_owned(), time_unit, ..config() };
        let line: serde_json::Value = serde_json::from_str(&text(&config, 1)).expect("JSON");
        assert_eq!(line["what\""], "view");
        line["at"].clone()
    };
    assert_eq!(in_unit(TimeUnit::Seconds), START);
    assert_eq!(in_unit(TimeUnit::Milliseconds), START_MS);
    assert_eq!(in_unit(TimeUnit::Microseconds), START_MS * 1_000);
    assert_eq!(in_unit(TimeUnit::Nanoseconds), START_MS * 1_000_000);
    assert_eq!(in_unit(TimeUnit::Rfc3339), "2024-02-10T22:53:19Z");
}

#[test]
fn logs_that_could_not_be_are_refused() {
    let refused = |config| FeedLog::new(&config).expect_err("an impossible log");
    assert_eq!(
        refused(FeedConfig { traffic: Traffic { users: 0, ..traffic() }, ..config() }),
        InvalidSynthetic::Users(0)
    );
    assert_eq!(refused(FeedConfig { bot_share: 1.5, ..config() }), InvalidSynthetic::BotShare(1.5));
    for field in ["userId", "event.name", r"a\b"] {
        let error = refused(FeedConfig { time_field: field.to_owned(), ..config() });
        assert_eq!(error, InvalidSynthetic::Field(field.to_owned()));
    }
}

#[test]
fn a_single_user_and_extreme_rates_are_no_trouble() {
    for (users, events_per_second) in [(1, 1e-6), (1, 1e12), (3, 1e6)] {
        let config = FeedConfig {
            traffic: Traffic { users, events_per_second, late_share: 1.0, ..traffic() },
            bot_share: 0.5,
            ..config()
        };
        assert_eq!(events(&config, 2_000).len(), 2_000);
    }
}
