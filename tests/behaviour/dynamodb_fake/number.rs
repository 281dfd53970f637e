//! Numbers as DynamoDB takes them and gives them back: decimal, up to 38 significant digits, 0 or a magnitude from 1e-130
//! to 9.99...e125; given back without an exponent and without zeros that mean nothing.

use std::cmp::Ordering;

use super::answer::Refusal;

const MOST_DIGITS: usize = 38;
/// The largest and the smallest power of ten of a number's first digit.
const LARGEST: i64 = 125;
const SMALLEST: i64 = -130;
/// Exponents beyond are not read as numbers at all.
const MOST_EXPONENT_DIGITS: usize = 10;

/// `0.DIGITS * 10^scale`; no zeros at either end of the digits, and none at all for 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    negative: bool,
    digits: Vec<u8>,
    scale: i64,
}

impl Number {
    pub fn parse(text: &str) -> Result<Number, Refusal> {
        let not_one = || Refusal::invalid(format!("The parameter cannot be converted to a numeric value: {text}"));
        if text.is_empty() {
            return Err(Refusal::invalid("The parameter cannot be converted to a numeric value"));
        }
        let (negative, unsigned) = match text.as_bytes()[0] {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent).ok_or_else(not_one)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if all.is_empty() || !all.iter().all(u8::is_ascii_digit) {
            return Err(not_one());
        }
        let Some(first) = all.iter().position(|digit| *digit != b'0') else {
            return Ok(Number { negative: false, digits: Vec::new(), scale: 0 });
        };
        let last = all.iter().rposition(|digit| *digit != b'0').unwrap_or(first);
        let digits = all[first..=last].to_vec();
        let scale = whole.len() as i64 - first as i64 + exponent;
        Number { negative, digits, scale }.in_range()
    }

    fn in_range(self) -> Result<Number, Refusal> {
        let refuse = |message: &str| Err(Refusal::invalid(message));
        if self.digits.len() > MOST_DIGITS {
            refuse("Attempting to store more than 38 significant digits in a Number")
        } else if self.scale - 1 > LARGEST && !self.is_zero() {
            refuse("Number overflow. Attempting to store a number with magnitude larger than supported range")
        } else if self.scale - 1 < SMALLEST && !self.is_zero() {
            refuse("Number underflow. Attempting to store a number with magnitude smaller than supported range")
        } else {
            Ok(self)
        }
    }

    fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    pub fn to_text(&self) -> String {
        if self.is_zero() {
            return "0".to_owned();
        }
        let mut text = String::new();
        if self.negative {
            text.push('-');
        }
        let zeros = |count: i64| "0".repeat(count.max(0) as usize);
        let digits: String = self.digits.iter().map(|digit| char::from(*digit)).collect();
        let length = digits.len() as i64;
        if self.scale <= 0 {
            text = text + "0." + &zeros(-self.scale) + &digits;
        } else if self.scale >= length {
            text = text + &digits + &zeros(self.scale - length);
        } else {
            let (whole, fraction) = digits.split_at(self.scale as usize);
            text = text + whole + "." + fraction;
        }
        text
    }

    /// The sum, exact as long as it has no more than 38 digits.
    pub fn plus(&self, other: &Number) -> Result<Number, Refusal> {
        let lowest = |number: &Number| number.scale - number.digits.len() as i64;
        let unit = lowest(self).min(lowest(other));
        let units = |number: &Number| -> Option<i128> {
            let digits: i128 =
                if number.is_zero() { 0 } else { std::str::from_utf8(&number.digits).ok()?.parse().ok()? };
            let factor = 10_i128.checked_pow(u32::try_from(lowest(number) - unit).ok()?)?;
            Some(digits.checked_mul(factor)? * if number.negative { -1 } else { 1 })
        };
        let sum = units(self).zip(units(other)).and_then(|(a, b)| a.checked_add(b));
        let sum = sum.ok_or_else(|| {
            Refusal::invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
        })?;
        Number::parse(&format!("{sum}e{unit}"))
    }

    pub fn negated(mut self) -> Number {
        self.negative = !self.negative && !self.is_zero();
        self
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        let sign = |number: &Number| {
            if number.is_zero() {
                0
            } else if number.negative {
                -1
            } else {
                1
            }
        };
        let magnitude = self.scale.cmp(&other.scale).then_with(|| self.digits.cmp(&other.digits));
        match sign(self).cmp(&sign(other)) {
            Ordering::Equal if sign(self) == 0 => Ordering::Equal,
            Ordering::Equal if self.negative => magnitude.reverse(),
            Ordering::Equal => magnitude,
            unequal => unequal,
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || digits.len() > MOST_EXPONENT_DIGITS || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// What the service gives back for a number that it took.
pub fn normalised(text: &str) -> Result<String, Refusal> {
    if is_normal(text) {
        return Ok(text.to_owned());
    }
    Ok(Number::parse(text)?.to_text())
}

/// Whether a text is normal at first sight, as most are; of some that are it may not see it.
fn is_normal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "1"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    text.len() <= MOST_DIGITS
        && is_digits(whole)
        && !whole.starts_with('0')
        && is_digits(fraction)
        && !fraction.ends_with('0')
}

/// The size in bytes of a normal number: one for two digits at an even power of ten, one more, and one for a minus.
pub fn normal_bytes(text: &str) -> usize {
    let unsigned = text.trim_start_matches('-');
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let zeros_behind = |part: &str| part.len() - part.trim_end_matches('0').len();
    let (places, digits) = if whole == "0" {
        let zeros = fraction.len() - fraction.trim_start_matches('0').len();
        (zeros, fraction.len() - zeros)
    } else if fraction.is_empty() {
        (whole.len(), whole.len() - zeros_behind(whole))
    } else {
        (whole.len(), whole.len() + fraction.len())
    };
    let before_first_pair = usize::from(digits > 0 && places % 2 == 1);
    (digits + before_first_pair).div_ceil(2) + 1 + (text.len() - unsigned.len())
}
