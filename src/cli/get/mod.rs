//! `get`: what the sink holds for one key, and the ratios of it, as small tables.

mod key;
mod look_up;
mod ratio;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;

use jiff::Timestamp;

use self::key::{KeyField, keys};
pub(super) use self::look_up::look_up;
use self::ratio::show_ratio_json;
use self::show::Reading;
use super::output::printed;
use super::time::parse_time;
use super::{CliError, ErrorCode};
use crate::counter::EventTime;
use crate::pipeline::{Group, MeasureId, Pipeline, Ratio, did_you_mean};
use crate::reading::{Item, RatioReading, ReadAt};
use crate::sink::{ItemReader, SinkTarget, open_reader};
use crate::telemetry::Printable;

const EXAMPLE: &str = "\
Example: the counters of user 1234, decayed to now
  counter-machine get pipelines/user_counters.toml --key userId=1234 --at now";

/// Show the counters of one key
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct GetArgs {
    /// The pipeline file
    #[arg(value_name = "PIPELINE")]
    pipeline: PathBuf,
    /// A key field and its value; once for each field that makes the key
    #[arg(long = "key", value_name = "FIELD=VALUE", required = true)]
    key: Vec<KeyField>,
    /// Only the feature, or the ratio, of this name
    #[arg(long, value_name = "NAME")]
    feature: Option<String>,
    /// Show the values decayed to this time as well: `now`, RFC 3339, or a number in the event's time unit
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    at: Option<String>,
    /// Where to read: dynamodb, sqlite:PATH or jsonl:PATH [default: the pipeline's sink]
    #[arg(long, value_name = "SINK")]
    from: Option<SinkTarget>,
    /// Print each item as one JSON line
    #[arg(long)]
    json: bool,
}

/// Prints the items of the key.
pub fn run(args: &GetArgs, out: &mut impl Write) -> Result<(), CliError> {
    let pipeline = super::load::load_pipeline(&args.pipeline)?;
    // What is wrong with the question is told before anything is opened.
    let question = Question::of(args, &pipeline, Timestamp::now())?;
    let target = SinkTarget::choose(args.from.as_ref(), &pipeline, "--from")?;
    let mut reader = open_reader(&target, Some(&pipeline))?;
    let answer = question.answer(reader.as_mut())?;
    if answer.is_empty() {
        let hint = question.what_there_is(reader.as_mut())?;
        return Err(CliError::new(ErrorCode::NoItem, format!("{target} holds no item {question}{hint}")));
    }
    printed(if args.json {
        answer.show_json(&question.reading, out)
    } else {
        answer.show_tables(&question.reading, out)
    })
}

/// What was found.
#[derive(Default)]
struct Answer<'a> {
    items: Vec<Item>,
    ratios: Vec<RatioReading<'a>>,
}

impl Answer<'_> {
    fn is_empty(&self) -> bool {
        self.items.is_empty() && self.ratios.is_empty()
    }

    fn show_json(&self, reading: &Reading, out: &mut impl Write) -> io::Result<()> {
        self.items.iter().try_for_each(|item| reading.show_json(item, out))?;
        self.ratios.iter().try_for_each(|ratio| show_ratio_json(ratio, out))
    }

    fn show_tables(&self, reading: &Reading, out: &mut impl Write) -> io::Result<()> {
        let mut gap = "";
        for item in &self.items {
            out.write_all(gap.as_bytes())?;
            reading.show_table(item, out)?;
            gap = "\n";
        }
        for ratio in &self.ratios {
            out.write_all(gap.as_bytes())?;
            reading.show_ratio_table(ratio, out)?;
            gap = "\n";
        }
        Ok(())
    }
}

/// What is asked for.
struct Question<'a> {
    pipeline: &'a Pipeline,
    /// The key's text, and the groups that make it: more than one text where groups have the same
    /// key fields in another order.
    keys: BTreeMap<String, Vec<&'a Group>>,
    feature: Option<&'a str>,
    reading: Reading,
}

