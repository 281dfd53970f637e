//! What a pipeline file means, in words.

use std::collections::HashSet;
use std::path::Path;

use crate::counter::DecayInterval;
use crate::event::{Ahead, TimeUnit};
use crate::pipeline::{
    ClockKind, Encoding, EventSelector, Group, HoldBack, KafkaConfig, Layout, Limits, MeasureId, Pipeline, Ratio,
    RatioKind, Rhythm, StartOffset, format_duration, from_units,
};
use crate::state::shown_words;
use crate::telemetry::Printable;

/// What the file means, section by section.
pub(super) fn describe(pipeline: &Pipeline, file: &Path) -> String {
    let sink = pipeline.sink.as_ref().map_or("none named: give --sink".to_owned(), ToString::to_string);
    let mut lines = vec![
        format!("{}: pipeline \"{}\" is valid", file.display(), pipeline.name),
        String::new(),
        format!("source        {}", source(pipeline.kafka.as_ref())),
        format!("event         {}", event(pipeline)),
        format!("window        {}", window(pipeline)),
        format!("sink          {sink}"),
        format!("publish       {}", publish(pipeline)),
        format!("dead letters  {}", dead_letters(pipeline)),
    ];
    lines.extend(limits(&pipeline.limits).map(|limits| format!("limits        {limits}")));
    lines.extend(pipeline.http.listen.iter().map(|address| format!("http          {address}")));
    lines.extend(describe_groups(pipeline));
    lines.extend(describe_ratios(&pipeline.ratios));
    lines.extend([String::new(), totals(pipeline)]);
    lines.extend(
        pipeline
            .features
            .emptied_groups()
            .iter()
            .map(|name| format!("nothing is left of group \"{name}\": none of its features is kept")),
    );
    lines.extend(pipeline.warnings().iter().map(|warning| format!("warning: {warning}")));
    lines.iter().map(|line| format!("{}\n", Printable(line))).collect()
}

/// The options are left out: there may be passwords among them.
fn source(kafka: Option<&KafkaConfig>) -> String {
    let Some(kafka) = kafka else { return "event logs, given with --events".to_owned() };
    let start = match kafka.start {
        StartOffset::Earliest => "earliest",
        StartOffset::Latest => "latest",
    };
    format!("Kafka topic {} at {}, from {start}; or event logs, given with --events", kafka.topic, kafka.brokers)
}

fn event(pipeline: &Pipeline) -> String {
    let event = &pipeline.event;
    let unit = match event.time_unit {
        TimeUnit::Rfc3339 => "RFC 3339, kept in ms",
        unit => unit.name(),
    };
    let ahead = event.max_ahead.map_or("however far ahead".to_owned(), |units| {
        format!("at most {} ahead", format_duration(from_units(units, event.time_unit)))
    });
    let ahead = if event.ahead == Ahead::Arrival { format!("{ahead} or else counted at arrival") } else { ahead };
    let arrival = event.arrival_field.as_ref().map_or(String::new(), |field| format!(", arrival in {field}"));
    let (name, time, bytes) = (&event.name_field, &event.time_field, event.max_bytes);
    format!("name in {name}, time in {time} ({unit}){arrival}, {ahead}, at most {bytes} bytes")
}

fn window(pipeline: &Pipeline) -> String {
    let window = &pipeline.window;
    let clock = match window.clock {
        Some(ClockKind::Wall) => "wall",
        Some(ClockKind::Event) => "event",
        None => "wall for Kafka, event for event logs",
    };
    let length = format_duration(window.length);
    format!("{length}; clock: {clock}; at least {} events per epoch of a replay", window.replay_batch)
}

fn publish(pipeline: &Pipeline) -> String {
    let rhythm = |rhythm: &Rhythm| {
        let every = format_duration(rhythm.every);
        if rhythm.is_default { format!("every {every}, or 30s in a replay") } else { format!("every {every}") }
    };
    let rhythms: Vec<String> = pipeline.publish.rhythms.iter().map(rhythm).collect();
    let layout = match pipeline.publish.layout {
        Layout::Feature => "",
        Layout::Key(Encoding::Packed) => "; one item per key in a table, packed",
        Layout::Key(Encoding::Map) => "; one item per key in a table, as a map",
    };
    format!("{}, and at the end{layout}", rhythms.join(" and "))
}

/// What is held back of a group's changes, and what that takes.
fn held_back(pipeline: &Pipeline, group: &Group) -> Option<String> {
    let HoldBack { min_change, max_age } = pipeline.publish.held_back_of(group);
    let percent = Percent(min_change);
    (min_change > 0.0).then(|| {
        format!(
            "changes of up to {percent} wait, for at most {}; {} bytes more for each row of several events",
            format_duration(max_age),
            8 * shown_words(group.decays.width()),
        )
    })
}

fn dead_letters(pipeline: &Pipeline) -> String {
    let config = &pipeline.dead_letters;
    let path = config.path.as_deref().unwrap_or(Path::new("dead_letters.jsonl"));
    let max = config.max.map_or("any number of them".to_owned(), |max| format!("at most {max} of them"));
    format!("{}, {max}", path.display())
}

/// Nothing where nothing is limited.
fn limits(limits: &Limits) -> Option<String> {
    let rows = limits.rows.map(|rows| format!("{} rows in all", rows.0));
    let memory = limits.memory.map(|memory| format!("{memory} of memory for rows in each process"));
    let most = rows.into_iter().chain(memory).collect::<Vec<_>>().join(" and ");
    limits.any().then(|| format!("at most {most}; near that, keys that are worth least are evicted"))
}

