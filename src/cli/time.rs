//! TIME as a person types it: `now`, RFC 3339, or a number in the event's unit.

use crate::counter::EventTime;
use crate::event::TimeUnit;

/// A text that is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no time: give \"now\", RFC 3339 (2024-02-10T22:53:19Z) or a number in the event's time unit")]
pub struct InvalidTime(String);

/// Reads a time into the event's unit; what is finer than a unit is cut off, downwards.
pub fn parse_time(text: &str, unit: TimeUnit) -> Result<EventTime, InvalidTime> {
    if let Ok(number) = text.parse::<i64>() {
        return Ok(EventTime(number));
    }
    let timestamp = match text {
        "now" => jiff::Timestamp::now(),
        _ => text.parse().map_err(|_| InvalidTime(text.to_owned()))?,
    };
    Ok(EventTime(unit.from_nanoseconds(timestamp.as_nanosecond())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_the_unit_and_rfc_3339_is_put_into_it() {
        for (text, unit, expected) in [
            ("1707605599", TimeUnit::Seconds, 1_707_605_599),
            ("1707605599", TimeUnit::Milliseconds, 1_707_605_599),
            ("-5", TimeUnit::Seconds, -5),
            ("2024-02-10T22:53:19Z", TimeUnit::Seconds, 1_707_605_599),
            ("2024-02-10T23:53:19.75+01:00", TimeUnit::Rfc3339, 1_707_605_599_750),
            ("1969-12-31T23:59:59.5Z", TimeUnit::Seconds, -1),
        ] {
            assert_eq!(parse_time(text, unit), Ok(EventTime(expected)), "{text}");
        }
    }

    #[test]
    fn now_is_later_than_when_this_was_written() {
        let now = parse_time("now", TimeUnit::Microseconds).expect("now is a time");
        assert!(now > EventTime(1_750_000_000_000_000));
    }

    #[test]
    fn anything_else_is_refused_with_what_may_be_given() {
        for text in ["", "soon", "1.5", "2024-02-10", "99999999999999999999"] {
            let error = parse_time(text, TimeUnit::Seconds).expect_err(text).to_string();
            assert!(error.contains(&format!("\"{text}\"")) && error.contains("RFC 3339"), "{error}");
        }
    }
}
