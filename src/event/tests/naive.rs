//! What should become of an event, read naively from serde_json's `Value`s: slow, plain, and
//! without a line in common with the decoder.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Outcome;
use crate::event::{Ahead, Arrival, EventSchema, FieldPath, MAX_MEMBERS, Reason, TimeFault, TimeUnit};

/// All members of an object, in order, with their values read by serde_json.
pub(super) struct Members(Vec<(String, Value)>, Levels);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;
            fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let (mut members, mut deepest) = (Vec::new(), 0);
                while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
                    let Levels(levels) = serde_json::from_str(raw.get()).map_err(A::Error::custom)?;
                    deepest = deepest.max(levels);
                    members.push((name, serde_json::from_str(raw.get()).map_err(A::Error::custom)?));
                }
                Ok(Members(members, Levels(1 + deepest)))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// What serde_json's `Value` does not tell: how a number that is no `i64` or `u64` was written.
#[derive(Debug)]
pub(super) struct Unsure;

impl Members {
    fn last(&self, path: &FieldPath) -> &Value {
        let names = path.names();
        let own = self.0.iter().rev().find(|member| member.0 == names[0]).map_or(&Value::Null, |member| &member.1);
        names[1..].iter().fold(own, |value, name| value.get(name).unwrap_or(&Value::Null))
    }

    /// What should become of the event.
    pub(super) fn outcome(&self, schema: &EventSchema, arrival: Arrival) -> Result<Outcome, Unsure> {
        Ok(self.event(schema, arrival)?.unwrap_or_else(Outcome::DeadLetter))
    }

    /// The time of arrival, and whether it is more than a bound.
    fn arrival(&self, schema: &EventSchema, told: Arrival) -> Result<(i64, bool), Unsure> {
        let told_time = told.time().0;
        let year_2000 = 946_684_800 * i128::from(schema.time_unit.per_second());
        let own = match &schema.arrival_field {
            Some(field) => time(self.last(field), schema.time_unit)?,
            None => None,
        };
        Ok(match own {
            // Nothing here was recorded, so what was told is when the event was read.
            Some(own) if own >= year_2000 && own <= i128::from(told_time) => (own as i64, true),
            _ => (told_time, told == Arrival::at(told.time())),
        })
    }

    fn event(&self, schema: &EventSchema, arrival: Arrival) -> Result<Result<Outcome, Reason>, Unsure> {
        if self.1.0 > 64 {
            return Ok(Err(Reason::TooDeep));
        }
        let name = match self.last(&schema.name_field) {
            Value::String(name) if !name.is_empty() && name.len() <= 1024 => name.clone(),
            _ => return Ok(Err(Reason::BadName)),
        };
        let time = match time(self.last(&schema.time_field), schema.time_unit)? {
            Some(time) if time < 0 => return Ok(Err(Reason::NegativeTime)),
            Some(time) => time,
            None => {
                return Ok(Err(Reason::BadTime(match (self.last(&schema.time_field), schema.time_unit) {
                    (Value::Null, _) => TimeFault::Missing,
                    (_, TimeUnit::Rfc3339) => TimeFault::NotRfc3339,
                    _ => TimeFault::NoNumber,
                })));
            }
        };
        let (arrival, is_known) = self.arrival(schema, arrival)?;
        let limit = schema.max_ahead.map_or(i64::MAX, |ahead| arrival.saturating_add(ahead));
        let time = match i64::try_from(time).ok().filter(|&time| time <= limit) {
            Some(time) => time,
            None if schema.ahead == Ahead::Arrival && is_known => arrival,
            None => return Ok(Err(Reason::TimeAhead)),
        };
        let (mut keys, mut members, mut values) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for field in schema.fields.iter().filter(|field| field.as_key) {
            match key_text(self.last(&field.name))? {
                Ok(text) => text.map(|text| keys.insert(field.name.to_string(), text)),
                Err(reason) => return Ok(Err(reason)),
            };
        }
        for field in schema.fields.iter().filter(|field| field.as_members) {
            let value = self.last(&field.name);
            let mut different = BTreeSet::new();
            for item in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
                match key_text(item)? {
                    Ok(text) => different.extend(text),
                    Err(reason) => return Ok(Err(reason)),
                }
            }
            if different.len() > MAX_MEMBERS {
                return Ok(Err(Reason::BadKey));
            }
            if !different.is_empty() {
                members.insert(field.name.to_string(), different);
            }
        }
        for field in schema.fields.iter().filter(|field| field.as_value) {
            match self.last(&field.name) {
                Value::Null => None,
                Value::Number(number) => values.insert(field.name.to_string(), number.as_f64().unwrap()),
                _ => return Ok(Err(Reason::BadValue)),
            };
        }
        Ok(Ok(Outcome::Event { name, time, keys, members, values }))
    }
}

