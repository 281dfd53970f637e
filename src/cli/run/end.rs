//! How a run ended, in one place: the headline, what the sink holds, the exit code and the last error all come from here.

use std::path::Path;

pub use super::part::{Part, Published};
use crate::cli::{CliError, ErrorCode};
use crate::dataflow::RunError;
use crate::event::Reason;
use crate::findings::Observed;
use crate::sink::SinkErrorKind;
use crate::state::ApplyError;
use crate::telemetry::{Metrics, Printable};

/// How a run ended.
#[derive(Debug)]
pub enum RunEnd {
    /// Its input was read to the end, and everything is published.
    Done,
    /// A signal ended a run that nothing else ends; everything that was read is published.
    AskedToStop,
    /// A signal came before the end of the input; everything that was read until then is published.
    Interrupted,
    /// A signal ended it, and what could not be published by then is in its state.
    Left {
        /// So many items.
        items: u64,
        /// Before the end of its input.
        interrupted: bool,
    },
    /// Whoever read the items on stdout has left, as `| head` does. Nothing to complain about.
    ReaderLeft,
    /// It could not go on, or should not have gone so.
    Failed {
        /// What it was that failed.
        part: Part,
        /// What, where, and what to do.
        error: CliError,
    },
}

impl RunEnd {
    /// What becomes of a run that this ended.
    pub fn after(error: RunError) -> RunEnd {
        match error {
            RunError::Source(error) => RunEnd::failed(Part::Input, error),
            RunError::Block(error) => RunEnd::failed(Part::Block, error),
            RunError::Sink(error) if error.kind() == SinkErrorKind::ClosedPipe => RunEnd::ReaderLeft,
            RunError::Sink(error) => RunEnd::failed(Part::of_sink(&error), error),
            RunError::NotCaughtUp(_) => {
                RunEnd::failed(Part::NotCaughtUp, CliError::new(ErrorCode::NotCaughtUp, error.to_string()))
            }
            RunError::State(ApplyError::Damaged(_)) | RunError::Bug(_) => {
                RunEnd::failed(Part::Program, CliError::new(ErrorCode::Bug, error.to_string()))
            }
            RunError::Checkpoint(error) => RunEnd::failed(Part::State, error),
            RunError::Peer(culprit) => RunEnd::failed(Part::Peer, CliError::new(ErrorCode::PeerLost, culprit)),
            RunError::State(_) => RunEnd::failed(Part::Rows, CliError::new(ErrorCode::TooManyRows, error.to_string())),
        }
    }

    /// The end of a run with a state that leaves so many items unpublished there.
    pub fn leaving(self, items: u64) -> RunEnd {
        match self {
            RunEnd::AskedToStop if items > 0 => RunEnd::Left { items, interrupted: false },
            // All is read, and the signal came while the table was waited for.
            RunEnd::Interrupted | RunEnd::Done if items > 0 => RunEnd::Left { items, interrupted: true },
            end => end,
        }
    }

    /// A failure of this part.
    pub fn failed(part: Part, error: impl Into<CliError>) -> RunEnd {
        RunEnd::Failed { part, error: error.into() }
    }

    /// Of a run that could not read on for an earlier reason already: that one is told. A block that was not read stays one.
    pub fn behind(self, earlier: Option<RunEnd>) -> RunEnd {
        match (self, earlier) {
            (end, None) => end,
            (RunEnd::Failed { part: Part::Block, .. }, Some(RunEnd::Failed { error, .. })) => {
                RunEnd::Failed { part: Part::Block, error }
            }
            (_, Some(earlier)) => earlier,
        }
    }

