//! `counter-machine check`: is the pipeline file right, and what does it expand to?

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::CliError;
use super::output::printed;
use crate::event::{FieldId, TimeUnit};
use crate::pipeline::{
    ClockKind, EventSelector, Group, KafkaConfig, MeasureId, Pipeline, StartOffset, format_duration, from_units,
};
use crate::sink::SinkTarget;

/// Check a pipeline file and print what it expands to.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  counter-machine check pipelines/user_counters.toml")]
pub struct CheckArgs {
    /// The pipeline file.
    pub pipeline: PathBuf,
}

/// Prints what the file expands to, or fails with what is wrong with it.
pub fn run(args: &CheckArgs, out: &mut impl Write) -> Result<(), CliError> {
    let environment = |name: &str| std::env::var(name).ok();
    let pipeline = Pipeline::load(&args.pipeline, &environment).map_err(|error| CliError::usage(&error))?;
    if pipeline.sink.is_some() {
        SinkTarget::choose(None, &pipeline, "--sink")?;
    }
    printed(out.write_all(describe(&pipeline, &args.pipeline).as_bytes()))
}

fn describe(pipeline: &Pipeline, file: &Path) -> String {
    let mut lines = vec![
        format!("{}: pipeline \"{}\" is valid", file.display(), pipeline.name),
        String::new(),
        format!("source        {}", source(pipeline.kafka.as_ref())),
        format!("event         {}", event(pipeline)),
        format!("window        {}", window(pipeline)),
        format!("sink          {}", pipeline.sink.as_deref().unwrap_or("none named: give --sink")),
        format!("dead letters  {}", dead_letters(pipeline)),
    ];
    lines.extend(pipeline.groups.iter().flat_map(|group| describe_group(pipeline, group)));
    lines.extend([String::new(), totals(&pipeline.groups)]);
    lines.extend(pipeline.warnings().iter().map(|warning| format!("warning: {warning}")));
    lines.join("\n") + "\n"
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
        TimeUnit::Seconds => "s",
        TimeUnit::Milliseconds => "ms",
        TimeUnit::Microseconds => "us",
        TimeUnit::Nanoseconds => "ns",
        TimeUnit::Rfc3339 => "RFC 3339, kept in ms",
    };
    let ahead = event.max_ahead.map_or("however far ahead".to_owned(), |units| {
        format!("at most {} ahead", format_duration(from_units(units, event.time_unit)))
    });
    let (name, time, bytes) = (&event.name_field, &event.time_field, event.max_bytes);
    format!("name in {name}, time in {time} ({unit}), {ahead}, at most {bytes} bytes")
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

fn dead_letters(pipeline: &Pipeline) -> String {
    let config = &pipeline.dead_letters;
    let path = config.path.as_deref().unwrap_or(Path::new("dead_letters.jsonl"));
    let max = config.max.map_or("any number of them".to_owned(), |max| format!("at most {max} of them"));
    format!("{}, {max}", path.display())
}

fn describe_group(pipeline: &Pipeline, group: &Group) -> Vec<String> {
    let field = |id: &FieldId| pipeline.event.fields[usize::from(id.0)].name.as_str();
    let length = |units: i64| format_duration(from_units(units, pipeline.event.time_unit));
    let key: Vec<&str> = group.key.iter().map(field).collect();
    let events = match &group.events {
        EventSelector::All => "*".to_owned(),
        EventSelector::Listed(names) => names.join(", "),
    };
    let decays: Vec<String> = group.decays.intervals().iter().map(|interval| length(interval.units())).collect();
    let mut lines = vec![
        String::new(),
        format!("group \"{}\"", group.name),
        format!("  key       {}", key.join(", ")),
        format!("  events    {events}"),
        format!("  decays    {}", decays.join(", ")),
        format!("  ttl       {}", group.ttl.map_or("none".to_owned(), length)),
    ];
    for (index, feature) in feature_names(group).iter().enumerate() {
        lines.push(format!("  {:<8}  {feature}", if index == 0 { "features" } else { "" }));
    }
    lines
}

