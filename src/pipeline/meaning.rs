//! What gives rows their meaning, as a state keeps it: one line of JSON for each group, and one for all of them.
//!
//! A later run takes rows up by it: what stands here and is compared (`changes.rs`) must be what it was. Of a group:
//!
//! - `key`, in its order: it makes the text of a key. `explode`: it says for which keys an event counts.
//! - `where`, `where_not`: they say which events count. The order of conditions, and of their values, says nothing.
//! - `weight`: the field that an event's weight is multiplied with.
//! - `feature`: rows are found again by their feature's name. Where it leaves out `{event}`, a row holds events of several names:
//!   then the list of events is part of the meaning. Where it leaves out `{measure}`, so is the measure.
//! - `counts`: by event, which events of the stream count as it, and with what weight (`[event.map]`). Compared for the events
//!   that are counted before and after.
//! - `uniques_registers`, where there are uniques: a sketch of another size cannot be merged with. `decays` likewise, for uniques
//!   alone: a sketch is one thing for all intervals.
//!
//! Events (the members of `counts`), `measures`, `decays` and `left_out` may otherwise grow and shrink, since each row belongs to one event and one
//! measure, and each value to one interval: they stand here so that it can be told what came and went. What a missing value
//! counts is nothing that a file says. Not here: `ttl` (when a row goes, not what it is), `publish`, ratios and `[features]`
//! (which rows there are, and whether they have squares), `[limits]`, sinks.
//!
//! Of all groups: the fields of the event's name and time, and the unit in which times are kept (texts are kept in milliseconds). Not
//! `max_ahead`, `ahead`, `arrival`, `max_bytes`: they judge single events that something is wrong with, and one must be
//! able to set them right.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::group::{EventSelector, FeatureTemplate, Group, MeasureId};
use super::model::Pipeline;
use crate::event::{FieldId, TimeUnit};

/// The name under which stands what concerns all groups: none of them has it.
pub(super) const ALL_GROUPS: &str = "";

/// What gives the rows of all groups their meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventMeaning {
    pub name: String,
    pub time: String,
    pub time_unit: TimeUnit,
}

/// What gives the rows of a group their meaning. The order of members is that of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupMeaning {
    pub key: Vec<String>,
    pub explode: Vec<String>,
    pub r#where: Vec<(String, Vec<String>)>,
    pub where_not: Vec<(String, Vec<String>)>,
    pub weight: Option<String>,
    pub feature: String,
    /// Whether all events are counted.
    pub all_events: bool,
    /// By event that is counted, what counts as it. Where all are, only those that `[event.map]` is about.
    pub counts: BTreeMap<String, Sources>,
    pub measures: Vec<String>,
    pub decays: Vec<i64>,
    /// Features of listed events that `[features]` drops.
    pub left_out: Vec<String>,
    pub uniques_registers: Option<usize>,
}

/// The events that count as one, and what each of them weighs, as the shortest text that is read as the same number.
pub(super) type Sources = BTreeMap<String, String>;

/// Texts, numbers and lists of them: that always has a text.
fn text(meaning: &impl Serialize) -> String {
    serde_json::to_string(meaning).unwrap_or_default()
}

impl Pipeline {
    /// By group, what gives its rows their meaning, as a line of JSON; under an empty name what concerns all groups.
    pub fn meaning(&self) -> BTreeMap<String, String> {
        let groups = self.groups.iter().map(|group| (group.name.clone(), text(&self.meaning_of(group))));
        groups.chain([(ALL_GROUPS.to_owned(), text(&self.event_meaning()))]).collect()
    }

    pub(super) fn event_meaning(&self) -> EventMeaning {
        let time_unit = match self.event.time_unit {
            TimeUnit::Rfc3339 => TimeUnit::Milliseconds,
            unit => unit,
        };
        EventMeaning { name: self.event.name_field.to_string(), time: self.event.time_field.to_string(), time_unit }
    }

