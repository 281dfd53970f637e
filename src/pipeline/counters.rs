//! Checks and expands the counter groups, `[[counters]]`.

use std::ops::Range;

use toml::Spanned;

use super::checks::{duration, duration_or_none, not_empty};
use super::condition::expand_conditions;
use super::duration::{format_duration, from_units, to_units};
use super::error::{Fault, did_you_mean};
use super::event_map::EventMap;
use super::fields::{Fields, Use};
use super::group::{EventSelector, FeatureTemplate, Group, Measure, NOTHING_LEFT_AFTER, OtherShapes};
use super::names::refuse_collisions;
use super::publish;
use super::raw::{RawEvents, RawGroup, Text};
use crate::counter::{DecayInterval, Decays, UniquesConfig};
use crate::event::{FieldId, TimeUnit};

const DEFAULT_FEATURE: &str = "{group}.{event}.{measure}";
/// The shortest ttl that is given by default, in seconds.
const DEFAULT_TTL_SECONDS: i64 = 7 * 86_400;

pub(super) fn expand_groups(
    raw: &[Spanned<RawGroup>],
    unit: TimeUnit,
    event_map: &EventMap,
    fields: &mut Fields,
) -> Result<Vec<Group>, Fault> {
    if raw.is_empty() {
        let message = "nothing is counted: add a [[counters]] section with name, key, events and decays";
        return Err(Fault::new(0..0, message));
    }
    if raw.len() > usize::from(u16::MAX) {
        return Err(Fault::new(raw[usize::from(u16::MAX)].span(), "too many groups: a pipeline may have 65535"));
    }
    refuse_duplicates(raw.iter().map(|group| &group.get_ref().name), "a counter group named")?;
    let mut sets = Vec::new();
    let expand = |group: &Spanned<RawGroup>| expand_group(group.get_ref(), unit, event_map, fields, &mut sets);
    let groups = raw.iter().map(expand).collect::<Result<Vec<Group>, Fault>>()?;
    let spans: Vec<Range<usize>> = raw.iter().map(feature_span).collect();
    refuse_collisions(&groups, &spans)?;
    Ok(groups)
}

/// More than anybody needs; so the numbers of a row's values fit their types.
const MOST_DECAYS: usize = 1_000;

/// Where the group's features are named: its template, or the whole group where that is the default.
fn feature_span(group: &Spanned<RawGroup>) -> Range<usize> {
    group.get_ref().feature.as_ref().map_or(group.span(), Spanned::span)
}

