//! What should become of an event, read naively from serde_json's `Value`s: slow, plain, and
//! without a line in common with the decoder.

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::Outcome;
use crate::counter::EventTime;
use crate::event::{EventSchema, Reason, TimeUnit};

/// All members of an object, in order, with their values read by serde_json.
pub(super) struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;
            fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// What serde_json's `Value` does not tell: how a number that is no `i64` or `u64` was written.
#[derive(Debug)]
pub(super) struct Unsure;

impl Members {
    fn last(&self, name: &str) -> &Value {
        self.0.iter().rev().find(|member| member.0 == name).map_or(&Value::Null, |member| &member.1)
    }

    /// What should become of the event.
    pub(super) fn outcome(&self, schema: &EventSchema, arrival: EventTime) -> Result<Outcome, Unsure> {
        Ok(self.event(schema, arrival)?.unwrap_or_else(Outcome::DeadLetter))
    }

    fn event(&self, schema: &EventSchema, arrival: EventTime) -> Result<Result<Outcome, Reason>, Unsure> {
        if self.0.iter().any(|(_, value)| 1 + levels(value) > 64) {
            return Ok(Err(Reason::TooDeep));
        }
        let name = match self.last(&schema.name_field) {
            Value::String(name) if !name.is_empty() => name.clone(),
            _ => return Ok(Err(Reason::BadName)),
        };
        let time = match time(self.last(&schema.time_field), schema.time_unit)? {
            Some(time) if time < 0 => return Ok(Err(Reason::NegativeTime)),
            Some(time) => time,
            None => return Ok(Err(Reason::BadTime)),
        };
        let limit = schema.max_ahead.map_or(i64::MAX, |ahead| arrival.0.saturating_add(ahead));
        let Some(time) = i64::try_from(time).ok().filter(|&time| time <= limit) else {
            return Ok(Err(Reason::TimeAhead));
        };
        let (mut keys, mut values) = (BTreeMap::new(), BTreeMap::new());
        for field in schema.fields.iter().filter(|field| field.as_key) {
            match self.last(&field.name) {
                Value::Null => None,
                Value::String(text) if text.is_empty() => None,
                Value::String(text) => keys.insert(field.name.clone(), text.clone()),
                Value::Bool(truth) => keys.insert(field.name.clone(), truth.to_string()),
                Value::Number(number) if number.is_f64() => return Err(Unsure),
                Value::Number(number) => keys.insert(field.name.clone(), number.to_string()),
                Value::Array(_) | Value::Object(_) => return Ok(Err(Reason::BadKey)),
            };
        }
        for field in schema.fields.iter().filter(|field| field.as_value) {
            match self.last(&field.name) {
                Value::Null => None,
                Value::Number(number) => values.insert(field.name.clone(), number.as_f64().unwrap()),
                _ => return Ok(Err(Reason::BadValue)),
            };
        }
        Ok(Ok(Outcome::Event { name, time, keys, values }))
    }
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
        (Value::String(text), _) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map(Some).map_err(|_| Unsure)
        }
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

fn levels(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(levels).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(levels).max().unwrap_or(0),
        _ => 0,
    }
}

/// The same outcome, up to the last bit of a float (serde_json does not always round it well).
pub(super) fn agree(ours: &Outcome, naive: &Outcome) -> bool {
    match (ours, naive) {
        (
            Outcome::Event { name, time, keys, values },
            Outcome::Event { name: naive_name, time: naive_time, keys: naive_keys, values: naive_values },
        ) => {
            let close = |(ours, naive): (&f64, &f64)| (ours - naive).abs() <= 1e-15 * naive.abs();
            (name, time, keys) == (naive_name, naive_time, naive_keys)
                && values.keys().eq(naive_values.keys())
                && values.values().zip(naive_values.values()).all(close)
        }
        _ => ours == naive,
    }
}
