//! Offsets for those who watch consumer groups: dashboards and alarms for lag know no others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::bounded;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::settings::consumer_settings;
use super::topic_address::TopicAddress;
use crate::pipeline::KafkaConfig;
use crate::source::{KafkaPositions, SourceError};

/// How long the last commit may take at the end of a run.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Commits positions to a consumer group that nobody joins. Nothing goes on from there: a run goes on from its own state, and that
/// the offsets cannot be committed is told once and stops nothing.
pub struct GroupOffsets {
    /// There until it is dropped.
    consumer: Option<BaseConsumer<Answers>>,
}

impl GroupOffsets {
    /// With a client of its own, which commits to this group.
    pub fn new(config: &KafkaConfig, group: &str) -> Result<GroupOffsets, SourceError> {
        let topic = TopicAddress::of(config);
        let mut settings = consumer_settings(config, 1)?;
        settings.set("group.id", group);
        let cannot = |error| SourceError::caused_by(format!("{topic}: cannot make a client for offsets"), error);
        let answers = Answers { trouble: Trouble::of(topic.clone(), group) };
        Ok(GroupOffsets { consumer: Some(settings.create_with_context(answers).map_err(cannot)?) })
    }

    /// Commits these positions, without waiting for an answer.
    pub fn commit(&self, positions: &KafkaPositions) {
        let Some(consumer) = &self.consumer else { return };
        // Answers to earlier commits are heard here.
        while consumer.poll(Duration::ZERO).is_some() {}
        let committed = offsets(positions).and_then(|offsets| match offsets.count() {
            0 => Ok(()),
            _ => consumer.commit(&offsets, CommitMode::Async),
        });
        consumer.context().trouble.judge(committed);
    }
}

impl Drop for GroupOffsets {
    /// A client that is closed waits until its commits are answered, and brokers that are away do not answer: the end of a run does not
    /// hang on that.
    fn drop(&mut self) {
        let consumer = self.consumer.take();
        let (closing, closed) = bounded::<()>(0);
        let close = move || {
            drop(consumer);
            drop(closing);
        };
        if std::thread::Builder::new().name("offsets".to_owned()).spawn(close).is_ok() {
            let _ = closed.recv_timeout(CLOSE_WITHIN);
        }
    }
}

/// The offset of the next message of each partition.
fn offsets(positions: &KafkaPositions) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(positions.partitions.len());
    for (id, range) in &positions.partitions {
        list.add_partition_offset(&positions.topic, *id, Offset::Offset(range.to))?;
    }
    Ok(list)
}

/// Hears how commits went.
struct Answers {
    trouble: Trouble,
}

impl ClientContext for Answers {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", "{facility}: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Brokers that are away are the readers' to tell of.
        tracing::debug!(target: "librdkafka", "{error}: {reason}");
    }
}

impl ConsumerContext for Answers {
    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let first_refused = offsets.elements().iter().find_map(|element| element.error().err());
        self.trouble.judge(result.and(first_refused.map_or(Ok(()), Err)));
    }
}

/// Says once that offsets cannot be committed.
struct Trouble {
    topic: TopicAddress,
    group: String,
    said: AtomicBool,
}

impl Trouble {
    fn of(topic: TopicAddress, group: &str) -> Trouble {
        Trouble { topic, group: group.to_owned(), said: AtomicBool::new(false) }
    }

    fn judge(&self, committed: KafkaResult<()>) {
        if let Err(error) = committed
            && !self.said.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                "{}: offsets cannot be committed to the group \"{}\": {error}. Nothing but dashboards needs them; name a group that \
                 this client may use with `group` in [kafka] (said once)",
                self.topic,
                self.group
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rdkafka::error::RDKafkaErrorCode;

    use super::*;
    use crate::counter::EventTime;
    use crate::source::OffsetRange;

    #[test]
    fn what_is_committed_is_the_next_offset_of_each_partition() {
        let range = |from, to| OffsetRange { from, to };
        let partitions = BTreeMap::from([(0, range(3, 9)), (7, range(0, 0))]);
        let positions = KafkaPositions {
            topic: "t".to_owned(),
            cluster: None,
            topic_id: None,
            partitions,
            run_start: EventTime(0),
        };
        let list = offsets(&positions).unwrap();
        let elements: Vec<_> = list.elements().iter().map(|element| (element.partition(), element.offset())).collect();
        assert_eq!(elements, [(0, Offset::Offset(9)), (7, Offset::Offset(0))]);
    }

    #[test]
    fn trouble_is_said_once() {
        let trouble = Trouble::of(TopicAddress { brokers: "b".to_owned(), name: "t".to_owned() }, "g");
        trouble.judge(Ok(()));
        assert!(!trouble.said.load(Ordering::Relaxed));
        trouble.judge(Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::GroupAuthorizationFailed)));
        assert!(trouble.said.load(Ordering::Relaxed));
    }
}
