//! What goes wrong with Kafka: which problems pass, and how the others are told.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;

use super::context::Report;
use crate::source::SourceError;

/// How often a lost broker is told of.
pub(super) const WARN_EVERY: Duration = Duration::from_secs(10);

/// Where a client reads or writes, for messages.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) brokers: String,
    pub(crate) topic: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kafka at {}, topic \"{}\"", self.brokers, self.topic)
    }
}

/// Whether librdkafka gets over a problem by itself, so that waiting is right. Everything that is
/// not known to pass ends the run: on doubt, better to stop than to skip something.
pub(crate) fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::SSL
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::MessageTimedOut
            | Code::NodeUpdate
            | Code::WaitingForCoordinator
            | Code::WaitCache
            | Code::Retry
            | Code::DestroyBroker
            | Code::Unknown
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::RequestTimedOut
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotController
            | Code::KafkaStorageError
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::ThrottlingQuotaExceeded
            // No group is ever joined: what a group may not do is no concern.
            | Code::GroupAuthorizationFailed
    )
}

/// The error that ends a run, with what to do about it.
pub(crate) fn describe(place: &Place, report: &Report) -> SourceError {
    let Place { brokers, topic } = place;
    let text = &report.text;
    let explanation = match report.code {
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => format!(
            "Kafka at {brokers} does not accept who we are: {text}; check `security.protocol` and the `sasl.` \
             entries in [kafka.options]"
        ),
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::UnknownTopicId => format!(
            "Kafka at {brokers} has no topic \"{topic}\"; correct `topic` in [kafka], or create the topic \
             (`counter-machine produce` does with --create-partitions)"
        ),
        Code::InvalidTopic => format!("\"{topic}\" cannot be the name of a Kafka topic; correct `topic` in [kafka]"),
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            format!("Kafka at {brokers} does not allow the use of topic \"{topic}\": {text}; its ACLs must be changed")
        }
        code if passes(code) => format!(
            "Kafka at {brokers} could not be reached for topic \"{topic}\": {text}; is it running, and are `brokers` \
             in [kafka] and `security.protocol` in [kafka.options] right?"
        ),
        code => format!("{place}: {text} ({code:?})"),
    };
    if passes(report.code) { SourceError::service_lost(explanation) } else { SourceError::new(explanation) }
}

/// The error that ends a run whose topic is no longer the one that it began to read.
pub(super) fn made_anew(place: &Place, finding: &str) -> SourceError {
    SourceError::new(format!(
        "{place}: {finding}. The topic was deleted and made anew, or a broker lost its messages: what was read of it is \
         counted and published; to count what is there now, start anew"
    ))
}

/// Tells of a lost broker, and of its return, without flooding the log.
#[derive(Debug, Default)]
pub(super) struct OutageLog {
    last_warning: Mutex<Option<Instant>>,
}

impl OutageLog {
    /// Something failed that will be tried again.
    pub(super) fn lost(&self, place: &Place, report: &Report) {
        let mut last = self.last_warning.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= WARN_EVERY) {
            *last = Some(Instant::now());
            tracing::warn!("Kafka at {}: {}; waiting for it", place.brokers, report.text);
        }
    }

    /// Messages come again.
    pub(super) fn found(&self, place: &Place) {
        if self.last_warning.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("Kafka at {}: messages come again", place.brokers);
        }
    }
}
