//! What the router counts of events, by name and by group.

use std::collections::{BTreeMap, BTreeSet};

use crate::pipeline::{Group, GroupId, Pipeline};

/// Events make up names: besides those that the pipeline names, so many are told apart.
const MOST_OTHER_NAMES: usize = 64;

/// Longer names are not kept.
const LONGEST_NAME: usize = 256;

/// What was counted of events while they were routed. The few that were refused for a key that was too
/// long, or for a feature's name, are among them.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteTally {
    /// By the event's own name, before `[event.map]`.
    names: BTreeMap<String, u64>,
    /// Events of names that are not told apart.
    others: u64,
    /// By group.
    groups: Vec<GroupTally>,
    declared: BTreeSet<String>,
}

/// What was counted of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupTally {
    /// Events of the names that the group counts.
    pub events: u64,
    /// How many of these each condition let pass, in the group's order: each is only tried on what the
    /// one before it let pass.
    pub held: Vec<u64>,
    /// Events that passed, and had no key.
    pub keyless: u64,
    /// Keys of the events that had any; an event may have several.
    pub keys: u64,
    /// By measure.
    pub measures: Vec<MeasureTally>,
}

/// What was counted of one measure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeasureTally {
    /// How often an event and a key of it were to add something.
    pub tried: u64,
    /// How often the field of its value, weight or member was missing.
    pub missing: u64,
}

impl RouteTally {
    /// Nothing is counted yet.
    pub fn new(pipeline: &Pipeline) -> RouteTally {
        let group = |group: &Group| GroupTally {
            held: vec![0; group.conditions.len()],
            measures: vec![MeasureTally::default(); group.measures.len()],
            ..GroupTally::default()
        };
        RouteTally {
            names: BTreeMap::new(),
            others: 0,
            groups: pipeline.groups.iter().map(group).collect(),
            declared: declared_names(pipeline),
        }
    }

    /// Counts events of one name.
    pub fn add_name(&mut self, name: &[u8], events: u64) {
        let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= LONGEST_NAME);
        let has_room = self.names.len() < self.declared.len() + MOST_OTHER_NAMES;
        match name {
            Some(name) if self.names.contains_key(name) || has_room || self.declared.contains(name) => {
                *self.names.entry(name.to_owned()).or_default() += events;
            }
            _ => self.others += events,
        }
    }

    /// What is counted of this group, to be added to.
    pub fn group_mut(&mut self, id: GroupId) -> &mut GroupTally {
        &mut self.groups[usize::from(id.0)]
    }

    /// What was counted of each group, in the pipeline's order.
    pub fn groups(&self) -> &[GroupTally] {
        &self.groups
    }

    /// All events.
    pub fn events(&self) -> u64 {
        self.names.values().sum::<u64>() + self.others
    }

    /// The names that came, in alphabetical order, and how often.
    pub fn names(&self) -> impl Iterator<Item = (&str, u64)> {
        self.names.iter().map(|(name, events)| (name.as_str(), *events))
    }

    /// Whether the pipeline itself names such an event.
    pub fn is_declared(&self, name: &str) -> bool {
        self.declared.contains(name)
    }

    /// See [`crate::telemetry::Metrics::missing_keys`].
    pub fn missing_keys(&self) -> u64 {
        self.groups.iter().map(|group| group.keyless).sum()
    }

    /// See [`crate::telemetry::Metrics::missing_values`].
    pub fn missing_values(&self) -> u64 {
        self.groups.iter().map(GroupTally::missing_values).sum()
    }

    /// Takes over all that another tally of the same pipeline has counted, which begins anew.
    pub fn absorb(&mut self, other: &mut RouteTally) {
        for (name, events) in std::mem::take(&mut other.names) {
            self.add_name(name.as_bytes(), events);
        }
        self.others += std::mem::take(&mut other.others);
        for (group, other) in self.groups.iter_mut().zip(&mut other.groups) {
            group.absorb(other);
        }
    }
}

impl GroupTally {
    /// How many events passed all conditions.
    pub fn passed(&self) -> u64 {
        self.held.last().copied().unwrap_or(self.events)
    }

    /// How often a field of a value, weight or member was missing.
    pub fn missing_values(&self) -> u64 {
        self.measures.iter().map(|measure| measure.missing).sum()
    }

    /// Whether any row was touched.
    pub fn counted(&self) -> bool {
        self.measures.iter().any(|measure| measure.tried > measure.missing)
    }

    fn absorb(&mut self, other: &mut GroupTally) {
        let take = std::mem::take::<u64>;
        self.events += take(&mut other.events);
        self.keyless += take(&mut other.keyless);
        self.keys += take(&mut other.keys);
        for (held, other) in self.held.iter_mut().zip(&mut other.held) {
            *held += take(other);
        }
        for (measure, other) in self.measures.iter_mut().zip(&mut other.measures) {
            measure.tried += take(&mut other.tried);
            measure.missing += take(&mut other.missing);
        }
    }
}

/// The events that groups list or `[event.map]` maps.
fn declared_names(pipeline: &Pipeline) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = pipeline.event_map.iter().map(|(name, _)| name.to_owned()).collect();
    for group in &pipeline.groups {
        names.extend(group.events.listed().iter().cloned());
    }
    names
}
