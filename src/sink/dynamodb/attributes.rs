//! Items as DynamoDB's attributes, and back.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::counter::{DecayInterval, EventTime};
use crate::epoch::Version;
use crate::sink::{Count, Item, ItemRef, SinkError};

/// An item or a map in it.
pub(super) type Attributes = HashMap<String, AttributeValue>;

/// The table's HASH key.
pub(super) const KEY: &str = "key";
/// The table's RANGE key.
pub(super) const FEATURE_NAME: &str = "featureName";
/// The table's TTL attribute.
pub(super) const EXPIRES_AT: &str = "expiresAt";
const COUNTS: &str = "counts";
pub(super) const VERSION: &str = "version";
const SINCE: &str = "since";
const DECAY_INTERVAL: &str = "decayInterval";
const LAST_UPDATE: &str = "lastUpdate";
const VALUE: &str = "value";
const SQUARES: &str = "squares";
const ERROR: &str = "error";

/// The item as it is put into the table.
pub(super) fn attributes(item: &ItemRef<'_>) -> Attributes {
    attributes_of(&item.key_text(), item.feature_name, item.counts(), item.version, item.expires_at, item.since)
}

/// The attributes of an item that is made of these.
pub(super) fn attributes_of(
    key: &str,
    feature_name: &str,
    counts: impl Iterator<Item = Count>,
    version: Version,
    expires_at: Option<i64>,
    since: Option<EventTime>,
) -> Attributes {
    let counts = counts.map(|count| (count.decay_interval.units().to_string(), count_attributes(&count)));
    let mut attributes = identity(key, feature_name);
    attributes.insert(COUNTS.to_owned(), AttributeValue::M(counts.collect()));
    attributes.insert(VERSION.to_owned(), number(version.0));
    if let Some(expires_at) = expires_at {
        attributes.insert(EXPIRES_AT.to_owned(), number(expires_at));
    }
    if let Some(since) = since {
        attributes.insert(SINCE.to_owned(), number(since.0));
    }
    attributes
}

/// The attributes of the table's key.
pub(super) fn identity(key: &str, feature_name: &str) -> Attributes {
    HashMap::from([
        (KEY.to_owned(), AttributeValue::S(key.to_owned())),
        (FEATURE_NAME.to_owned(), AttributeValue::S(feature_name.to_owned())),
    ])
}

fn count_attributes(count: &Count) -> AttributeValue {
    let mut attributes = HashMap::from([
        (DECAY_INTERVAL.to_owned(), number(count.decay_interval.units())),
        (LAST_UPDATE.to_owned(), number(count.last_update.0)),
        (VALUE.to_owned(), float(count.value)),
    ]);
    let optional = [(SQUARES, count.squares), (ERROR, count.error)];
    attributes.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), float(value?)))));
    AttributeValue::M(attributes)
}

/// The shortest text that reads back as the same f64; with an exponent where it is long.
fn float(number: f64) -> AttributeValue {
    AttributeValue::N(format!("{number:?}"))
}

pub(super) fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// The item that the attributes are; an error that names what they are not.
pub(super) fn item(attributes: &Attributes) -> Result<Item, SinkError> {
    read_item(attributes).map_err(|NotAnItem(attribute)| {
        let name = |attribute| text(attributes, attribute).unwrap_or_default();
        let (key, feature_name) = (name(KEY), name(FEATURE_NAME));
        SinkError::new(format!(
            "DynamoDB: key `{key}`, feature `{feature_name}` is no item of this program: the attribute `{attribute}` is \
             missing or is something else"
        ))
    })
}