    /// Whether what stands in the sink is what was read, from its beginning on without a gap; else why not.
    pub fn stands_at_its_positions(&self) -> Result<(), &'static str> {
        match self {
            RunEnd::Failed { part: Part::Block, .. } => Err("some of what was read in between could not be counted"),
            end if end.published() != Published::All => Err("not everything that was read is published"),
            _ => Ok(()),
        }
    }

    /// A run in which nothing counted and something was refused has failed, though everything was read; and so has one
    /// whose input is in another form, though the last line of an array may count.
    pub fn or_nothing_counted(self, metrics: &Metrics, observed: &Observed, dead_letter_path: &Path) -> RunEnd {
        let (events, dead_letters) = (metrics.events.get(), metrics.all_dead_letters());
        let shape = observed.shapes.instead_of(events);
        if !self.completed() || dead_letters == 0 || events > 0 && shape.is_none() {
            return self;
        }
        let (part, hint) = if let Some(shape) = shape {
            (Part::WrongForm, format!("events are one JSON object per line, and this looks like {}", shape.advice()))
        } else if metrics.dead_letters(Reason::TimeAhead).get() == dead_letters {
            let hint = "every time is later than max_ahead allows: is time_unit in [event] right? (times 1000 times too \
                        large are milliseconds read as seconds)";
            (Part::NothingCounted, hint.to_owned())
        } else {
            let hint = "do name, time and the keys in the pipeline file fit the events?";
            (Part::NothingCounted, hint.to_owned())
        };
        let counted = match events {
            0 => "no event counted".to_owned(),
            1 => "only 1 event counted".to_owned(),
            _ => format!("only {events} events counted"),
        };
        let path = Printable(dead_letter_path.display());
        let text = format!("{counted}, {dead_letters} dead letters in {path}: {hint}");
        let code = if part == Part::WrongForm { ErrorCode::WrongForm } else { ErrorCode::NothingCounted };
        RunEnd::failed(part, CliError::new(code, text))
    }

    /// In one line, for people.
    pub fn headline(&self) -> String {
        match self {
            RunEnd::Done => "done".to_owned(),
            RunEnd::AskedToStop => "stopped by a signal, everything that was read is published".to_owned(),
            RunEnd::Interrupted => "stopped early: interrupted by a signal".to_owned(),
            RunEnd::Left { items, .. } => {
                format!("stopped early: {items} items wait in the state, and the next run with it publishes them")
            }
            RunEnd::ReaderLeft => "stopped early: whoever read stdout has left".to_owned(),
            RunEnd::Failed { part, .. } => format!("failed: {}", part.what_happened()),
        }
    }

    /// In one word, for programs.
    pub fn outcome(&self) -> &'static str {
        match self {
            RunEnd::Done => "done",
            RunEnd::AskedToStop => "stopped",
            RunEnd::Interrupted => "interrupted",
            RunEnd::Left { .. } => "left",
            RunEnd::ReaderLeft => "reader_left",
            RunEnd::Failed { .. } => "failed",
        }
    }

    /// Whether it came to its ordinary end.
    pub fn completed(&self) -> bool {
        matches!(self, RunEnd::Done | RunEnd::AskedToStop)
    }

    /// How much of what was counted stands in the sink.
    pub fn published(&self) -> Published {
        match self {
            RunEnd::Done | RunEnd::AskedToStop | RunEnd::Interrupted => Published::All,
            RunEnd::ReaderLeft | RunEnd::Left { .. } => Published::Part,
            RunEnd::Failed { part, .. } => part.published(),
        }
    }

    /// The code that the process exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            RunEnd::Done | RunEnd::AskedToStop | RunEnd::ReaderLeft | RunEnd::Left { interrupted: false, .. } => 0,
            RunEnd::Interrupted => interrupted().exit_code(),
            RunEnd::Left { items, interrupted: true } => left(*items).exit_code(),
            RunEnd::Failed { error, .. } => error.exit_code(),
        }
    }

    /// What is still to be said, and makes the exit code.
    pub fn into_result(self) -> Result<(), CliError> {
        match self {
            RunEnd::Done | RunEnd::AskedToStop | RunEnd::ReaderLeft | RunEnd::Left { interrupted: false, .. } => Ok(()),
            RunEnd::Interrupted => Err(interrupted()),
            RunEnd::Left { items, interrupted: true } => Err(left(items)),
            RunEnd::Failed { error, .. } => Err(error),
        }
    }
}

