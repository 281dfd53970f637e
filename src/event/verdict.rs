//! Why an event could not be counted.

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
    BadTime,
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

impl Reason {
    /// Every reason, in the order of the summary. Of several against one event, the first counts.
    pub const ALL: [Reason; 12] = [
        Reason::TooLong,
        Reason::InvalidUtf8,
        Reason::NotAnObject,
        Reason::TooDeep,
        Reason::BadName,
        Reason::BadTime,
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
            Reason::BadTime => "bad_time",
            Reason::NegativeTime => "negative_time",
            Reason::TimeAhead => "time_ahead",
            Reason::BadKey => "bad_key",
            Reason::BadValue => "bad_value",
            Reason::KeyTooLong => "key_too_long",
            Reason::FeatureNameTooLong => "feature_name_too_long",
        }
    }
}
