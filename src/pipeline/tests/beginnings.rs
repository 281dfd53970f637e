//! Since when what a file has added to a state counts.

use std::collections::BTreeMap;

use super::*;
use crate::counter::EventTime;

const FEED: &str = r#"
    name = "feed"
    event = { name = "n", time = "t" }
    counters = [
      { name = "user", key = ["u"], events = ["like"], measures = ["count"], decays = ["1h"] },
      { name = "all", key = ["u"], events = "*", measures = ["count"], decays = ["1h"] },
    ]"#;

fn pipeline(text: &str) -> Pipeline {
    parse(text).expect("a valid pipeline")
}

/// What holds behind a change of the file, and then of another.
fn after(files: &[&str]) -> (Beginnings, Pipeline) {
    let mut began = Beginnings::default();
    let times = [100, 200, 300].map(|time| Some(EventTime(time)));
    for (pair, now) in files.windows(2).zip(times) {
        began = began.after(&Changes::between(&pipeline(pair[0]).meaning(), &pipeline(pair[1])), now);
    }
    (began, pipeline(files[files.len() - 1]))
}

fn of(began: &(Beginnings, Pipeline), group: u16, measure: u16, name: &str) -> Option<i64> {
    let key = FeatureKey { group: GroupId(group), measure: MeasureId(measure), name: name.to_owned() };
    began.0.of_feature(&key, &began.1).map(|time| time.0)
}

#[test]
fn what_is_added_counts_since_then_and_nothing_else_says_so() {
    assert!(after(&[FEED, FEED]).0.is_empty());
    let events = FEED.replace("[\"like\"]", "[\"like\", \"buy\"]");
    let began = after(&[FEED, &events, &events]);
    assert_eq!(of(&began, 0, 0, "user.buy.count"), Some(100), "and not since the third");
    assert_eq!(of(&began, 0, 0, "user.like.count"), None);
    assert_eq!(of(&began, 1, 0, "all.buy.count"), None);
}

#[test]
fn a_measure_of_every_event_begins_for_all_of_them() {
    let measures = FEED.replace("\"*\", measures = [\"count\"]", "\"*\", measures = [\"count\", \"sum(price)\"]");
    let began = after(&[FEED, &measures]);
    let name = pipeline(&measures).groups[1].feature_name("whatever", MeasureId(1));
    assert_eq!((of(&began, 1, 1, &name), of(&began, 1, 0, "all.whatever.count")), (Some(100), None));
}

#[test]
fn a_group_begins_with_all_that_it_has_and_what_it_gets_later_begins_later() {
    let added = FEED.replace("\"user\"", "\"viewer\"");
    let more = added.replace("[\"like\"]", "[\"like\", \"buy\"]");
    let began = after(&[FEED, &added, &more]);
    assert_eq!(of(&began, 0, 0, "viewer.like.count"), Some(100));
    assert_eq!(of(&began, 0, 0, "viewer.buy.count"), Some(200));
    assert_eq!(of(&after(&[FEED, &added, FEED]), 0, 0, "user.like.count"), Some(200), "it was away");
}

#[test]
fn what_goes_and_comes_back_begins_anew() {
    let without = FEED.replace("[\"like\"]", "[\"buy\"]");
    let began = after(&[FEED, &without, FEED]);
    assert_eq!((of(&began, 0, 0, "user.like.count"), of(&began, 0, 0, "user.buy.count")), (Some(200), None));
    let decays = FEED.replacen("[\"1h\"]", "[\"1h\", \"1d\"]", 1);
    let user = |began: &Beginnings| began.groups().map(|(_, group)| group.decays.clone()).next();
    assert_eq!(user(&after(&[FEED, &decays]).0), Some(BTreeMap::from([("1d".to_owned(), EventTime(100))])));
    assert_eq!(user(&after(&[FEED, &decays, FEED]).0), None);
}

#[test]
fn before_the_first_event_nothing_is_missed() {
    let changes = Changes::between(&pipeline(FEED).meaning(), &pipeline(&FEED.replace("\"user\"", "\"viewer\"")));
    assert!(Beginnings::default().after(&changes, None).is_empty());
}

#[test]
fn they_are_kept_as_json() {
    let (began, _) = after(&[FEED, &FEED.replace("\"user\"", "\"viewer\"")]);
    let text = serde_json::to_string(&began).unwrap();
    assert_eq!(text, r#"{"viewer":{"group":100}}"#);
    assert_eq!(serde_json::from_str::<Beginnings>(&text).unwrap(), began);
}
