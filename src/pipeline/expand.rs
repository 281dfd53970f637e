//! From what is written to what is meant: checks every section but the counters, and fills in the
//! defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::checkpoint::CheckpointConfig;
use super::checks::{at_least, duration, duration_or_none, not_empty};
use super::choices::StartOffset;
use super::counters::expand_groups;
use super::duration::to_units;
use super::error::Fault;
use super::event_map::expand_map;
use super::fields::Fields;
use super::http::HttpConfig;
use super::limits::Limits;
use super::model::{DeadLetterConfig, DynamoDbConfig, KafkaConfig, Pipeline, WindowConfig};
use super::publish::PublishConfig;
use super::ratio::ratios;
use super::raw::{
    RawBudget, RawDeadLetters, RawDynamoDb, RawEvent, RawKafka, RawLimit, RawOption, RawPipeline, RawWindow, Text,
};
use super::selection::{FeatureSelection, prune};
use super::sink_target::{SinkTarget, UnknownSink};
use crate::counter::DecayInterval;
use crate::event::{Ahead, EventSchema, TimeUnit};

const DEFAULT_WINDOW: Duration = Duration::from_secs(5);
const DEFAULT_REPLAY_BATCH: u64 = 50_000;
/// How much later than its arrival an event may be where the file does not say so.
pub const DEFAULT_MAX_AHEAD: Duration = Duration::from_secs(60);
const DEFAULT_MAX_BYTES: usize = 1 << 20;
const DEFAULT_REGION: &str = "us-east-1";
const SHORTEST_REQUEST_TIMEOUT: Duration = Duration::from_millis(100);
/// The largest `max_bytes`: a few of these are in memory at a time.
const LARGEST_MAX_BYTES: i64 = 1 << 30;

pub(super) fn expand(mut raw: RawPipeline) -> Result<Pipeline, Fault> {
    let name = not_empty(&raw.name, "the pipeline's name")?.to_owned();
    let mut fields = Fields::new(&raw.event)?;
    let mut event_map = expand_map(&raw.event.map)?;
    let unit = raw.event.time_unit;
    let mut groups = expand_groups(&raw.counters, unit, &event_map, &mut fields)?;
    event_map.note_unselected(&groups);
    let features = FeatureSelection::new(raw.features.as_ref(), &groups)?;
    let (ratios, dropped_ratios) = ratios(&raw.ratios, &groups, &features)?;
    if raw.features.is_some() {
        // What is not needed is taken away before it gets its meaning, so that nothing of it is left:
        // no field to extract, no event to look for.
        prune(&mut raw.counters, &groups, &features);
        fields = Fields::new(&raw.event)?;
        groups = expand_groups(&raw.counters, unit, &event_map, &mut fields)?;
    }
    let window = window(&raw.window)?;
    Ok(Pipeline {
        publish: PublishConfig::expand(&raw.publish, &window, &groups, &raw.counters)?,
        event: event(&raw.event, fields)?,
        event_map,
        window,
        kafka: raw.kafka.map(kafka).transpose()?,
        dynamodb: dynamodb(raw.dynamodb, &name)?,
        checkpoint: CheckpointConfig::expand(raw.checkpoint)?,
        dead_letters: dead_letters(raw.dead_letters)?,
        limits: Limits::expand(&raw.limits)?,
        http: HttpConfig::expand(&raw.http)?,
        shift: None,
        sink: sink(raw.sink.as_ref())?,
        groups,
        features,
        ratios,
        dropped_ratios,
        name,
    })
}

/// An empty one, as of a variable that is not set, is none.
fn sink(raw: Option<&Text>) -> Result<Option<SinkTarget>, Fault> {
    let Some(text) = raw.filter(|text| !text.get_ref().is_empty()) else { return Ok(None) };
    text.get_ref().parse().map(Some).map_err(|error: UnknownSink| Fault::new(text.span(), error.to_string()))
}

fn event(raw: &RawEvent, fields: Fields) -> Result<EventSchema, Fault> {
    let max_bytes = match &raw.max_bytes {
        None => DEFAULT_MAX_BYTES,
        Some(bytes) if (1..=LARGEST_MAX_BYTES).contains(bytes.get_ref()) => *bytes.get_ref() as usize,
        Some(bytes) => {
            let message = format!("max_bytes must be from 1 to {LARGEST_MAX_BYTES}, not {}", bytes.get_ref());
            return Err(Fault::new(bytes.span(), message));
        }
    };
    let max_ahead = max_ahead(raw.max_ahead.as_ref(), raw.time_unit)?;
    Ok(EventSchema {
        name_field: fields.name_field().clone(),
        time_field: fields.time_field().clone(),
        time_unit: raw.time_unit,
        max_ahead,
        ahead: ahead(raw.ahead.as_ref(), max_ahead)?,
        arrival_field: fields.arrival_field().cloned(),
        max_bytes,
        fields: fields.into_declared(),
    })
}

/// A limit that no time could pass is none.
fn max_ahead(raw: Option<&Text>, unit: TimeUnit) -> Result<Option<i64>, Fault> {
    let limit = match raw {
        None => Some(DEFAULT_MAX_AHEAD),
        Some(text) => duration_or_none(text)?,
    };
    Ok(limit.and_then(|limit| to_units(limit, unit)).filter(|units| *units <= DecayInterval::MAX_UNITS))
}

/// Without a limit no event is ahead.
fn ahead(raw: Option<&Spanned<Ahead>>, max_ahead: Option<i64>) -> Result<Ahead, Fault> {
    match raw {
        None => Ok(Ahead::default()),
        Some(ahead) if *ahead.get_ref() == Ahead::Arrival && max_ahead.is_none() => {
            let message = "ahead = \"arrival\" needs a limit: with this max_ahead no event is ahead of its arrival";
            Err(Fault::new(ahead.span(), message))
        }
        Some(ahead) => Ok(*ahead.get_ref()),
    }
}