/// The name of an attribute that is not as it must be.
struct NotAnItem(&'static str);

/// The version of the item that the attributes are; `None` where they are none.
pub(super) fn version(attributes: &Attributes) -> Option<Version> {
    parsed(attributes, VERSION).ok().map(Version)
}

fn read_item(attributes: &Attributes) -> Result<Item, NotAnItem> {
    let counts = attributes.get(COUNTS).and_then(|counts| counts.as_m().ok()).ok_or(NotAnItem(COUNTS))?;
    Ok(Item {
        key: text(attributes, KEY)?.to_owned(),
        feature_name: text(attributes, FEATURE_NAME)?.to_owned(),
        counts: counts.values().map(read_count).collect::<Result<BTreeMap<_, _>, _>>()?,
        version: Version(parsed(attributes, VERSION)?),
        expires_at: optional(attributes, EXPIRES_AT)?,
        since: optional(attributes, SINCE)?.map(EventTime),
    })
}

fn read_count(entry: &AttributeValue) -> Result<(DecayInterval, Count), NotAnItem> {
    let entry = entry.as_m().map_err(|_| NotAnItem(COUNTS))?;
    let interval = DecayInterval::new(parsed(entry, DECAY_INTERVAL)?).map_err(|_| NotAnItem(DECAY_INTERVAL))?;
    let count = Count {
        decay_interval: interval,
        last_update: EventTime(parsed(entry, LAST_UPDATE)?),
        value: parsed(entry, VALUE)?,
        squares: optional(entry, SQUARES)?,
        error: optional(entry, ERROR)?,
    };
    Ok((interval, count))
}

fn text<'a>(attributes: &'a Attributes, name: &'static str) -> Result<&'a str, NotAnItem> {
    attributes.get(name).and_then(|value| value.as_s().ok()).map(String::as_str).ok_or(NotAnItem(name))
}

fn parsed<T: std::str::FromStr>(attributes: &Attributes, name: &'static str) -> Result<T, NotAnItem> {
    optional(attributes, name)?.ok_or(NotAnItem(name))
}

fn optional<T: std::str::FromStr>(attributes: &Attributes, name: &'static str) -> Result<Option<T>, NotAnItem> {
    let Some(value) = attributes.get(name) else { return Ok(None) };
    let text = value.as_n().map_err(|_| NotAnItem(name))?;
    text.parse().map(Some).map_err(|_| NotAnItem(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{Row, batch, pipeline};

    #[test]
    fn an_item_reads_back_as_it_was_written() {
        let pipeline = pipeline();
        for value in [3.2, 0.1 + 0.2, -1e-130, 9e125, 0.0, 1e16, 123_456_789.0] {
            let batch = batch(&[Row::new("a|b", "like").value(value).version(1 << 41)]);
            let written = batch.items(&pipeline).next().unwrap();
            assert_eq!(item(&attributes(&written)).unwrap(), written.to_item());
        }
        let batch = batch(&[Row::new("a", "like").since(1_707_605_000)]);
        let written = batch.items(&pipeline).next().unwrap();
        assert_eq!(attributes(&written)["since"], AttributeValue::N("1707605000".to_owned()));
        assert_eq!(item(&attributes(&written)).unwrap(), written.to_item());
    }

    #[test]
    fn an_item_has_the_published_attributes() {
        let (pipeline, batch) = (pipeline(), batch(&[Row::new("1234", "like").value(1.6)]));
        let attributes = attributes(&batch.items(&pipeline).next().unwrap());
        let n = |text: &str| AttributeValue::N(text.to_owned());
        let mut names: Vec<_> = attributes.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["counts", "expiresAt", "featureName", "key", "version"]);
        assert_eq!(attributes["version"], n("1"));
        assert_eq!(attributes["expiresAt"], n("1708210399"));
        let ten = attributes["counts"].as_m().unwrap()["10"].as_m().unwrap();
        let expected = [("decayInterval", n("10")), ("lastUpdate", n("1707605599")), ("value", n("3.2"))];
        assert_eq!(*ten, expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn what_is_no_item_is_named() {
        let (pipeline, batch) = (pipeline(), batch(&[Row::new("1234", "like")]));
        let mut attributes = attributes(&batch.items(&pipeline).next().unwrap());
        attributes.insert("version".to_owned(), AttributeValue::S("new".to_owned()));
        let error = item(&attributes).unwrap_err().to_string();
        assert!(error.contains("key `1234`, feature `like`") && error.contains("`version`"), "{error}");
    }
}
