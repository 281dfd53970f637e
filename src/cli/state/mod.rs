//! `counter-machine state`: what a state holds, also while a run uses it.

mod look;
mod report;
mod rows;
#[cfg(test)]
mod tests;

use std::io::Write;

use clap::Args;
use jiff::Timestamp;

use self::look::look;
pub(super) use self::look::open;
use super::output::{print, printed};
use super::{CliError, ErrorCode};
use crate::checkpoint::Location;
use crate::telemetry::write_json;

const EXAMPLES: &str = "\
Examples:
  counter-machine state state/user_counters
  counter-machine state s3://bucket/user_counters --json

Tells what was added to the pipeline file later, and since when it counts.
Changes nothing and is in no run's way. Reads all rows of the newest checkpoint, to count them.
Exit code 1: a checkpoint is not whole; a run goes on with the newest that is.";

/// Print what a state holds: its checkpoints, rows, and up to where its runs have read
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StateArgs {
    /// The state: a folder, or s3://BUCKET/PREFIX
    #[arg(value_name = "DIR|URL")]
    state: Location,

    /// Read all of every checkpoint, to find damage
    #[arg(long)]
    verify: bool,

    /// Print one line of JSON, with all positions
    #[arg(long)]
    json: bool,
}

/// Prints what the state holds.
pub fn run(args: &StateArgs, out: &mut impl Write) -> Result<(), CliError> {
    let report = look(&open(&args.state)?, args.verify, Timestamp::now())?;
    if args.json {
        printed(write_json(&mut *out, &report).and_then(|()| out.write_all(b"\n")))?;
    } else {
        print(out, &report.text())?;
    }
    let problems = report.problems();
    if problems.is_empty() { Ok(()) } else { Err(CliError::new(ErrorCode::StateDamaged, problems.join("; "))) }
}
