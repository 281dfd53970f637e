//! `counter-machine check`: is the pipeline file right, what does it expand to, and what would it
//! cost?

mod costs;
mod describe;
pub mod plan;
mod state;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::CliError;
use super::load::load_pipeline;
use super::output::{print, printed};
use crate::checkpoint::Location;
use crate::pipeline::json_schema;
use crate::source::kafka::check_options;

const EXAMPLES: &str = "\
Examples:
  counter-machine check pipelines/user_counters.toml
  counter-machine check pipelines/user_counters.toml \\
      --events pipelines/sample.jsonl
  counter-machine check pipelines/user_counters.toml --state state/user_counters
  counter-machine check --schema > schema.json

Writes are priced as DynamoDB's on-demand ones; 0.625 is what a million of them cost in us-east-1 in 2026.";

/// Check a pipeline file and print what it expands to, and what it would cost.
#[derive(Debug, Args)]
#[command(
    override_usage = "counter-machine check <PIPELINE> [--events <PATH>...] [--state <DIR|URL>] [OPTIONS]\n       counter-machine check --schema"
)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// The pipeline file
    #[arg(value_name = "PIPELINE", required_unless_present = "schema")]
    pub pipeline: Option<PathBuf>,

    /// Print the features only, one per line: name, group, key, decays, with tabs between them
    #[arg(long, conflicts_with_all = ["events", "schema"])]
    pub list: bool,

    /// Print what the pipeline would cost, from these event logs: a cut of the stream
    #[arg(long, num_args = 1.., value_name = "PATH", conflicts_with = "schema")]
    pub events: Vec<PathBuf>,

    /// What a million write units of DynamoDB cost, in dollars
    #[arg(long, value_name = "DOLLARS", default_value_t = 0.625, requires = "events")]
    pub price_per_million_writes: f64,

    /// Say what a run with this state would make of it: which groups are kept, begin empty, or are refused
    #[arg(long, value_name = "DIR|URL", conflicts_with_all = ["list", "schema"])]
    pub state: Option<Location>,

    /// Print the JSON schema of pipeline files, for editors
    #[arg(long, conflicts_with = "pipeline")]
    pub schema: bool,
}

