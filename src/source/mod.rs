//! Where events come from: every source cuts its input into [`Block`]s and stamps them with its
//! own current epoch, which never goes back. So the events before an epoch's end are exactly a
//! prefix of every partition.
//!
//! A source runs on threads of its own and hands blocks to workers through a bounded [`Feed`]; the
//! workers decode. When the dataflow does not keep up, the feed is full and the source stands still.

mod block;
mod caught_up;
mod cuts;
mod feed;
mod followed;
pub mod kafka;
pub mod log;
mod positions;
mod resume;
mod split;

pub use block::{BecameShorter, Block, HEAD_BYTES, LogBytes, Message, Payload, read_at};
pub use caught_up::CaughtUp;
pub(crate) use cuts::Ground;
pub use cuts::{Cut, Cuts, KnownCuts, Noter, Noting};
pub(crate) use cuts::{CutNews, NoterElsewhere, ReaderNote, TellNote};
pub use feed::{Closed, Feed, FeedSender, feed};
pub use followed::Followed;
pub use positions::{
    KafkaPositions, LogHead, LogPart, LogPositions, OffsetRange, Positions, PositionsError, PositionsFile,
    SourcePositions,
};
pub use resume::Resume;

/// Why a source cannot go on: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    message: String,
    kind: SourceErrorKind,
    /// The library's own error.
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Whose fault an error is, and whether starting again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceErrorKind {
    /// Input cannot be read.
    Failed,
    /// A service does not answer; starting again may help.
    ServiceLost,
    /// The pipeline file asks for what cannot be.
    Usage,
    /// A log is not what it was when it was counted.
    Changed,
    /// A log is damaged, or cut off.
    Damaged,
    /// What is to be read again is not there any more.
    Lost,
    /// The state was counted from other input.
    OtherInput,
    /// There is no such topic.
    NoTopic,
    /// The topic is not the one that was read: it was deleted and made anew.
    MadeAnew,
    /// Messages were deleted before they were read.
    MessagesGone,
    /// The service does not accept who we are, or does not allow it.
    Denied,
    /// The settings for Kafka are not right.
    Settings,
}

impl SourceError {
    /// An error of the source's own finding.
    pub fn new(message: impl Into<String>) -> SourceError {
        SourceError { message: message.into(), kind: SourceErrorKind::Failed, source: None }
    }

    /// A service that does not answer; starting again may help.
    pub fn service_lost(message: impl Into<String>) -> SourceError {
        SourceError { kind: SourceErrorKind::ServiceLost, ..SourceError::new(message) }
    }

    /// The same error, of another kind.
    pub(crate) fn of_kind(self, kind: SourceErrorKind) -> SourceError {
        SourceError { kind, ..self }
    }

    /// What kind of error it is.
    pub fn kind(&self) -> SourceErrorKind {
        self.kind
    }

    /// An error that a library reported while the source was doing what `message` says.
    pub fn caused_by(
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> SourceError {
        SourceError { source: Some(source.into()), ..SourceError::new(message) }
    }
}
