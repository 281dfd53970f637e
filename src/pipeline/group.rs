//! Counter groups: keys x events x measures x decays, and the names of the features they make.

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::duration::{format_duration, from_units};
use super::publish::OwnPublish;
use crate::counter::{Decays, InvalidUniquesConfig, UniquesConfig, UniquesScheme};
use crate::event::{FieldId, TimeUnit};

/// The index of a group in [`super::Pipeline::groups`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(pub u16);

/// The index of a measure in [`Group::measures`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MeasureId(pub u16);

/// What is this many intervals old is worth less than e^-40 of what it was: a row may be forgotten.
pub const NOTHING_LEFT_AFTER: i64 = 40;

/// One `[[counters]]` entry.
#[derive(Clone, Debug)]
pub struct Group {
    /// The group's name.
    pub name: String,
    /// The fields that make the key, in order; one or more.
    pub key: Vec<FieldId>,
    /// Those of the key's fields that may be arrays: the event counts once for each of the different
    /// members; of several such fields, once for every combination.
    pub explode: Vec<FieldId>,
    /// The events that count.
    pub events: EventSelector,
    /// What must hold of an event for it to count.
    pub conditions: Vec<Condition>,
    /// The field whose value is the event's weight. It multiplies the weight that the event's name
    /// has (see [`super::EventMap`]) and, for `sum(FIELD)`, the field's value; the product is held
    /// within the finite numbers. Where it is missing or null, no measure of the group is touched.
    pub weight: Option<FieldId>,
    /// What is counted of each.
    pub measures: Vec<Measure>,
    /// The decay intervals, in ascending order.
    pub decays: Decays,
    /// The same, for rows of other shapes than plain values.
    pub other_shapes: OtherShapes,
    /// How the features are named.
    pub feature: FeatureTemplate,
    /// After how many time units without an event a row may be forgotten; `None`: never.
    pub ttl: Option<i64>,
    /// What the group says itself of how a table gets what has changed of it.
    pub publish: OwnPublish,
}

impl Group {
    /// The algebra of this group's rows of values.
    pub fn decays_of(&self, shape: RowShape) -> &Decays {
        match shape {
            RowShape::ValuesAndSquares => &self.other_shapes.with_squares,
            RowShape::Values | RowShape::Uniques => &self.decays,
        }
    }

    /// The measure with this number.
    pub fn measure(&self, id: MeasureId) -> &Measure {
        &self.measures[usize::from(id.0)]
    }

    /// The name of the feature that `measure` of `event` counts into.
    pub fn feature_name(&self, event: &str, measure: MeasureId) -> String {
        self.feature.expand(&self.name, event, &self.measure(measure).name)
    }

    /// The names of the features that `measure` counts into, where they do not hang on what events
    /// there will be: one per listed event, or the single one into which all events are pooled.
    /// Nothing where every event makes a feature of its own.
    pub fn fixed_names(&self, measure: MeasureId) -> Vec<String> {
        match &self.events {
            _ if !self.feature.names_event() => vec![self.feature_name("", measure)],
            EventSelector::Listed(events) => events.iter().map(|event| self.feature_name(event, measure)).collect(),
            EventSelector::All => Vec::new(),
        }
    }

    /// Whether this group can make a feature of this name.
    pub fn makes(&self, feature_name: &str) -> bool {
        self.measure_of(feature_name).is_some()
    }

    /// The measure that a feature of this name counts, where this group can make one.
    pub fn measure_of(&self, feature_name: &str) -> Option<&Measure> {
        self.measure_id_of(feature_name).map(|id| self.measure(id))
    }

    /// Like [`Group::measure_of`], by its number.
    pub fn measure_id_of(&self, feature_name: &str) -> Option<MeasureId> {
        let position = self.measures.iter().position(|measure| {
            match self.feature.event_in(feature_name, &self.name, &measure.name) {
                Some(event) => self.events.selects(event),
                None => {
                    !self.feature.names_event() && self.feature.expand(&self.name, "", &measure.name) == feature_name
                }
            }
        });
        position.map(|position| MeasureId(position as u16))
    }

    /// The longest of the decay intervals.
    pub fn longest_decay(&self) -> i64 {
        self.decays.intervals().iter().map(|interval| interval.units()).max().unwrap_or_default()
    }

    /// Says so where rows are forgotten while they are still worth something.
    pub(super) fn short_ttl_warning(&self, unit: TimeUnit) -> Option<String> {
        let ttl = self.ttl?;
        let least = self.longest_decay().checked_mul(NOTHING_LEFT_AFTER)?;
        (ttl < least).then(|| {
            format!(
                "group \"{}\": its ttl of {} is shorter than 40 times its longest decay ({}): rows are forgotten while \
                 they still count",
                self.name,
                format_duration(from_units(ttl, unit)),
                format_duration(from_units(least, unit)),
            )
        })
    }
}

/// Which events a group counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventSelector {
    /// `events = "*"`.
    All,
    /// `events = ["like", ...]`.
    Listed(Vec<String>),
}

impl EventSelector {
    /// Whether events of this name count.
    pub fn selects(&self, event: &str) -> bool {
        match self {
            EventSelector::All => true,
            EventSelector::Listed(names) => names.iter().any(|name| name == event),
        }
    }

    /// The names of the list; none where all events count.
    pub fn listed(&self) -> &[String] {
        match self {
            EventSelector::All => &[],
            EventSelector::Listed(names) => names,
        }
    }
}

/// The algebra of rows of other shapes than plain values.
#[derive(Clone, Debug)]
pub struct OtherShapes {
    /// For rows that keep the squares too.
    pub with_squares: Decays,
    /// For rows of `uniques(FIELD)`.
    pub uniques: UniquesScheme,
    /// For uniques that are gathered within a window, before they are merged into their row.
    pub window_uniques: UniquesScheme,
}

