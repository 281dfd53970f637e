//! What an event looks like: where its name and time stand, and which fields are used for what.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FieldPath;

/// The index of a field in [`EventSchema::fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FieldId(pub u16);

/// What the pipeline needs to know of every event.
#[derive(Clone, Debug, PartialEq)]
pub struct EventSchema {
    /// The field with the event's name.
    pub name_field: FieldPath,
    /// The field with the event's time.
    pub time_field: FieldPath,
    /// The unit of the time field, and of every time that is derived from it.
    pub time_unit: TimeUnit,
    /// How much later than its arrival an event's time may be, in time units; `None`: no limit.
    pub max_ahead: Option<i64>,
    /// What becomes of an event whose time is later than that.
    pub ahead: Ahead,
    /// The field with the time of arrival, in the same unit, where events have one.
    pub arrival_field: Option<FieldPath>,
    /// The longest line or message that counts, in bytes.
    pub max_bytes: usize,
    /// Every other field that some group names, each path once.
    pub fields: Vec<DeclaredField>,
}

impl EventSchema {
    /// For tests: events with a name, a time in seconds, at most ten ahead, and nothing else.
    #[cfg(test)]
    pub(crate) fn of_seconds(name: &str, time: &str) -> EventSchema {
        EventSchema {
            name_field: FieldPath::top_level(name),
            time_field: FieldPath::top_level(time),
            time_unit: TimeUnit::Seconds,
            max_ahead: Some(10),
            ahead: Ahead::DeadLetter,
            arrival_field: None,
            max_bytes: 1 << 20,
            fields: Vec::new(),
        }
    }

    /// The name of a declared field: its path.
    pub fn field_name(&self, id: FieldId) -> &str {
        self.fields[usize::from(id.0)].name.as_str()
    }

    /// Whether every event that is too far ahead needs a known arrival, which it does not bring along.
    pub fn needs_known_arrival(&self) -> bool {
        self.ahead == Ahead::Arrival && self.arrival_field.is_none()
    }

    /// The same events, for a reader that takes them whatever their time.
    pub fn at_any_time(&self) -> EventSchema {
        EventSchema { max_ahead: None, ahead: Ahead::DeadLetter, arrival_field: None, ..self.clone() }
    }

    /// The same events, for a reader that wants their names and times only.
    pub fn without_fields(&self) -> EventSchema {
        EventSchema { fields: Vec::new(), ..self.clone() }
    }
}

/// What becomes of an event that is later than its arrival by more than `max_ahead`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ahead {
    /// It is a dead letter.
    #[default]
    DeadLetter,
    /// It counts at the time of its arrival, where that is known; else it is a dead letter.
    Arrival,
}

/// A field that at least one counter group names. One field may serve in several ways: then it
/// must be right for each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredField {
    /// Where the field stands; names are compared after unescaping and with their case.
    pub name: FieldPath,
    /// Part of a key, or compared with texts: text, an integer, or a truth value.
    pub as_key: bool,
    /// Part of a key that may be an array: each of its different members makes a key.
    pub as_members: bool,
    /// Summed up, or a weight: a finite number.
    pub as_value: bool,
}

impl DeclaredField {
    /// A field that nothing is done with yet.
    pub fn unused(name: FieldPath) -> DeclaredField {
        DeclaredField { name, as_key: false, as_members: false, as_value: false }
    }
}

/// The unit in which event times are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum TimeUnit {
    /// Seconds since 1970.
    #[default]
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds since 1970.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Microseconds since 1970.
    #[serde(rename = "us")]
    Microseconds,
    /// Nanoseconds since 1970.
    #[serde(rename = "ns")]
    Nanoseconds,
    /// RFC 3339 text, kept in milliseconds.
    #[serde(rename = "rfc3339")]
    Rfc3339,
}

impl TimeUnit {
    /// As a pipeline file names it.
    pub fn name(self) -> &'static str {
        match self {
            TimeUnit::Seconds => "s",
            TimeUnit::Milliseconds => "ms",
            TimeUnit::Microseconds => "us",
            TimeUnit::Nanoseconds => "ns",
            TimeUnit::Rfc3339 => "rfc3339",
        }
    }

    /// How many units make a second.
    pub fn per_second(self) -> i64 {
        match self {
            TimeUnit::Seconds => 1,
            TimeUnit::Milliseconds | TimeUnit::Rfc3339 => 1_000,
            TimeUnit::Microseconds => 1_000_000,
            TimeUnit::Nanoseconds => 1_000_000_000,
        }
    }

    /// So long, in this unit, cut downwards.
    pub fn units_of(self, time: Duration) -> i64 {
        self.from_nanoseconds(time.as_nanos().cast_signed())
    }

    /// Nanoseconds since 1970 in this unit, cut downwards.
    pub fn from_nanoseconds(self, nanoseconds: i128) -> i64 {
        let per_unit = 1_000_000_000 / i128::from(self.per_second());
        let units = nanoseconds.div_euclid(per_unit);
        i64::try_from(units).unwrap_or(if units < 0 { i64::MIN } else { i64::MAX })
    }

    /// A time in this unit as whole seconds since 1970, cut downwards.
    pub fn to_seconds(self, units: i64) -> i64 {
        units.div_euclid(self.per_second())
    }
}
