//! Durations as a person writes them: `"500ms"`, `"5s"`, `"1h30m"`, `"7d"`.

use std::time::Duration;

use crate::event::TimeUnit;

/// The longest duration that may be written: 10^12 seconds, some 31,700 years.
const LONGEST: Duration = Duration::from_secs(1_000_000_000_000);

/// Every unit and its length in nanoseconds, longest first.
const UNITS: [(&str, u64); 8] = [
    ("w", 604_800 * NANOS_PER_SECOND),
    ("d", 86_400 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// Not numbers with units.
    #[error(r#""{0}" is no duration: write a whole number and a unit (ns, us, ms, s, m, h, d, w), for example "90s", "5m", "1h30m" or "7d""#)]
    Malformed(String),
    /// Longer than 10^12 seconds.
    #[error(r#""{0}" is too long: a duration is at most 1000000000000s"#)]
    TooLong(String),
}

/// Reads one or more numbers, each with its unit, and adds them up.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let malformed = || InvalidDuration::Malformed(text.to_owned());
    let too_long = || InvalidDuration::TooLong(text.to_owned());
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(malformed());
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (digits, after) = split_where(rest, |byte| !byte.is_ascii_digit());
        let (unit, after) = split_where(after, |byte| !byte.is_ascii_lowercase());
        let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
        if digits.is_empty() {
            return Err(malformed());
        }
        let count: u64 = digits.parse().map_err(|_| too_long())?;
        total += u128::from(count) * u128::from(*nanos);
        if total > LONGEST.as_nanos() {
            return Err(too_long());
        }
        rest = after.trim_start();
    }
    Ok(Duration::new((total / u128::from(NANOS_PER_SECOND)) as u64, (total % u128::from(NANOS_PER_SECOND)) as u32))
}

/// Cuts a text before the first byte that `ends` it.
fn split_where(text: &str, ends: impl Fn(u8) -> bool) -> (&str, &str) {
    text.split_at(text.bytes().position(ends).unwrap_or(text.len()))
}

/// Writes a duration as one number with the largest unit (up to days) that keeps it whole.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let whole = UNITS.iter().skip(1).find(|(_, length)| nanos.is_multiple_of(u128::from(*length)));
    // The last unit is one nanosecond, of which every duration is a whole number.
    let (name, length) = whole.unwrap_or(&("ns", 1));
    format!("{}{name}", nanos / u128::from(*length))
}

/// A duration of event time as a number of time units, rounded up; `None` where that does not fit.
pub fn to_units(duration: Duration, unit: TimeUnit) -> Option<i64> {
    let nanos_per_unit = u128::from(NANOS_PER_SECOND) / unit.per_second() as u128;
    i64::try_from(duration.as_nanos().div_ceil(nanos_per_unit)).ok()
}

/// A number of time units, which is not negative, as a duration.
pub fn from_units(units: i64, unit: TimeUnit) -> Duration {
    let units = units.unsigned_abs();
    let per_second = unit.per_second() as u64;
    let nanos_per_unit = NANOS_PER_SECOND / per_second;
    Duration::new(units / per_second, (units % per_second * nanos_per_unit) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_and_sums_of_them_are_read() {
        let seconds = |text| parse_duration(text).expect(text).as_secs_f64();
        assert_eq!(seconds("5s"), 5.0);
        assert_eq!(seconds("10m"), 600.0);
        assert_eq!(seconds("1h"), 3600.0);
        assert_eq!(seconds("7d"), 604_800.0);
        assert_eq!(seconds("2w"), 1_209_600.0);
        assert_eq!(seconds("500ms"), 0.5);
        assert_eq!(seconds("250us"), 0.000_25);
        assert_eq!(seconds("7ns"), 7e-9);
        assert_eq!(seconds(" 1h 30m "), 5400.0);
        assert_eq!(seconds("1h30m"), 5400.0);
        assert_eq!(seconds("0s"), 0.0);
    }

    #[test]
    fn ten_to_the_twelve_seconds_are_the_most() {
        assert_eq!(parse_duration("1000000000000s"), Ok(LONGEST));
        let too_long = ["1000000000001s", "99999999999999999999s", "18446744073709551615w"];
        for text in too_long {
            assert_eq!(parse_duration(text), Err(InvalidDuration::TooLong(text.to_owned())));
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", " ", "5", "s", "5 s", "1.5h", "-5s", "5x", "5S", "5M", "5s6", "none", "5sé", "1h,2m"] {
            assert_eq!(parse_duration(text), Err(InvalidDuration::Malformed(text.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn durations_are_written_with_the_largest_whole_unit() {
        for text in ["0s", "5s", "90s", "10m", "1h", "7d", "14d", "500ms", "1500ms", "3us", "1ns", "1000000000001ms"] {
            assert_eq!(format_duration(parse_duration(text).expect(text)), text);
        }
        assert_eq!(format_duration(Duration::from_secs(120)), "2m");
        assert_eq!(format_duration(Duration::from_secs(2 * 604_800)), "14d");
    }

    #[test]
    fn units_are_whole_and_rounded_up_and_may_not_fit() {
        let half = Duration::from_millis(500);
        assert_eq!(to_units(half, TimeUnit::Seconds), Some(1));
        assert_eq!(to_units(half, TimeUnit::Rfc3339), Some(500));
        assert_eq!(to_units(half, TimeUnit::Nanoseconds), Some(500_000_000));
        assert_eq!(to_units(LONGEST, TimeUnit::Seconds), Some(1_000_000_000_000));
        assert_eq!(to_units(LONGEST, TimeUnit::Nanoseconds), None);
        assert_eq!(from_units(1500, TimeUnit::Milliseconds), Duration::from_millis(1500));
        assert_eq!(from_units(i64::MAX, TimeUnit::Seconds).as_secs(), i64::MAX as u64);
    }
}
