//! The pipeline file as it is written: every key that it may have, with its place in the text.
//!
//! Nothing is judged here but the form; [`super::expand`] says what it means. Keys without a
//! default are required, unknown ones are refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use toml::Spanned;

use super::error::{Fault, did_you_mean};
use super::{ClockKind, StartOffset};
use crate::event::TimeUnit;

/// A string and its place.
pub(super) type Text = Spanned<String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct RawPipeline {
    pub name: Text,
    pub sink: Option<String>,
    pub event: RawEvent,
    #[serde(default)]
    pub window: RawWindow,
    pub kafka: Option<RawKafka>,
    #[serde(default)]
    pub dynamodb: RawDynamoDb,
    pub checkpoint: Option<Spanned<RawCheckpoint>>,
    #[serde(default)]
    pub dead_letters: RawDeadLetters,
    #[serde(default)]
    pub counters: Vec<Spanned<RawGroup>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct RawEvent {
    pub name: Text,
    pub time: Text,
    #[serde(default)]
    pub time_unit: TimeUnit,
    pub max_ahead: Option<Text>,
    pub max_bytes: Option<Spanned<i64>>,
    #[serde(default)]
    pub map: BTreeMap<Text, Spanned<RawMapping>>,
}

/// What an event counts as.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section, as in { event = \"like\", weight = -1 }")]
pub(super) struct RawMapping {
    pub event: Option<Text>,
    pub weight: Option<Spanned<RawNumber>>,
}

/// A number of either kind.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a weight is a number, as in weight = -1")]
pub(super) enum RawNumber {
    Integer(i64),
    Decimal(f64),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct RawWindow {
    pub length: Option<Text>,
    pub clock: Option<ClockKind>,
    pub replay_batch: Option<Spanned<i64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct RawKafka {
    pub brokers: Text,
    pub topic: Text,
    pub start: Option<StartOffset>,
    #[serde(default)]
    pub options: BTreeMap<String, RawOption>,
}

/// The value of one of librdkafka's options.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "an option of librdkafka is a string, an integer, true or false")]
pub(super) enum RawOption {
    Text(String),
    Integer(i64),
    Flag(bool),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct RawDynamoDb {
    pub table: Option<Text>,
    pub endpoint: Option<String>,
    pub region: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct RawCheckpoint {
    pub every: Option<Text>,
    #[expect(dead_code, reason = "taken for its form only, until there is state")]
    pub dir: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct RawDeadLetters {
    pub path: Option<String>,
    pub max: Option<Spanned<RawLimit>>,
}

/// A number, or `"none"`.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "max must be a whole number or \"none\"")]
pub(super) enum RawLimit {
    Number(i64),
    Word(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct RawGroup {
    pub name: Text,
    pub key: Spanned<Vec<Text>>,
    pub events: Spanned<RawEvents>,
    pub measures: Option<Spanned<Vec<Text>>>,
    pub decays: Spanned<Vec<Text>>,
    pub uniques_registers: Option<Spanned<usize>>,
    pub feature: Option<Text>,
    pub ttl: Option<Text>,
    pub weight: Option<Text>,
    pub explode: Option<Spanned<Vec<Text>>>,
    #[serde(default)]
    pub r#where: BTreeMap<Text, Spanned<RawWanted>>,
    #[serde(default)]
    pub where_not: BTreeMap<Text, Spanned<RawWanted>>,
}

/// The values that a condition is about.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a condition is a string, an integer, true or false, or a list of them")]
pub(super) enum RawWanted {
    One(RawScalar),
    Any(Vec<RawScalar>),
    /// What TOML makes of a path without quotes.
    #[expect(dead_code, reason = "taken for its form only, to say what was meant")]
    Section(BTreeMap<String, IgnoredAny>),
}

/// What may be part of a key.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum RawScalar {
    Text(String),
    Integer(i64),
    Flag(bool),
}

/// `"*"`, or a list of event names.
#[derive(Debug)]
pub(super) enum RawEvents {
    All,
    Listed(Vec<Text>),
}

impl<'de> Deserialize<'de> for RawEvents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawEvents, D::Error> {
        deserializer.deserialize_any(EventsVisitor)
    }
}

/// Written out because a derived choice would lose the places of the names.
struct EventsVisitor;

impl<'de> Visitor<'de> for EventsVisitor {
    type Value = RawEvents;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("\"*\" or a list of event names")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RawEvents, E> {
        match text {
            "*" => Ok(RawEvents::All),
            _ => Err(E::custom(format!("events is \"*\" or a list of event names: write events = [\"{text}\"]"))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<RawEvents, A::Error> {
        let mut listed = Vec::new();
        while let Some(name) = names.next_element()? {
            listed.push(name);
        }
        Ok(RawEvents::Listed(listed))
    }
}

/// What to write for a required key, for the error that it is missing.
const EXAMPLES: [(&str, &str); 8] = [
    ("name", "name = \"...\""),
    ("event", "[event] with name = \"eventName\" and time = \"eventTs\""),
    ("time", "time = \"eventTs\""),
    ("brokers", "brokers = \"localhost:9092\""),
    ("topic", "topic = \"events\""),
    ("key", "key = [\"userId\"]"),
    ("events", "events = \"*\" or events = [\"like\"]"),
    ("decays", "decays = [\"10m\", \"1d\"]"),
];

/// How the TOML reader's words are put into ours.
const WORDS: [(&str, &str); 4] = [
    ("type: map, expected a sequence", "type: section, expected a list: write [[counters]]"),
    ("expected a sequence", "expected a list"),
    ("type: map", "type: section"),
    ("\n", "; "),
];

/// The TOML reader's error in our words: what it says of unknown and missing keys can be helped.
pub(super) fn explain(error: &toml::de::Error) -> Fault {
    let message = error.message().trim_end();
    // serde puts what was found, then what is known, into backticks.
    let mut quoted = message.split('`').skip(1).step_by(2);
    let found = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.collect();
    let list = known.join(", ");
    let message = if message.starts_with("unknown field") {
        format!("unknown key \"{found}\"{} (here may stand: {list})", did_you_mean(found, known))
    } else if message.starts_with("unknown variant") {
        format!("unknown value \"{found}\"{} (it may be: {list})", did_you_mean(found, known))
    } else if message.starts_with("missing field") {
        let example = EXAMPLES.iter().find(|(key, _)| *key == found);
        let hint = example.map(|(_, text)| format!(": write {text}")).unwrap_or_default();
        format!("\"{found}\" is missing{hint}")
    } else {
        WORDS.iter().fold(message.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
    };
    Fault::new(error.span().unwrap_or_default(), message)
}
