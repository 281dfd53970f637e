//! The time of an event: from the text of a number, or of a string, to whole units, exactly.
//!
//! Nothing goes through a float: `1707605599123456789.5` keeps its last digit. The cost is linear
//! in the text, whatever the exponent says.
//!
//! A negative time, however small or large, is [`Reason::NegativeTime`]; `-0`, `-0.0` and `-0e9`
//! are 0. A time that is past what an `i64` holds is later than any limit: [`Reason::TimeAhead`].

use super::schema::TimeUnit;
use super::token::TokenKind;
use super::{Reason, TimeFault, rfc3339, swar};

/// What the time field says. `text` is a number as it stands or a string's content; with any other
/// kind of token it does not matter.
pub(super) fn read(unit: TimeUnit, kind: TokenKind, text: &[u8]) -> Result<i64, Reason> {
    match (unit, kind) {
        (TimeUnit::Rfc3339, TokenKind::Text | TokenKind::EscapedText) => {
            let milliseconds = rfc3339::milliseconds(text).ok_or(fault(unit, kind))?;
            if milliseconds < 0 { Err(Reason::NegativeTime) } else { Ok(milliseconds) }
        }
        (TimeUnit::Rfc3339, _) => Err(fault(unit, kind)),
        (_, TokenKind::Integer) => integer(text),
        (_, TokenKind::Decimal) => decimal(text),
        (_, TokenKind::Text | TokenKind::EscapedText) => match number_in(text) {
            Some(TokenKind::Integer) => integer(text),
            Some(_) => decimal(text),
            None => Err(fault(unit, kind)),
        },
        _ => Err(fault(unit, kind)),
    }
}

/// What is wrong with a time field of this kind that says no time.
pub(super) fn fault(unit: TimeUnit, kind: TokenKind) -> Reason {
    Reason::BadTime(match (kind, unit) {
        (TokenKind::Absent, _) => TimeFault::Missing,
        (_, TimeUnit::Rfc3339) => TimeFault::NotRfc3339,
        _ => TimeFault::NoNumber,
    })
}

/// Which kind of number the text is: `-?digits`, or the same with a fraction, an exponent or both.
/// Leading zeros are fine here, though JSON has none.
#[inline]
fn number_in(text: &[u8]) -> Option<TokenKind> {
    let rest = skip_digits(text.strip_prefix(b"-").unwrap_or(text))?;
    if rest.is_empty() {
        return Some(TokenKind::Integer);
    }
    let rest = match rest {
        [b'.', fraction @ ..] => skip_digits(fraction)?,
        rest => rest,
    };
    let rest = match rest {
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => skip_digits(exponent)?,
        rest => rest,
    };
    rest.is_empty().then_some(TokenKind::Decimal)
}

/// What follows the digits at the text's beginning, of which there must be one.
fn skip_digits(text: &[u8]) -> Option<&[u8]> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| &text[digits..])
}

/// `-?digits`.
#[inline]
fn integer(text: &[u8]) -> Result<i64, Reason> {
    match text.strip_prefix(b"-") {
        None => digits(text),
        Some(size) if size.iter().all(|&digit| digit == b'0') => Ok(0),
        Some(_) => Err(Reason::NegativeTime),
    }
}

/// Any number of digits, leading zeros among them.
#[inline]
fn digits(text: &[u8]) -> Result<i64, Reason> {
    let mut number = 0_u64;
    let mut rest = text;
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        // The next step would overflow: 19 digits fit, and leading zeros before them.
        if number > 99_999_999_999 {
            return Err(Reason::TimeAhead);
        }
        number = number * 100_000_000 + swar::eight_digits(u64::from_le_bytes(*eight));
        rest = behind;
    }
    for digit in rest {
        let next = number.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(digit - b'0')));
        number = next.ok_or(Reason::TimeAhead)?;
    }
    i64::try_from(number).map_err(|_| Reason::TimeAhead)
}

/// `-?digits[.digits][e[+-]digits]`, cut downwards to a whole number.
fn decimal(text: &[u8]) -> Result<i64, Reason> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(size) => (true, size),
        None => (false, text),
    };
    let mantissa_end = text.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(text.len());
    let (mantissa, exponent) = text.split_at(mantissa_end);
    let point = mantissa.iter().position(|&byte| byte == b'.').unwrap_or(mantissa.len());
    let whole = &mantissa[..point];
    let fraction = mantissa.get(point + 1..).unwrap_or_default();

    // All digits in a row; the exponent only says how many of them stand before the point.
    let Some(leading_zeros) = whole.iter().chain(fraction).position(|&digit| digit != b'0') else { return Ok(0) };
    if negative {
        return Err(Reason::NegativeTime);
    }
    let before_point = (whole.len() as i64).saturating_add(exponent_of(exponent));
    let significant = before_point.saturating_sub(leading_zeros as i64);
    if significant > 19 {
        return Err(Reason::TimeAhead);
    }
    let padded = whole.iter().chain(fraction).copied().chain(std::iter::repeat(b'0'));
    let number = padded
        .skip(leading_zeros)
        .take(significant.max(0) as usize)
        .fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    i64::try_from(number).map_err(|_| Reason::TimeAhead)
}

