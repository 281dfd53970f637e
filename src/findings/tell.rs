//! From what was observed to what is worth telling.

use std::collections::BTreeSet;

use super::likeness::Likeness;
use super::sentences::{Finding, Told, lines, quoted, quoted_and_counted, whole};
use super::{ENOUGH, ENOUGH_FOR_A_NAME, GroupTally, ONE_IN, Observed, Shape};
use crate::event::{FieldId, TimeFault};
use crate::pipeline::{Condition, Group, Measure, Pipeline};

/// What is worth telling, the sure findings first; nothing of a stream without events. What is true of
/// several groups is said once.
pub fn findings(pipeline: &Pipeline, observed: &Observed) -> Vec<Finding> {
    let mut teller = Teller::new(pipeline, observed);
    teller.shape();
    teller.name_and_time();
    teller.time_faults();
    if teller.events > 0 {
        for (group, tally) in pipeline.groups.iter().zip(observed.routes.groups()) {
            teller.group(group, tally);
        }
        teller.mapped_names();
    }
    lines(teller.told)
}

struct Teller<'a> {
    pipeline: &'a Pipeline,
    observed: &'a Observed,
    events: u64,
    /// The names that came, as `[event.map]` renames them.
    came: BTreeSet<&'a str>,
    /// Whether no group has counted anything.
    all_in_vain: bool,
    told: Vec<Told>,
}