/// What a value adds to a key.
fn key_text(value: &Value) -> Result<Result<Option<String>, Reason>, Unsure> {
    Ok(Ok(match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) if number.is_f64() => return Err(Unsure),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(_) | Value::Object(_) => return Ok(Err(Reason::BadKey)),
    }))
}

/// `None`: not a time.
fn time(value: &Value, unit: TimeUnit) -> Result<Option<i128>, Unsure> {
    match (value, unit) {
        (Value::String(text), TimeUnit::Rfc3339) => match text.parse::<jiff::Timestamp>() {
            Ok(time) if text.len() == 20 && text.ends_with('Z') => Ok(Some(time.as_millisecond().into())),
            _ if text.len() > 19 => Err(Unsure),
            _ => Ok(None),
        },
        (_, TimeUnit::Rfc3339) => Ok(None),
        // A number in text is the number that JSON would read, but for leading zeros.
        (Value::String(text), _) => match serde_json::from_str::<Value>(text) {
            Ok(number @ Value::Number(_)) if !text.contains(char::is_whitespace) => time(&number, unit),
            _ if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() => {
                text.parse().map(Some).map_err(|_| Unsure)
            }
            _ if !text.is_empty() && text.bytes().all(|byte| b"0123456789+-.eE".contains(&byte)) => Err(Unsure),
            _ => Ok(None),
        },
        (Value::Number(number), _) => match (number.as_i128(), number.as_f64()) {
            (Some(time), _) => Ok(Some(time)),
            // Clear of whole numbers, and small enough for the float to tell.
            (None, Some(time)) if time.abs() < 1e10 && (0.01..0.99).contains(&time.rem_euclid(1.0)) => {
                Ok(Some(time.floor() as i128))
            }
            _ => Err(Unsure),
        },
        _ => Ok(None),
    }
}

/// How many arrays and objects stand inside each other, those included that a later member of the
/// same name replaces.
struct Levels(usize);

impl<'de> Deserialize<'de> for Levels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Levels, D::Error> {
        deserializer.deserialize_any(CountLevels)
    }
}

struct CountLevels;

impl<'de> Visitor<'de> for CountLevels {
    type Value = Levels;

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Levels, A::Error> {
        let mut deepest = 0;
        while let Some(Levels(levels)) = items.next_element()? {
            deepest = deepest.max(levels);
        }
        Ok(Levels(1 + deepest))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Levels, A::Error> {
        let mut deepest = 0;
        while let Some((_, Levels(levels))) = members.next_entry::<IgnoredAny, Levels>()? {
            deepest = deepest.max(levels);
        }
        Ok(Levels(1 + deepest))
    }

    fn visit_str<E>(self, _: &str) -> Result<Levels, E> {
        Ok(Levels(0))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Levels, E> {
        Ok(Levels(0))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Levels, E> {
        Ok(Levels(0))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Levels, E> {
        Ok(Levels(0))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Levels, E> {
        Ok(Levels(0))
    }

    fn visit_unit<E>(self) -> Result<Levels, E> {
        Ok(Levels(0))
    }
}

/// The same outcome, up to the last bit of a float (serde_json does not always round it well).
pub(super) fn agree(ours: &Outcome, naive: &Outcome) -> bool {
    match (ours, naive) {
        (
            Outcome::Event { name, time, keys, members, values },
            Outcome::Event {
                name: naive_name,
                time: naive_time,
                keys: naive_keys,
                members: naive_members,
                values: naive_values,
            },
        ) => {
            let close = |(ours, naive): (&f64, &f64)| (ours - naive).abs() <= 1e-15 * naive.abs();
            (name, time, keys, members) == (naive_name, naive_time, naive_keys, naive_members)
                && values.keys().eq(naive_values.keys())
                && values.values().zip(naive_values.values()).all(close)
        }
        _ => ours == naive,
    }
}
