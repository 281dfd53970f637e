//! `counter-machine status`: how the run that has a pipeline's state is getting on. It reads the state and the lease beside it, and needs no server.

mod report;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use self::report::StatusReport;
use super::load::load_pipeline;
use super::output::{print, printed};
use super::state::open;
use super::{CliError, ErrorCode};
use crate::checkpoint::{JournalEntry, LeaseRecord, Location, Manifest};
use crate::telemetry::write_json;

const EXAMPLES: &str = "\
Examples:
  counter-machine status pipelines/user_counters.toml
  counter-machine status p.toml --state state/user_counters --json

What a run says of itself is some seconds old; how old is told. Changes nothing, and is in no run's way.
Exit code 1: no run is using the state now.";

/// Tell how the run of a pipeline is getting on: processes, lag, freshness, checkpoints
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StatusArgs {
    /// The pipeline file
    pipeline: PathBuf,

    /// The state: a folder, or s3://BUCKET/PREFIX [default: dir in [checkpoint]]
    #[arg(long, value_name = "DIR|URL")]
    state: Option<Location>,

    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Prints how it is getting on.
pub fn run(args: &StatusArgs, out: &mut impl Write) -> Result<(), CliError> {
    let pipeline = load_pipeline(&args.pipeline)?;
    let of_file = || pipeline.checkpoint.dir.as_ref().map(|dir| dir.parse::<Location>()).transpose();
    let Some(location) = args.state.clone().map_or_else(of_file, |state| Ok(Some(state)))? else {
        let message = "where is the state? Give --state DIR|URL, or dir in [checkpoint]: a run without one says nothing of itself";
        return Err(CliError::usage(message.to_owned()));
    };
    let store = open(&location)?;
    let lease = LeaseRecord::read(&store)?;
    let manifest = match Manifest::numbers(&store)?.last() {
        Some(newest) => Manifest::read(&store, *newest).map(Some).or_else(|error| match error.is_damage() {
            // It was replaced meanwhile, or is none: `state` says which.
            true => Ok(None),
            false => Err(error),
        })?,
        None => None,
    };
    let journal = JournalEntry::newest(&store).ok().flatten();
    let report = StatusReport::of(&store, lease, manifest.as_ref(), journal.as_ref(), Timestamp::now());
    if args.json {
        printed(write_json(&mut *out, &report).and_then(|()| out.write_all(b"\n")))?;
    } else {
        print(out, &report.text())?;
    }
    if report.is_running() {
        Ok(())
    } else {
        Err(CliError::new(ErrorCode::NotRunning, format!("no run is using {location} now")))
    }
}
