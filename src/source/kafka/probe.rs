//! Asks Kafka about the topic: at the start, and now and then while it is read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::context::{Context, Report};
use super::problem::{OutageLog, describe, passes};
use super::settings::with_tls_hint;
use super::topic_address::TopicAddress;
use crate::source::{SourceError, SourceErrorKind};

/// How long one request may take before a report of librdkafka's is looked for, and whether to stop.
const REQUEST_PATIENCE: Duration = Duration::from_secs(1);

/// A topic that was made a moment ago may not be known to every broker yet.
const NEW_TOPIC_PATIENCE: Duration = Duration::from_secs(3);

const PAUSE_BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// A client that asks and does not read.
pub(crate) struct Probe {
    consumer: BaseConsumer<Context>,
    topic: TopicAddress,
    outages: OutageLog,
}

/// How long to wait for an answer at the start.
#[derive(Clone, Copy)]
pub(super) struct Wait<'a> {
    pub(super) deadline: Instant,
    /// Ends the wait as well.
    pub(super) stop: &'a AtomicBool,
}

impl Wait<'_> {
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline || self.stop.load(Ordering::Relaxed)
    }
}

impl Probe {
    pub(crate) fn new(mut settings: ClientConfig, topic: TopicAddress) -> Result<Probe, SourceError> {
        settings.remove("group.id");
        Ok(Probe { consumer: new_consumer(&settings, &topic)?, topic, outages: OutageLog::default() })
    }

    /// The number of partitions; an error where there is no such topic, or no answer in time.
    pub(super) fn partition_count(&self, wait: Wait<'_>) -> Result<usize, SourceError> {
        let new_topic = Wait { deadline: wait.deadline.min(Instant::now() + NEW_TOPIC_PATIENCE), ..wait };
        loop {
            if let Some(count) = self.find_partition_count(wait)? {
                return Ok(count);
            }
            if new_topic.is_over() {
                let code = RDKafkaErrorCode::UnknownTopicOrPartition;
                return Err(describe(&self.topic, &Report { code, text: code.to_string() }));
            }
            self.hear_reports(PAUSE_BETWEEN_TRIES);
        }
    }

    /// The number of partitions; `None` where there is no such topic.
    pub(super) fn find_partition_count(&self, wait: Wait<'_>) -> Result<Option<usize>, SourceError> {
        self.try_until(wait, || match self.ask_partition_count() {
            Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)) => Ok(None),
            answer => answer.map(Some),
        })
    }

    /// Where each of so many partitions begins or ends.
    pub(super) fn offsets(&self, count: usize, which: Offset, wait: Wait<'_>) -> Result<Vec<i64>, SourceError> {
        self.try_until(wait, || self.ask_offsets(count, which))
    }

    /// Where each of so many partitions begins or ends, asked once.
    pub(super) fn ask_offsets(&self, count: usize, which: Offset) -> KafkaResult<Vec<i64>> {
        ask_offsets(&self.consumer, &self.topic.name, count, which)
    }

    /// The id of the cluster that answered last; old brokers have none.
    pub(super) fn cluster_id(&self) -> Option<String> {
        self.consumer.client().fetch_cluster_id(Duration::ZERO)
    }

    /// The number of partitions, asked once.
    pub(super) fn ask_partition_count(&self) -> KafkaResult<usize> {
        let metadata = self.consumer.fetch_metadata(Some(&self.topic.name), REQUEST_PATIENCE)?;
        let topic = metadata.topics().first();
        match topic.map(|topic| (topic.error(), topic.partitions().len())) {
            Some((Some(error), _)) => Err(KafkaError::MetadataFetch(error.into())),
            None | Some((None, 0)) => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)),
            Some((None, count)) => Ok(count),
        }
    }

    fn try_until<T>(&self, wait: Wait<'_>, ask: impl Fn() -> KafkaResult<T>) -> Result<T, SourceError> {
        let mut last_report = None;
        loop {
            let error = match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            self.hear_reports(PAUSE_BETWEEN_TRIES);
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            // What librdkafka reports says more than that a request was in vain.
            if let Some(report) = self.consumer.context().take_report() {
                last_report = Some(report);
            }
            let report = match &last_report {
                Some(report) if passes(code) => report.clone(),
                _ => Report { code, text: code.to_string() },
            };
            if !passes(report.code) || wait.is_over() {
                return Err(describe(&self.topic, &report));
            }
            self.outages.lost(&self.topic, &report);
        }
    }

    /// Lets librdkafka report what it has to, for so long.
    pub(super) fn hear_reports(&self, patience: Duration) {
        let until = Instant::now() + patience;
        while self.consumer.poll(until.saturating_duration_since(Instant::now())).is_some() {}
    }
}

/// A consumer with these settings.
pub(super) fn new_consumer(
    settings: &ClientConfig,
    topic: &TopicAddress,
) -> Result<BaseConsumer<Context>, SourceError> {
    settings.create_with_context(Context::default()).map_err(|error| match error {
        KafkaError::ClientCreation(problem) => {
            SourceError::new(with_tls_hint(&problem, &format!("Kafka at {}: ", topic.brokers)))
                .of_kind(SourceErrorKind::Settings)
        }
        error => SourceError::caused_by(format!("{topic}: cannot make a client"), error),
    })
}

/// Where each of the topic's partitions begins or ends. One request per broker answers for all of
/// its partitions.
pub(super) fn ask_offsets(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    count: usize,
    which: Offset,
) -> KafkaResult<Vec<i64>> {
    let mut list = TopicPartitionList::with_capacity(count);
    for id in 0..count {
        list.add_partition_offset(topic, id as i32, which)?;
    }
    // The two ends of a partition can be asked for like times.
    let answer = consumer.offsets_for_times(list, REQUEST_PATIENCE)?;
    let mut offsets = vec![0; count];
    for element in answer.elements() {
        element.error()?;
        let known = usize::try_from(element.partition()).ok().and_then(|id| offsets.get_mut(id));
        match (element.offset(), known) {
            (Offset::Offset(offset), Some(known)) => *known = offset,
            _ => return Err(KafkaError::OffsetFetch(RDKafkaErrorCode::OffsetNotAvailable)),
        }
    }
    Ok(offsets)
}
