//! The pipeline file as it is written: every key that it may have, with its place in the text.
//!
//! Nothing is judged here but the form; [`super::expand`] says what it means. Keys without a
//! default are required, unknown ones are refused.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use toml::Spanned;

use super::choices::{ClockKind, Encoding, RatioKind, RawLayout, StartOffset};
use crate::event::{Ahead, TimeUnit};

/// A string and its place.
pub(super) type Text = Spanned<String>;

/// What to count of an event stream, and where to publish it: a pipeline of counter-machine.
///
/// In every text, `${NAME}` and `${NAME:-default}` are taken from the environment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section")]
#[schemars(title = "A pipeline of counter-machine", rename = "Pipeline")]
pub(super) struct RawPipeline {
    /// The pipeline's name.
    #[schemars(with = "String")]
    pub name: Text,
    /// Where items go: `dynamodb`, `sqlite:PATH`, `jsonl:PATH`, `jsonl:-` or `none`; `--sink` replaces it.
    #[schemars(with = "Option<String>")]
    pub sink: Option<Text>,
    /// What an event looks like.
    pub event: RawEvent,
    /// What is counted together, and how often it is published.
    #[serde(default)]
    pub window: RawWindow,
    /// How often a table gets what has changed, and in what items.
    #[serde(default)]
    pub publish: RawPublish,
    /// The topic that is read when no `--events` is given.
    pub kafka: Option<RawKafka>,
    /// Where the sink `dynamodb` writes.
    #[serde(default)]
    pub dynamodb: RawDynamoDb,
    /// The state that is kept, so that a run goes on where the last one ended.
    #[serde(default)]
    pub checkpoint: RawCheckpoint,
    /// What becomes of events that cannot be counted.
    #[serde(default)]
    pub dead_letters: RawDeadLetters,
    /// How much may be held in memory; without it, what the groups' ttls leave.
    #[serde(default)]
    pub limits: RawLimits,
    /// Where a run serves its metrics, its health and its page; without it, nowhere.
    #[serde(default)]
    pub http: RawHttp,
    /// What is counted: one or more groups.
    #[serde(default)]
    #[schemars(with = "Vec<RawGroup>")]
    pub counters: Vec<Spanned<RawGroup>>,
    /// Which of the features that the groups make are kept; without it, all.
    #[schemars(with = "Option<RawFeatures>")]
    pub features: Option<Spanned<RawFeatures>>,
    /// Ratios of two features of one key, computed where they are read (`get`).
    #[serde(default)]
    pub ratios: Vec<RawRatio>,
}

/// What an event looks like: one JSON object.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section")]
#[schemars(rename = "Event")]
pub(super) struct RawEvent {
    /// The field with the event's name.
    #[schemars(with = "String")]
    pub name: Text,
    /// The field with the event's time.
    #[schemars(with = "String")]
    pub time: Text,
    /// The unit of the event's time since 1970, or `rfc3339` for text, which is kept in ms.
    #[serde(default)]
    pub time_unit: TimeUnit,
    /// How much later than its arrival an event may be; `none`: no limit; 1m by default.
    #[schemars(with = "Option<String>")]
    pub max_ahead: Option<Text>,
    /// What becomes of an event that is further ahead; `dead_letter` by default.
    #[schemars(with = "Option<Ahead>")]
    pub ahead: Option<Spanned<Ahead>>,
    /// The field with the time of arrival, in the event's time unit; by default the source says when an event arrived.
    #[schemars(with = "Option<String>")]
    pub arrival: Option<Text>,
    /// A longer line or message is a dead letter; 1048576 by default.
    #[schemars(with = "Option<i64>")]
    pub max_bytes: Option<Spanned<i64>>,
    /// What events count as: another event, another weight.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, RawMapping>")]
    pub map: BTreeMap<Text, Spanned<RawMapping>>,
}

