//! Attribute values: read from the wire with the service's checks, measured by its size rules, compared, written back.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value as Json, json};

use super::answer::Refusal;
use super::number::{Number, normal_bytes, normalised};

pub type Attributes = BTreeMap<String, Value>;

/// Values inside of values, the attribute itself counted.
const MOST_LEVELS: usize = 32;
/// An item's, names and values.
pub const MOST_ITEM_BYTES: usize = 400 * 1024;

const EMPTY: &str = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";
const SEVERAL: &str =
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes";

#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Value {
    S(String),
    /// As the service gives it back.
    N(String),
    /// In base64.
    B(String),
    #[serde(rename = "BOOL")]
    Bool(bool),
    #[serde(rename = "NULL")]
    Null(bool),
    M(Attributes),
    L(Vec<Value>),
    #[serde(rename = "SS")]
    Texts(Vec<String>),
    #[serde(rename = "NS")]
    Numbers(Vec<String>),
    #[serde(rename = "BS")]
    Binaries(Vec<String>),
    /// What the service will say to it.
    #[serde(skip)]
    Refused(Box<Refusal>),
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Kind {
    S,
    N,
    B,
    #[serde(rename = "BOOL")]
    Bool,
    #[serde(rename = "NULL")]
    Null,
    M,
    L,
    #[serde(rename = "SS")]
    Texts,
    #[serde(rename = "NS")]
    Numbers,
    #[serde(rename = "BS")]
    Binaries,
    #[serde(other)]
    Unknown,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an attribute value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut found = None;
        while let Some(kind) = map.next_key::<Kind>()? {
            let value = match kind {
                Kind::S => map.next_value::<Option<String>>()?.map(Value::S),
                Kind::N => map.next_value::<Option<String>>()?.map(|text| number(&text)),
                Kind::B => map.next_value::<Option<String>>()?.map(binary).transpose()?,
                Kind::Bool => map.next_value::<Option<bool>>()?.map(Value::Bool),
                Kind::Null => map.next_value::<Option<bool>>()?.map(Value::Null),
                Kind::M => map.next_value::<Option<Attributes>>()?.map(Value::M),
                Kind::L => map.next_value::<Option<Vec<Value>>>()?.map(Value::L),
                Kind::Texts => map.next_value::<Option<Vec<String>>>()?.map(Value::Texts),
                Kind::Numbers => map.next_value::<Option<Vec<String>>>()?.map(numbers),
                Kind::Binaries => map.next_value::<Option<Vec<String>>>()?.map(Value::Binaries),
                Kind::Unknown => map.next_value::<IgnoredAny>().map(|_| None)?,
            };
            found = match (found, value) {
                (found, None) => found,
                (None, value) => value,
                (Some(_), Some(_)) => Some(refused(Refusal::invalid(SEVERAL))),
            };
        }
        Ok(found.unwrap_or_else(|| refused(Refusal::invalid(EMPTY))))
    }
}

fn binary<E: serde::de::Error>(base64: String) -> Result<Value, E> {
    match base64::engine::general_purpose::STANDARD.decode(&base64) {
        Ok(_) => Ok(Value::B(base64)),
        Err(error) => Err(E::custom(error)),
    }
}

fn refused(refusal: Refusal) -> Value {
    Value::Refused(Box::new(refusal))
}

fn number(text: &str) -> Value {
    normalised(text).map_or_else(refused, Value::N)
}

fn numbers(texts: Vec<String>) -> Value {
    texts.iter().map(|text| normalised(text)).collect::<Result<_, _>>().map_or_else(refused, Value::Numbers)
}

/// What an item's attributes must be, whatever the table.
pub fn check_attributes(attributes: &Attributes) -> Result<(), Refusal> {
    check_map(attributes, 0)
}

fn check_map(attributes: &Attributes, level: usize) -> Result<(), Refusal> {
    for (name, value) in attributes {
        if name.is_empty() {
            return Err(Refusal::invalid("One or more parameter values were invalid: Empty attribute name"));
        }
        value.check(level + 1)?;
    }
    Ok(())
}

impl Value {
    /// `level`: how many values this one is in, itself counted.
    pub fn check(&self, level: usize) -> Result<(), Refusal> {
        let refuse = |what: &str| Err(Refusal::invalid(format!("One or more parameter values were invalid: {what}")));
        if level > MOST_LEVELS {
            return Err(Refusal::invalid("Nesting Levels have exceeded supported limits"));
        }
        match self {
            Value::Refused(refusal) => Err((**refusal).clone()),
            Value::Null(false) => refuse("Null attribute value types must have the value of true"),
            Value::M(map) => check_map(map, level),
            Value::L(list) => list.iter().try_for_each(|value| value.check(level + 1)),
            Value::Texts(set) if set.is_empty() => refuse("An string set  may not be empty"),
            Value::Numbers(set) if set.is_empty() => refuse("An number set  may not be empty"),
            Value::Binaries(set) if set.is_empty() => refuse("Binary sets should not be empty"),
            Value::Texts(set) | Value::Binaries(set) | Value::Numbers(set) => {
                let mut sorted: Vec<&String> = set.iter().collect();
                sorted.sort();
                sorted.dedup();
                if sorted.len() == set.len() {
                    return Ok(());
                }
                refuse(&format!("Input collection [{}] contains duplicates", set.join(", ")))
            }
            _ => Ok(()),
        }
    }

    /// The name of its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::S(_) => "S",
            Value::N(_) => "N",
            Value::B(_) => "B",
            Value::Bool(_) => "BOOL",
            Value::Null(_) => "NULL",
            Value::M(_) => "M",
            Value::L(_) => "L",
            Value::Texts(_) => "SS",
            Value::Numbers(_) => "NS",
            Value::Binaries(_) => "BS",
            Value::Refused(_) => "?",
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            Value::S(text) => text.len(),
            Value::N(text) => normal_bytes(text),
            Value::B(base64) => binary_bytes(base64),
            Value::Bool(_) | Value::Null(_) | Value::Refused(_) => 1,
            Value::M(map) => 3 + map.len() + item_bytes(map),
            Value::L(list) => 3 + list.len() + list.iter().map(Value::bytes).sum::<usize>(),
            Value::Texts(set) => set.iter().map(String::len).sum(),
            Value::Numbers(set) => set.iter().map(|text| normal_bytes(text)).sum(),
            Value::Binaries(set) => set.iter().map(|base64| binary_bytes(base64)).sum(),
        }
    }

    /// The order of two numbers, texts or binaries; none between values of other or of different types.
    pub fn order(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::S(a), Value::S(b)) => Some(a.cmp(b)),
            (Value::N(a), Value::N(b)) => Some(Number::parse(a).ok()?.cmp(&Number::parse(b).ok()?)),
            _ => None,
        }
    }

    pub fn to_json(&self) -> Json {
        json!(self)
    }
}

/// The size of an item.
pub fn item_bytes(attributes: &Attributes) -> usize {
    attributes.iter().map(|(name, value)| name.len() + value.bytes()).sum()
}

fn binary_bytes(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}
