//! What a state means under the pipeline file of today: what is kept, what begins anew, and what must not be.
//!
//! A group is known by its name: under another name it is another group, which begins empty, and the old one is dropped.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Write as _};

use serde::de::DeserializeOwned;

use super::duration::{format_duration, from_units};
use super::meaning::{ALL_GROUPS, EventMeaning, GroupMeaning, Sources};
use super::model::Pipeline;
use crate::event::TimeUnit;

/// What becomes of the groups of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Why nothing of the state can be taken up, where that is so.
    pub refused: Option<String>,
    /// By name, what becomes of each group that the state or the file has.
    pub groups: BTreeMap<String, GroupChange>,
}

/// What becomes of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// Its rows are taken up.
    Kept(FeatureChanges),
    /// It is new: it begins empty.
    Added,
    /// The file has it no longer: its rows are left behind.
    Dropped,
    /// Its rows would no longer mean what they do.
    Refused {
        /// What has changed.
        why: String,
    },
}

/// What comes and goes within a group whose rows are taken up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureChanges {
    /// Features that begin empty; with `{event}` for features that every event makes.
    pub added: Vec<String>,
    /// Features whose rows are left behind.
    pub dropped: Vec<String>,
    /// Decays that begin empty, in every row.
    pub added_decays: Vec<String>,
    /// Decays whose values are left behind.
    pub dropped_decays: Vec<String>,
}

impl FeatureChanges {
    /// Whether nothing comes and nothing goes.
    pub fn is_empty(&self) -> bool {
        *self == FeatureChanges::default()
    }
}

impl Changes {
    /// What has changed between what a state has [recorded](Pipeline::meaning) and this pipeline file.
    pub fn between(recorded: &BTreeMap<String, String>, now: &Pipeline) -> Changes {
        let refused = recorded.get(ALL_GROUPS).and_then(|text| refused_of_all(text, now));
        let recorded = recorded.iter().filter(|(name, _)| *name != ALL_GROUPS);
        let mut groups: BTreeMap<String, GroupChange> =
            recorded.map(|(name, text)| (name.clone(), of_group(name, text, now))).collect();
        for group in &now.groups {
            groups.entry(group.name.clone()).or_insert(GroupChange::Added);
        }
        Changes { refused, groups }
    }

    /// Whether a run with this state and this file is refused.
    pub fn are_refused(&self) -> bool {
        self.refused.is_some() || self.groups.values().any(|change| matches!(change, GroupChange::Refused { .. }))
    }

    /// What a run that is refused says, and what to do; `None`: it is not refused.
    pub fn refusal(&self) -> Option<String> {
        if !self.are_refused() {
            return None;
        }
        let mut text = "the pipeline file and the state do not fit together: ".to_owned();
        let of_group = |(name, change): (&String, &GroupChange)| match change {
            GroupChange::Refused { why } => Some(format!("group \"{name}\": {why}")),
            _ => None,
        };
        let reasons: Vec<String> =
            self.refused.clone().into_iter().chain(self.groups.iter().filter_map(of_group)).collect();
        text += &reasons.join("; ");
        let rename = if self.refused.is_none() { "give the group another name (it then begins empty), " } else { "" };
        // Writing to a text does not fail.
        let _ = write!(text, "; change it back, {rename}name another state, or start over with --fresh");
        Some(text)
    }
}

/// The unit of the times in a state, by what it has [recorded](Pipeline::meaning).
pub fn recorded_time_unit(recorded: &BTreeMap<String, String>) -> Option<TimeUnit> {
    read::<EventMeaning>(recorded.get(ALL_GROUPS)?).map(|meaning| meaning.time_unit)
}

fn refused_of_all(recorded: &str, now: &Pipeline) -> Option<String> {
    let Some(was) = read::<EventMeaning>(recorded) else { return Some(UNKNOWN.to_owned()) };
    let is = now.event_meaning();
    let mut reasons = Reasons::default();
    reasons.compare("the field with the event's name", &was.name, &is.name);
    reasons.compare("the field with the event's time", &was.time, &is.time);
    reasons.compare("the unit in which times are kept", was.time_unit.name(), is.time_unit.name());
    reasons.told()
}

const UNKNOWN: &str = "what the state says of it is in a form that this version of counter-machine does not know (use the \
                       version that wrote it)";

fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

fn of_group(name: &str, recorded: &str, now: &Pipeline) -> GroupChange {
    let Some(group) = now.groups.iter().find(|group| group.name == name) else { return GroupChange::Dropped };
    let Some(was) = read::<GroupMeaning>(recorded) else { return GroupChange::Refused { why: UNKNOWN.to_owned() } };
    let is = now.meaning_of(group);
    match refused(&was, &is, now.event.time_unit) {
        Some(why) => GroupChange::Refused { why },
        None => GroupChange::Kept(feature_changes(name, &was, &is, now.event.time_unit)),
    }
}

