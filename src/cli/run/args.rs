//! The arguments of `run`, and what of the pipeline file they replace.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use crate::cli::CliError;
use crate::pipeline::{ClockKind, HttpAddress, parse_duration};
use crate::sink::SinkTarget;

/// Count events and publish the counters.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
#[command(
    override_usage = "counter-machine run <PIPELINE> --events <PATH>... [OPTIONS]\n       counter-machine run <PIPELINE> [OPTIONS]        (from Kafka)"
)]
#[command(after_help = "Examples:
  counter-machine run pipelines/user_counters.toml \\
      --events pipelines/sample.jsonl --shift-to now
  counter-machine run pipelines/user_counters.toml --events logs/ -w 2
  tail -f events.jsonl | \\
      counter-machine run pipelines/user_counters.toml --events - --sink jsonl:-
  counter-machine run pipelines/user_counters.toml --sink dynamodb  (from Kafka)")]
pub struct RunArgs {
    /// The pipeline file.
    pub pipeline: PathBuf,

    /// Read event logs instead of Kafka: files, directories, or `-` for stdin; JSON lines, plain,
    /// .gz or .zst.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub events: Vec<PathBuf>,

    /// Event logs: publish as if their last event were at this time, and all others as long before it as they are:
    /// `now`, RFC 3339, or a number in the event's time unit
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub shift_to: Option<String>,

    /// Where items go: dynamodb, sqlite:PATH, jsonl:PATH, jsonl:- or none [default: as in the file]
    #[arg(long, value_name = "SINK")]
    pub sink: Option<SinkTarget>,

    /// Worker threads.
    #[arg(short = 'w', value_name = "WORKERS", default_value_t = 1)]
    pub workers: usize,

    /// What drives windows [default: as in the file, or wall for Kafka and event for event logs]
    #[arg(long, value_enum)]
    pub clock: Option<ClockKind>,

    /// Publish every change of every window, in order, into a table too, which else gets the newest state now and then.
    #[arg(long)]
    pub every_window: bool,

    /// Events per epoch, at least, with the event clock [default: as in the file]
    #[arg(long, value_name = "EVENTS")]
    pub replay_batch: Option<u64>,

    /// Kafka: stop at the ends that the partitions had at the start.
    #[arg(long)]
    pub until_end: bool,

    /// Empty the sink first.
    #[arg(long)]
    pub replace: bool,

    /// Where events go that cannot be counted [default: as in the file, or dead_letters.jsonl]
    #[arg(long, value_name = "PATH")]
    pub dead_letters: Option<PathBuf>,

    /// Stop with an error after more dead letters than this [default: as in the file, or no limit]
    #[arg(long, value_name = "N")]
    pub max_dead_letters: Option<u64>,

    /// Write here, at the end, up to where was read, once all of it is published.
    #[arg(long, value_name = "FILE")]
    pub positions: Option<PathBuf>,

    /// Serialise what workers exchange, as between processes (for tests).
    #[arg(short = 'z', hide = true)]
    pub serialise: bool,

    /// Keep the state here, and go on where it ends: a folder, or s3://BUCKET/PREFIX [default: with Kafka, as in the file]
    #[arg(long, value_name = "DIR|URL")]
    pub state: Option<String>,

    /// Keep no state, whatever the file says.
    #[arg(long)]
    pub no_state: bool,

    /// Set the state aside and start over.
    #[arg(long)]
    pub fresh: bool,

    /// Go on where what is to be read next is not there any more, and say how much is gone.
    #[arg(long)]
    pub skip_lost: bool,

    /// Serve metrics, health, status and a page here: HOST:PORT, or a port of this machine [default: as in the file, or nowhere]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<HttpAddress>,

    /// Processes of the run, which share its work: start one for each index.
    #[arg(short = 'n', value_name = "PROCESSES")]
    pub processes: Option<u32>,

    /// The index of this process, from 0.
    #[arg(short = 'p', value_name = "INDEX")]
    pub process: Option<u32>,

    /// A file of `host:port` lines, one per process [default: ports of this machine from 2101 on]; alone, `-h` prints help.
    #[arg(short = 'h', value_name = "HOSTFILE")]
    pub hosts: Option<PathBuf>,

    /// With -n: a process that is not heard of for so long is lost, and ends the run for all.
    #[arg(long, value_name = "DURATION", value_parser = parse_peer_timeout, default_value = "10s")]
    pub peer_timeout: Duration,

    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// At least a second: less would take a busy machine for a lost one.
fn parse_peer_timeout(text: &str) -> Result<Duration, String> {
    let timeout = parse_duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&timeout) {
        return Ok(timeout);
    }
    Err("it is from 1s to 1h".to_owned())
}

/// More workers than this need so many channels, one from each to each, that they do nothing else: 256 on two cores
/// take 5 s for a log of 303 events, 512 take 25 s.
const MOST_WORKERS: usize = 256;

/// So many workers may share a core before it is said to be too many.
const MOST_WORKERS_PER_CORE: usize = 4;

impl RunArgs {
    /// Refuses what does not go together.
    pub fn check(&self) -> Result<(), CliError> {
        check_workers(self.workers)?;
        if self.until_end && !self.events.is_empty() {
            return Err(CliError::usage(
                "--until-end is for Kafka: event logs are always read to their end".to_owned(),
            ));
        }
        if self.shift_to.is_some() && self.events.is_empty() {
            return Err(CliError::usage(
                "--shift-to is for event logs, whose last event is known: give --events PATH..., or leave it out"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// As many as there are cores is what a machine runs well; a large machine may have more than [`MOST_WORKERS`] of them.
pub(in crate::cli) fn check_workers(workers: usize) -> Result<(), CliError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = MOST_WORKERS.max(cores);
    if !(1..=most).contains(&workers) {
        let message = format!("-w {workers}: a run has from 1 to {most} workers; this machine has {cores} cores");
        return Err(CliError::usage(message));
    }
    if workers > cores * MOST_WORKERS_PER_CORE {
        tracing::warn!("-w {workers}: this machine has {cores} cores, and more workers than that make a run slower");
    }
    Ok(())
}