    pub(super) fn meaning_of(&self, group: &Group) -> GroupMeaning {
        let field = |id: &FieldId| self.event.field_name(*id).to_owned();
        let conditions = |must_be: bool| {
            let conditions = group.conditions.iter().filter(|condition| condition.must_be == must_be);
            let mut conditions: Vec<(String, Vec<String>)> = conditions
                .map(|condition| {
                    let mut values = condition.values.clone();
                    values.sort_unstable();
                    (field(&condition.field), values)
                })
                .collect();
            conditions.sort_unstable();
            conditions
        };
        let has_uniques = group.measures.iter().any(|measure| measure.members.is_some());
        GroupMeaning {
            key: group.key.iter().map(field).collect(),
            explode: group.explode.iter().map(field).collect(),
            r#where: conditions(true),
            where_not: conditions(false),
            weight: group.weight.as_ref().map(field),
            feature: group.feature.0.clone(),
            all_events: group.events == EventSelector::All,
            counts: self.counts_of(group),
            measures: group.measures.iter().map(|measure| measure.name.clone()).collect(),
            left_out: (0..group.measures.len())
                .flat_map(|measure| group.fixed_names(MeasureId(measure as u16)))
                .filter(|name| !self.keeps(name))
                .collect(),
            decays: group.decays.intervals().iter().map(|interval| interval.units()).collect(),
            uniques_registers: has_uniques.then(|| group.other_shapes.uniques.config().registers),
        }
    }

    fn counts_of(&self, group: &Group) -> BTreeMap<String, Sources> {
        let of_the_map = self.event_map.iter().flat_map(|(name, mapped)| [name, mapped.event.as_str()]);
        let events: Vec<&str> = match &group.events {
            EventSelector::All => of_the_map.collect(),
            EventSelector::Listed(names) => names.iter().map(String::as_str).collect(),
        };
        let sources = |event: &str| {
            let itself = self.event_map.of(event);
            let mapped = self.event_map.iter().filter(|(_, mapped)| mapped.event == event);
            let mut sources: Sources =
                mapped.map(|(name, mapped)| (name.to_owned(), mapped.weight.to_string())).collect();
            if itself.0 == event {
                sources.insert(event.to_owned(), itself.1.to_string());
            }
            sources
        };
        events.into_iter().map(|event| (event.to_owned(), sources(event))).collect()
    }
}

impl GroupMeaning {
    /// What counts as this event; `None`: the event is not counted.
    pub fn sources(&self, event: &str) -> Option<Sources> {
        let itself = || Sources::from([(event.to_owned(), 1.0.to_string())]);
        self.counts.get(event).cloned().or_else(|| self.all_events.then(itself))
    }

    /// Whether rows hold events of several names.
    pub fn pools(&self) -> bool {
        !FeatureTemplate(self.feature.clone()).names_event()
    }

    /// The measure, where features do not name it: then there is one only.
    pub fn only_measure(&self) -> Option<&str> {
        let names_measure = self.feature.contains("{measure}");
        (!names_measure).then(|| self.measures.first().map(String::as_str)).flatten()
    }

    /// Its features: event and measure, and the name. Where every event makes its own, the event is `{event}`; where none does,
    /// it is empty.
    pub fn features<'a>(&'a self, group: &str) -> Vec<(&'a str, &'a str, String)> {
        let template = FeatureTemplate(self.feature.clone());
        let events: Vec<&str> = match (self.pools(), self.all_events) {
            (true, _) => vec![""],
            (false, true) => vec![EVERY_EVENT],
            (false, false) => self.counts.keys().map(String::as_str).collect(),
        };
        let of_measure = |measure: &'a String| {
            let feature = |event: &&'a str| (*event, measure.as_str(), template.expand(group, event, measure));
            events.iter().map(feature).collect::<Vec<_>>()
        };
        self.measures.iter().flat_map(of_measure).collect()
    }

    /// Whether it has such a feature.
    pub fn has(&self, (event, measure, name): &(&str, &str, String)) -> bool {
        let counts_event = match *event {
            "" => self.pools(),
            EVERY_EVENT => self.all_events,
            event => self.all_events || self.counts.contains_key(event),
        };
        counts_event && self.measures.iter().any(|own| own == measure) && !self.left_out.contains(name)
    }
}

/// Stands for every event.
pub(super) const EVERY_EVENT: &str = "{event}";
