//! `dump`: every item that a sink holds, one JSON line each.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use jiff::Timestamp;

use super::CliError;
use super::load::load_pipeline;
use super::output::printed;
use super::time::parse_time;
use crate::event::TimeUnit;
use crate::reading::Item;
use crate::sink::{ItemReader, SinkErrorKind, SinkTarget, open_reader};
use crate::telemetry::write_json;

const EXAMPLE: &str = "\
Example: every item that is alive now
  counter-machine dump sqlite:user_counters.db --alive-at now";

/// Print every item, one JSON line each, sorted by the bytes of key and feature name
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLE)]
pub struct DumpArgs {
    /// Where to read: dynamodb, sqlite:PATH or jsonl:PATH (the newest value of each item)
    #[arg(value_name = "SINK")]
    sink: SinkTarget,
    /// The pipeline that fills the sink; `dynamodb` needs it
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// Only items that have not expired at this time: `now`, RFC 3339, or a number in the event's time unit
    /// (in seconds without --pipeline)
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    alive_at: Option<String>,
}

/// Prints the items.
pub fn run(args: &DumpArgs, out: &mut impl Write) -> Result<(), CliError> {
    let pipeline = args.pipeline.as_deref().map(load_pipeline).transpose()?;
    let unit = pipeline.as_ref().map_or(TimeUnit::Seconds, |pipeline| pipeline.event.time_unit);
    let time = args.alive_at.as_deref().map(|text| parse_time(text, unit, Timestamp::now())).transpose()?;
    let alive_at = time.map(|time| unit.to_seconds(time));
    let mut reader = open_reader(&args.sink, pipeline.as_ref())?;
    dump(reader.as_mut(), alive_at, out)
}

/// Prints the items that have not expired at this second.
fn dump(reader: &mut dyn ItemReader, alive_at: Option<i64>, out: &mut impl Write) -> Result<(), CliError> {
    let mut out = BufWriter::new(out);
    let is_alive = |item: &Item| alive_at.is_none_or(|as_of| item.expired_since(as_of).is_none());
    let outcome = reader.each(&mut |item| if is_alive(&item) { print(&item, &mut out) } else { Ok(()) });
    match outcome {
        Err(error) if error.kind() == SinkErrorKind::ClosedPipe => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => printed(out.flush()),
    }
}

fn print(item: &Item, out: &mut impl Write) -> io::Result<()> {
    write_json(&mut *out, item)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::SinkError;
    use crate::sink::fixtures::{Row, batch, pipeline};

    /// A table of so many items.
    struct Many(usize);

    impl ItemReader for Many {
        fn get(&mut self, _: &str, _: Option<&str>) -> Result<Vec<Item>, SinkError> {
            unreachable!("dump reads every item")
        }

        fn each_of(
            &mut self,
            _: &dyn Fn(&str) -> bool,
            visit: &mut dyn FnMut(Item) -> io::Result<()>,
        ) -> Result<(), SinkError> {
            let (pipeline, batch) = (pipeline(), batch(&[Row::new("1234", "like")]));
            let item = batch.items(&pipeline).next().unwrap().to_item();
            for _ in 0..self.0 {
                visit(item.clone()).map_err(|error| SinkError::stdout("cannot write items to stdout", error))?;
            }
            Ok(())
        }
    }

    /// As when `head` has seen enough.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn dumped(alive_at: Option<i64>) -> String {
        let mut out = Vec::new();
        dump(&mut Many(2), alive_at, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_item_is_a_line_in_the_published_shape() {
        let text = dumped(None);
        let items: Vec<Item> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(items.len(), 2);
        assert!(text.starts_with(r#"{"key":"1234","featureName":"like","counts":{"5":{"decayInterval":5,"#), "{text}");
    }

    #[test]
    fn with_a_time_only_what_is_alive_is_printed() {
        assert_eq!(dumped(Some(1_708_210_398)).lines().count(), 2);
        assert_eq!(dumped(Some(1_708_210_399)).lines().count(), 0);
    }

    #[test]
    fn a_closed_pipe_ends_quietly() {
        for items in [1, 1_000] {
            assert!(dump(&mut Many(items), None, &mut Closed).is_ok());
        }
    }
}
