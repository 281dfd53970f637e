//! Times as RFC 3339 text (2002), and nothing else: no week dates, no zone names, no bare offsets.

use jiff::civil::DateTime;

/// The milliseconds since 1970 that the text says, cut downwards; `None` for any other text.
///
/// A leap second counts as the second before it. As section 5.6 of the RFC allows, `t` and `z` may
/// be lower case, and a space may stand for the `T`.
pub(super) fn milliseconds(text: &[u8]) -> Option<i64> {
    const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    let (date_time, rest) = text.split_first_chunk::<19>()?;
    let (fraction_ms, offset) = fraction(rest)?;
    let since_epoch = civil(*date_time)?.duration_since(EPOCH);
    Some((since_epoch.as_secs() - offset_seconds(offset)?) * 1_000 + fraction_ms)
}

/// `YYYY-MM-DDThh:mm:ss`.
fn civil(text: [u8; 19]) -> Option<DateTime> {
    let [y1, y2, y3, y4, b'-', o1, o2, b'-', d1, d2, b'T' | b't' | b' ', h1, h2, b':', m1, m2, b':', s1, s2] = text
    else {
        return None;
    };
    let year = i16::from(two_digits(y1, y2)?) * 100 + i16::from(two_digits(y3, y4)?);
    let second = match two_digits(s1, s2)? {
        60 => 59,
        second => second,
    };
    let (month, day) = (two_digits(o1, o2)?, two_digits(d1, d2)?);
    DateTime::new(year, month, day, two_digits(h1, h2)?, two_digits(m1, m2)?, second, 0).ok()
}

/// The whole milliseconds of `.digits`, if there is such a thing, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(text) = text.strip_prefix(b".") else { return Some((0, text)) };
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    let digit = |index: usize| digits.get(index).map_or(0, |digit| i64::from(digit - b'0'));
    if length == 0 { None } else { Some((digit(0) * 100 + digit(1) * 10 + digit(2), rest)) }
}

/// How far local time is ahead of UTC: `Z` or `+hh:mm` or `-hh:mm`.
fn offset_seconds(text: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match *text {
        [b'Z' | b'z'] => return Some(0),
        [b'+', h1, h2, b':', m1, m2] => (1, two_digits(h1, h2)?, two_digits(m1, m2)?),
        [b'-', h1, h2, b':', m1, m2] => (-1, two_digits(h1, h2)?, two_digits(m1, m2)?),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then(|| sign * (i64::from(hours) * 3_600 + i64::from(minutes) * 60))
}

fn two_digits(tens: u8, ones: u8) -> Option<i8> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| (byte - b'0') as i8);
    Some(digit(tens)? * 10 + digit(ones)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_jiff_on_what_both_accept() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2023-02-10T22:53:19.123456789Z",
            "2024-02-29T23:59:59.9+05:30",
            "1969-12-31T23:59:59.999Z",
            "2016-12-31T23:59:60Z",
            "0001-01-01t00:00:00-23:59",
            "9999-12-30 21:59:59.001z",
        ] {
            let jiff: jiff::Timestamp = text.parse().unwrap();
            assert_eq!(
                milliseconds(text.as_bytes()),
                Some(jiff.as_nanosecond().div_euclid(1_000_000) as i64),
                "{text}"
            );
        }
    }

    #[test]
    fn any_number_of_fraction_digits_is_cut_downwards() {
        assert_eq!(milliseconds(b"1970-01-01T00:00:01.0019999999999999999999999Z"), Some(1_001));
        assert_eq!(milliseconds(b"1969-12-31T23:59:59.9989Z"), Some(-2));
        assert_eq!(milliseconds(b"1970-01-01T00:00:01.5Z"), Some(1_500));
    }

    #[test]
    fn the_end_of_the_calendar_is_no_obstacle() {
        assert_eq!(milliseconds(b"9999-12-31T23:59:59-23:59"), Some(253_402_387_139_000));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "2023-02-10",
            "2023-02-10T22:53:19",
            "2023-02-10T22:53Z",
            "2023-02-10T22:53:19.Z",
            "2023-02-10T22:53:19,5Z",
            "2023-02-10T22:53:19+05",
            "2023-02-10T22:53:19+0530",
            "2023-02-10T22:53:19+24:00",
            "2023-02-10T22:53:19+05:60",
            "2023-02-10T22:53:19Z[UTC]",
            "2023-02-10T22:53:19Z ",
            " 2023-02-10T22:53:19Z",
            "2023-02-30T22:53:19Z",
            "2023-13-10T22:53:19Z",
            "2023-02-10T24:00:00Z",
            "2023-02-10T22:60:19Z",
            "2023-02-10T22:53:61Z",
            "2023-W06-5T22:53:19Z",
            "20230210T225319Z",
            "+002023-02-10T22:53:19Z",
            "1676069599",
        ] {
            assert_eq!(milliseconds(text.as_bytes()), None, "{text}");
        }
    }
}
