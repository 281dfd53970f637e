//! What of a run can fail, and what that leaves in the sink.

use crate::sink::{SinkError, SinkErrorKind};

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Input could not be read any further.
    Input,
    /// The same, in the middle of what was handed over: what was counted is no prefix of the input.
    Block,
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
    /// Checkpoints, or the journal, could not be written any more.
    State,
    /// Another process of the run is lost.
    Peer,
    /// Everything is published, but its positions could not be written.
    Positions,
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

impl Part {
    /// What of the output failed with this error of a sink.
    pub fn of_sink(error: &SinkError) -> Part {
        match error.kind() {
            SinkErrorKind::Failed
            | SinkErrorKind::InUse
            | SinkErrorKind::Usage
            | SinkErrorKind::ClosedPipe
            | SinkErrorKind::Foreign
            | SinkErrorKind::Damaged
            | SinkErrorKind::DiskFull
            | SinkErrorKind::Denied => Part::Sink,
            SinkErrorKind::ServiceLost => Part::Service,
            // A table that is missing, or is another, was the right one at the start.
            SinkErrorKind::Gone | SinkErrorKind::NoTable | SinkErrorKind::WrongKey => Part::SinkGone,
            SinkErrorKind::DeadLetters => Part::DeadLetters,
            SinkErrorKind::TooManyDeadLetters => Part::TooManyDeadLetters,
        }
    }

    /// How much of what was counted stands in the sink after that.
    pub fn published(self) -> Published {
        match self {
            Part::Input | Part::Block | Part::DamagedLog | Part::NothingCounted | Part::WrongForm | Part::Positions => {
                Published::All
            }
            Part::SinkGone => Published::Gone,
            Part::NotCaughtUp => Published::Nothing,
            Part::State
            | Part::Peer
            | Part::Sink
            | Part::Service
            | Part::DeadLetters
            | Part::TooManyDeadLetters
            | Part::Rows
            | Part::Program => Published::Part,
        }
    }

    /// In the headline.
    pub fn what_happened(self) -> &'static str {
        match self {
            Part::Input | Part::Block => "not everything could be read",
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
            Part::State => "the state could not be kept",
            Part::Peer => "another process is lost",
            Part::Positions => "the positions could not be written",
            Part::Program => "a bug",
        }
    }
}
