//! Reading once more what a run has read of a topic: exactly its offsets, and nothing behind them.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use rdkafka::topic_partition_list::Offset;

use super::partition::Partition;
use super::probe::Wait;
use super::progress::Start;
use super::topic_address::TopicAddress;
use super::{FoundTopic, KafkaOptions, KafkaSource};
use crate::pipeline::KafkaConfig;
use crate::source::{KafkaPositions, OffsetRange, SourceError};

/// How many partitions an error names.
const MOST_NAMED: usize = 3;

impl KafkaSource {
    /// Finds the topic again, to read what these positions say and then to end, whatever `start` and
    /// [`KafkaOptions::until_end`] are. Messages that are not in their ranges are not handed over; partitions that the run
    /// did not know are not read.
    ///
    /// It is an error where some of the offsets are gone (it says how many), or were never there: then the topic is another
    /// one.
    pub fn connect_up_to(
        config: &KafkaConfig,
        positions: &KafkaPositions,
        options: KafkaOptions,
        stop: &AtomicBool,
    ) -> Result<KafkaSource, SourceError> {
        let wait = Wait { deadline: Instant::now() + options.connect_within, stop };
        if positions.topic != config.topic {
            return Err(SourceError::new(format!(
                "the run has read the topic \"{}\", and the pipeline file names \"{}\": correct `topic` in [kafka]",
                positions.topic, config.topic
            )));
        }
        let mut found = FoundTopic::find(config, wait, positions.topic_id.is_some())?;
        if let Some((was, is)) = positions.topic_id.as_ref().zip(found.topic_id.as_ref()).filter(|(was, is)| was != is)
        {
            return Err(SourceError::new(format!(
                "{}: its id was {was} and is {is}: the topic was deleted and made anew since the run has read it",
                found.address
            )));
        }
        let begins = found.offsets(Offset::Beginning, wait)?;
        refuse_missing(&found.address, positions, &begins, &found.ends)?;
        let nothing = OffsetRange { from: 0, to: 0 };
        let range_of = |id: i32| positions.partitions.get(&id).copied().unwrap_or(nothing);
        let ranges: Vec<OffsetRange> = (0..).map(range_of).take(found.ends.len()).collect();
        // For whoever shows how far there is to go, and for the watcher, who finds the topic too short when it is another one.
        found.ends = ranges.iter().map(|range| range.to).collect();
        let partition = |(id, range): (i32, OffsetRange)| Partition::new(id, range.from, Some(range.to));
        let partitions = (0..).zip(ranges).map(partition).map(Start::of).collect();
        let options = KafkaOptions { until_end: true, ..options };
        Ok(KafkaSource::of(config, options, found, partitions))
    }
}

/// An error where a topic with these beginnings and ends does not hold all that was read of it.
fn refuse_missing(
    topic: &TopicAddress,
    positions: &KafkaPositions,
    begins: &[i64],
    ends: &[i64],
) -> Result<(), SourceError> {
    let (mut gone, mut lost) = (Vec::new(), 0);
    for (id, OffsetRange { from, to }) in &positions.partitions {
        let bounds = usize::try_from(*id).ok().and_then(|id| begins.get(id).zip(ends.get(id)));
        let Some((begin, end)) = bounds else {
            return Err(SourceError::new(format!(
                "{topic}: the run has read partition {id}, and there are {} partitions: it is not the topic that was read",
                ends.len()
            )));
        };
        if end < to {
            return Err(SourceError::new(format!(
                "{topic}, partition {id}: the run has read it up to offset {to}, and it ends at {end}: the topic was deleted \
                 and made anew since, or a broker lost its messages"
            )));
        }
        if begin > from && from < to {
            lost += begin.min(to) - from;
            gone.push(format!("partition {id}: {from} to {to} were read, {begin} is the first that is left"));
        }
    }
    if gone.is_empty() {
        return Ok(());
    }
    let named = gone[..gone.len().min(MOST_NAMED)].join("; ");
    let more = if gone.len() > MOST_NAMED { "; and so in others" } else { "" };
    Err(SourceError::new(format!(
        "{topic}: of the offsets that the run has read {lost} are gone, by the topic's retention ({named}{more}): what is left \
         of them cannot be compared with what was counted"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::EventTime;

    fn refusal(ranges: &[(i32, i64, i64)], begins: &[i64], ends: &[i64]) -> Option<String> {
        let topic = TopicAddress { brokers: "b:1".to_owned(), name: "events".to_owned() };
        let partitions = ranges.iter().map(|(id, from, to)| (*id, OffsetRange { from: *from, to: *to })).collect();
        let positions = KafkaPositions {
            topic: "events".to_owned(),
            cluster: None,
            topic_id: None,
            partitions,
            run_start: EventTime(0),
        };
        refuse_missing(&topic, &positions, begins, ends).err().map(|error| error.to_string())
    }

    #[test]
    fn a_topic_that_holds_all_of_it_may_hold_more() {
        assert_eq!(refusal(&[(0, 5, 9), (1, 0, 0)], &[5, 3, 0], &[20, 3, 7]), None, "of the second nothing was read");
    }

    #[test]
    fn it_is_told_how_much_is_gone() {
        let error = refusal(&[(0, 5, 9), (1, 0, 4), (2, 0, 3)], &[7, 100, 0], &[20, 200, 3]).unwrap();
        assert!(
            error.contains("6 are gone") && error.contains("partition 0: 5 to 9 were read, 7 is the first"),
            "{error}"
        );
        assert!(error.contains("partition 1") && !error.contains("partition 2"), "{error}");
    }

    #[test]
    fn a_topic_that_is_another_one_is_told() {
        let error = refusal(&[(2, 0, 0)], &[0, 0], &[5, 5]).unwrap();
        assert!(error.contains("partition 2") && error.contains("there are 2 partitions"), "{error}");
        let error = refusal(&[(0, 0, 9)], &[0], &[5]).unwrap();
        assert!(error.contains("up to offset 9") && error.contains("ends at 5"), "{error}");
    }
}