impl std::fmt::Display for Question<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<_> = self.keys.keys().map(|key| format!("`{}`", Printable(key))).collect();
        write!(f, "with key {}", keys.join(" or "))?;
        self.feature.iter().try_for_each(|feature| write!(f, " and feature `{}`", Printable(feature)))
    }
}

impl<'a> Question<'a> {
    fn of(args: &'a GetArgs, pipeline: &'a Pipeline, now: Timestamp) -> Result<Question<'a>, CliError> {
        let unit = pipeline.event.time_unit;
        let at = args.at.as_deref().map(|text| parse_time(text, unit, now)).transpose()?;
        let as_of = at.map_or(now.as_second(), |at| unit.to_seconds(at));
        let is_now = args.at.as_deref().is_some_and(|text| text.trim() == "now");
        let reading = Reading { unit, at: at.map(|at| ReadAt { time: EventTime(at), is_now }), as_of };
        Ok(Question { pipeline, keys: keys(pipeline, &args.key)?, feature: args.feature.as_deref(), reading })
    }

    fn answer(&self, reader: &mut dyn ItemReader) -> Result<Answer<'_>, CliError> {
        let mut answer = Answer::default();
        for (key, groups) in &self.keys {
            let ratios = self.ratios(groups);
            let names_ratio = self.feature.is_some() && !ratios.is_empty();
            let items = reader.get(key, self.feature.filter(|_| !names_ratio))?;
            answer
                .ratios
                .extend(ratios.into_iter().filter_map(|ratio| RatioReading::of(ratio, key, &items, self.reading.at)));
            if !names_ratio {
                answer.items.extend(items.into_iter().filter(|item| self.is_made(groups, &item.feature_name)));
            }
        }
        Ok(answer)
    }

    /// What may have been meant by a feature that was not found.
    fn what_there_is(&self, reader: &mut dyn ItemReader) -> Result<String, CliError> {
        let Some(feature) = self.feature else { return Ok(String::new()) };
        if let Some(ratio) = self.pipeline.dropped_ratios.iter().find(|ratio| ratio.name == feature) {
            return Ok(format!(": [features] drops \"{}\", and the ratio with it", ratio.feature));
        }
        let mut names = BTreeSet::new();
        for (key, groups) in &self.keys {
            let items = reader.get(key, None)?.into_iter().map(|item| item.feature_name);
            names.extend(items.filter(|name| self.is_made(groups, name)));
            names.extend(groups.iter().flat_map(|group| self.fixed_names(group)));
            let of_groups = |ratio: &&Ratio| groups.iter().any(|group| group.makes(&ratio.denominator));
            names.extend(self.pipeline.ratios.iter().filter(of_groups).map(|ratio| ratio.name.clone()));
        }
        // It may well be one of these, and the key without it.
        let others = names.iter().map(String::as_str).filter(|name| *name != feature);
        let meant = if names.contains(feature) { String::new() } else { did_you_mean(feature, others) };
        let is_dropped = meant.is_empty() && !self.pipeline.keeps(feature);
        Ok(if is_dropped { ": [features] keeps none of that name".to_owned() } else { meant })
    }

    fn fixed_names(&self, group: &Group) -> Vec<String> {
        let measures = 0..group.measures.len() as u16;
        measures.flat_map(|measure| self.pipeline.fixed_names(group, MeasureId(measure))).collect()
    }

    /// Items of other groups may happen to have the same key text, and the sink may still hold items
    /// of features that are no longer kept.
    fn is_made(&self, groups: &[&Group], feature_name: &str) -> bool {
        self.pipeline.keeps(feature_name) && groups.iter().any(|group| group.makes(feature_name))
    }

    /// The ratios of these groups that are asked for: all, or the one that is named.
    fn ratios(&self, groups: &[&Group]) -> Vec<&'a Ratio> {
        let is_asked_for = |ratio: &&Ratio| self.feature.is_none_or(|name| name == ratio.name);
        let is_theirs = |ratio: &&Ratio| groups.iter().any(|group| group.makes(&ratio.denominator));
        self.pipeline.ratios.iter().filter(is_asked_for).filter(is_theirs).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::SinkError;
    use crate::sink::fixtures::{Row, batch, group, pipeline};
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: GetArgs,
    }

    fn args(more: &[&str]) -> GetArgs {
        Command::try_parse_from(["get", "p.toml"].iter().chain(more)).unwrap().args
    }

    /// Keyed by user, by creator, and by both; the two single keys have features of their own.
    fn matrix() -> Pipeline {
        let groups = vec![
            group("user", &[0], "user.{event}"),
            group("creator", &[1], "creator.{event}"),
            group("pair", &[0, 1], "pair.{event}"),
        ];
        Pipeline { groups, ..pipeline() }
    }

    /// Holds these items and nothing else.
    struct Held(Vec<Item>);

    impl ItemReader for Held {
        fn get(&mut self, key: &str, feature_name: Option<&str>) -> Result<Vec<Item>, SinkError> {
            let wanted = |item: &&Item| item.key == key && feature_name.is_none_or(|name| name == item.feature_name);
            Ok(self.0.iter().filter(wanted).cloned().collect())
        }

        fn each_of(
            &mut self,
            _: &dyn Fn(&str) -> bool,
            _: &mut dyn FnMut(Item) -> io::Result<()>,
        ) -> Result<(), SinkError> {
            unreachable!("get does not read every item")
        }
    }

    fn features_found(more: &[&str]) -> Vec<String> {
        let pipeline = matrix();
        let rows = [
            Row::new("7", "user.like"),
            Row::new("7", "user.view"),
            Row::new("7", "creator.like"),
            Row::new(r"7|a\|b", "pair.like"),
        ];
        let batch = batch(&rows);
        let mut held = Held(batch.items(&pipeline).map(|item| item.to_item()).collect());
        let args = args(more);
        let question = Question::of(&args, &pipeline, Timestamp::UNIX_EPOCH).unwrap();
        question.answer(&mut held).unwrap().items.into_iter().map(|item| item.feature_name).collect()
    }

    #[test]
    fn the_key_fields_choose_the_group() {
        assert_eq!(features_found(&["--key", "userId=7"]), ["user.like", "user.view"]);
        assert_eq!(features_found(&["--key", "creatorId=7"]), ["creator.like"]);
        assert_eq!(features_found(&["--key", "creatorId=a|b", "--key", "userId=7"]), ["pair.like"]);
        assert_eq!(features_found(&["--key", "userId=7", "--feature", "user.view"]), ["user.view"]);
        assert!(features_found(&["--key", "userId=8"]).is_empty());
    }

    #[test]
    fn fields_that_are_no_key_are_answered_with_the_keys() {
        let pipeline = matrix();
        for more in [&["--key", "user=7"][..], &["--key", "userId=7", "--key", "userId=8"]] {
            let args = args(more);
            let error = Question::of(&args, &pipeline, Timestamp::UNIX_EPOCH).err().unwrap();
            assert_eq!(error.code(), ErrorCode::Usage);
            assert!(error.to_string().contains("--key userId=VALUE --key creatorId=VALUE  (group pair)"), "{error}");
        }
    }

    #[test]
    fn a_key_needs_a_field_and_a_value() {
        for text in ["userId", "userId=", "=7"] {
            assert!(Command::try_parse_from(["get", "p.toml", "--key", text]).is_err(), "{text}");
        }
        assert_eq!(args(&["--key", "a=b=c"]).key, [KeyField { field: "a".to_owned(), value: "b=c".to_owned() }]);
    }

    #[test]
    fn a_time_also_decides_what_has_expired() {
        let pipeline = matrix();
        let args = args(&["--key", "userId=7", "--at", "100"]);
        let question = Question::of(&args, &pipeline, Timestamp::from_second(500).unwrap()).unwrap();
        assert_eq!(
            (question.reading.at, question.reading.as_of),
            (Some(ReadAt { time: EventTime(100), is_now: false }), 100)
        );
    }
}
