//! Where events come from: every source cuts its input into [`Block`]s and stamps them with its
//! own current epoch, which never goes back. So the events before an epoch's end are exactly a
//! prefix of every partition.
//!
//! A source runs on threads of its own and hands blocks to workers through a bounded [`Feed`]; the
//! workers decode. When the dataflow does not keep up, the feed is full and the source stands still.

mod block;
mod feed;
pub mod kafka;
pub mod log;
pub mod synthetic;

pub use block::{BecameShorter, Block, LogBytes, Message, Payload, read_at};
pub use feed::{Closed, Feed, FeedSender, feed};

/// Why a source cannot go on: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    message: String,
    /// Whether a service does not answer, so that starting again may help.
    service_lost: bool,
    /// The library's own error.
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl SourceError {
    /// An error of the source's own finding.
    pub fn new(message: impl Into<String>) -> SourceError {
        SourceError { message: message.into(), service_lost: false, source: None }
    }

    /// A service that does not answer; starting again may help.
    pub fn service_lost(message: impl Into<String>) -> SourceError {
        SourceError { service_lost: true, ..SourceError::new(message) }
    }

    /// Whether a service does not answer.
    pub fn is_service_lost(&self) -> bool {
        self.service_lost
    }

    /// An error that a library reported while the source was doing what `message` says.
    pub fn caused_by(
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> SourceError {
        SourceError { source: Some(source.into()), ..SourceError::new(message) }
    }
}
