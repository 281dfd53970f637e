//! Which state a run goes on with: by its flags, or else by the pipeline file.

use super::RunArgs;
use crate::checkpoint::Location;
use crate::cli::CliError;
use crate::pipeline::Pipeline;

impl RunArgs {
    /// Where the state is kept; `None`: nowhere.
    ///
    /// `--state` wins over the file, whose `dir` is for Kafka alone: who replays a log wants to count all of it.
    pub fn state(&self, pipeline: &Pipeline) -> Result<Option<Location>, CliError> {
        let usage = |message: &str| Err(CliError::usage(message.to_owned()));
        if self.state.is_some() && self.no_state {
            return usage("--state and --no-state say the opposite: leave one of them out");
        }
        let of_file = pipeline.checkpoint.dir.as_ref().filter(|_| self.events.is_empty());
        let named = self.state.as_ref().or(of_file).filter(|_| !self.no_state);
        let location = named.map(|text| text.parse::<Location>()).transpose()?;
        if location.is_none() && (self.fresh || self.skip_lost) {
            return usage(if self.fresh {
                "--fresh sets a state aside, and this run has none: give --state DIR|URL, or leave it out"
            } else {
                "--skip-lost is about what a state has read before, and this run has none: give --state DIR|URL, or leave \
                 it out"
            });
        }
        if location.is_some() && self.shift_to.is_some() {
            return usage(
                "--shift-to moves the times of what this run publishes, and with a state they would have to be moved alike in \
                 every run: leave out --shift-to or the state",
            );
        }
        if let Some(bucket @ Location::Bucket { .. }) = &location
            && self.fresh
        {
            return Err(CliError::usage(format!(
                "--fresh sets a folder aside, and {bucket} is in a bucket: name another prefix"
            )));
        }
        if location.is_none() && self.is_without_end() && !self.no_state {
            tracing::warn!(
                "no state is kept: everything is counted from the start again after a restart; give --state DIR, or dir in \
                 [checkpoint] (--no-state: it is meant so)"
            );
        }
        Ok(location)
    }

    /// Whether only a stop ends the run.
    fn is_without_end(&self) -> bool {
        self.events.is_empty() && !self.until_end
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Line {
        #[command(flatten)]
        run: RunArgs,
    }

    const PIPELINE: &str = "name = \"p\"\nevent = { name = \"n\", time = \"t\" }\n\
        counters = [{ name = \"u\", key = [\"u\"], events = \"*\", decays = [\"5s\"] }]\n";

    /// Where a run with these flags keeps its state, with this `dir` in its file; or why not.
    fn state(flags: &str, dir: Option<&str>) -> Result<Option<String>, String> {
        let dir = dir.map_or(String::new(), |dir| format!("checkpoint = {{ dir = \"{dir}\" }}\n"));
        let pipeline = Pipeline::parse(&format!("{dir}{PIPELINE}"), "p.toml", &|_| None).unwrap();
        let line = Line::try_parse_from(format!("run p.toml {flags}").split_whitespace()).unwrap();
        match line.run.state(&pipeline) {
            Ok(location) => Ok(location.map(|location| location.to_string())),
            Err(error) if error.exit_code() == 2 => Err(error.to_string()),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_flag_wins_over_the_file_which_is_for_kafka_alone() {
        let of = |flags: &str, dir: Option<&str>| state(flags, dir).unwrap();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("", None), None);
        assert_eq!(of("", Some("state/p")), some("state/p"));
        assert_eq!(of("--until-end", Some("s3://bucket/p")), some("s3://bucket/p"));
        assert_eq!(of("--state other", Some("state/p")), some("other"));
        assert_eq!(of("--no-state", Some("state/p")), None);
        assert_eq!(of("--events a.jsonl", Some("state/p")), None);
        assert_eq!(of("--state other --events a.jsonl", Some("state/p")), some("other"));
        assert_eq!(of("--fresh --skip-lost", Some("state/p")), some("state/p"));
        let location = "state/p".parse::<Location>().unwrap();
        assert_eq!(location, Location::Folder(PathBuf::from("state/p")));
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        for (flags, dir, says) in [
            ("--state a --no-state", None, "the opposite"),
            ("--state gs://a", None, "cannot keep a state in 'gs://a'"),
            ("", Some("s3://"), "the bucket is missing"),
            ("--fresh", None, "--fresh sets a state aside, and this run has none"),
            ("--fresh --no-state", Some("a"), "this run has none"),
            ("--skip-lost --events a.jsonl", Some("a"), "--skip-lost is about what a state has read"),
            ("--state a --events a.jsonl --shift-to now", None, "--shift-to"),
            ("--state s3://bucket/a --fresh", None, "name another prefix"),
        ] {
            let message = state(flags, dir).unwrap_err();
            assert!(message.contains(says), "{flags}: {message}");
        }
    }
}