/// The groups, those of one key together.
fn describe_groups(pipeline: &Pipeline) -> Vec<String> {
    let mut keys: Vec<String> = pipeline.groups.iter().map(|group| key(pipeline, group, ", ")).collect();
    let of_groups = keys.clone();
    let mut known = HashSet::new();
    keys.retain(|key| known.insert(key.clone()));
    let mut lines = Vec::new();
    for key in keys {
        lines.extend([String::new(), format!("key {key}")]);
        for (group, _) in pipeline.groups.iter().zip(&of_groups).filter(|(_, of_group)| **of_group == key) {
            lines.extend(describe_group(pipeline, group));
        }
    }
    lines
}

/// Of a group with more features than this only some are named.
const FEATURES_NAMED: usize = 12;

fn describe_group(pipeline: &Pipeline, group: &Group) -> Vec<String> {
    let events = match &group.events {
        EventSelector::All => "*".to_owned(),
        EventSelector::Listed(names) => names.join(", "),
    };
    let length = |units: i64| format_duration(from_units(units, pipeline.event.time_unit));
    let mut lines = vec![
        format!("  group \"{}\"", group.name),
        format!("    events    {events}"),
        format!("    decays    {}", decays(pipeline, group, ", ")),
        format!("    ttl       {}", group.ttl.map_or("none".to_owned(), length)),
    ];
    lines.extend(group.publish.every.map(|every| format!("    publish   every {}", format_duration(every))));
    lines.extend(held_back(pipeline, group).map(|held| format!("    held back {held}")));
    let names = feature_names(pipeline, group);
    let named = if names.len() > FEATURES_NAMED { FEATURES_NAMED - 1 } else { names.len() };
    for (index, feature) in names[..named].iter().enumerate() {
        lines.push(format!("    {:<8}  {feature}", if index == 0 { "features" } else { "" }));
    }
    if named < names.len() {
        lines.push(format!("              and {} more: --list prints all", names.len() - named));
    }
    lines
}

fn describe_ratios(ratios: &[Ratio]) -> Vec<String> {
    let line = |(index, ratio): (usize, &Ratio)| {
        let Ratio { name, numerator, denominator, .. } = ratio;
        let prior = ratio
            .prior
            .map_or(String::new(), |prior| format!(", with a prior of {} / {}", prior.numerator, prior.denominator));
        let kind = if ratio.kind == RatioKind::Proportion { ", a proportion" } else { "" };
        let heading = if index == 0 { "ratios      " } else { "            " };
        format!("{heading}{name} = {numerator} / {denominator}{kind}{prior}")
    };
    let gap = (!ratios.is_empty()).then(String::new);
    gap.into_iter().chain(ratios.iter().enumerate().map(line)).collect()
}

/// Every feature on a line of its own: its name, its group, its key fields and its decays, with tabs
/// between them.
pub(super) fn list(pipeline: &Pipeline) -> String {
    let mut text = String::new();
    for group in &pipeline.groups {
        let (key, decays) = (key(pipeline, group, ","), decays(pipeline, group, ","));
        for feature in feature_names(pipeline, group) {
            let (feature, key) = (Printable(feature), Printable(&key));
            text += &format!("{feature}\t{}\t{key}\t{decays}\n", Printable(&group.name));
        }
    }
    text
}

fn key(pipeline: &Pipeline, group: &Group, separator: &str) -> String {
    group.key.iter().map(|id| pipeline.event.field_name(*id)).collect::<Vec<_>>().join(separator)
}

fn decays(pipeline: &Pipeline, group: &Group, separator: &str) -> String {
    let length = |interval: &DecayInterval| format_duration(from_units(interval.units(), pipeline.event.time_unit));
    group.decays.intervals().iter().map(length).collect::<Vec<_>>().join(separator)
}

/// Every name that is kept, or the form of the names where every event makes its own.
fn feature_names(pipeline: &Pipeline, group: &Group) -> Vec<String> {
    let names = |measure: MeasureId| {
        if makes_one_per_event(group) {
            vec![group.feature_name("{event}", measure)]
        } else {
            pipeline.fixed_names(group, measure)
        }
    };
    (0..group.measures.len()).flat_map(|index| names(MeasureId(index as u16))).collect()
}

fn makes_one_per_event(group: &Group) -> bool {
    group.events == EventSelector::All && group.feature.names_event()
}

fn totals(pipeline: &Pipeline) -> String {
    let count = |open: bool, per_feature: fn(&Group) -> usize| -> usize {
        let chosen = pipeline.groups.iter().filter(|group| makes_one_per_event(group) == open);
        chosen.map(|group| feature_names(pipeline, group).len() * per_feature(group)).sum()
    };
    let both =
        |per_feature: fn(&Group) -> usize, what: &str| match (count(false, per_feature), count(true, per_feature)) {
            (fixed, 0) => plural(fixed, what),
            (0, open) => format!("{} per event name", plural(open, what)),
            (fixed, open) => format!("{} and {open} more per event name", plural(fixed, what)),
        };
    let features = both(|_| 1, "feature");
    let counters = both(|group| group.decays.width(), "counter");
    let ratios = match pipeline.ratios.len() {
        0 => String::new(),
        ratios => format!("; {}", plural(ratios, "ratio")),
    };
    format!("{}; {features}; {counters}{ratios}", plural(pipeline.groups.len(), "group"))
}

/// A share, as people read it.
struct Percent(f64);

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // As many digits as the file has, and not those of the product in binary.
        write!(f, "{} %", (self.0 * 1e8).round() / 1e6)
    }
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
