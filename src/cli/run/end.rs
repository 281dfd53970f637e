//! How a run ended, in one place: the headline, what the sink holds, the exit code and the last error all come from here.

use std::path::Path;

use crate::cli::CliError;
use crate::dataflow::RunError;
use crate::event::Reason;
use crate::findings::Observed;
use crate::sink::{SinkError, SinkErrorKind};
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

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Input could not be read any further.
    Input,
    /// Some logs are damaged; all others, and what came before the damage, were counted.
    DamagedLog,
    /// Everything that was read was refused.
    NothingCounted,
    /// The input holds events in another form, and next to nothing of it counted.
    WrongForm,
    /// Items could not be written any further.
    Sink,
    /// What was written is not there any more.
    SinkGone,
    /// A service did not answer.
    Service,
    /// Dead letters could not be written any further.
    DeadLetters,
    /// There were more dead letters than may be.
    TooManyDeadLetters,
    /// There were more rows than workers can hold.
    Rows,
    /// It was stopped before it had caught up, so nothing was published.
    NotCaughtUp,
    /// The program itself.
    Program,
}

/// How much of what was counted stands in the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// All of it.
    All,
    /// What was acknowledged, perhaps more, but not all.
    Part,
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    Gone,
}

impl Published {
    /// In the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Published::All => "all",
            Published::Part => "part",
            Published::Nothing => "none",
            Published::Gone => "gone",
        }
    }
}

impl RunEnd {
    /// What becomes of a run that this ended.
    pub fn after(error: RunError) -> RunEnd {
        match error {
            RunError::Source(error) => RunEnd::failed(Part::Input, error),
            RunError::Sink(error) if error.kind() == SinkErrorKind::ClosedPipe => RunEnd::ReaderLeft,
            RunError::Sink(error) => RunEnd::failed(part_of(&error), error),
            RunError::NotCaughtUp(_) => RunEnd::failed(Part::NotCaughtUp, CliError::Lost(error.to_string())),
            RunError::State(ApplyError::Damaged(_)) | RunError::Bug(_) => {
                RunEnd::failed(Part::Program, CliError::Failed(error.to_string()))
            }
            RunError::State(_) => RunEnd::failed(Part::Rows, CliError::Failed(error.to_string())),
        }
    }

    /// A failure of this part.
    pub fn failed(part: Part, error: impl Into<CliError>) -> RunEnd {
        RunEnd::Failed { part, error: error.into() }
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
        RunEnd::failed(part, CliError::Failed(text))
    }

    /// In one line, for people.
    pub fn headline(&self) -> String {
        match self {
            RunEnd::Done => "done".to_owned(),
            RunEnd::AskedToStop => "stopped by a signal, everything that was read is published".to_owned(),
            RunEnd::Interrupted => "stopped early: interrupted by a signal".to_owned(),
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
            RunEnd::ReaderLeft => Published::Part,
            RunEnd::Failed {
                part: Part::Input | Part::DamagedLog | Part::NothingCounted | Part::WrongForm, ..
            } => Published::All,
            RunEnd::Failed { part: Part::SinkGone, .. } => Published::Gone,
            RunEnd::Failed { part: Part::NotCaughtUp, .. } => Published::Nothing,
            RunEnd::Failed { .. } => Published::Part,
        }
    }

    /// The code that the process exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            RunEnd::Done | RunEnd::AskedToStop | RunEnd::ReaderLeft => 0,
            RunEnd::Interrupted => interrupted().exit_code(),
            RunEnd::Failed { error, .. } => error.exit_code(),
        }
    }

    /// What is still to be said, and makes the exit code.
    pub fn into_result(self) -> Result<(), CliError> {
        match self {
            RunEnd::Done | RunEnd::AskedToStop | RunEnd::ReaderLeft => Ok(()),
            RunEnd::Interrupted => Err(interrupted()),
            RunEnd::Failed { error, .. } => Err(error),
        }
    }
}

impl Part {
    fn what_happened(self) -> &'static str {
        match self {
            Part::Input => "not everything could be read",
            Part::DamagedLog => "an event log is damaged",
            Part::NothingCounted => "no event counted",
            Part::WrongForm => "the input is not one JSON object per line",
            Part::Sink => "not everything could be published",
            Part::SinkGone => "what was published is gone",
            Part::Service => "a service does not answer",
            Part::DeadLetters => "dead letters could not be kept",
            Part::TooManyDeadLetters => "more dead letters than allowed",
            Part::Rows => "too many rows",
            Part::NotCaughtUp => "stopped before it had caught up",
            Part::Program => "a bug",
        }
    }
}

fn part_of(error: &SinkError) -> Part {
    match error.kind() {
        SinkErrorKind::Failed | SinkErrorKind::InUse | SinkErrorKind::Usage | SinkErrorKind::ClosedPipe => Part::Sink,
        SinkErrorKind::ServiceLost => Part::Service,
        SinkErrorKind::Gone => Part::SinkGone,
        SinkErrorKind::DeadLetters => Part::DeadLetters,
        SinkErrorKind::TooManyDeadLetters => Part::TooManyDeadLetters,
    }
}

fn interrupted() -> CliError {
    CliError::Interrupted("interrupted before the end; what was read until then is counted and published".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceError;

    /// What a run may end with.
    fn ends() -> Vec<RunEnd> {
        use SinkErrorKind::*;
        let kinds = [Failed, InUse, Usage, ServiceLost, ClosedPipe, Gone, DeadLetters, TooManyDeadLetters];
        let sink = kinds.map(|kind| RunEnd::after(RunError::Sink(SinkError::new("no").of_kind(kind))));
        let mut ends = vec![RunEnd::Done, RunEnd::AskedToStop, RunEnd::Interrupted];
        ends.push(RunEnd::after(RunError::Source(SourceError::new("no"))));
        ends.push(RunEnd::after(RunError::State(ApplyError::TooManyKeys)));
        ends.push(RunEnd::after(RunError::Bug("no")));
        ends.push(RunEnd::after(RunError::NotCaughtUp(5)));
        ends.push(RunEnd::failed(Part::DamagedLog, CliError::Failed("no".to_owned())));
        ends.push(RunEnd::failed(Part::NothingCounted, CliError::Failed("no".to_owned())));
        ends.push(RunEnd::failed(Part::WrongForm, CliError::Failed("no".to_owned())));
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
    fn only_a_reader_of_stdout_may_leave() {
        let codes: Vec<_> = ends().iter().filter(|end| end.outcome() == "reader_left").map(RunEnd::exit_code).collect();
        assert_eq!(codes, [0]);
    }
}