impl<'a> Teller<'a> {
    fn new(pipeline: &'a Pipeline, observed: &'a Observed) -> Teller<'a> {
        let routes = &observed.routes;
        Teller {
            pipeline,
            observed,
            events: routes.events(),
            came: routes.names().map(|(name, _)| pipeline.event_map.of(name).0).collect(),
            all_in_vain: !routes.groups().iter().any(GroupTally::counted),
            told: Vec::new(),
        }
    }

    fn tell(&mut self, is_sure: bool, group: Option<&Group>, what: String) {
        self.told.push(Told { is_sure, group: group.map(|group| group.name.clone()), what });
    }

    /// Where many lines are no JSON objects: what are they?
    fn shape(&mut self) {
        let shapes = &self.observed.shapes;
        let (lines, all) = (shapes.lines(), shapes.refused() + self.events);
        let Some(shape) = shapes.likely().filter(|shape| *shape != Shape::Endless || self.events == 0) else { return };
        if lines * ONE_IN < all {
            return;
        }
        let what = format!(
            "not one JSON object per line: {} of {} lines, which look like {}",
            whole(lines),
            whole(all),
            shape.advice()
        );
        self.tell(true, None, what);
    }

    /// Where no event counts and the time field is there: what is wrong with it?
    fn time_faults(&mut self) {
        let faults = if self.events == 0 { self.observed.sample.time_faults().clone() } else { BTreeSet::new() };
        for fault in faults {
            let advice = match fault {
                TimeFault::Missing => continue,
                TimeFault::NoNumber => "no number; dates in text want time_unit = \"rfc3339\"",
                TimeFault::NotRfc3339 => {
                    "not RFC 3339, as 2024-02-10T22:53:19Z is (with a zone); numbers want another time_unit"
                }
            };
            let field = self.pipeline.event.time_field.as_str();
            self.tell(true, None, format!("[event] time = {field:?}: {advice}"));
        }
    }

    /// Where no event counts: are name and time where `[event]` says?
    fn name_and_time(&mut self) {
        let sample = &self.observed.sample;
        if self.events > 0 || sample.refused() == 0 {
            return;
        }
        let event = &self.pipeline.event;
        for (entry, field) in [("name", &event.name_field), ("time", &event.time_field)] {
            let fields = sample.refused_fields();
            if fields.contains(field.as_str()) {
                continue;
            }
            let meant = self.meant(Likeness::find(field.as_str(), fields.iter().map(String::as_str), |_| false));
            let lines = sample.refused();
            self.tell(
                true,
                None,
                format!(
                    "[event] {entry} = {field:?}: no such field in the first {lines} lines that were refused{meant}",
                    field = field.as_str(),
                ),
            );
        }
    }

    fn group(&mut self, group: &Group, tally: &GroupTally) {
        self.listed_names(group, tally);
        if tally.events == 0 {
            return;
        }
        if tally.passed() == 0 {
            self.conditions(group, tally);
        } else if tally.keyless > 0 {
            self.keys(group, tally);
        }
        for (index, measure) in group.measures.iter().enumerate() {
            let counted = tally.measures[index];
            if counted.missing > 0 {
                self.values(group, measure, counted.missing, counted.tried);
            }
        }
    }

    /// Names of a group's list that never came.
    fn listed_names(&mut self, group: &Group, tally: &GroupTally) {
        let names = group.events.listed();
        let mut missing: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| !self.came.contains(name)).collect();
        missing.retain(|name| !self.slip_in_name(Some(group), name));
        if missing.is_empty() {
            return;
        }
        let none_came = tally.events == 0;
        let is_sure = self.events >= ENOUGH_FOR_A_NAME || none_came && (self.events >= ENOUGH || self.all_in_vain);
        let others = if none_came { format!("; there came {}", self.names_that_came()) } else { String::new() };
        let what = format!("no event {} came among {}{others}", quoted(&missing, "or"), whole(self.events));
        self.tell(is_sure, Some(group), what);
    }

    fn mapped_names(&mut self) {
        let came: BTreeSet<&str> = self.observed.routes.names().map(|(name, _)| name).collect();
        for (name, _) in self.pipeline.event_map.iter().filter(|(name, _)| !came.contains(name)) {
            if !self.slip_in_name(None, name) {
                let what = format!("[event.map]: no event {name:?} came among {}", whole(self.events));
                self.tell(self.events >= ENOUGH_FOR_A_NAME, None, what);
            }
        }
    }

    /// Tells it if there came an event that nothing names, and whose name reads like this one.
    fn slip_in_name(&mut self, group: Option<&Group>, name: &str) -> bool {
        let routes = &self.observed.routes;
        let seen = routes.names().map(|(name, _)| name);
        let Some(Likeness { text, is_slip: true }) = Likeness::find(name, seen, |name| routes.is_declared(name)) else {
            return false;
        };
        let events = routes.names().find(|(name, _)| *name == text).map_or(0, |(_, events)| events);
        let heading = if group.is_some() { "" } else { "[event.map]: " };
        let what = format!(
            "{heading}no event {name:?} came; did you mean {text:?}, which came {}, and which nothing in the file names?",
            times(events)
        );
        self.tell(true, group, what);
        true
    }

    fn names_that_came(&self) -> String {
        let mut names: Vec<(&str, u64)> = self.observed.routes.names().collect();
        names.sort_by_key(|(_, events)| std::cmp::Reverse(*events));
        quoted_and_counted(&names)
    }

    /// A condition that let nothing pass.
    fn conditions(&mut self, group: &Group, tally: &GroupTally) {
        let Some(index) = tally.held.iter().position(|held| *held == 0) else { return };
        let tried = index.checked_sub(1).map_or(tally.events, |before| tally.held[before]);
        let condition = &group.conditions[index];
        let field = self.field(condition.field);
        let values: Vec<&str> = condition.values.iter().map(String::as_str).collect();
        let (written, tried_text) = (quoted(&values, "or"), whole(tried));
        if !condition.must_be {
            let what = format!("where_not {field} = {written} left out all {tried_text} events");
            return self.tell(self.is_enough(tried), Some(group), what);
        }
        let seen: Vec<&str> = self.observed.sample.values(condition.field).collect();
        let (there, meant) = if seen.is_empty() {
            (format!("{field:?} was missing"), self.field_like(group, field))
        } else {
            (format!("{field:?} was {}", quoted(&seen, "or")), self.value_like(condition, &seen))
        };
        let is_sure = self.is_enough(tried) || meant.is_some_and(|meant| meant.is_slip);
        let what = format!(
            "where {field} = {written} held of none of {tried_text} events; {there} in the first of them{}",
            self.meant(meant)
        );
        self.tell(is_sure, Some(group), what);
    }

    /// Fields of the key that were missing.
    fn keys(&mut self, group: &Group, tally: &GroupTally) {
        let passed = tally.passed();
        let what =
            |field: String| format!("{field} of its key was missing in {}", share(tally.keyless, passed, "event"));
        if tally.keys > 0 {
            let names: Vec<&str> = group.key.iter().map(|field| self.field(*field)).collect();
            return self.tell(false, Some(group), what(quoted(&names, "or")));
        }
        let (names, meant) = self.absent(group, &group.key);
        let is_sure = self.is_enough(passed) || meant.is_some_and(|meant| meant.is_slip);
        self.tell(is_sure, Some(group), what(quoted(&names, "or")) + &self.meant(meant));
    }

    /// Fields of a measure that were missing.
    fn values(&mut self, group: &Group, measure: &Measure, missing: u64, tried: u64) {
        let fields: Vec<FieldId> = group.weight.into_iter().chain(measure.weight).chain(measure.members).collect();
        let tries = if group.explode.is_empty() { "event" } else { "key" };
        let what = |names: &[&str]| {
            format!("{} of {} was missing in {}", quoted(names, "or"), measure.name, share(missing, tried, tries))
        };
        if missing < tried {
            let names: Vec<&str> = fields.iter().map(|field| self.field(*field)).collect();
            return self.tell(false, Some(group), what(&names));
        }
        let (names, meant) = self.absent(group, &fields);
        let is_sure = self.is_enough(tried) || meant.is_some_and(|meant| meant.is_slip);
        self.tell(is_sure, Some(group), what(&names) + &self.meant(meant));
    }

    /// Which of these fields no event of the group had that was looked at (all of them, where each was
    /// there now and then), and what one of them was probably meant to be.
    fn absent(&self, group: &Group, fields: &[FieldId]) -> (Vec<&'a str>, Option<Likeness<'a>>) {
        let seen: BTreeSet<&str> = self.fields_of(group).collect();
        let names: Vec<&str> = fields.iter().map(|field| self.field(*field)).collect();
        let absent: Vec<&str> = names.iter().copied().filter(|name| !seen.contains(name)).collect();
        let meant = absent.iter().find_map(|name| self.field_like(group, name));
        (if absent.is_empty() { names } else { absent }, meant)
    }

    fn field_like(&self, group: &Group, field: &str) -> Option<Likeness<'a>> {
        let event = &self.pipeline.event;
        let is_declared = |name: &str| {
            let mut fields = event.fields.iter().map(|field| &field.name).chain([&event.name_field, &event.time_field]);
            fields.any(|field| field.as_str() == name)
        };
        Likeness::find(field, self.fields_of(group), is_declared)
    }

    /// A value that the field had, and that reads like one of those that are wanted.
    fn value_like(&self, condition: &Condition, seen: &[&'a str]) -> Option<Likeness<'a>> {
        let conditions = self.pipeline.groups.iter().flat_map(|group| &group.conditions);
        let of_field = || conditions.clone().filter(|other| other.field == condition.field);
        let is_declared = |value: &str| of_field().any(|other| other.values.iter().any(|known| known == value));
        condition.values.iter().find_map(|value| Likeness::find(value, seen.iter().copied(), is_declared))
    }

    /// The fields of the group's events that were looked at.
    fn fields_of(&self, group: &Group) -> impl Iterator<Item = &'a str> {
        let map = &self.pipeline.event_map;
        let by_name = self.observed.sample.by_name();
        let of_group = by_name.filter(|(name, _)| group.events.selects(map.of(name).0));
        of_group.flat_map(|(_, fields)| fields).map(String::as_str)
    }

    fn field(&self, id: FieldId) -> &'a str {
        self.pipeline.event.field_name(id)
    }

    fn is_enough(&self, tried: u64) -> bool {
        tried >= ENOUGH || self.all_in_vain
    }

    fn meant(&self, likeness: Option<Likeness<'_>>) -> String {
        likeness.map_or(String::new(), |likeness| format!("; did you mean {:?}?", likeness.text))
    }
}

fn times(events: u64) -> String {
    if events == 1 { "once".to_owned() } else { format!("{} times", whole(events)) }
}

/// `all 3 events`, or `2 of 3 events`.
fn share(part: u64, all: u64, what: &str) -> String {
    let plural = if all == 1 { "" } else { "s" };
    if part == all {
        format!("all {} {what}{plural}", whole(all))
    } else {
        format!("{} of {} {what}{plural}", whole(part), whole(all))
    }
}