/// The number behind the `e`; 0 without one, and the largest there is for one that is larger.
fn exponent_of(text: &[u8]) -> i64 {
    let (sign, digits) = match text {
        [] => return 0,
        [_, b'-', digits @ ..] => (-1, digits),
        [_, b'+', digits @ ..] | [_, digits @ ..] => (1, digits),
    };
    let size = digits.iter().fold(0_i64, |size, digit| size.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    sign * size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Result<i64, Reason> {
        let kind = if text.contains(['.', 'e', 'E']) { TokenKind::Decimal } else { TokenKind::Integer };
        read(TimeUnit::Nanoseconds, kind, text.as_bytes())
    }

    fn string(text: &str) -> Result<i64, Reason> {
        read(TimeUnit::Seconds, TokenKind::Text, text.as_bytes())
    }

    #[test]
    fn integers_are_taken_as_they_stand() {
        assert_eq!(number("0"), Ok(0));
        assert_eq!(number("-0"), Ok(0));
        assert_eq!(number("1707605599"), Ok(1_707_605_599));
        assert_eq!(number("12345678"), Ok(12_345_678));
        assert_eq!(number("9223372036854775807"), Ok(i64::MAX));
    }

    #[test]
    fn what_no_i64_holds_is_negative_or_ahead() {
        for text in ["9223372036854775808", "18446744073709551616", "99999999999999999999", "999999999999999999999999"]
        {
            assert_eq!(number(text), Err(Reason::TimeAhead), "{text}");
            assert_eq!(number(&format!("-{text}")), Err(Reason::NegativeTime), "{text}");
            assert_eq!(string(text), Err(Reason::TimeAhead), "{text}");
        }
    }

    #[test]
    fn decimals_are_cut_downwards_exactly() {
        assert_eq!(number("1707605599123456789.5"), Ok(1_707_605_599_123_456_789));
        assert_eq!(number("1707605599123456789.99999999999999999999"), Ok(1_707_605_599_123_456_789));
        assert_eq!(number("9223372036854775807.9"), Ok(i64::MAX));
        assert_eq!(number("9223372036854775808.0"), Err(Reason::TimeAhead));
        assert_eq!(number("1.707605599e9"), Ok(1_707_605_599));
        assert_eq!(number("1.7076055999E+9"), Ok(1_707_605_599));
        assert_eq!(number("17076055990e-1"), Ok(1_707_605_599));
        assert_eq!(number("0.000012345e6"), Ok(12));
        assert_eq!(number("1e0"), Ok(1));
        assert_eq!(number("0.9"), Ok(0));
    }

    #[test]
    fn the_size_of_the_exponent_does_not_matter() {
        assert_eq!(number("1e400"), Err(Reason::TimeAhead));
        assert_eq!(number("1e19"), Err(Reason::TimeAhead));
        assert_eq!(number("18446744073709551617.5"), Err(Reason::TimeAhead));
        assert_eq!(number("1e99999999999999999999999999"), Err(Reason::TimeAhead));
        assert_eq!(number("1e-99999999999999999999999999"), Ok(0));
        assert_eq!(number("0e99999999999999999999999999"), Ok(0));
        assert_eq!(number("0.0e-400"), Ok(0));
        let zeros = "0".repeat(1_000_000);
        assert_eq!(number(&format!("0.{zeros}17e1000002")), Ok(17));
        assert_eq!(number(&format!("17{zeros}e-1000000")), Ok(17));
        assert_eq!(number(&format!("1{zeros}")), Err(Reason::TimeAhead));
    }

    #[test]
    fn less_than_nothing_is_negative_and_nothing_is_not() {
        for text in ["-1", "-0.5", "-1e-400", "-1e400", "-0.0000001"] {
            assert_eq!(number(text), Err(Reason::NegativeTime), "{text}");
        }
        for text in ["-0.0", "-0e9", "-0.000e-5"] {
            assert_eq!(number(text), Ok(0), "{text}");
        }
    }

    #[test]
    fn strings_hold_any_number_and_nothing_else() {
        assert_eq!(string("1707605599"), Ok(1_707_605_599));
        assert_eq!(string("1707605613.9"), Ok(1_707_605_613));
        assert_eq!(string("1.7076055999e+9"), Ok(1_707_605_599));
        assert_eq!(string("17E8"), Ok(1_700_000_000));
        assert_eq!(string("0000000000000000000000000007"), Ok(7));
        assert_eq!(string("-0.0"), Ok(0));
        for text in ["-5", "-0.1", "-007", "-1e-400"] {
            assert_eq!(string(text), Err(Reason::NegativeTime), "{text}");
        }
        for text in [
            "",
            "-",
            "+5",
            " 5",
            "5 ",
            "5.",
            ".5",
            "1e",
            "1e+",
            "1.e3",
            "e5",
            "--5",
            "1.5.2",
            "1e3.5",
            "1,5",
            "NaN",
            "Infinity",
            "1_000",
            "abc",
            "1707605599x",
            "0x10",
            "\u{0665}",
        ] {
            assert_eq!(string(text), Err(Reason::BadTime(TimeFault::NoNumber)), "{text}");
        }
    }
}
