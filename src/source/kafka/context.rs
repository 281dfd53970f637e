//! What librdkafka reports beside messages.

use std::sync::{Mutex, OnceLock, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};

/// Keeps the last error's own words, which the errors of the calls do not carry.
#[derive(Debug, Default)]
pub(crate) struct Context {
    last_report: Mutex<Option<Report>>,
    failed_delivery: Mutex<Option<KafkaError>>,
    /// librdkafka's words for the change of a topic's id.
    made_anew: OnceLock<String>,
    /// The first id of a topic that was heard of.
    topic_id: OnceLock<String>,
}

/// An error as librdkafka tells it.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) text: String,
}

impl Context {
    /// The last error reported since this was asked before.
    pub(crate) fn take_report(&self) -> Option<Report> {
        self.last_report.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Says, once it is so, that a topic has another id than before: it was deleted and made anew.
    pub(crate) fn made_anew(&self) -> Option<&str> {
        self.made_anew.get().map(String::as_str)
    }

    /// The id of the topic, once that is known.
    pub(crate) fn topic_id(&self) -> Option<&str> {
        self.topic_id.get().map(String::as_str)
    }

    /// The first message that could not be delivered, if any.
    pub(crate) fn failed_delivery(&self) -> Option<KafkaError> {
        self.failed_delivery.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters of it comes as an error too.
        tracing::debug!(target: "librdkafka", "{facility}: {message}");
        if let Some(change) = change_of_id(message) {
            self.made_anew.get_or_init(|| change.to_owned());
        }
        if let Some(id) = first_id(message) {
            self.topic_id.get_or_init(|| id.to_owned());
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        tracing::debug!(target: "librdkafka", "{error}: {reason}");
        // That all brokers are down follows a report that says why; an end is no error.
        if !matches!(code, RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::PartitionEOF) {
            let report = Report { code, text: reason.to_owned() };
            *self.last_report.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
        }
    }
}

/// In the place of an id that is not known yet, or that old brokers do not say.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// The id of a topic, where a log line tells it for the first time: as a change from none.
fn first_id(message: &str) -> Option<&str> {
    let (_, ids) = message.split_once(" changed id from ")?;
    let (before, id) = ids.split_once(" to ").or_else(|| Some(("", ids.strip_prefix("to ")?)))?;
    let id = id.trim_end();
    ((before.is_empty() || before == NO_ID) && !id.is_empty() && id != NO_ID).then_some(id)
}

/// The part of a log line that tells of a topic with a new id; librdkafka has no other way to say it. The first id that
/// it learns is a change from none.
fn change_of_id(message: &str) -> Option<&str> {
    let at = message.find("Topic ")?;
    let line = &message[at..];
    let (_, ids) = line.split_once(" changed id from ")?;
    (!ids.starts_with(NO_ID) && !ids.starts_with("to ")).then_some(line)
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let Err((error, _)) = result {
            self.failed_delivery.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_whose_id_changes_was_made_anew() {
        let context = Context::default();
        let level = RDKafkaLogLevel::Debug;
        context.log(
            level,
            "METADATA",
            "[thrd:main]: Topic e changed id from AAAAAAAAAAAAAAAAAAAAAA to VtqfF9zRQ4S7ZBz4",
        );
        assert_eq!((context.made_anew(), context.topic_id()), (None, Some("VtqfF9zRQ4S7ZBz4")), "the first id");
        context.log(level, "METADATA", "[thrd:main]: Topic e changed id from VtqfF9zRQ4S7ZBz4 to 1k3pVhB5QTmvwVqk");
        assert_eq!(context.made_anew(), Some("Topic e changed id from VtqfF9zRQ4S7ZBz4 to 1k3pVhB5QTmvwVqk"));
        assert_eq!(context.topic_id(), Some("VtqfF9zRQ4S7ZBz4"));
    }

    #[test]
    fn a_topic_without_an_id_has_none() {
        for line in
            ["Topic e changed id from AAAAAAAAAAAAAAAAAAAAAA to AAAAAAAAAAAAAAAAAAAAAA", "Topic e: 3 partitions"]
        {
            assert_eq!(first_id(line), None, "{line}");
        }
    }
}
