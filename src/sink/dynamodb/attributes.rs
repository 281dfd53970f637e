//! Items as DynamoDB's attributes, and back.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::counter::{DecayInterval, EventTime};
use crate::epoch::Version;
use crate::pipeline::Encoding;
use crate::reading::mapped::{ByInterval, MappedFeature};
use crate::reading::{KeyHead, KeyPart, sort_key, split_sort_key};
use crate::sink::key_item::{KeyItem, mapped};
use crate::sink::{Count, Item, ItemRef, SinkError};

/// An item or a map in it.
pub(super) type Attributes = HashMap<String, AttributeValue>;

/// The table's HASH key.
pub(super) const KEY: &str = "key";
/// The table's RANGE key in the layout `feature`.
pub(super) const FEATURE_NAME: &str = "featureName";
/// The table's RANGE key in the layout `key`.
pub(super) const KEY_FIELDS: &str = "keyFields";
/// The table's TTL attribute.
pub(super) const EXPIRES_AT: &str = "expiresAt";
pub(super) const COUNTS: &str = "counts";
pub(super) const VERSION: &str = "version";
pub(super) const SINCE: &str = "since";
pub(super) const DECAY_INTERVAL: &str = "decayInterval";
pub(super) const LAST_UPDATE: &str = "lastUpdate";
pub(super) const VALUE: &str = "value";
pub(super) const SQUARES: &str = "squares";
pub(super) const ERROR: &str = "error";
pub(super) const FEATURES: &str = "features";
pub(super) const VALUES: &str = "values";
pub(super) const ERRORS: &str = "errors";

/// The item as it is put into the table.
pub(super) fn attributes(item: &ItemRef<'_>) -> Attributes {
    let counts = item.counts().map(|count| (count.decay_interval.units().to_string(), count_attributes(&count)));
    let mut attributes = identity(&item.key_text(), item.feature_name);
    attributes.insert(COUNTS.to_owned(), AttributeValue::M(counts.collect()));
    describe(&mut attributes, item.version, item.expires_at, item.since);
    attributes
}

/// A part of the item of all features of a key, as it is put into the table.
pub(super) fn key_attributes(item: &KeyItem<'_>, encoding: Encoding, part: u32) -> Attributes {
    let features = match encoding {
        Encoding::Packed => AttributeValue::B(Blob::new(item.packed())),
        Encoding::Map => {
            let feature = |item: &ItemRef<'_>| (item.feature_name.to_owned(), feature_attributes(&mapped(item)));
            AttributeValue::M(item.features.iter().map(feature).collect())
        }
    };
    let mut attributes = HashMap::from([
        (KEY.to_owned(), AttributeValue::S(item.key_text().into_owned())),
        (KEY_FIELDS.to_owned(), AttributeValue::S(sort_key(&item.fields, part))),
        (FEATURES.to_owned(), features),
    ]);
    describe(&mut attributes, item.version, item.expires_at, item.since);
    attributes
}

/// Adds what every item says of itself.
fn describe(attributes: &mut Attributes, version: Version, expires_at: Option<i64>, since: Option<EventTime>) {
    attributes.insert(VERSION.to_owned(), number(version.0));
    if let Some(expires_at) = expires_at {
        attributes.insert(EXPIRES_AT.to_owned(), number(expires_at));
    }
    if let Some(since) = since {
        attributes.insert(SINCE.to_owned(), number(since.0));
    }
}

fn feature_attributes(feature: &MappedFeature) -> AttributeValue {
    let map = |numbers: &ByInterval| {
        let entry = |(interval, value): (&DecayInterval, &f64)| (interval.units().to_string(), float(*value));
        AttributeValue::M(numbers.iter().map(entry).collect())
    };
    let mut attributes = HashMap::from([
        (LAST_UPDATE.to_owned(), number(feature.last_update.0)),
        (VALUES.to_owned(), map(&feature.values)),
    ]);
    attributes.extend(feature.expires_at.map(|expires_at| (EXPIRES_AT.to_owned(), number(expires_at))));
    for (name, numbers) in [(SQUARES, &feature.squares), (ERRORS, &feature.errors)] {
        if !numbers.is_empty() {
            attributes.insert(name.to_owned(), map(numbers));
        }
    }
    AttributeValue::M(attributes)
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

/// What stands in a table of either layout.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stored {
    /// An item of one feature.
    Feature(Item),
    /// A part of the item of a key, whose fields have this text.
    Part { key: String, fields: String, part: KeyPart },
}