/// Uniques of a window are exact for longer than those of a row: a sketch of its own for each window
/// would cost more than the members.
const EXACT_MEMBERS_IN_WINDOW: usize = 512;

impl OtherShapes {
    /// What belongs to these decays, with sketches of so many registers.
    pub fn new(decays: &Decays, registers: usize) -> Result<OtherShapes, InvalidUniquesConfig> {
        let config = UniquesConfig { registers, ..UniquesConfig::default() };
        let in_window = UniquesConfig { exact_members: EXACT_MEMBERS_IN_WINDOW, ..config };
        Ok(OtherShapes {
            with_squares: decays.with_squares(),
            uniques: UniquesScheme::new(config, decays)?,
            window_uniques: UniquesScheme::new(in_window, decays)?,
        })
    }
}

/// What the rows of a feature hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowShape {
    /// A value per interval.
    Values,
    /// A value per interval, and the decayed sum of squared weights: a ratio divides by it.
    ValuesAndSquares,
    /// The different members of a field.
    Uniques,
}

impl RowShape {
    /// Every shape.
    pub const ALL: [RowShape; 3] = [RowShape::Values, RowShape::ValuesAndSquares, RowShape::Uniques];
}

/// What is counted of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// As it stands in feature names: `count`, `sum_FIELD`.
    pub name: String,
    /// The field that is summed up; `None`: every event counts as 1, times its weight.
    pub weight: Option<FieldId>,
    /// The field whose different values are counted, for `uniques(FIELD)`.
    pub members: Option<FieldId>,
}

/// `feature = "..."`: a text with the placeholders `{group}`, `{event}` and `{measure}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureTemplate(pub String);

impl FeatureTemplate {
    /// Whether the event's name is part of the feature's name; if not, the group's events are
    /// pooled into one feature.
    pub fn names_event(&self) -> bool {
        self.0.contains("{event}")
    }

    /// What stands before the first `{event}` and behind the last, with the other placeholders filled in;
    /// `None` where the event's name is no part of the feature's.
    pub fn around_event(&self, group: &str, measure: &str) -> Option<(String, String)> {
        let (before, _) = self.0.split_once("{event}")?;
        let (_, behind) = self.0.rsplit_once("{event}")?;
        let fill_in = |part: &str| FeatureTemplate(part.to_owned()).expand(group, "", measure);
        Some((fill_in(before), fill_in(behind)))
    }

    /// The event whose feature has this name; `None` where no event's has.
    fn event_in<'a>(&self, feature_name: &'a str, group: &str, measure: &str) -> Option<&'a str> {
        let (before, _) = self.0.split_once("{event}")?;
        let start = FeatureTemplate(before.to_owned()).expand(group, "", measure).len();
        let placeholders = self.0.matches("{event}").count();
        let length = feature_name.len().checked_sub(self.expand(group, "", measure).len())? / placeholders;
        let event = feature_name.get(start..start + length)?;
        (self.expand(group, event, measure) == feature_name).then_some(event)
    }

    /// Fills in the placeholders, from left to right; what is filled in is not looked at again.
    pub fn expand(&self, group: &str, event: &str, measure: &str) -> String {
        let mut name = String::with_capacity(self.0.len() + event.len());
        let mut rest = self.0.as_str();
        while let Some(open) = rest.find('{') {
            let (before, placeholder) = rest.split_at(open);
            name.push_str(before);
            let (text, length) = match placeholder {
                _ if placeholder.starts_with("{group}") => (group, "{group}".len()),
                _ if placeholder.starts_with("{event}") => (event, "{event}".len()),
                _ if placeholder.starts_with("{measure}") => (measure, "{measure}".len()),
                _ => ("{", 1),
            };
            name.push_str(text);
            rest = &placeholder[length..];
        }
        name.push_str(rest);
        name
    }
}

/// What distinguishes the rows of one key: names one measure of one event of one group, in a form
/// that means the same in every process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FeatureKey {
    /// The group.
    pub group: GroupId,
    /// The measure of that group.
    pub measure: MeasureId,
    /// The feature's name, with the event filled in.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::DecayInterval;

    fn group(feature: &str, events: EventSelector) -> Group {
        let measures =
            ["count", "sum_price"].map(|name| Measure { name: name.to_owned(), weight: None, members: None });
        let decays = Decays::new(vec![DecayInterval::new(5).expect("a valid interval")]);
        Group {
            name: "user".to_owned(),
            key: vec![FieldId(0)],
            explode: Vec::new(),
            events,
            conditions: Vec::new(),
            weight: None,
            measures: measures.to_vec(),
            other_shapes: OtherShapes::new(&decays, 256).expect("valid"),
            decays,
            feature: FeatureTemplate(feature.to_owned()),
            ttl: None,
            publish: OwnPublish::default(),
        }
    }

    #[test]
    fn a_group_knows_the_features_that_it_makes() {
        let all = group("{group}.{event}.{measure}", EventSelector::All);
        assert!(all.makes("user.like.count") && all.makes("user.a.b.sum_price"));
        assert!(!all.makes("user.like.uniques_id") && !all.makes("creator.like.count") && !all.makes("user"));

        let listed = group("{event}", EventSelector::Listed(vec!["like".to_owned()]));
        assert!(listed.makes("like") && !listed.makes("view"));

        let pooled = group("activity.{measure}", EventSelector::All);
        assert!(pooled.makes("activity.count") && !pooled.makes("activity.like"));

        let twice = group("{event}-{event}", EventSelector::All);
        assert!(twice.makes("ü-ü") && !twice.makes("a-b") && !twice.makes("-é"));
    }
}
