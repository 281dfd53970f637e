//! Since when what a pipeline file has added to a state counts: it begins empty, and whoever reads it must know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::changes::{Changes, FeatureChanges, GroupChange};
use super::group::{FeatureKey, FeatureTemplate};
use super::meaning::EVERY_EVENT;
use super::model::Pipeline;
use crate::counter::EventTime;

/// By group, since when what was added to a state counts. Nothing of what was there from the first run on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Beginnings(BTreeMap<String, GroupBeginnings>);

/// What was added of a group, by the newest event that had been counted then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupBeginnings {
    /// The group itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<EventTime>,
    /// Features, by name; with `{event}` those that every event makes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<String, EventTime>,
    /// Decays, in every row.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub decays: BTreeMap<String, EventTime>,
}

impl Beginnings {
    /// What holds after these changes of the pipeline file, when the newest event that was counted is of `now`; `None`: none was, so what is
    /// added misses nothing.
    pub fn after(mut self, changes: &Changes, now: Option<EventTime>) -> Beginnings {
        self.0.retain(|group, _| matches!(changes.groups.get(group), Some(GroupChange::Kept(_))));
        for (name, change) in &changes.groups {
            let group = self.0.entry(name.clone()).or_default();
            match change {
                GroupChange::Kept(changes) => group.change(changes, now),
                GroupChange::Added => group.group = now,
                GroupChange::Dropped | GroupChange::Refused { .. } => {}
            }
        }
        self.0.retain(|_, group| *group != GroupBeginnings::default());
        self
    }

    /// Since when a feature counts, where it was added.
    pub fn of_feature(&self, feature: &FeatureKey, pipeline: &Pipeline) -> Option<EventTime> {
        let group = pipeline.group(feature.group);
        let began = self.0.get(&group.name)?;
        let measure = &group.measure(feature.measure).name;
        let of_every_event = || FeatureTemplate::expand(&group.feature, &group.name, EVERY_EVENT, measure);
        let own = began.features.get(&feature.name).or_else(|| began.features.get(&of_every_event()));
        began.group.max(own.copied())
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// By group, what was added.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &GroupBeginnings)> {
        self.0.iter().map(|(name, group)| (name.as_str(), group))
    }
}

impl GroupBeginnings {
    fn change(&mut self, changes: &FeatureChanges, now: Option<EventTime>) {
        let FeatureChanges { added, dropped, added_decays, dropped_decays } = changes;
        for (began, added, dropped) in
            [(&mut self.features, added, dropped), (&mut self.decays, added_decays, dropped_decays)]
        {
            began.retain(|name, _| !dropped.contains(name));
            began.extend(added.iter().cloned().zip(now.into_iter().cycle()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{GroupId, MeasureId};

    const FEED: &str = r#"
        name = "feed"
        event = { name = "n", time = "t" }
        counters = [
          { name = "user", key = ["u"], events = ["like"], measures = ["count"], decays = ["1h"] },
          { name = "all", key = ["u"], events = "*", measures = ["count"], decays = ["1h"] },
        ]"#;

    fn pipeline(text: &str) -> Pipeline {
        Pipeline::parse(text, "p.toml", &|_| None).unwrap()
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
}
