//! Holds this reader to the golden files in `tests/golden/reading`; the README there says what their members mean.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;
use crate::counter::{DecayInterval, EventTime};
use crate::event::TimeUnit;
use crate::pipeline::{Prior, Ratio, RatioKind};

macro_rules! cases {
    ($name:literal) => {
        cases(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/reading/", $name)))
    };
}

/// The cases of a file, none of which stands there twice.
fn cases<T: DeserializeOwned>(lines: &str) -> Vec<T> {
    #[derive(Deserialize)]
    struct Named {
        case: String,
    }
    let names: BTreeSet<_> = lines.lines().map(|line| serde_json::from_str::<Named>(line).unwrap().case).collect();
    assert!(names.len() == lines.lines().count() && names.len() > 10);
    lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[derive(Deserialize)]
struct KeyCase {
    case: String,
    values: Vec<String>,
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValueCase {
    case: String,
    count: Count,
    at: EventTime,
    at_is_now: bool,
    value_at: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExpiryCase {
    case: String,
    time_unit: TimeUnit,
    expires_at: Option<i64>,
    at: i64,
    expired_since: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RatioCase {
    case: String,
    ratio: GoldenRatio,
    items: Vec<Item>,
    at: Option<EventTime>,
    #[serde(default)]
    at_is_now: bool,
    reading: Value,
}

#[derive(Deserialize)]
struct GoldenRatio {
    name: String,
    numerator: String,
    denominator: String,
    kind: RatioKind,
    prior: Option<GoldenPrior>,
    decays: Vec<DecayInterval>,
}

#[derive(Deserialize)]
struct GoldenPrior {
    numerator: f64,
    denominator: f64,
}

impl From<GoldenRatio> for Ratio {
    fn from(golden: GoldenRatio) -> Ratio {
        let GoldenRatio { name, numerator, denominator, kind, prior, decays } = golden;
        let prior = prior.map(|prior| Prior { numerator: prior.numerator, denominator: prior.denominator });
        Ratio { name, numerator, denominator, kind, prior, decays }
    }
}

fn is_near(value: f64, expected: f64) -> bool {
    (value - expected).abs() <= 1e-12 * expected.abs()
}

/// Whether two JSON values are the same, fractions nearly so.
fn agrees(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Array(values), Value::Array(others)) => {
            values.len() == others.len() && values.iter().zip(others).all(|(value, other)| agrees(value, other))
        }
        (Value::Object(members), Value::Object(others)) => {
            let has = |(name, member)| others.get(name).is_some_and(|other| agrees(member, other));
            members.len() == others.len() && members.iter().all(has)
        }
        (Value::Number(number), Value::Number(other)) if number.is_f64() && other.is_f64() => {
            number.as_f64().zip(other.as_f64()).is_some_and(|(number, other)| is_near(number, other))
        }
        _ => value == expected,
    }
}

#[test]
fn keys() {
    for KeyCase { case, values, text } in cases!("keys.jsonl") {
        let mut made = Vec::new();
        append_key(values.iter().map(String::as_bytes), &mut made);
        assert_eq!(String::from_utf8(made).unwrap(), text, "{case}");
        assert_eq!(split_key(&text, values.len()), values, "{case}");
    }
}

#[test]
fn values() {
    for ValueCase { case, count, at, at_is_now, value_at } in cases!("values.jsonl") {
        let value = ReadAt { time: at, is_now: at_is_now }.value(&count);
        let agrees = value.zip(value_at).map_or(value == value_at, |(value, expected)| is_near(value, expected));
        assert!(agrees, "{case}: {value:?} is not {value_at:?}");
    }
}

#[test]
fn expiry() {
    for ExpiryCase { case, time_unit, expires_at, at, expired_since } in cases!("expiry.jsonl") {
        let item = Item { expires_at, ..fixtures::item("like", 0, 1.0, None) };
        assert_eq!(item.expired_since(time_unit.to_seconds(at)), expired_since, "{case}");
    }
}

#[test]
fn ratios() {
    for RatioCase { case, ratio, items, at, at_is_now, reading } in cases!("ratios.jsonl") {
        let at = at.map(|time| ReadAt { time, is_now: at_is_now });
        let read = serde_json::to_value(RatioReading::of(&ratio.into(), "p", &items, at)).unwrap();
        assert!(agrees(&read, &reading), "{case}:\n{read:#}\nis not\n{reading:#}");
    }
}
