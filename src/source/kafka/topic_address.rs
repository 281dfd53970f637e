//! Where the topic is.

use std::fmt;

use crate::pipeline::KafkaConfig;

/// A topic and its brokers: for requests, and for messages.
#[derive(Clone, Debug)]
pub(super) struct TopicAddress {
    pub(super) brokers: String,
    pub(super) name: String,
}

impl TopicAddress {
    pub(super) fn of(config: &KafkaConfig) -> TopicAddress {
        TopicAddress { brokers: config.brokers.clone(), name: config.topic.clone() }
    }
}

impl fmt::Display for TopicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kafka at {}, topic \"{}\"", self.brokers, self.name)
    }
}
