//! A topic as process 0 has found it, for the other processes: all begin where it says.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::partition::Partition;
use super::probe::Wait;
use super::progress::Start;
use super::{FoundTopic, KafkaOptions, KafkaSource};
use crate::pipeline::KafkaConfig;
use crate::source::SourceError;

/// Where reading each partition begins and ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TopicStarts {
    topic_id: Option<String>,
    cluster_id: Option<String>,
    partitions: Vec<PartitionStart>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct PartitionStart {
    next: i64,
    until: Option<i64>,
    at_beginning: bool,
    from: i64,
    published: i64,
    end: i64,
}

impl KafkaSource {
    /// What it has found, for the other processes.
    pub(crate) fn starts(&self) -> TopicStarts {
        let partition = |((of, start), end): ((&Partition, (i64, i64)), &i64)| PartitionStart {
            next: of.next,
            until: of.until,
            at_beginning: of.at_beginning,
            from: start.0,
            published: start.1,
            end: *end,
        };
        let starts = self.progress.starts();
        let partitions = self.partitions.iter().zip(starts).zip(&self.ends).map(partition).collect();
        TopicStarts { topic_id: self.progress.topic_id(), cluster_id: self.probe.cluster_id(), partitions }
    }

    /// Finds the topic that process 0 has found, to begin where that says. That it is another one is an error.
    pub(crate) fn connect_as_told(
        config: &KafkaConfig,
        options: KafkaOptions,
        stop: &AtomicBool,
        told: &TopicStarts,
    ) -> Result<KafkaSource, SourceError> {
        let wait = Wait { deadline: Instant::now() + options.connect_within, stop };
        let mut found = FoundTopic::find(config, wait, told.topic_id.is_some())?;
        let differ = |ours: &Option<String>, theirs: &Option<String>| {
            ours.as_ref().zip(theirs.as_ref()).is_some_and(|(ours, theirs)| ours != theirs)
        };
        if differ(&found.topic_id, &told.topic_id) || differ(&found.probe.cluster_id(), &told.cluster_id) {
            return Err(SourceError::new(format!(
                "{}: this process finds another topic or another cluster than process 0: do `brokers` lead to the same one everywhere?",
                found.address
            )));
        }
        found.ends = told.partitions.iter().map(|partition| partition.end).collect();
        let start = |(id, told): (i32, &PartitionStart)| {
            let partition = Partition::new(id, told.next, told.until);
            let partition = Partition { at_beginning: told.at_beginning, ..partition };
            Start { partition, from: told.from, published: told.published }
        };
        let starts = (0..).zip(&told.partitions).map(start).collect();
        Ok(KafkaSource::of(config, options, found, starts))
    }
}
