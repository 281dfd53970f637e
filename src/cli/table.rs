//! `table`: creates the DynamoDB table of a pipeline, or says that it is there and right.

use std::io::Write;
use std::path::PathBuf;

use super::CliError;
use super::load::load_pipeline;
use super::output::print;
use crate::sink::dynamodb::{TableReport, TtlState, ensure_table};
use crate::telemetry::Printable;

const EXAMPLE: &str = "\
Example: the table of the reference pipeline, in DynamoDB Local
  DYNAMODB_ENDPOINT=http://127.0.0.1:8000 \\
      counter-machine table pipelines/user_counters.toml

A table with --ttl also deletes what a replay of an old log publishes with a time to live that has passed.";

/// Create the pipeline's DynamoDB table, or say that it is there and right
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct TableArgs {
    /// The pipeline file
    #[arg(value_name = "PIPELINE")]
    pipeline: PathBuf,
    /// Have DynamoDB delete items some time after their `expiresAt`
    #[arg(long)]
    ttl: bool,
}

/// Creates or checks the table.
pub fn run(args: &TableArgs, out: &mut impl Write) -> Result<(), CliError> {
    let pipeline = load_pipeline(&args.pipeline)?;
    let report = ensure_table(&pipeline, args.ttl)?;
    print(out, &format!("{}\n", Printable(tell(&report))))
}

fn tell(report: &TableReport) -> String {
    let TableReport { table, created, ttl } = report;
    let state = if *created { format!("created {table}") } else { format!("{table} is there, and its key is right") };
    let ttl = match ttl {
        TtlState::Untouched => "",
        TtlState::AlreadyOn => "; expired items are being deleted already",
        TtlState::TurnedOn => "; expired items will be deleted",
    };
    format!("{state}{ttl}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_became_of_the_table() {
        let report = TableReport { table: "table T in eu-west-1".to_owned(), created: true, ttl: TtlState::TurnedOn };
        assert_eq!(tell(&report), "created table T in eu-west-1; expired items will be deleted");
        let report = TableReport { created: false, ttl: TtlState::Untouched, ..report };
        assert_eq!(tell(&report), "table T in eu-west-1 is there, and its key is right");
    }
}
