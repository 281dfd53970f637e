//! `counter-machine generate`: a synthetic event log.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use super::load::load_pipeline;
use super::output::printed;
use super::time::parse_time;
use super::{CliError, ErrorCode};
use crate::counter::EventTime;
use crate::event::{EventSchema, TimeUnit};
use crate::pipeline::{DEFAULT_MAX_AHEAD, parse_duration, to_units};
use crate::synthetic::{EventMix, FeedConfig, FeedLog, SyntheticConfig, SyntheticLog, Traffic};
use crate::telemetry::Printable;

/// Write a synthetic event log: seeded, Zipf-skewed, the same bytes on every machine.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  counter-machine generate --events 1000000 --output events.jsonl.zst
  counter-machine generate --events 1000 --late-share 0.05 --late-by 10m | head
  counter-machine generate --pipeline pipelines/feed.toml --events 1000000 \\
      --output feed.jsonl.zst")]
pub struct GenerateArgs {
    /// How many events
    #[arg(long, default_value_t = 1_000_000)]
    pub events: u64,

    /// Where the log goes; an ending of .gz or .zst compresses it [default: stdout]
    #[arg(long, value_name = "PATH")]
    pub output: Option<PathBuf>,

    /// How many users there are
    #[arg(long, default_value_t = 100_000)]
    pub users: u32,

    /// How skewed users are: the exponent of Zipf's law; 0 makes all alike
    #[arg(long, value_name = "EXPONENT", default_value_t = 1.1)]
    pub zipf: f64,

    /// Make the events of a feed for this pipeline, such as pipelines/feed.toml: posts of creators,
    /// users with habits, engagements that follow views; names and time unit are those of its `[event]`
    #[arg(long, conflicts_with = "mix")]
    pub pipeline: Option<PathBuf>,

    /// With --pipeline: the share of events that bots make, from 0 to 1; each view is by a new user
    #[arg(long, value_name = "SHARE", requires = "pipeline", default_value_t = 0.01)]
    pub bot_share: f64,

    /// Which events, with their weights
    #[arg(long, value_name = "NAME=WEIGHT,...", default_value = "like=5,view=80,click=10,comment=5")]
    pub mix: EventMix,

    /// How many events share a second of event time
    #[arg(long, value_name = "RATE", default_value_t = 1_000.0)]
    pub events_per_second: f64,

    /// The share of late events, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    pub late_share: f64,

    /// How late they are at most; they are spread evenly
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_seconds)]
    pub late_by: u64,

    /// The time of the first event: now, RFC 3339, or seconds since 1970
    #[arg(long, value_name = "TIME", default_value = "1707605599", value_parser = parse_start)]
    pub start: EventTime,

    /// Another seed gives another log
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

fn parse_seconds(text: &str) -> Result<u64, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    let seconds = to_units(duration, TimeUnit::Seconds).unwrap_or_default();
    Ok(seconds.unsigned_abs())
}

fn parse_start(text: &str) -> Result<EventTime, String> {
    parse_time(text, TimeUnit::Seconds, Timestamp::now()).map(EventTime).map_err(|error| error.to_string())
}

/// Writes the log to where the arguments say.
pub fn run(args: &GenerateArgs) -> Result<(), CliError> {
    if let Some(warning) = ahead_of_now(args, Timestamp::now()) {
        tracing::warn!("{warning}");
    }
    match &args.pipeline {
        None => {
            let config = SyntheticConfig { traffic: traffic(args), mix: args.mix.clone() };
            let mut log = SyntheticLog::new(&config).map_err(|error| CliError::of(ErrorCode::Usage, &error))?;
            write(args, |out| log.write_lines(args.events, out))
        }
        Some(path) => {
            let pipeline = load_pipeline(path)?;
            let mut log =
                FeedLog::new(&feed(args, &pipeline.event)?).map_err(|error| CliError::of(ErrorCode::Usage, &error))?;
            write(args, |out| log.write_lines(args.events, out))
        }
    }
}

/// Says that a run that reads the log now would refuse its last events.
fn ahead_of_now(args: &GenerateArgs, now: Timestamp) -> Option<String> {
    let last = args.start.0 as f64 + args.events as f64 / args.events_per_second;
    let ahead = last - now.as_second() as f64;
    let limit = DEFAULT_MAX_AHEAD.as_secs_f64();
    (ahead > limit).then(|| {
        format!(
            "the last events of this log are {ahead:.0} s ahead of now: a run that reads them before then takes them for dead \
             letters where max_ahead is {limit:.0} s, its default. Give an earlier --start, or a higher --events-per-second"
        )
    })
}

fn traffic(args: &GenerateArgs) -> Traffic {
    Traffic {
        users: args.users,
        zipf: args.zipf,
        events_per_second: args.events_per_second,
        late_share: args.late_share,
        late_by_seconds: args.late_by,
        start: args.start,
        seed: args.seed,
    }
}

/// A pipeline for other events than a feed's would count nothing, or less than it seems to.
fn feed(args: &GenerateArgs, event: &EventSchema) -> Result<FeedConfig, CliError> {
    let stranger = event.fields.iter().find(|field| !FeedLog::FIELDS.contains(&field.name.as_str()));
    if let Some(field) = stranger {
        return Err(CliError::usage(format!(
            "the pipeline uses the field \"{}\", which the events of a generated feed do not have: they have {}",
            field.name,
            FeedLog::FIELDS.join(", ")
        )));
    }
    Ok(FeedConfig {
        traffic: traffic(args),
        bot_share: args.bot_share,
        name_field: event.name_field.to_string(),
        time_field: event.time_field.to_string(),
        time_unit: event.time_unit,
    })
}