/// What an event counts as.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section, as in { event = \"like\", weight = -1 }")]
#[schemars(rename = "Mapping")]
pub(super) struct RawMapping {
    /// The event that it counts as.
    #[schemars(with = "Option<String>")]
    pub event: Option<Text>,
    /// What it weighs; a negative weight takes back.
    #[schemars(with = "Option<f64>")]
    pub weight: Option<Spanned<RawNumber>>,
}

/// A number of either kind.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a weight is a number, as in weight = -1")]
pub(super) enum RawNumber {
    Integer(i64),
    Decimal(f64),
}

/// A share: a number of either kind.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a share is a number, as in min_change = 0.01")]
pub(super) enum RawShare {
    Integer(i64),
    Decimal(f64),
}

/// How often a table gets what has changed, what of it is held back, and in what items it comes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section")]
#[schemars(rename = "Publish")]
pub(super) struct RawPublish {
    /// The time from one publication to the next, at least 100ms; by default the window's length, but 30s at least where
    /// event logs are read to their end. At the end of a run everything is published.
    #[schemars(with = "Option<String>")]
    pub every: Option<Text>,
    /// What has changed by no more than this is held back: relative to what its item shows, for each decay; 0 by default:
    /// nothing is.
    #[schemars(with = "Option<f64>", range(min = 0.0, max = 1.0))]
    pub min_change: Option<Spanned<RawShare>>,
    /// What is held back is published all the same after so long; 10m by default.
    #[schemars(with = "Option<String>")]
    pub max_age: Option<Text>,
    /// Nothing is published before everything is counted that there was when the run began; false by default.
    #[schemars(with = "Option<bool>")]
    pub hold_until_caught_up: Option<Spanned<bool>>,
    /// What an item of a table (`dynamodb`, `sqlite`) holds: one `feature` of a key, the default, or all features of a
    /// `key`.
    pub layout: Option<RawLayout>,
    /// How the features of a key stand in their item, with `layout = "key"`: `packed` into bytes, the default, or as a `map`.
    #[schemars(with = "Option<Encoding>")]
    pub encoding: Option<Spanned<Encoding>>,
}

/// The same of a group.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section")]
#[schemars(rename = "GroupPublish")]
pub(super) struct RawGroupPublish {
    /// The time from one publication to the next, at least 100ms.
    #[schemars(with = "Option<String>")]
    pub every: Option<Text>,
    /// What has changed by no more than this is held back: relative to what its item shows, for each decay.
    #[schemars(with = "Option<f64>", range(min = 0.0, max = 1.0))]
    pub min_change: Option<Spanned<RawShare>>,
    /// What is held back is published all the same after so long.
    #[schemars(with = "Option<String>")]
    pub max_age: Option<Text>,
}

/// What is counted together, and how often it is published.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section")]
#[schemars(rename = "Window")]
pub(super) struct RawWindow {
    /// How long a window is, at least 100ms; 5s by default.
    #[schemars(with = "Option<String>")]
    pub length: Option<Text>,
    /// What drives windows; by default `wall` for Kafka and `event` for event logs.
    pub clock: Option<ClockKind>,
    /// Events per epoch, at least, with the event clock; 50000 by default.
    #[schemars(with = "Option<i64>")]
    pub replay_batch: Option<Spanned<i64>>,
}

/// The topic that is read when no `--events` is given.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section")]
#[schemars(rename = "Kafka")]
pub(super) struct RawKafka {
    /// `HOST:PORT`, several with commas.
    #[schemars(with = "String")]
    pub brokers: Text,
    /// The topic.
    #[schemars(with = "String")]
    pub topic: Text,
    /// Where a run without a checkpoint begins; `earliest` by default.
    pub start: Option<StartOffset>,
    /// A run with a state commits its offsets to this consumer group, for dashboards; named like the pipeline by default.
    #[schemars(with = "Option<String>")]
    pub group: Option<Text>,
    /// Passed through to librdkafka as they stand.
    #[serde(default)]
    pub options: BTreeMap<String, RawOption>,
}