/// Why rows of the one are not rows of the other.
fn refused(was: &GroupMeaning, is: &GroupMeaning, unit: TimeUnit) -> Option<String> {
    let mut reasons = Reasons::default();
    reasons.compare("its key", &was.key, &is.key);
    reasons.compare("its explode", &was.explode, &is.explode);
    reasons.compare("its where", &Conditions(&was.r#where), &Conditions(&is.r#where));
    reasons.compare("its where_not", &Conditions(&was.where_not), &Conditions(&is.where_not));
    reasons.compare("its weight", &Field(was.weight.as_deref()), &Field(is.weight.as_deref()));
    reasons.compare("its feature", &was.feature, &is.feature);
    if was.feature == is.feature {
        if let (Some(was), Some(is)) = (was.only_measure(), is.only_measure()) {
            reasons.compare("the measure of a feature without {measure}", was, is);
        }
        if was.pools() {
            reasons.compare("the list of events that a feature of it holds", &Events::of(was), &Events::of(is));
        }
    }
    for event in was.counts.keys().chain(is.counts.keys().filter(|event| !was.counts.contains_key(*event))) {
        if let (Some(was), Some(is)) = (was.sources(event), is.sources(event)) {
            reasons.compare(&format!("what counts as \"{event}\""), &Weights(&was), &Weights(&is));
        }
    }
    if let (Some(registers), Some(now)) = (was.uniques_registers, is.uniques_registers) {
        reasons.compare("its uniques_registers", &registers, &now);
        let keeps_uniques = was.measures.iter().any(|name| name.starts_with("uniques_") && is.measures.contains(name));
        if keeps_uniques {
            let lengths = |decays: &[i64]| decays.iter().map(|units| decay(*units, unit)).collect::<Vec<_>>();
            reasons.compare("the list of decays of its uniques", &lengths(&was.decays), &lengths(&is.decays));
        }
    }
    reasons.told()
}

fn feature_changes(name: &str, was: &GroupMeaning, is: &GroupMeaning, unit: TimeUnit) -> FeatureChanges {
    let missing = |from: &GroupMeaning, of: &GroupMeaning| -> Vec<String> {
        let features = from.features(name).into_iter().filter(|feature| from.has(feature) && !of.has(feature));
        features.map(|(_, _, name)| name).collect()
    };
    let missing_decays = |from: &GroupMeaning, of: &GroupMeaning| -> Vec<String> {
        from.decays.iter().filter(|units| !of.decays.contains(units)).map(|units| decay(*units, unit)).collect()
    };
    FeatureChanges {
        added: missing(is, was),
        dropped: missing(was, is),
        added_decays: missing_decays(is, was),
        dropped_decays: missing_decays(was, is),
    }
}

fn decay(units: i64, unit: TimeUnit) -> String {
    format_duration(from_units(units, unit))
}

/// What has changed, one after the other.
#[derive(Debug, Default)]
struct Reasons(Vec<String>);

impl Reasons {
    fn compare<T: PartialEq + Debug + ?Sized>(&mut self, what: &str, was: &T, is: &T) {
        if was != is {
            self.0.push(format!("{what} was {was:?} and is {is:?}"));
        }
    }

    fn told(self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.join(", "))
    }
}

/// As a pipeline file has them.
#[derive(PartialEq)]
struct Conditions<'a>(&'a [(String, Vec<String>)]);

impl Debug for Conditions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions = self.0.iter().map(|(field, values)| format!("{field} = {values:?}"));
        match conditions.collect::<Vec<_>>() {
            conditions if conditions.is_empty() => f.write_str("none"),
            conditions => write!(f, "{{ {} }}", conditions.join(", ")),
        }
    }
}

/// A field, or none.
#[derive(PartialEq)]
struct Field<'a>(Option<&'a str>);

impl Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(field) => Debug::fmt(field, f),
        }
    }
}

/// The events that are counted.
#[derive(PartialEq)]
struct Events<'a>(Option<Vec<&'a str>>);

impl<'a> Events<'a> {
    fn of(group: &'a GroupMeaning) -> Events<'a> {
        Events((!group.all_events).then(|| group.counts.keys().map(String::as_str).collect()))
    }
}

impl Debug for Events<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("\"*\""),
            Some(events) => Debug::fmt(events, f),
        }
    }
}

/// Which events count as one, and what they weigh.
#[derive(PartialEq)]
struct Weights<'a>(&'a Sources);

impl Debug for Weights<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        let weights: Vec<String> = self.0.iter().map(|(event, weight)| format!("{event:?} x {weight}")).collect();
        f.write_str(&weights.join(" + "))
    }
}