fn write(args: &GenerateArgs, log: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), CliError> {
    match &args.output {
        None => printed(log(&mut io::stdout().lock())),
        Some(path) => {
            refuse_content(path)?;
            write_file(path, log).map_err(|error| {
                CliError::new(
                    ErrorCode::OutputNotWritten,
                    format!("cannot write to {}: {error}", Printable(path.display())),
                )
            })
        }
    }
}

/// A log that is there already may be a real one, or something else.
fn refuse_content(path: &Path) -> Result<(), CliError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() > 0 => Err(CliError::usage(format!(
            "{} is not empty, and is left as it is: name another file with --output, or remove that one first",
            Printable(path.display())
        ))),
        _ => Ok(()),
    }
}

fn write_file(path: &Path, log: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut file = File::create(path)?;
    match path.extension().and_then(OsStr::to_str) {
        Some("gz") => {
            let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            log(&mut encoder)?;
            encoder.finish().map(|_| ())
        }
        Some("zst") => {
            let mut encoder = zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            log(&mut encoder)?;
            encoder.finish().map(|_| ())
        }
        _ => {
            log(&mut file)?;
            file.flush()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: GenerateArgs,
    }

    fn parse(arguments: &[&str]) -> Result<GenerateArgs, String> {
        let words = ["generate"].iter().chain(arguments);
        Command::try_parse_from(words).map(|command| command.args).map_err(|error| error.to_string())
    }

    fn generate(directory: &Path, name: &str) -> Vec<u8> {
        let path = directory.join(name);
        let output = path.to_str().expect("a path of UTF-8");
        let args = parse(&["--events", "20000", "--output", output]).expect("valid arguments");
        run(&args).expect("a log");
        fs::read(path).expect("the log")
    }

    #[test]
    fn a_log_that_ends_in_the_future_is_warned_of() {
        let now = Timestamp::from_second(1_707_605_599).expect("a time");
        let warning = |arguments: &[&str]| ahead_of_now(&parse(arguments).expect("valid arguments"), now);
        let warned = warning(&["--events", "3600000"]).expect("a warning");
        assert!(warned.contains("3600 s ahead of now") && warned.contains("max_ahead is 60 s"), "{warned}");
        assert_eq!(warning(&["--events", "60000"]), None);
        assert_eq!(warning(&["--events", "3600000", "--start", "1707602000"]), None);
    }

    #[test]
    fn the_ending_of_the_path_chooses_the_compression_and_the_events_are_the_same() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let plain = generate(directory.path(), "log.jsonl");
        assert_eq!(plain.iter().filter(|byte| **byte == b'\n').count(), 20_000);
        let zstandard = generate(directory.path(), "log.jsonl.zst");
        assert!(zstd::decode_all(zstandard.as_slice()).expect("a whole frame") == plain);
        let gzip = generate(directory.path(), "log.jsonl.gz");
        let mut decoded = Vec::new();
        flate2::read::GzDecoder::new(gzip.as_slice()).read_to_end(&mut decoded).expect("a whole member");
        assert!(decoded == plain);
    }

    #[test]
    fn arguments_are_read_with_their_units() {
        let args =
            parse(&["--late-by", "10m", "--start", "2024-02-10T22:53:19Z", "--mix", "a=1"]).expect("valid arguments");
        assert_eq!((args.late_by, args.start, args.mix.to_string()), (600, EventTime(1_707_605_599), "a=1".to_owned()));
    }

    #[test]
    fn wrong_arguments_are_told() {
        for (arguments, expected) in [
            (["--late-by", "10"], "\"10\" is no duration"),
            (["--start", "soon"], "`soon` is no time"),
            (["--mix", "like"], "\"like\" is no NAME=WEIGHT"),
        ] {
            let error = parse(&arguments).expect_err("wrong arguments");
            assert!(error.contains(expected), "{error}");
        }
        let args = parse(&["--users", "0"]).expect("a number");
        let error = run(&args).expect_err("nobody");
        assert!(error.code() == ErrorCode::Usage && error.to_string().contains("users must be from 1"), "{error}");
    }

    #[test]
    fn a_pipeline_gives_the_events_of_a_feed_their_names_and_unit() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name).to_str().expect("a path of UTF-8").to_owned();
        let (pipeline, output) = (path("p.toml"), path("log.jsonl"));
        let text = "name = \"p\"\n[event]\nname = \"what\"\ntime = \"when\"\ntime_unit = \"ms\"\n\
                    [[counters]]\nname = \"post\"\nkey = [\"postId\"]\nevents = \"*\"\ndecays = [\"1h\"]\n";
        fs::write(&pipeline, text).expect("written");
        let arguments = ["--pipeline", &pipeline, "--events", "10", "--output", &output];
        run(&parse(&arguments).expect("valid arguments")).expect("a log");
        let log = fs::read_to_string(&output).expect("the log");
        assert_eq!(log.lines().count(), 10);
        assert!(log.lines().all(|line| line.starts_with("{\"what\":\"") && line.contains("\"when\":1707605599")));

        fs::write(&pipeline, text.replace("postId", "itemId")).expect("written");
        let error = run(&parse(&arguments).expect("valid arguments")).expect_err("a feed has no items").to_string();
        assert!(error.contains("the field \"itemId\", which the events of a generated feed do not have"), "{error}");
        assert!(parse(&["--pipeline", &pipeline, "--mix", "a=1"]).is_err(), "a feed has its own mix");
    }

    #[test]
    fn a_path_that_cannot_be_written_is_named() {
        let args = parse(&["--events", "1", "--output", "no/such/directory/log.jsonl"]).expect("valid arguments");
        let error = run(&args).expect_err("there is no such directory").to_string();
        assert!(error.starts_with("cannot write to no/such/directory/log.jsonl: "), "{error}");
    }
}
