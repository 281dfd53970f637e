//! How large an item is, as DynamoDB counts it: for the write units that it takes, and for its limit.
//!
//! ("DynamoDB item sizes and formats" in the service's developer guide: names and texts count their
//! bytes of UTF-8, binary values theirs; a number about one byte for two significant digits, and one more; a map three
//! bytes, and one for each entry.) Of numbers it is true to a byte each, so of items in the layout `key` that are packed to three.
//! Nothing is allocated for it.

use std::fmt::{self, Write as _};

use super::attributes::{
    COUNTS, DECAY_INTERVAL, ERROR, ERRORS, EXPIRES_AT, FEATURE_NAME, FEATURES, KEY, KEY_FIELDS, LAST_UPDATE, SINCE,
    SQUARES, VALUE, VALUES, VERSION,
};
use crate::counter::{DecayInterval, EventTime};
use crate::pipeline::Encoding;
use crate::sink::key_item::KeyItem;
use crate::sink::{Count, Item, ItemRef, published};

/// What a write unit of DynamoDB writes, in bytes.
pub(crate) const WRITE_UNIT_BYTES: usize = 1024;

/// How many write units an item of so many bytes takes.
pub(crate) fn write_units(item_bytes: usize) -> u64 {
    item_bytes.div_ceil(WRITE_UNIT_BYTES).max(1) as u64
}

/// The size of an item of one feature in the table, in bytes.
pub(crate) fn item_bytes(item: &Item) -> usize {
    let head = Head { key: &item.key, sort: item.feature_name.len(), expires_at: item.expires_at, since: item.since };
    head.bytes(FEATURE_NAME, item.version.0) + counts_bytes(item.counts.values().copied())
}

/// The same of one that is on its way.
pub(crate) fn item_ref_bytes(item: &ItemRef<'_>) -> usize {
    let (key, expires_at, since) = (item.key_text(), item.expires_at, item.since);
    let head = Head { key: &key, sort: item.feature_name.len(), expires_at, since };
    head.bytes(FEATURE_NAME, item.version.0) + counts_bytes(item.counts())
}

/// The size of an item of all features of a key, or of a part of them.
pub(crate) fn key_item_bytes(item: &KeyItem<'_>, encoding: Encoding) -> usize {
    let features = match encoding {
        Encoding::Packed => item.packed_length(),
        Encoding::Map => MAP + item.features.iter().map(mapped_bytes).sum::<usize>(),
    };
    key_head_bytes(item) + FEATURES.len() + features
}

/// What stands in the item beside its features.
fn key_head_bytes(item: &KeyItem<'_>) -> usize {
    let key = item.key_text();
    // The part's number takes no more than this while there are no more than 1,000.
    let sort = item.fields.len() + "#000".len();
    Head { key: &key, sort, expires_at: item.expires_at, since: item.since }.bytes(KEY_FIELDS, item.version.0)
}

/// What every item has.
struct Head<'a> {
    key: &'a str,
    /// The length of the sort key.
    sort: usize,
    expires_at: Option<i64>,
    since: Option<EventTime>,
}

impl Head<'_> {
    fn bytes(&self, sort_name: &str, version: u64) -> usize {
        let number = |name: &str, number: Option<i64>| number.map_or(0, |number| name.len() + number_bytes(number));
        KEY.len()
            + self.key.len()
            + sort_name.len()
            + self.sort
            + VERSION.len()
            + number_bytes(version)
            + number(EXPIRES_AT, self.expires_at)
            + number(SINCE, self.since.map(|since| since.0))
    }
}

/// A map without its entries, and what each of these takes beside its name and its value.
const MAP: usize = 3;
const ENTRY: usize = 1;

fn counts_bytes(counts: impl Iterator<Item = Count>) -> usize {
    COUNTS.len()
        + MAP
        + counts.map(|count| ENTRY + interval_length(count.decay_interval) + count_bytes(&count)).sum::<usize>()
}

fn count_bytes(count: &Count) -> usize {
    let optional =
        |name: &str, number: Option<f64>| number.map_or(0, |number| ENTRY + name.len() + float_bytes(number));
    // An entry each for the interval, the last update and the value.
    MAP + 3 * ENTRY
        + DECAY_INTERVAL.len()
        + number_bytes(count.decay_interval.units())
        + LAST_UPDATE.len()
        + number_bytes(count.last_update.0)
        + VALUE.len()
        + float_bytes(count.value)
        + optional(SQUARES, count.squares)
        + optional(ERROR, count.error)
}

fn mapped_bytes(item: &ItemRef<'_>) -> usize {
    let numbers = |name: &str, numbers: &[f64]| {
        let entry = |(interval, number): (&DecayInterval, &f64)| {
            ENTRY + interval_length(*interval) + float_bytes(published(*number))
        };
        let entries: usize = item.group.decays.intervals().iter().zip(numbers).map(entry).sum();
        if numbers.is_empty() { 0 } else { ENTRY + name.len() + MAP + entries }
    };
    let expires_at = item.expires_at.map_or(0, |second| ENTRY + EXPIRES_AT.len() + number_bytes(second));
    let last_update = ENTRY + LAST_UPDATE.len() + number_bytes(item.last_update.0);
    let values = numbers(VALUES, item.values) + numbers(SQUARES, item.squares) + numbers(ERRORS, item.errors);
    ENTRY + item.feature_name.len() + MAP + last_update + expires_at + values
}

