//! Why an event could not be counted.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The closed list of reasons of dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Longer than the schema's `max_bytes`.
    TooLong,
    /// Not valid UTF-8.
    InvalidUtf8,
    /// Not one JSON object.
    NotAnObject,
    /// More than 64 levels of arrays and objects.
    TooDeep,
    /// No event name, or one that is empty or no string.
    BadName,
    /// No time, or one that is not a number (or not RFC 3339 where that is the unit).
    BadTime(TimeFault),
    /// A time before 1970.
    NegativeTime,
    /// A time later than arrival and `max_ahead` allow, or than an `i64` holds.
    TimeAhead,
    /// A key field that is a fraction, an object or (unless it is exploded) an array; or one that
    /// would make too many keys.
    BadKey,
    /// A value field that is not a finite number.
    BadValue,
    /// A key of more than 2,048 bytes.
    KeyTooLong,
    /// A feature name of more than 1,024 bytes.
    FeatureNameTooLong,
}

/// What is wrong with a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFault {
    /// The field is missing or null.
    Missing,
    /// It is no number, nor text that holds one.
    NoNumber,
    /// It is no text of RFC 3339 with a time zone.
    #[serde(rename = "not_rfc3339")]
    NotRfc3339,
}

impl Reason {
    /// Every reason, in the order of the summary; of those with details, one. Of several against one event, the first
    /// counts.
    pub const ALL: [Reason; 12] = [
        Reason::TooLong,
        Reason::InvalidUtf8,
        Reason::NotAnObject,
        Reason::TooDeep,
        Reason::BadName,
        Reason::BadTime(TimeFault::Missing),
        Reason::NegativeTime,
        Reason::TimeAhead,
        Reason::BadKey,
        Reason::BadValue,
        Reason::KeyTooLong,
        Reason::FeatureNameTooLong,
    ];

    /// The name that stands in dead letters and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::TooLong => "too_long",
            Reason::InvalidUtf8 => "invalid_utf8",
            Reason::NotAnObject => "not_an_object",
            Reason::TooDeep => "too_deep",
            Reason::BadName => "bad_name",
            Reason::BadTime(_) => "bad_time",
            Reason::NegativeTime => "negative_time",
            Reason::TimeAhead => "time_ahead",
            Reason::BadKey => "bad_key",
            Reason::BadValue => "bad_value",
            Reason::KeyTooLong => "key_too_long",
            Reason::FeatureNameTooLong => "feature_name_too_long",
        }
    }

    /// What more there is to say.
    pub fn detail(self) -> Option<&'static str> {
        match self {
            Reason::BadTime(TimeFault::Missing) => Some("no such field, or null"),
            Reason::BadTime(TimeFault::NoNumber) => Some("no number"),
            Reason::BadTime(TimeFault::NotRfc3339) => Some("not RFC 3339: a date, a time and a zone are needed"),
            _ => None,
        }
    }

    /// Its index in [`Reason::ALL`], whatever its details.
    pub fn index(self) -> usize {
        match self {
            Reason::TooLong => 0,
            Reason::InvalidUtf8 => 1,
            Reason::NotAnObject => 2,
            Reason::TooDeep => 3,
            Reason::BadName => 4,
            Reason::BadTime(_) => 5,
            Reason::NegativeTime => 6,
            Reason::TimeAhead => 7,
            Reason::BadKey => 8,
            Reason::BadValue => 9,
            Reason::KeyTooLong => 10,
            Reason::FeatureNameTooLong => 11,
        }
    }
}

/// Its name, and what more there is to say.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail() {
            Some(detail) => write!(f, "{} ({detail})", self.as_str()),
            None => f.write_str(self.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_place() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index, "{reason}");
        }
    }
}