/// Prints what the file expands to, or fails with what is wrong with it.
pub fn run(args: &CheckArgs, out: &mut impl Write) -> Result<(), CliError> {
    let Some(file) = &args.pipeline else { return printed(out.write_all(json_schema().as_bytes())) };
    let pipeline = load_pipeline(file)?;
    if let Some(kafka) = &pipeline.kafka {
        check_options(kafka)?;
    }
    if args.list {
        return print(out, &describe::list(&pipeline));
    }
    print(out, &describe::describe(&pipeline, file))?;
    if let Some(location) = &args.state {
        let (text, refusal) = state::compare(&pipeline, location)?;
        print(out, &text)?;
        if let Some(refusal) = refusal {
            return Err(CliError::usage(refusal));
        }
    }
    if args.events.is_empty() {
        return Ok(());
    }
    let costs = costs::costs(pipeline, &args.events, args.price_per_million_writes, Timestamp::now())?;
    print(out, &costs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ErrorCode;

    fn checked(text: &str) -> Result<String, CliError> {
        checked_with(text, false)
    }

    fn checked_with(text: &str, list: bool) -> Result<String, CliError> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let pipeline = directory.path().join("p.toml");
        std::fs::write(&pipeline, text).expect("a file that can be written");
        let mut out = Vec::new();
        let args = CheckArgs {
            pipeline: Some(pipeline),
            list,
            events: Vec::new(),
            state: None,
            price_per_million_writes: 0.625,
            schema: false,
        };
        run(&args, &mut out)?;
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
event         name in n, time in t (ms), at most 1m ahead, at most 1048576 bytes
window        5s; clock: wall for Kafka, event for event logs; at least 50000 events per epoch of a replay
sink          sqlite:feed.db
publish       every 5s, or 30s in a replay, and at the end
dead letters  dead_letters.jsonl, any number of them

key u
  group \"user\"
    events    *
    decays    5s, 1h
    ttl       7d
    features  user.{event}

key u, c
  group \"pair\"
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
    fn limits_are_told_where_there_are_any() {
        let text = "name = \"p\"\nevent = { name = \"n\", time = \"t\" }\nlimits = { LIMITS }\n\
            counters = [{ name = \"u\", key = [\"u\"], events = \"*\", decays = [\"5s\"] }]";
        let line = |limits: &str| {
            let described = checked(&text.replace("LIMITS", limits)).expect("a valid pipeline");
            described.lines().find(|line| line.starts_with("limits")).map(str::to_owned)
        };
        assert_eq!(line(""), None);
        let both = "limits        at most 5000000 rows in all and 8GiB of memory for rows in each process; \
            near that, keys that are worth least are evicted";
        assert_eq!(line("rows = 5_000_000, memory = \"8GiB\"").as_deref(), Some(both));
    }

    #[test]
    fn a_pipeline_that_is_not_right_is_wrong_usage_with_its_line() {
        let error = checked("name = \"p\"\nnmae = 5").expect_err("an unknown key");
        assert!(
            error.code() == ErrorCode::PipelineInvalid && error.to_string().contains("p.toml:2: unknown key \"nmae\""),
            "{error}"
        );
    }

    #[test]
    fn a_sink_that_does_not_exist_is_told_before_a_run_needs_it() {
        let text = "name = \"p\"\nsink = \"mongo\"\nevent = { name = \"n\", time = \"t\" }\n\
            counters = [{ name = \"u\", key = [\"u\"], events = \"*\", decays = [\"5s\"] }]";
        let error = checked(text).expect_err("there is no such sink");
        assert!(error.exit_code() == 2 && error.to_string().contains("p.toml:2: `mongo` is no sink"), "{error}");
        let without = checked(&text.replace("sink = \"mongo\"", "")).expect("a valid pipeline");
        assert!(without.contains("none named: give --sink"), "{without}");
    }

    #[test]
    fn what_is_left_of_a_matrix_is_told_and_listed() {
        let text = r#"
            name = "feed"
            event = { name = "n", time = "t" }
            features = { drop = ["pair.view.sum_*", "gone.*"] }
            ratios = [{ name = "pair.ctr", numerator = "pair.like.count", denominator = "pair.view.count",
                        prior = { numerator = 1, denominator = 20 } }]
            counters = [
              { name = "user", key = ["u"], events = "*", decays = ["1h"] },
              { name = "gone", key = ["u"], events = ["like"], decays = ["1h"] },
              { name = "pair", key = ["u", "c"], events = ["like", "view"], measures = ["count", "sum(a)"], decays = ["1d", "1h"] },
            ]"#;
        let described = checked(text).expect("a valid pipeline");
        let end = "
ratios      pair.ctr = pair.like.count / pair.view.count, with a prior of 1 / 20

2 groups; 3 features and 1 more per event name; 6 counters and 1 more per event name; 1 ratio
nothing is left of group \"gone\": none of its features is kept
";
        assert!(described.ends_with(end), "{described}");
        let expected = "\
user.{event}.count\tuser\tu\t1h
pair.like.count\tpair\tu,c\t1h,1d
pair.view.count\tpair\tu,c\t1h,1d
pair.like.sum_a\tpair\tu,c\t1h,1d
";
        assert_eq!(checked_with(text, true).expect("a valid pipeline"), expected);
    }

    #[test]
    fn of_many_features_only_some_are_named() {
        let events: Vec<_> = (0..40).map(|number| format!("\"e{number}\"")).collect();
        let text = format!(
            "name = \"p\"\nevent = {{ name = \"n\", time = \"t\" }}\n\
             counters = [{{ name = \"u\", key = [\"u\"], events = [{}], decays = [\"5s\"] }}]",
            events.join(",")
        );
        let described = checked(&text).expect("a valid pipeline");
        assert!(described.contains("u.e10.count\n              and 29 more: --list prints all\n"), "{described}");
        assert_eq!(checked_with(&text, true).expect("a valid pipeline").lines().count(), 40);
    }
}
