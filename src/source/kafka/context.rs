//! What librdkafka reports beside messages.

use std::sync::{Mutex, PoisonError};

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

    /// The first message that could not be delivered, if any.
    pub(crate) fn failed_delivery(&self) -> Option<KafkaError> {
        self.failed_delivery.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters of it comes as an error too.
        tracing::debug!(target: "librdkafka", "{facility}: {message}");
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

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let Err((error, _)) = result {
            self.failed_delivery.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        }
    }
}