/// The length of an interval as a name.
fn interval_length(interval: DecayInterval) -> usize {
    interval.units().ilog10() as usize + 1
}

fn float_bytes(number: f64) -> usize {
    // As it is sent.
    digits(format_args!("{number:?}"))
}

fn number_bytes(number: impl fmt::Display) -> usize {
    digits(format_args!("{number}"))
}

fn digits(number: fmt::Arguments<'_>) -> usize {
    let mut digits = Digits::default();
    // Nothing that is only counted fails.
    let _ = digits.write_fmt(number);
    digits.significant.div_ceil(2) + 1 + usize::from(digits.is_negative)
}

/// Counts the significant digits of what is written to it.
#[derive(Default)]
struct Digits {
    significant: usize,
    /// Those behind the last that is not 0.
    zeros: usize,
    is_negative: bool,
    in_exponent: bool,
}

impl fmt::Write for Digits {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            match byte {
                _ if self.in_exponent => {}
                b'-' => self.is_negative = true,
                b'e' => self.in_exponent = true,
                b'0' if self.significant > 0 => self.zeros += 1,
                b'1'..=b'9' => {
                    self.significant += self.zeros + 1;
                    self.zeros = 0;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;
    use crate::sink::dynamodb::attributes::{Attributes, attributes, key_attributes};
    use crate::sink::fixtures::{Row, batch, pipeline};

    /// What the developer guide says, of attributes as they are sent.
    fn entries_bytes(attributes: &Attributes) -> usize {
        attributes.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
    }

    fn value_bytes(value: &AttributeValue) -> usize {
        match value {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(number) => text_bytes(number),
            AttributeValue::B(bytes) => bytes.as_ref().len(),
            AttributeValue::M(map) => 3 + map.len() + entries_bytes(map),
            _ => panic!("an item has no others"),
        }
    }

    fn text_bytes(number: &str) -> usize {
        let digits = number.split(['e', 'E']).next().unwrap_or_default();
        let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
        let significant = digits.trim_matches('0').len();
        significant.div_ceil(2) + 1 + usize::from(number.starts_with('-'))
    }

    #[test]
    fn numbers_take_a_byte_for_two_significant_digits() {
        let sizes = ["0", "7", "1200", "1707605599", "-3.2", "0.05", "1e-130", "3.141592653589793"].map(number_bytes);
        assert_eq!(sizes, [1, 2, 2, 6, 3, 2, 2, 9]);
    }

    #[test]
    fn an_item_is_as_large_as_its_names_and_values() {
        let (pipeline, batch) = (pipeline(), batch(&[Row::new("1234", "like").value(1.6)]));
        let item = batch.items(&pipeline).next().unwrap().to_item();
        // key 3 + 4, featureName 11 + 4, version 7 + 2, expiresAt 9 + 6
        let top = 7 + 15 + 9 + 15;
        // an entry: decayInterval 13, lastUpdate 10 + 6, value 5, a map of three; and their numbers
        let entry = 13 + 16 + 5 + 3 + 3;
        let (five, ten, fifteen) = (1 + entry + 2 + 2, 2 + entry + 2 + 2, 2 + entry + 2 + 9);
        // counts: its name, a map of three
        assert_eq!(item_bytes(&item), top + 6 + 3 + 3 + five + ten + fifteen);
    }

    #[test]
    fn sizes_are_those_of_the_attributes_that_are_sent() {
        let pipeline = pipeline();
        for value in [1.0, 0.0, -0.1, 1.0 / 3.0, 1e-130, 9e125, 100.0, 120_000.5] {
            let rows = ["like", "view", "a long name ü"]
                .map(|name| Row::new("1234", name).value(value).version(1 << 40).since(5));
            let batch = batch(&rows);
            for item in batch.items(&pipeline) {
                let expected = entries_bytes(&attributes(&item));
                assert_eq!((item_ref_bytes(&item), item_bytes(&item.to_item())), (expected, expected), "{value}");
            }
            let mut key = KeyItem::all_of(&batch, &pipeline).next().unwrap();
            key.features = batch.items(&pipeline).collect();
            key.features.sort_by_key(|item| item.feature_name);
            for encoding in [Encoding::Packed, Encoding::Map] {
                let sent = entries_bytes(&key_attributes(&key, encoding, 0));
                // A part's number is taken for three digits.
                assert_eq!(key_item_bytes(&key, encoding), sent + 2, "{value} {encoding:?}");
            }
        }
    }

    #[test]
    fn a_write_unit_is_a_kibibyte_that_was_begun() {
        assert_eq!([0, 1, 1_024, 1_025, 4_096].map(write_units), [1, 1, 1, 2, 4]);
    }
}
