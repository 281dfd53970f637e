//! `[event.map]`: events that count as others, and with another weight.

use std::collections::BTreeMap;

use toml::Spanned;

use super::checks::not_empty;
use super::error::{Fault, did_you_mean};
use super::group::Group;
use super::raw::{RawMapping, RawNumber, Text};

/// What events count as. An event that is not mapped counts as itself, with weight 1.
///
/// A mapped event counts at its own time, so one of weight -1 takes back exactly what one of weight
/// 1 at the same time has added. Mappings never chain: what `unlike` counts as is not looked up
/// again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventMap {
    mapped: BTreeMap<String, MappedEvent>,
    warnings: Vec<String>,
}

/// What one event counts as.
#[derive(Clone, Debug, PartialEq)]
pub struct MappedEvent {
    /// The event's name everywhere behind the decoder: in `events`, in `{event}`, in features.
    pub event: String,
    /// What each of them weighs: finite, and not 0.
    pub weight: f64,
}

impl EventMap {
    /// What an event of this name counts as, and its weight.
    pub fn of<'a>(&'a self, name: &'a str) -> (&'a str, f64) {
        self.mapped.get(name).map_or((name, 1.0), |mapped| (&mapped.event, mapped.weight))
    }

    /// Whether events of several names may count as this one.
    pub fn pools(&self, event: &str) -> bool {
        self.mapped.iter().any(|(name, mapped)| mapped.event == event && name != event)
    }

    /// The mapped names, in alphabetical order, and what they count as.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &MappedEvent)> {
        self.mapped.iter().map(|(name, mapped)| (name.as_str(), mapped))
    }

    /// What this name's events count as instead, if no event counts as it any more.
    fn replaced(&self, name: &str) -> Option<&str> {
        let mapped = self.mapped.get(name)?;
        (mapped.event != name && !self.pools(name)).then_some(&mapped.event)
    }

    /// Looks whether these groups, all that the file has, count what events are mapped to.
    pub(super) fn note_unselected(&mut self, groups: &[Group]) {
        let unselected =
            |(_, mapped): &(&String, &MappedEvent)| !groups.iter().any(|group| group.events.selects(&mapped.event));
        let listed = || groups.iter().flat_map(|group| group.events.listed()).map(String::as_str);
        let warning = |(name, mapped): (&String, &MappedEvent)| {
            let event = &mapped.event;
            let meant = did_you_mean(event, listed().filter(|known| known != event));
            format!("[event.map] makes \"{name}\" \"{event}\", which no group counts{meant}")
        };
        self.warnings = self.mapped.iter().filter(unselected).map(warning).collect();
    }

    /// What is allowed but hardly meant.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        self.warnings.iter().cloned()
    }

    /// Refuses an event in a group's list that never comes, as it counts as another.
    pub(super) fn refuse_replaced(&self, name: &Text) -> Result<(), Fault> {
        match self.replaced(name.get_ref()) {
            None => Ok(()),
            Some(event) => {
                let name_text = name.get_ref();
                let message = format!(
                    "no event is called \"{name_text}\" here: [event.map] makes it \"{event}\"; write \"{event}\""
                );
                Err(Fault::new(name.span(), message))
            }
        }
    }
}

pub(super) fn expand_map(raw: &BTreeMap<Text, Spanned<RawMapping>>) -> Result<EventMap, Fault> {
    let mapped = |(name, mapping): (&Text, &Spanned<RawMapping>)| {
        let name = not_empty(name, "the name of a mapped event")?;
        Ok((name.to_owned(), expand_mapping(name, mapping)?))
    };
    raw.iter().map(mapped).collect::<Result<_, Fault>>().map(|mapped| EventMap { mapped, warnings: Vec::new() })
}

fn expand_mapping(name: &str, raw: &Spanned<RawMapping>) -> Result<MappedEvent, Fault> {
    let mapping = raw.get_ref();
    if mapping.event.is_none() && mapping.weight.is_none() {
        let message = format!(
            "the mapping of \"{name}\" says nothing: give it event or weight, as in {{ event = \"like\", weight = -1 }}"
        );
        return Err(Fault::new(raw.span(), message));
    }
    let event = match &mapping.event {
        None => name,
        Some(event) => not_empty(event, "the event that another one counts as")?,
    };
    let weight = match &mapping.weight {
        None => 1.0,
        Some(weight) => expand_weight(name, weight)?,
    };
    Ok(MappedEvent { event: event.to_owned(), weight })
}

fn expand_weight(name: &str, raw: &Spanned<RawNumber>) -> Result<f64, Fault> {
    let weight = match raw.get_ref() {
        RawNumber::Integer(number) => *number as f64,
        RawNumber::Decimal(number) => *number,
    };
    let refuse = |message: String| Err(Fault::new(raw.span(), message));
    match weight {
        0.0 => refuse(format!("\"{name}\" with a weight of 0 counts nothing: leave it out of the groups' events")),
        _ if !weight.is_finite() => refuse(format!("the weight of \"{name}\" must be a finite number, not {weight}")),
        _ => Ok(weight),
    }
}