/// The value of one of librdkafka's options.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "an option of librdkafka is a string, an integer, true or false")]
#[schemars(rename = "Option")]
pub(super) enum RawOption {
    Text(String),
    Integer(i64),
    Flag(bool),
}

/// Where the sink `dynamodb` writes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section")]
#[schemars(rename = "DynamoDb")]
pub(super) struct RawDynamoDb {
    /// The table; named like the pipeline by default.
    #[schemars(with = "Option<String>")]
    pub table: Option<Text>,
    /// Another endpoint than AWS's own; empty: AWS.
    #[schemars(with = "Option<String>")]
    pub endpoint: Option<Text>,
    /// The AWS region; us-east-1 by default.
    pub region: Option<String>,
    /// Every write is conditional on the item's version, one request for each: nothing ever goes back; false by default.
    pub fence: Option<bool>,
    /// A request that is not answered within this time is given up; 15s by default.
    #[schemars(with = "Option<String>")]
    pub request_timeout: Option<Text>,
    /// How long a request that was given up may still be carried out: nothing newer of its items is written until then; 10s
    /// by default.
    #[schemars(with = "Option<String>")]
    pub settle: Option<Text>,
    /// So many write units a second, at most: what has changed least is put off; `none` by default.
    #[schemars(with = "Option<RawBudget>")]
    pub budget_wcu: Option<Spanned<RawBudget>>,
}

/// A number of write units a second, or `"none"`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "budget_wcu must be a whole number of at least 1, or \"none\"")]
#[schemars(rename = "Budget")]
pub(super) enum RawBudget {
    Number(i64),
    Word(String),
}

/// The state that is kept, so that a run goes on where the last one ended, however that came.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section")]
#[schemars(rename = "Checkpoint")]
pub(super) struct RawCheckpoint {
    /// The time from one checkpoint to the next, at least 1s; 30s by default.
    #[schemars(with = "Option<String>")]
    pub every: Option<Text>,
    /// Where the state of runs from Kafka is kept: a folder, or `s3://BUCKET/PREFIX`; `--state` replaces it.
    pub dir: Option<String>,
}

/// What becomes of events that cannot be counted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section")]
#[schemars(rename = "DeadLetters")]
pub(super) struct RawDeadLetters {
    /// The file they are appended to; dead_letters.jsonl by default.
    pub path: Option<String>,
    /// More than this many stop the run with an error; `none` by default.
    #[schemars(with = "Option<RawLimit>")]
    pub max: Option<Spanned<RawLimit>>,
}

/// How much may be held in memory. Near the limit, keys that are worth least are evicted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section")]
#[schemars(rename = "Limits")]
pub(super) struct RawLimits {
    /// The most rows that a run may hold, all its workers together.
    #[schemars(with = "Option<i64>", range(min = 1))]
    pub rows: Option<Spanned<i64>>,
    /// The most memory that rows may take in each process, for example `8GiB` or `500MB`.
    #[schemars(with = "Option<String>")]
    pub memory: Option<Text>,
}

/// Where a run serves its metrics, its health and its page.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section")]
#[schemars(rename = "Http")]
pub(super) struct RawHttp {
    /// The address, as `127.0.0.1:9400`, or a port of this machine alone; port 0 is any that is free. `--http` replaces it.
    #[schemars(with = "Option<String>")]
    pub listen: Option<Text>,
}

/// A number, or `"none"`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "max must be a whole number or \"none\"")]
#[schemars(rename = "Limit")]
pub(super) enum RawLimit {
    Number(i64),
    Word(String),
}

