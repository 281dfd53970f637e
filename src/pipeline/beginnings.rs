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
