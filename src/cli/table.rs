//! `table`: creates the DynamoDB table of a pipeline, or holds what it is against what is asked for.

use std::io::Write;
use std::path::PathBuf;

use super::load::load_pipeline;
use super::output::print;
use super::{CliError, ErrorCode};
use crate::sink::dynamodb::{Billing, TableReport, TableWishes, ensure_table};

const EXAMPLE: &str = "\
Example: the table of the reference pipeline, in DynamoDB Local
  DYNAMODB_ENDPOINT=http://127.0.0.1:8000 \\
      counter-machine table pipelines/user_counters.toml

A table that is there is compared with what is asked for, and changed only with --apply. Exit code 1: something is not as
it was asked for.

A table with --ttl also deletes what a replay of an old log publishes with a time to live that has passed.";

/// Create the pipeline's DynamoDB table, or compare the one that is there with what is asked for
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct TableArgs {
    /// The pipeline file
    #[arg(value_name = "PIPELINE")]
    pipeline: PathBuf,
    /// Pay for units a second, used or not (a new table is on demand without it)
    #[arg(long, value_name = "READ,WRITE", value_parser = provisioned, conflicts_with = "on_demand")]
    provisioned: Option<Billing>,
    /// Pay for each request
    #[arg(long)]
    on_demand: bool,
    /// Have DynamoDB delete items some time after their `expiresAt`
    #[arg(long)]
    ttl: bool,
    /// Have DynamoDB keep what brings the table back as it was at any time of the last weeks
    #[arg(long)]
    point_in_time_recovery: bool,
    /// Change a table that is there to what is asked for
    #[arg(long)]
    apply: bool,
}

/// The most units that one table may be asked to have: more than any account gets.
const MOST_UNITS: u64 = 1_000_000_000;

fn provisioned(text: &str) -> Result<Billing, String> {
    let units = |text: &str| text.trim().parse().ok().filter(|units| (1..=MOST_UNITS).contains(units));
    let pair = text.split_once(',').and_then(|(read, write)| Some((units(read)?, units(write)?)));
    let (read, write) = pair.ok_or("two whole numbers from 1 on, such as 5,10: read and write units a second")?;
    Ok(Billing::Provisioned { read, write })
}

/// Creates or checks the table.
pub fn run(args: &TableArgs, out: &mut impl Write) -> Result<(), CliError> {
    let pipeline = load_pipeline(&args.pipeline)?;
    let wishes = TableWishes {
        billing: args.provisioned.or(args.on_demand.then_some(Billing::OnDemand)),
        ttl: args.ttl,
        point_in_time_recovery: args.point_in_time_recovery,
    };
    let report = ensure_table(&pipeline, &wishes, args.apply)?;
    print(out, &tell(&report))?;
    if !report.differs() {
        return Ok(());
    }
    let table = &report.table;
    Err(CliError::new(
        ErrorCode::TableDiffers,
        if report.can_be_changed() {
            format!("{table} is not as it was asked for; nothing was changed: --apply changes what can be changed")
        } else {
            format!("{table} is not as it was asked for, and cannot be changed now; see above what to do")
        },
    ))
}

fn tell(report: &TableReport) -> String {
    let TableReport { table, created, settings } = report;
    let mut text =
        if *created { format!("created {table}\n") } else { format!("{table} is there, and its key is right\n") };
    for setting in settings {
        text += &format!("  {setting}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::dynamodb::{SettingReport, Verdict};

    #[test]
    fn it_says_what_became_of_the_table() {
        let ttl = SettingReport { name: "TTL", is: "off".to_owned(), verdict: Verdict::Changed("on".to_owned()) };
        let report = TableReport { table: "table T in eu-west-1".to_owned(), created: true, settings: Vec::new() };
        assert_eq!(tell(&report), "created table T in eu-west-1\n");
        let report = TableReport { created: false, settings: vec![ttl], ..report };
        assert_eq!(tell(&report), "table T in eu-west-1 is there, and its key is right\n  TTL: was off, is now on\n");
    }

    #[test]
    fn units_are_two_whole_numbers() {
        assert_eq!(provisioned("5,10"), Ok(Billing::Provisioned { read: 5, write: 10 }));
        for wrong in ["", "5", "5,", ",5", "0,1", "1,0", "-1,1", "1.5,1", "1,2,3", "x,1", "1,99999999999999999999"] {
            assert!(provisioned(wrong).is_err(), "{wrong}");
        }
    }
}
