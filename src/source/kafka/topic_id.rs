//! The id of a topic, by which it differs from another one that was made later with the same name.
//!
//! librdkafka tells it in what it logs alone, and only of a topic that it reads; so a client of its own begins to read, and is dropped as
//! soon as it knows.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::probe::{Wait, new_consumer};
use super::settings::watchful;
use super::topic_address::TopicAddress;
use crate::source::SourceError;

/// Brokers that answered a moment ago take no longer than this. Without an id a topic is judged by its cluster and its offsets.
const PATIENCE: Duration = Duration::from_secs(5);

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The id of this topic; `None` where the brokers do not say it (before Kafka 2.8).
pub(super) fn find(
    settings: &ClientConfig,
    topic: &TopicAddress,
    wait: Wait<'_>,
) -> Result<Option<String>, SourceError> {
    let wait = Wait { deadline: wait.deadline.min(Instant::now() + PATIENCE), ..wait };
    let consumer = new_consumer(&watchful(settings.clone()), topic)?;
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(&topic.name, 0, Offset::End)
        .and_then(|()| consumer.assign(&list))
        .map_err(|error| SourceError::caused_by(format!("{topic}: cannot assign a partition"), error))?;
    while !wait.is_over() {
        let polled = consumer.poll(LOOK_EVERY);
        if let Some(id) = consumer.context().topic_id() {
            return Ok(Some(id.to_owned()));
        }
        // It reads, and so it knows all that the brokers say of the topic.
        if matches!(polled, Some(Ok(_) | Err(KafkaError::PartitionEOF(_)))) {
            break;
        }
    }
    Ok(None)
}
