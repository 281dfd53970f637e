//! How large an item is, as DynamoDB counts it: for the write units that it takes.
//!
//! ("DynamoDB item sizes and formats" in the service's developer guide: names and texts count their
//! bytes of UTF-8; a number about one byte for two significant digits, and one more; a map three
//! bytes, and one for each entry.)

use aws_sdk_dynamodb::types::AttributeValue;

use super::attributes::{Attributes, attributes_of};
use crate::sink::Item;

/// The size of an item in the table, in bytes; of numbers about.
pub(crate) fn item_bytes(item: &Item) -> usize {
    let counts = item.counts.values().copied();
    entries_bytes(&attributes_of(&item.key, &item.feature_name, counts, item.version, item.expires_at, item.since))
}

fn entries_bytes(attributes: &Attributes) -> usize {
    attributes.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number_bytes(number),
        AttributeValue::M(map) => 3 + map.len() + entries_bytes(map),
        // An item has no others.
        _ => 1,
    }
}

fn number_bytes(number: &str) -> usize {
    let digits = number.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    let significant = digits.trim_matches('0').len();
    let sign = usize::from(number.starts_with('-'));
    significant.div_ceil(2) + 1 + sign
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{Row, batch, pipeline};

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
}
