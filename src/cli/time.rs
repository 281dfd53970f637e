//! TIME as a person writes and reads it.

use jiff::Timestamp;

use super::CliError;
use crate::counter::EventTime;
use crate::event::TimeUnit;
use crate::findings::likely_unit;

/// Reads a TIME: `now`, RFC 3339, or a number in `unit`. Returns it in that unit.
pub(super) fn parse_time(text: &str, unit: TimeUnit, now: Timestamp) -> Result<i64, CliError> {
    let text = text.trim();
    if let Ok(units) = text.parse() {
        if let Some(note) = other_unit(units, unit, now) {
            tracing::warn!("{note}");
        }
        return Ok(units);
    }
    let time = if text == "now" { Ok(now) } else { text.parse::<Timestamp>() };
    match time {
        Ok(time) => Ok(unit.from_nanoseconds(time.as_nanosecond())),
        Err(_) => Err(CliError::usage(format!(
            "`{text}` is no time: give `now`, a time like 2024-02-10T22:53:19Z, or a number of {} since 1970",
            unit_name(unit)
        ))),
    }
}

/// Says that a time is far from the present in its own unit, and near to it in another.
fn other_unit(units: i64, unit: TimeUnit, now: Timestamp) -> Option<String> {
    let other = likely_unit(EventTime(units), unit, now.as_second())?;
    let meant = unit.from_nanoseconds(i128::from(units) * i128::from(1_000_000_000 / other.per_second()));
    Some(format!(
        "{units} looks like {}, but times are in {} here: {meant} would be {}",
        unit_name(other),
        unit_name(unit),
        show_time(meant, unit)
    ))
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Seconds => "seconds",
        TimeUnit::Milliseconds | TimeUnit::Rfc3339 => "milliseconds",
        TimeUnit::Microseconds => "microseconds",
        TimeUnit::Nanoseconds => "nanoseconds",
    }
}

/// A time as RFC 3339 in UTC; as the bare number where a year would have more than four digits.
pub(super) fn show_time(units: i64, unit: TimeUnit) -> String {
    let nanoseconds = i128::from(units) * i128::from(1_000_000_000 / unit.per_second());
    Timestamp::from_nanosecond(nanoseconds).map_or_else(|_| units.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, unit: TimeUnit) -> Result<i64, CliError> {
        parse_time(text, unit, Timestamp::from_second(1_700_000_000).unwrap())
    }

    #[test]
    fn a_time_is_now_or_rfc_3339_or_a_number() {
        assert_eq!(parse("now", TimeUnit::Milliseconds).unwrap(), 1_700_000_000_000);
        assert_eq!(parse("1707605599", TimeUnit::Seconds).unwrap(), 1_707_605_599);
        assert_eq!(parse("2024-02-10T22:53:19Z", TimeUnit::Seconds).unwrap(), 1_707_605_599);
        assert_eq!(parse("2024-02-10T23:53:19.5+01:00", TimeUnit::Rfc3339).unwrap(), 1_707_605_599_500);
        for text in ["", "yesterday", "1e9", "2024-02-30T00:00:00Z", "99999999999999999999"] {
            assert!(parse(text, TimeUnit::Seconds).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_that_is_clearly_in_another_unit_is_noticed() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let note = |units, unit| other_unit(units, unit, now);
        let expected = "1707605599000 looks like milliseconds, but times are in seconds here: 1707605599 would be 2024-02-10T22:53:19Z";
        assert_eq!(note(1_707_605_599_000, TimeUnit::Seconds).as_deref(), Some(expected));
        let text = note(1_707_605_599, TimeUnit::Rfc3339).unwrap();
        assert!(text.contains("looks like seconds") && text.contains("1707605599000 would be 2024"), "{text}");
        assert!(note(1_707_605_599, TimeUnit::Nanoseconds).unwrap().contains("looks like seconds"));
        for right in [0, -5, 100, 946_684_799, 1_707_605_599, 2_200_000_000, i64::MAX, i64::MIN] {
            assert_eq!(note(right, TimeUnit::Seconds), None, "{right}");
        }
    }

    #[test]
    fn a_time_is_shown_in_utc_or_as_its_number() {
        assert_eq!(show_time(1_707_605_599, TimeUnit::Seconds), "2024-02-10T22:53:19Z");
        assert_eq!(show_time(1_707_605_599_250, TimeUnit::Milliseconds), "2024-02-10T22:53:19.25Z");
        assert_eq!(show_time(i64::MAX, TimeUnit::Seconds), i64::MAX.to_string());
    }
}