/// Every name, or the form of the names where every event makes its own.
fn feature_names(group: &Group) -> Vec<String> {
    let names = |measure: MeasureId| {
        if makes_one_per_event(group) {
            vec![group.feature_name("{event}", measure)]
        } else {
            group.fixed_names(measure)
        }
    };
    (0..group.measures.len()).flat_map(|index| names(MeasureId(index as u16))).collect()
}

fn makes_one_per_event(group: &Group) -> bool {
    group.events == EventSelector::All && group.feature.names_event()
}

fn totals(groups: &[Group]) -> String {
    let count = |open: bool, per_feature: fn(&Group) -> usize| -> usize {
        let chosen = groups.iter().filter(|group| makes_one_per_event(group) == open);
        chosen.map(|group| feature_names(group).len() * per_feature(group)).sum()
    };
    let both =
        |per_feature: fn(&Group) -> usize, what: &str| match (count(false, per_feature), count(true, per_feature)) {
            (fixed, 0) => plural(fixed, what),
            (0, open) => format!("{} per event name", plural(open, what)),
            (fixed, open) => format!("{} and {open} more per event name", plural(fixed, what)),
        };
    let features = both(|_| 1, "feature");
    let counters = both(|group| group.decays.width(), "counter");
    format!("{}; {features}; {counters}", plural(groups.len(), "group"))
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<String, CliError> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let pipeline = directory.path().join("p.toml");
        std::fs::write(&pipeline, text).expect("a file that can be written");
        let mut out = Vec::new();
        run(&CheckArgs { pipeline }, &mut out)?;
        let text = String::from_utf8(out).expect("text");
        Ok(text.replace(&format!("{}/", directory.path().display()), ""))
    }

    #[test]
    fn everything_that_a_pipeline_means_is_printed() {
        let text = r#"
            name = "feed"
            sink = "sqlite:feed.db"
            event = { name = "n", time = "t", time_unit = "ms" }
            kafka = { brokers = "a:1", topic = "events", options = { "sasl.password" = "secret" } }
            counters = [
              { name = "user", key = ["u"], events = "*", decays = ["5s", "1h"], feature = "user.{event}" },
              { name = "pair", key = ["u", "c"], events = ["like", "buy"], measures = ["count", "sum(price)"],
                decays = ["1d"], ttl = "1d" },
            ]"#;
        let expected = "\
p.toml: pipeline \"feed\" is valid

source        Kafka topic events at a:1, from earliest; or event logs, given with --events
event         name in n, time in t (ms), at most 1d ahead, at most 1048576 bytes
window        5s; clock: wall for Kafka, event for event logs; at least 50000 events per epoch of a replay
sink          sqlite:feed.db
dead letters  dead_letters.jsonl, any number of them

group \"user\"
  key       u
  events    *
  decays    5s, 1h
  ttl       7d
  features  user.{event}

group \"pair\"
  key       u, c
  events    like, buy
  decays    1d
  ttl       1d
  features  pair.like.count
            pair.buy.count
            pair.like.sum_price
            pair.buy.sum_price

2 groups; 4 features and 1 more per event name; 4 counters and 2 more per event name
warning: group \"pair\": its ttl of 1d is shorter than 40 times its longest decay (40d): rows are forgotten while they still count
";
        assert_eq!(checked(text).expect("a valid pipeline"), expected);
    }

    #[test]
    fn a_pipeline_that_is_not_right_is_wrong_usage_with_its_line() {
        let error = checked("name = \"p\"\nnmae = 5").expect_err("an unknown key");
        assert!(matches!(&error, CliError::Usage(text) if text.contains("p.toml:2: unknown key \"nmae\"")), "{error}");
    }

    #[test]
    fn a_sink_that_does_not_exist_is_told_before_a_run_needs_it() {
        let text = "name = \"p\"\nsink = \"mongo\"\nevent = { name = \"n\", time = \"t\" }\n\
            counters = [{ name = \"u\", key = [\"u\"], events = \"*\", decays = [\"5s\"] }]";
        let error = checked(text).expect_err("there is no such sink");
        assert!(matches!(&error, CliError::Usage(text) if text.contains("`mongo` is no sink")), "{error}");
        let without = checked(&text.replace("sink = \"mongo\"", "")).expect("a valid pipeline");
        assert!(without.contains("none named: give --sink"), "{without}");
    }
}