fn window(raw: &RawWindow) -> Result<WindowConfig, Fault> {
    let length = match &raw.length {
        None => DEFAULT_WINDOW,
        Some(text) => {
            let length = duration(text)?;
            if length < WindowConfig::MIN_LENGTH {
                let message = format!("a window is at least 100ms long, not {}", text.get_ref());
                return Err(Fault::new(text.span(), message));
            }
            length
        }
    };
    let replay_batch = match &raw.replay_batch {
        None => DEFAULT_REPLAY_BATCH,
        Some(events) => at_least(events, 1, "replay_batch")?,
    };
    Ok(WindowConfig { length, clock: raw.clock, replay_batch })
}

fn kafka(raw: RawKafka) -> Result<KafkaConfig, Fault> {
    let option = |(name, value)| {
        let text = match value {
            RawOption::Text(text) => text,
            RawOption::Integer(number) => number.to_string(),
            RawOption::Flag(flag) => flag.to_string(),
        };
        (name, text)
    };
    Ok(KafkaConfig {
        brokers: not_empty(&raw.brokers, "brokers")?.to_owned(),
        topic: not_empty(&raw.topic, "topic")?.to_owned(),
        start: raw.start.unwrap_or(StartOffset::Earliest),
        group: raw.group.as_ref().map(|group| not_empty(group, "group")).transpose()?.map(str::to_owned),
        options: raw.options.into_iter().map(option).collect::<BTreeMap<_, _>>(),
    })
}

/// The table is named like the pipeline where the file does not name it.
fn dynamodb(raw: RawDynamoDb, pipeline: &str) -> Result<DynamoDbConfig, Fault> {
    let table = match &raw.table {
        None => pipeline.to_owned(),
        Some(table) if is_table_name(table.get_ref()) => table.get_ref().clone(),
        Some(table) => {
            let message = format!(
                "\"{}\" cannot be the name of a DynamoDB table: that is 3 to 255 letters, digits, \"_\", \"-\" and \".\"",
                table.get_ref()
            );
            return Err(Fault::new(table.span(), message));
        }
    };
    Ok(DynamoDbConfig {
        table,
        endpoint: endpoint(raw.endpoint)?,
        budget_wcu: budget_wcu(raw.budget_wcu.as_ref())?,
        region: raw.region.filter(|region| !region.is_empty()).unwrap_or_else(|| DEFAULT_REGION.to_owned()),
        fence: raw.fence.unwrap_or(false),
        request_timeout: request_timeout(raw.request_timeout)?,
        settle: raw.settle.map_or(Ok(DynamoDbConfig::SETTLE), |settle| duration(&settle))?,
    })
}

fn request_timeout(timeout: Option<Text>) -> Result<Duration, Fault> {
    let Some(text) = timeout else { return Ok(DynamoDbConfig::REQUEST_TIMEOUT) };
    let timeout = duration(&text)?;
    if timeout < SHORTEST_REQUEST_TIMEOUT {
        let message = format!("request_timeout is at least 100ms, not {}: DynamoDB may take longer", text.get_ref());
        return Err(Fault::new(text.span(), message));
    }
    Ok(timeout)
}

fn budget_wcu(raw: Option<&Spanned<RawBudget>>) -> Result<Option<u64>, Fault> {
    let Some(budget) = raw else { return Ok(None) };
    let refuse = |written: &dyn std::fmt::Display| {
        Err(Fault::new(
            budget.span(),
            format!("budget_wcu must be a whole number of at least 1, or \"none\", not {written}"),
        ))
    };
    match budget.get_ref() {
        RawBudget::Word(word) if word == "none" => Ok(None),
        RawBudget::Number(number) if *number >= 1 => Ok(Some(*number as u64)),
        RawBudget::Number(number) => refuse(number),
        RawBudget::Word(word) => refuse(&format!("\"{word}\"")),
    }
}

/// Empty: AWS's own.
fn endpoint(endpoint: Option<Text>) -> Result<Option<String>, Fault> {
    let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.get_ref().is_empty()) else { return Ok(None) };
    if is_endpoint(endpoint.get_ref()) {
        return Ok(Some(endpoint.into_inner()));
    }
    let message = format!(
        "\"{}\" is no endpoint of DynamoDB: it begins with \"http://\" or \"https://\", then a host and, if need be, a \
         port, as in \"http://127.0.0.1:8000\"",
        endpoint.get_ref()
    );
    Err(Fault::new(endpoint.span(), message))
}

fn is_endpoint(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    !host.is_empty()
        && !text.contains(|character: char| character.is_whitespace() || character.is_control())
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_table_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (3..=255).contains(&name.len()) && name.bytes().all(allowed)
}

fn dead_letters(raw: RawDeadLetters) -> Result<DeadLetterConfig, Fault> {
    let max = match &raw.max {
        None => None,
        Some(limit) => match limit.get_ref() {
            RawLimit::Word(word) if word == "none" => None,
            RawLimit::Number(number) if *number >= 0 => Some(*number as u64),
            RawLimit::Number(number) => return Err(bad_limit(limit, number)),
            RawLimit::Word(word) => return Err(bad_limit(limit, &format!("\"{word}\""))),
        },
    };
    Ok(DeadLetterConfig { path: raw.path.filter(|path| !path.is_empty()).map(PathBuf::from), max })
}

fn bad_limit(limit: &Spanned<RawLimit>, written: &dyn std::fmt::Display) -> Fault {
    Fault::new(limit.span(), format!("max must be a whole number or \"none\", not {written}"))
}