fn interrupted() -> CliError {
    CliError::new(
        ErrorCode::Interrupted,
        "interrupted before the end; what was read until then is counted and published",
    )
}

fn left(items: u64) -> CliError {
    CliError::new(
        ErrorCode::ItemsLeft,
        format!(
            "interrupted before the end; what was read until then is counted, and {items} items of it wait to be published"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{CheckpointError, CheckpointErrorKind};
    use crate::sink::SinkError;
    use crate::source::SourceError;

    /// What a run may end with.
    fn ends() -> Vec<RunEnd> {
        use SinkErrorKind::*;
        let kinds = [
            Failed,
            InUse,
            Usage,
            ServiceLost,
            ClosedPipe,
            Gone,
            Foreign,
            Damaged,
            DiskFull,
            Denied,
            NoTable,
            WrongKey,
            DeadLetters,
            TooManyDeadLetters,
        ];
        let sink = kinds.map(|kind| RunEnd::after(RunError::Sink(SinkError::new("no").of_kind(kind))));
        let mut ends = vec![RunEnd::Done, RunEnd::AskedToStop, RunEnd::Interrupted];
        ends.extend([false, true].map(|interrupted| RunEnd::Left { items: 3, interrupted }));
        ends.push(RunEnd::after(RunError::Checkpoint(CheckpointError::new(CheckpointErrorKind::Failed, "no"))));
        ends.push(RunEnd::after(RunError::Source(SourceError::new("no"))));
        ends.push(RunEnd::after(RunError::Block(SourceError::new("no"))));
        ends.push(RunEnd::failed(Part::Positions, CliError::new(ErrorCode::Bug, "no")));
        ends.push(RunEnd::after(RunError::State(ApplyError::TooManyKeys)));
        ends.push(RunEnd::after(RunError::Bug("no")));
        ends.push(RunEnd::after(RunError::NotCaughtUp(5)));
        ends.push(RunEnd::failed(Part::DamagedLog, CliError::new(ErrorCode::Bug, "no")));
        ends.push(RunEnd::failed(Part::NothingCounted, CliError::new(ErrorCode::Bug, "no")));
        ends.push(RunEnd::failed(Part::WrongForm, CliError::new(ErrorCode::Bug, "no")));
        ends.extend(sink);
        ends
    }

    #[test]
    fn headline_outcome_completeness_exit_code_and_error_agree() {
        for end in ends() {
            let (headline, outcome, code) = (end.headline(), end.outcome(), end.exit_code());
            let failed = headline.starts_with("failed: ");
            assert_eq!(failed, outcome == "failed", "{end:?}");
            assert_eq!(end.completed(), !failed && !headline.starts_with("stopped early: "), "{end:?}");
            assert!(!end.completed() || (code == 0 && end.published() == Published::All), "{end:?}");
            assert!(!failed || code != 0, "{end:?}");
            let result = end.into_result();
            assert_eq!(result.as_ref().map_or_else(CliError::exit_code, |()| 0), code);
        }
    }

    #[test]
    fn positions_hold_where_all_is_published_and_nothing_is_missing_in_between() {
        for end in ends() {
            let is_block = matches!(end, RunEnd::Failed { part: Part::Block, .. });
            let holds = end.published() == Published::All && !is_block;
            assert_eq!(end.stands_at_its_positions().is_ok(), holds, "{end:?}");
        }
        let block = || RunEnd::after(RunError::Block(SourceError::new("a block")));
        let input = || RunEnd::after(RunError::Source(SourceError::new("a reader")));
        for (first, second, told) in [(block(), input(), "a block"), (input(), block(), "a reader")] {
            let end = second.behind(Some(first.behind(None)));
            assert!(end.stands_at_its_positions().is_err(), "{end:?}");
            assert_eq!(end.into_result().unwrap_err().to_string(), told);
        }
    }

    #[test]
    fn only_a_reader_of_stdout_may_leave() {
        let codes: Vec<_> = ends().iter().filter(|end| end.outcome() == "reader_left").map(RunEnd::exit_code).collect();
        assert_eq!(codes, [0]);
    }
}
