//! What goes wrong with Kafka: which problems pass, and how the others are told.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;

use super::context::Report;
use super::topic_address::TopicAddress;
use crate::source::{SourceError, SourceErrorKind};
use crate::telemetry::WarnLimiter;

/// How often a lost broker is told of.
const WARN_EVERY: Duration = Duration::from_secs(10);

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
pub(crate) fn describe(topic: &TopicAddress, report: &Report) -> SourceError {
    let TopicAddress { brokers, name } = topic;
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
            "Kafka at {brokers} has no topic \"{name}\"; correct `topic` in [kafka], or create the topic \
             (`counter-machine produce` does with --create-partitions)"
        ),
        Code::InvalidTopic => format!("\"{name}\" cannot be the name of a Kafka topic; correct `topic` in [kafka]"),
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            format!("Kafka at {brokers} does not allow the use of topic \"{name}\": {text}; its ACLs must be changed")
        }
        code if passes(code) => format!(
            "Kafka at {brokers} could not be reached for topic \"{name}\": {text}; is it running, and are `brokers` \
             in [kafka] and `security.protocol` in [kafka.options] right?"
        ),
        code => format!("{topic}: {text} ({code:?})"),
    };
    SourceError::new(explanation).of_kind(kind(report.code))
}

/// What to do about it, once it ends the run.
fn kind(code: Code) -> SourceErrorKind {
    match code {
        code if passes(code) => SourceErrorKind::ServiceLost,
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed => SourceErrorKind::Denied,
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::UnknownTopicId
        | Code::InvalidTopic => SourceErrorKind::NoTopic,
        _ => SourceErrorKind::Failed,
    }
}

/// The error that ends a run whose topic is no longer the one that it began to read.
pub(super) fn made_anew(topic: &TopicAddress, finding: &str) -> SourceError {
    SourceError::new(format!(
        "{topic}: {finding}. The topic was deleted and made anew, or a broker lost its messages: what was read of it is \
         counted and published; to count what is there now, start anew, or with a state once with --skip-lost"
    ))
    .of_kind(SourceErrorKind::MadeAnew)
}

/// Tells of a lost broker, and of its return, without flooding the log.
#[derive(Debug)]
pub(super) struct OutageLog {
    warned: Mutex<WarnLimiter>,
}

impl Default for OutageLog {
    fn default() -> OutageLog {
        OutageLog { warned: Mutex::new(WarnLimiter::new(WARN_EVERY)) }
    }
}

impl OutageLog {
    /// Something failed that will be tried again.
    pub(super) fn lost(&self, topic: &TopicAddress, report: &Report) {
        if self.warned.lock().unwrap_or_else(PoisonError::into_inner).is_due(Instant::now()) {
            tracing::warn!("Kafka at {}: {}; waiting for it", topic.brokers, report.text);
        }
    }

    /// Messages come again.
    pub(super) fn found(&self, topic: &TopicAddress) {
        if self.warned.lock().unwrap_or_else(PoisonError::into_inner).reset() {
            tracing::info!("Kafka at {}: messages come again", topic.brokers);
        }
    }
}