fn expand_group(
    raw: &RawGroup,
    unit: TimeUnit,
    map: &EventMap,
    fields: &mut Fields,
    sets: &mut Vec<Decays>,
) -> Result<Group, Fault> {
    let intervals = decays(&raw.decays, unit)?;
    let decays = shared_set(&intervals, sets);
    let (key, explode) = key(&raw.key, raw.explode.as_ref(), fields)?;
    Ok(Group {
        name: group_name(&raw.name)?.to_owned(),
        key,
        explode,
        events: events(&raw.events, map)?,
        conditions: expand_conditions(&raw.r#where, &raw.where_not, fields)?,
        weight: raw.weight.as_ref().map(|field| weight(field, fields)).transpose()?,
        measures: measures(raw.measures.as_ref(), fields)?,
        feature: feature(raw.feature.as_ref())?,
        ttl: ttl(raw.ttl.as_ref(), &intervals, unit)?,
        publish_every: publish::every(raw.publish.every.as_ref())?,
        other_shapes: other_shapes(raw.uniques_registers.as_ref(), &decays)?,
        decays,
    })
}

/// The set of these intervals: groups with the same ones share its tables, and the cache that they take.
fn shared_set(intervals: &[DecayInterval], sets: &mut Vec<Decays>) -> Decays {
    let known = sets.iter().find(|set| set.intervals() == intervals).cloned();
    known.unwrap_or_else(|| {
        let set = Decays::new(intervals.to_vec());
        sets.push(set.clone());
        set
    })
}

fn other_shapes(registers: Option<&Spanned<usize>>, decays: &Decays) -> Result<OtherShapes, Fault> {
    let number = registers.map_or(UniquesConfig::default().registers, |raw| *raw.get_ref());
    let span = || registers.map_or(0..0, Spanned::span);
    OtherShapes::new(decays, number).map_err(|error| Fault::new(span(), format!("uniques_registers: {error}")))
}

fn group_name(name: &Text) -> Result<&str, Fault> {
    let text = not_empty(name, "a group's name")?;
    if text.contains(['{', '}']) || text.contains(char::is_control) {
        let message = format!("the group's name {text:?} may hold neither braces nor control characters");
        return Err(Fault::new(name.span(), message));
    }
    Ok(text)
}

/// The fields of the key, and those of them that are exploded.
fn key(
    raw: &Spanned<Vec<Text>>,
    explode: Option<&Spanned<Vec<Text>>>,
    fields: &mut Fields,
) -> Result<(Vec<FieldId>, Vec<FieldId>), Fault> {
    let names = not_empty_list(raw, "key needs one or more fields, for example key = [\"userId\"]")?;
    refuse_duplicates(names, "a key field")?;
    let exploded = match explode {
        None => &[],
        Some(raw) => not_empty_list(raw, "explode needs one or more of the key's fields, or leave it out")?,
    };
    refuse_duplicates(exploded, "an exploded field")?;
    if let Some(stranger) = exploded.iter().find(|name| !names.contains(name)) {
        let known: Vec<&str> = names.iter().map(|name| name.get_ref().as_str()).collect();
        let (written, list) = (stranger.get_ref(), known.join(", "));
        let meant = did_you_mean(written, known);
        let message = format!("\"{written}\" is exploded but no field of the key{meant} (the key is: {list})");
        return Err(Fault::new(stranger.span(), message));
    }
    let (mut key, mut explode) = (Vec::with_capacity(names.len()), Vec::new());
    for name in names {
        let text = not_empty(name, "a key field")?;
        if exploded.contains(name) {
            key.push(fields.declare(text, name, Use::Members)?);
            explode.extend(key.last());
        } else {
            key.push(fields.declare(text, name, Use::Key)?);
        }
    }
    Ok((key, explode))
}

fn weight(field: &Text, fields: &mut Fields) -> Result<FieldId, Fault> {
    fields.declare(not_empty(field, "the field with the weight")?, field, Use::Value)
}

fn events(raw: &Spanned<RawEvents>, map: &EventMap) -> Result<EventSelector, Fault> {
    let RawEvents::Listed(names) = raw.get_ref() else { return Ok(EventSelector::All) };
    if names.is_empty() {
        let message = "events needs one or more names, or \"*\" for every event";
        return Err(Fault::new(raw.span(), message));
    }
    refuse_duplicates(names, "an event")?;
    let name = |name: &Text| match not_empty(name, "an event's name")? {
        "*" => Err(Fault::new(name.span(), "\"*\" stands alone: write events = \"*\" for every event")),
        text => map.refuse_replaced(name).map(|()| text.to_owned()),
    };
    names.iter().map(name).collect::<Result<_, _>>().map(EventSelector::Listed)
}

fn measures(raw: Option<&Spanned<Vec<Text>>>, fields: &mut Fields) -> Result<Vec<Measure>, Fault> {
    let Some(raw) = raw else { return Ok(vec![Measure { name: "count".to_owned(), weight: None, members: None }]) };
    let texts = not_empty_list(raw, "measures needs one or more, for example measures = [\"count\"]")?;
    let mut measures: Vec<Measure> = Vec::with_capacity(texts.len());
    for text in texts {
        let measure = measure(text, fields)?;
        if measures.contains(&measure) {
            return Err(Fault::new(text.span(), format!("the measure \"{}\" stands here twice", text.get_ref())));
        }
        measures.push(measure);
    }
    Ok(measures)
}

/// `count`, `sum(FIELD)` or `uniques(FIELD)`.
fn measure(text: &Text, fields: &mut Fields) -> Result<Measure, Fault> {
    let written = text.get_ref().trim();
    let call = written.strip_suffix(')').and_then(|call| call.split_once('('));
    let refuse = |message: String| Err(Fault::new(text.span(), message));
    match call.map(|(name, field)| (name.trim(), field.trim())) {
        None if written == "count" => Ok(Measure { name: "count".to_owned(), weight: None, members: None }),
        Some(("sum" | "uniques", "")) => refuse(format!("\"{written}\" names no field: write for example sum(price)")),
        Some(("sum", field)) => Ok(Measure {
            name: format!("sum_{field}"),
            weight: Some(fields.declare(field, text, Use::Value)?),
            members: None,
        }),
        Some(("uniques", field)) => Ok(Measure {
            name: format!("uniques_{field}"),
            weight: None,
            members: Some(fields.declare(field, text, Use::Key)?),
        }),
        _ => refuse(format!(
            "\"{written}\" is no measure{}: there are count, sum(FIELD) and uniques(FIELD)",
            meant(written)
        )),
    }
}

/// What was meant by a measure that does not exist: `cuont`, `Sum(price)`.
fn meant(written: &str) -> String {
    let (name, call) = written.split_at(written.find('(').unwrap_or(written.len()));
    let known =
        if call.is_empty() { vec!["count".to_owned()] } else { vec![format!("sum{call}"), format!("uniques{call}")] };
    if known.iter().any(|known| *known == *name) {
        String::new()
    } else {
        did_you_mean(written, known.iter().map(String::as_str)).trim_end_matches('?').to_owned()
    }
}

/// The intervals, in ascending order.
fn decays(raw: &Spanned<Vec<Text>>, unit: TimeUnit) -> Result<Vec<DecayInterval>, Fault> {
    let texts = not_empty_list(raw, "decays needs one or more intervals, for example decays = [\"10m\", \"1d\"]")?;
    if let Some(text) = texts.get(MOST_DECAYS) {
        return Err(Fault::new(text.span(), format!("too many decays: a counter group may have {MOST_DECAYS}")));
    }
    let mut intervals = Vec::with_capacity(texts.len());
    for text in texts {
        let interval = decay(text, unit)?;
        if intervals.contains(&interval) {
            return Err(Fault::new(text.span(), format!("the decay \"{}\" stands here twice", text.get_ref())));
        }
        intervals.push(interval);
    }
    intervals.sort_unstable();
    Ok(intervals)
}

fn decay(text: &Text, unit: TimeUnit) -> Result<DecayInterval, Fault> {
    let length = duration(text)?;
    let longest = from_units(DecayInterval::MAX_UNITS, unit);
    let refuse = |message: String| Err(Fault::new(text.span(), message));
    let written = text.get_ref();
    match to_units(length, unit).map(DecayInterval::new) {
        _ if length > longest => refuse(format!(
            "the decay \"{written}\" is too long: with this time_unit it is at most {}s",
            longest.as_secs()
        )),
        Some(Ok(interval)) if from_units(interval.units(), unit) == length => Ok(interval),
        Some(Ok(_)) => refuse(format!(
            "the decay \"{written}\" is no whole number of the event's time unit, {}: choose a longer one or a finer time_unit",
            format_duration(from_units(1, unit)),
        )),
        _ => refuse(format!("the decay \"{written}\" must be longer than nothing")),
    }
}

fn feature(raw: Option<&Text>) -> Result<FeatureTemplate, Fault> {
    let Some(text) = raw else { return Ok(FeatureTemplate(DEFAULT_FEATURE.to_owned())) };
    let template = not_empty(text, "feature")?;
    let literal = FeatureTemplate(template.to_owned()).expand("", "", "");
    if literal.contains(['{', '}']) {
        let message = format!(
            "feature = \"{template}\" has a brace that belongs to none of the places {{group}}, {{event}} and {{measure}}"
        );
        return Err(Fault::new(text.span(), message));
    }
    Ok(FeatureTemplate(template.to_owned()))
}

/// A ttl that could make times overflow is none: it lies beyond every time that there is.
fn ttl(raw: Option<&Text>, intervals: &[DecayInterval], unit: TimeUnit) -> Result<Option<i64>, Fault> {
    let units = match raw {
        None => {
            let longest = intervals.iter().map(|interval| interval.units()).max().unwrap_or_default();
            Some((DEFAULT_TTL_SECONDS * unit.per_second()).max(longest * NOTHING_LEFT_AFTER))
        }
        Some(text) => match duration_or_none(text)? {
            Some(length) if length.is_zero() => {
                return Err(Fault::new(text.span(), "a ttl must be longer than nothing; \"none\" keeps rows for ever"));
            }
            length => length.and_then(|length| to_units(length, unit)),
        },
    };
    Ok(units.filter(|units| *units <= DecayInterval::MAX_UNITS))
}

fn not_empty_list<'a>(list: &'a Spanned<Vec<Text>>, message: &str) -> Result<&'a [Text], Fault> {
    match list.get_ref().as_slice() {
        [] => Err(Fault::new(list.span(), message)),
        texts => Ok(texts),
    }
}

fn refuse_duplicates<'a>(texts: impl IntoIterator<Item = &'a Text>, what: &str) -> Result<(), Fault> {
    let mut seen = std::collections::HashSet::new();
    match texts.into_iter().find(|text| !seen.insert(text.get_ref())) {
        Some(text) => Err(Fault::new(text.span(), format!("{what} \"{}\" stands here twice", text.get_ref()))),
        None => Ok(()),
    }
}