/// A counter group: every measure of every event, for every key, with every decay.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section")]
#[schemars(rename = "Group")]
pub(super) struct RawGroup {
    /// The group's name.
    #[schemars(with = "String")]
    pub name: Text,
    /// The fields that make the key, in this order; one or more.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub key: Spanned<Vec<Text>>,
    /// The events that count.
    #[schemars(with = "RawEvents")]
    pub events: Spanned<RawEvents>,
    /// `count`, `sum(FIELD)`, `uniques(FIELD)`; `count` by default.
    #[schemars(with = "Option<Vec<String>>", length(min = 1))]
    pub measures: Option<Spanned<Vec<Text>>>,
    /// Decay intervals: the times in which a counter falls to 1/e, for example `10m`, `1d`.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub decays: Spanned<Vec<Text>>,
    /// Registers of a sketch of `uniques(FIELD)`: more cost memory and make estimates better; 256 by default.
    #[schemars(with = "Option<u16>")]
    pub uniques_registers: Option<Spanned<usize>>,
    /// The features' names, with the places `{group}`, `{event}` and `{measure}`;
    /// `{group}.{event}.{measure}` by default. Without `{event}` all events share one feature.
    #[schemars(with = "Option<String>")]
    pub feature: Option<Text>,
    /// A row without an event for so long is forgotten; `none`: never; 7d or 40 of the longest
    /// decay by default, whichever is longer.
    #[schemars(with = "Option<String>")]
    pub ttl: Option<Text>,
    /// How often a table gets what has changed of this group; without it, as `[publish]` says.
    #[serde(default)]
    pub publish: RawGroupPublish,
    /// The field with an event's weight: a number.
    #[schemars(with = "Option<String>")]
    pub weight: Option<Text>,
    /// Key fields that hold lists: the event counts once for each of their different members.
    #[schemars(with = "Option<Vec<String>>")]
    pub explode: Option<Spanned<Vec<Text>>>,
    /// Only events whose fields have one of these values count.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Wanted>")]
    pub r#where: BTreeMap<Text, Spanned<RawWanted>>,
    /// Events whose fields have one of these values do not count.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Wanted>")]
    pub where_not: BTreeMap<Text, Spanned<RawWanted>>,
}

/// One value, or a list of values: what editors are told of [`RawWanted`].
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Wanted {
    One(RawScalar),
    Any(Vec<RawScalar>),
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
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Scalar")]
pub(super) enum RawScalar {
    Text(String),
    Integer(i64),
    Flag(bool),
}

/// Which features are kept, by patterns on their names: `*` stands for any text, `?` for any one
/// character.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section")]
#[schemars(rename = "Features")]
pub(super) struct RawFeatures {
    /// Only features that one of these patterns matches are kept.
    #[schemars(with = "Option<Vec<String>>", length(min = 1))]
    pub keep: Option<Spanned<Vec<Text>>>,
    /// And of those, none that one of these patterns matches.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub drop: Vec<Text>,
}

/// A ratio of two features of one key, computed where it is read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section")]
#[schemars(rename = "Ratio")]
pub(super) struct RawRatio {
    /// The ratio's name; no feature may have it.
    #[schemars(with = "String")]
    pub name: Text,
    /// The feature above the line.
    #[schemars(with = "String")]
    pub numerator: Text,
    /// The feature below the line, with the same key.
    #[schemars(with = "String")]
    pub denominator: Text,
    /// `proportion` where what is counted above is a part of what is counted below: then `get` says what the
    /// ratio is at least; `quotient` by default.
    #[schemars(with = "Option<RatioKind>")]
    pub kind: Option<Spanned<RatioKind>>,
    /// What the ratio is taken to be before anything is known, and how much that weighs.
    #[schemars(with = "Option<RawPrior>")]
    pub prior: Option<Spanned<RawPrior>>,
}

/// Added to both sides of a ratio, it draws a ratio of little towards that of the prior.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a section")]
#[schemars(rename = "Prior")]
pub(super) struct RawPrior {
    /// Added to the numerator.
    pub numerator: f64,
    /// Added to the denominator.
    pub denominator: f64,
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

impl JsonSchema for RawEvents {
    fn schema_name() -> Cow<'static, str> {
        "Events".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "\"*\", every event; or a list of event names.",
            "oneOf": [{ "const": "*" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }],
        })
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
