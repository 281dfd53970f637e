//! Amounts of memory as a person writes them: `"8GiB"`, `"500MB"`.

use std::fmt;

/// An amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// Every unit and its number of bytes, the largest first.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// A text that is no amount of memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBytes {
    /// Not a number with a unit.
    #[error(r#""{0}" is no amount of memory: write a whole number and a unit (B, kB, MB, GB, TB, or KiB, MiB, GiB, TiB), for example "8GiB" or "500MB""#)]
    Malformed(String),
    /// More than there are addresses for.
    #[error(r#""{0}" is too much: nothing has so much memory"#)]
    TooMuch(String),
}

impl Bytes {
    /// Reads a whole number with its unit.
    pub fn parse(text: &str) -> Result<Bytes, InvalidBytes> {
        let malformed = || InvalidBytes::Malformed(text.to_owned());
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim_start();
        let (_, bytes) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(malformed)?;
        if number.is_empty() {
            return Err(malformed());
        }
        let number: u64 = number.parse().map_err(|_| InvalidBytes::TooMuch(text.to_owned()))?;
        let in_all = number.checked_mul(*bytes).filter(|bytes| i64::try_from(*bytes).is_ok());
        in_all.map(Bytes).ok_or_else(|| InvalidBytes::TooMuch(text.to_owned()))
    }
}

/// As one number with the unit that makes it shortest.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, bytes)| self.0 >= *bytes && self.0.is_multiple_of(*bytes));
        let (unit, bytes) = whole.unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_and_written() {
        for (text, bytes) in
            [("8GiB", 8 << 30), ("500MB", 500_000_000), ("64MiB", 64 << 20), ("2TB", 2_000_000_000_000)]
        {
            assert_eq!(Bytes::parse(text), Ok(Bytes(bytes)));
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        assert_eq!(
            [" 16 kib ", "3kB", "7B", "1TiB"].map(|text| Bytes::parse(text).expect(text).0),
            [16 << 10, 3_000, 7, 1 << 40]
        );
        assert_eq!([0, 1_000, 1_001].map(|bytes| Bytes(bytes).to_string()), ["0B", "1kB", "1001B"]);
    }

    #[test]
    fn what_is_no_amount_of_memory_is_refused() {
        for text in ["", "8", "GiB", "1.5GiB", "-1GiB", "8G", "8 Gigabytes", "8GiBs"] {
            assert_eq!(Bytes::parse(text), Err(InvalidBytes::Malformed(text.to_owned())), "{text:?}");
        }
        for text in ["99999999999999999999B", "9999999TiB", "9223372036854775808B"] {
            assert_eq!(Bytes::parse(text), Err(InvalidBytes::TooMuch(text.to_owned())));
        }
    }
}