/// What the attributes are, of either layout; an error that names what they are not.
pub(super) fn stored(attributes: &Attributes) -> Result<Stored, SinkError> {
    let read = match attributes.contains_key(KEY_FIELDS) {
        true => read_part(attributes),
        false => read_item(attributes).map(Stored::Feature),
    };
    read.map_err(|NotAnItem(attribute, detail)| {
        let name = |attribute| text(attributes, attribute).unwrap_or_default();
        let (key, feature_name, fields) = (name(KEY), name(FEATURE_NAME), name(KEY_FIELDS));
        let (sort, what) = if fields.is_empty() { ("feature", feature_name) } else { (KEY_FIELDS, fields) };
        let detail =
            detail.map_or("is missing or is something else".to_owned(), |detail| format!("is damaged: {detail}"));
        SinkError::new(format!(
            "DynamoDB: key `{key}`, {sort} `{what}` is no item of this program: the attribute `{attribute}` {detail}"
        ))
    })
}

/// The name of an attribute that is not as it must be, and what is wrong with it if more is known.
struct NotAnItem(&'static str, Option<String>);

fn missing(attribute: &'static str) -> NotAnItem {
    NotAnItem(attribute, None)
}

/// The version of the item that the attributes are; `None` where they are none.
pub(super) fn version(attributes: &Attributes) -> Option<Version> {
    parsed(attributes, VERSION).ok().map(Version)
}

fn read_item(attributes: &Attributes) -> Result<Item, NotAnItem> {
    let counts = attributes.get(COUNTS).and_then(|counts| counts.as_m().ok()).ok_or(missing(COUNTS))?;
    Ok(Item {
        key: text(attributes, KEY)?.to_owned(),
        feature_name: text(attributes, FEATURE_NAME)?.to_owned(),
        counts: counts.values().map(read_count).collect::<Result<BTreeMap<_, _>, _>>()?,
        version: Version(parsed(attributes, VERSION)?),
        expires_at: optional(attributes, EXPIRES_AT)?,
        since: optional(attributes, SINCE)?.map(EventTime),
    })
}

fn read_part(attributes: &Attributes) -> Result<Stored, NotAnItem> {
    let key = text(attributes, KEY)?;
    let (fields, number) = split_sort_key(text(attributes, KEY_FIELDS)?).ok_or(missing(KEY_FIELDS))?;
    let version = Version(parsed(attributes, VERSION)?);
    let head = KeyHead { key, version, since: optional(attributes, SINCE)?.map(EventTime) };
    let items = match attributes.get(FEATURES) {
        Some(AttributeValue::B(bytes)) => {
            head.unpack(bytes.as_ref()).map_err(|damaged| NotAnItem(FEATURES, Some(damaged.to_string())))?
        }
        Some(AttributeValue::M(map)) => head.items_of(read_map(map)?),
        _ => return Err(missing(FEATURES)),
    };
    Ok(Stored::Part { key: key.to_owned(), fields: fields.to_owned(), part: KeyPart { number, version, items } })
}

fn read_map(map: &Attributes) -> Result<BTreeMap<String, MappedFeature>, NotAnItem> {
    let feature = |(name, entry): (&String, &AttributeValue)| {
        let entry = entry.as_m().map_err(|_| missing(FEATURES))?;
        let feature = MappedFeature {
            last_update: EventTime(parsed(entry, LAST_UPDATE)?),
            expires_at: optional(entry, EXPIRES_AT)?,
            values: numbers(entry, VALUES)?.ok_or(missing(VALUES))?,
            squares: numbers(entry, SQUARES)?.unwrap_or_default(),
            errors: numbers(entry, ERRORS)?.unwrap_or_default(),
        };
        Ok((name.clone(), feature))
    };
    map.iter().map(feature).collect()
}

fn numbers(feature: &Attributes, name: &'static str) -> Result<Option<ByInterval>, NotAnItem> {
    let Some(numbers) = feature.get(name) else { return Ok(None) };
    let number = |(interval, number): (&String, &AttributeValue)| {
        let interval = interval.parse().ok().and_then(|units| DecayInterval::new(units).ok());
        let number = number.as_n().ok().and_then(|number| number.parse().ok());
        interval.zip(number).ok_or(missing(name))
    };
    numbers.as_m().map_err(|_| missing(name))?.iter().map(number).collect::<Result<_, _>>().map(Some)
}

fn read_count(entry: &AttributeValue) -> Result<(DecayInterval, Count), NotAnItem> {
    let entry = entry.as_m().map_err(|_| missing(COUNTS))?;
    let interval = DecayInterval::new(parsed(entry, DECAY_INTERVAL)?).map_err(|_| missing(DECAY_INTERVAL))?;
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
    attributes.get(name).and_then(|value| value.as_s().ok()).map(String::as_str).ok_or(missing(name))
}

fn parsed<T: std::str::FromStr>(attributes: &Attributes, name: &'static str) -> Result<T, NotAnItem> {
    optional(attributes, name)?.ok_or(missing(name))
}

fn optional<T: std::str::FromStr>(attributes: &Attributes, name: &'static str) -> Result<Option<T>, NotAnItem> {
    let Some(value) = attributes.get(name) else { return Ok(None) };
    let text = value.as_n().map_err(|_| missing(name))?;
    text.parse().map(Some).map_err(|_| missing(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{Row, batch, pipeline};

    fn item(attributes: &Attributes) -> Result<Item, SinkError> {
        match stored(attributes)? {
            Stored::Feature(item) => Ok(item),
            part => panic!("{part:?}"),
        }
    }

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

    #[test]
    fn a_key_reads_back_in_either_encoding_and_what_is_damaged_is_named() {
        let (pipeline, batch) = (pipeline(), batch(&[Row::new("a|b", "like").value(0.1).version(1 << 41).since(5)]));
        let key = KeyItem::all_of(&batch, &pipeline).next().unwrap();
        let expected = batch.items(&pipeline).next().unwrap().to_item();
        for encoding in [Encoding::Packed, Encoding::Map] {
            let attributes = key_attributes(&key, encoding, 3);
            let Stored::Part { key: _, fields, part } = stored(&attributes).unwrap() else { panic!("{attributes:?}") };
            assert_eq!((&*fields, part.number, part.version), ("userId", 3, Version(1 << 41)));
            assert_eq!(part.items, std::slice::from_ref(&expected));
            let mut names: Vec<_> = attributes.keys().map(String::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, ["expiresAt", "features", "key", "keyFields", "since", "version"]);
        }
        let mut attributes = key_attributes(&key, Encoding::Packed, 0);
        attributes.insert(FEATURES.to_owned(), AttributeValue::B(Blob::new([1, 1, 0, 0])));
        let error = stored(&attributes).unwrap_err().to_string();
        let told = ["key `a|b`", "keyFields `userId#0`", "`features` is damaged: byte 4: a number that does not end"];
        assert!(told.iter().all(|text| error.contains(text)), "{error}");
        attributes.insert(KEY_FIELDS.to_owned(), AttributeValue::S("userId".to_owned()));
        assert!(stored(&attributes).unwrap_err().to_string().contains("`keyFields` is missing"));
    }

    #[test]
    fn a_map_has_the_published_attributes() {
        let (pipeline, batch) = (pipeline(), batch(&[Row::new("1234", "like").value(1.6)]));
        let key = KeyItem::all_of(&batch, &pipeline).next().unwrap();
        let attributes = key_attributes(&key, Encoding::Map, 0);
        let n = |text: &str| AttributeValue::N(text.to_owned());
        let like = attributes["features"].as_m().unwrap()["like"].as_m().unwrap();
        let values = [("5", n("1.6")), ("10", n("3.2")), ("15", n("4.800000000000001"))];
        let values = AttributeValue::M(values.map(|(name, value)| (name.to_owned(), value)).into());
        let expected = [("lastUpdate", n("1707605599")), ("expiresAt", n("1708210399")), ("values", values)];
        assert_eq!(*like, expected.map(|(name, value)| (name.to_owned(), value)).into());
    }
}
