//! Going on with a topic where an earlier run has left it.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rdkafka::topic_partition_list::Offset;

use super::partition::Partition;
use super::probe::Wait;
use super::progress::Start;
use super::topic_address::TopicAddress;
use super::{FoundTopic, KafkaOptions, KafkaSource};
use crate::pipeline::KafkaConfig;
use crate::source::{KafkaPositions, OffsetRange, Resume, SourceError, SourceErrorKind, SourcePositions};

/// A broker that has just become a leader may not know all of its log yet: only what is found so many times, one after
/// the other, is believed.
const FINDINGS: usize = 3;

const PAUSE_BETWEEN_FINDINGS: Duration = Duration::from_secs(1);

/// How many partitions an error names.
const MOST_NAMED: usize = 3;

impl KafkaSource {
    /// Finds the topic again, to go on where a checkpoint has counted to, whatever `start` is. Partitions that it does not
    /// know are read from their beginning.
    ///
    /// It is an error where offsets that come next are gone, or where this is another topic than the one that was read,
    /// unless what is gone is to be passed over.
    pub fn connect_from(
        config: &KafkaConfig,
        options: KafkaOptions,
        stop: &AtomicBool,
        resume: &Resume,
    ) -> Result<KafkaSource, SourceError> {
        let earlier = Earlier::of(config, resume)?;
        let wait = Wait { deadline: Instant::now() + options.connect_within, stop };
        let mut tries = 0..FINDINGS;
        loop {
            let found = FoundTopic::find(config, wait, true)?;
            let begins = found.offsets(Offset::Beginning, wait)?;
            let now = TopicNow {
                cluster: found.probe.cluster_id(),
                id: found.topic_id.clone(),
                begins: &begins,
                ends: &found.ends,
            };
            let lost = earlier.lost(&now);
            tries.next();
            if lost.may_come_back() && !tries.is_empty() && !wait.is_over() {
                found.probe.hear_reports(PAUSE_BETWEEN_FINDINGS);
                continue;
            }
            lost.judge(&found.address, resume.skip_lost)?;
            let starts = earlier.starts(&now, options.until_end);
            return Ok(KafkaSource::of(config, options, found, starts));
        }
    }
}

/// What earlier runs have read of a topic.
struct Earlier<'a> {
    counted: &'a KafkaPositions,
    published: Vec<&'a KafkaPositions>,
}

/// A topic as it is found.
struct TopicNow<'a> {
    cluster: Option<String>,
    id: Option<String>,
    begins: &'a [i64],
    ends: &'a [i64],
}

/// What is not there any more of what comes next.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lost {
    /// Why this is another topic, or one that has lost its end.
    other: Vec<String>,
    /// What retention took, and how many offsets that are.
    gone: Vec<String>,
    offsets: i64,
}

/// Where one partition stands.
struct Standing {
    counted: OffsetRange,
    /// The checkpoint does not know it.
    is_new: bool,
    published: i64,
    begin: i64,
    end: i64,
}

impl<'a> Earlier<'a> {
    fn of(config: &KafkaConfig, resume: &'a Resume) -> Result<Earlier<'a>, SourceError> {
        let counted = positions_in(config, &resume.counted)?;
        let published = resume.published.iter().map(|positions| positions_in(config, positions));
        Ok(Earlier { counted, published: published.collect::<Result<_, _>>()? })
    }

    /// What may have been published of the topic as it is now. (What was published of another one says nothing of this one.)
    fn published_of<'b>(&'b self, now: &'b TopicNow<'_>) -> impl Iterator<Item = &'a KafkaPositions> + 'b {
        self.published.iter().copied().filter(move |read| now.is_another_than(read).is_none())
    }

    /// Up to where something of this partition may have been published.
    fn published(&self, id: i32, now: &TopicNow<'_>) -> i64 {
        let ranges = self.published_of(now).filter_map(|read| read.partitions.get(&id));
        ranges.map(|range| range.to).max().unwrap_or(0)
    }

    /// Of a partition that the checkpoint knows, or of which something was published.
    fn standing(&self, id: i32, now: &TopicNow<'_>) -> Option<Standing> {
        let index = usize::try_from(id).ok()?;
        let (begin, end) = (*now.begins.get(index)?, *now.ends.get(index)?);
        let counted = self.counted.partitions.get(&id).copied().filter(|_| now.is_another_than(self.counted).is_none());
        let published = self.published(id, now);
        if counted.is_none() && published == 0 {
            return None;
        }
        // One that was found later is read from its beginning, and by whoever published of it, it was, too.
        let is_new = counted.is_none();
        Some(Standing {
            counted: counted.unwrap_or(OffsetRange { from: begin, to: begin }),
            is_new,
            published,
            begin,
            end,
        })
    }

    fn lost(&self, now: &TopicNow<'_>) -> Lost {
        let mut lost = Lost::default();
        if let Some(why) = now.is_another_than(self.counted) {
            lost.other.push(why);
            return lost;
        }
        let published = self.published_of(now).flat_map(|read| read.partitions.keys());
        let known = self.counted.partitions.keys().chain(published);
        let most = known.copied().max().map_or(0, |id| i64::from(id) + 1);
        let is = now.ends.len();
        if most > is as i64 {
            lost.other.push(format!("it had {most} partitions and has {is}"));
        }
        for id in (0..).take(is) {
            let Some(Standing { counted, published, begin, end, .. }) = self.standing(id, now) else { continue };
            let was = counted.to.max(published);
            if end < was {
                lost.other.push(format!("partition {id} was read up to offset {was} and ends at {end}"));
            } else if begin > counted.to {
                lost.offsets += begin - counted.to;
                lost.gone
                    .push(format!("partition {id}: {} is next, and {begin} is the first that is left", counted.to));
            }
        }
        lost
    }

    /// Where each partition goes on; past what is lost.
    fn starts(&self, now: &TopicNow<'_>, until_end: bool) -> Vec<Start> {
        let start = |(id, (begin, end)): (i32, (&i64, &i64))| {
            let partition = |next| Partition::new(id, next, until_end.then_some(*end));
            let new = || Start::of(Partition { at_beginning: true, ..partition(*begin) });
            match self.standing(id, now) {
                // What was read of it was in another one.
                Some(Standing { counted, end, .. }) if end < counted.to => new(),
                Some(Standing { counted, is_new, published, begin, end }) => Start {
                    partition: Partition { at_beginning: is_new, ..partition(counted.to.max(begin)) },
                    from: counted.from,
                    published: if published > end { 0 } else { published },
                },
                None => new(),
            }
        };
        (0..).zip(now.begins.iter().zip(now.ends)).map(start).collect()
    }
}

impl TopicNow<'_> {
    /// Why it is not the topic of which this was read, if it is not.
    fn is_another_than(&self, read: &KafkaPositions) -> Option<String> {
        let differs = |was: &Option<String>, is: &Option<String>, what: &str| {
            let (was, is) = was.as_ref().zip(is.as_ref()).filter(|(was, is)| was != is)?;
            Some(format!("{what} id was {was} and is {is}"))
        };
        differs(&read.cluster, &self.cluster, "the cluster's")
            .or_else(|| differs(&read.topic_id, &self.id, "the topic's"))
    }
}

impl Lost {
    /// Whether brokers that have just come back may not know all of the topic yet.
    fn may_come_back(&self) -> bool {
        !self.other.is_empty()
    }

    /// An error that tells what is lost, or a warning where that is to be passed over.
    fn judge(&self, topic: &TopicAddress, skip_lost: bool) -> Result<(), SourceError> {
        let Some(what) = self.what() else { return Ok(()) };
        if skip_lost {
            tracing::warn!("{topic}: {what}. This is passed over (--skip-lost): reading goes on with what is left");
            return Ok(());
        }
        Err(SourceError::new(format!(
            "{topic}: {what}. To go on with what is left, from the earliest offset where a partition is another one, start once with \
             --skip-lost; or start anew with --fresh"
        ))
        .of_kind(if self.may_come_back() { SourceErrorKind::MadeAnew } else { SourceErrorKind::MessagesGone }))
    }

    fn what(&self) -> Option<String> {
        let some = |list: &[String]| {
            let more = if list.len() > MOST_NAMED { "; and so in others" } else { "" };
            format!("{}{more}", list[..list.len().min(MOST_NAMED)].join("; "))
        };
        let other = (!self.other.is_empty()).then(|| {
            let what = some(&self.other);
            format!("{what}: it is not the topic that was counted, or a broker lost its messages")
        });
        let gone = (!self.gone.is_empty()).then(|| {
            let (offsets, what) = (self.offsets, some(&self.gone));
            format!("{offsets} offsets that were to be read next are gone, by the topic's retention ({what})")
        });
        let all: Vec<_> = other.into_iter().chain(gone).collect();
        (!all.is_empty()).then(|| all.join(". And "))
    }
}

fn positions_in<'a>(config: &KafkaConfig, positions: &'a SourcePositions) -> Result<&'a KafkaPositions, SourceError> {
    let (was, is) = match positions {
        SourcePositions::Kafka(kafka) if kafka.topic == config.topic => return Ok(kafka),
        SourcePositions::Kafka(kafka) => (format!("the topic \"{}\"", kafka.topic), &config.topic),
        SourcePositions::Logs(_) => ("event logs (name them with --events)".to_owned(), &config.topic),
    };
    Err(SourceError::new(format!(
        "the state was counted from {was}, and the pipeline file names the topic \"{is}\": correct what is to be read, or take \
         another state"
    ))
    .of_kind(SourceErrorKind::OtherInput))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::EventTime;

    fn positions(ranges: &[(i32, i64, i64)]) -> KafkaPositions {
        let partitions = ranges.iter().map(|(id, from, to)| (*id, OffsetRange { from: *from, to: *to })).collect();
        let cluster = Some("one".to_owned());
        let topic_id = Some("a".to_owned());
        KafkaPositions { topic: "events".to_owned(), cluster, topic_id, partitions, run_start: EventTime(0) }
    }

    /// What is lost, and of each partition where it goes on, with where its range began and what was published.
    fn go_on(
        counted: &[(i32, i64, i64)],
        published: &[&[(i32, i64, i64)]],
        found: &[(i64, i64)],
        cluster: &str,
    ) -> (Lost, Vec<(i64, i64, i64)>) {
        let (begins, ends): (Vec<_>, Vec<_>) = found.iter().copied().unzip();
        let published: Vec<_> = published.iter().map(|ranges| positions(ranges)).collect();
        let earlier = Earlier { counted: &positions(counted), published: published.iter().collect() };
        let now = TopicNow { cluster: Some(cluster.to_owned()), id: None, begins: &begins, ends: &ends };
        let starts = earlier.starts(&now, false);
        let starts = starts.iter().map(|start| (start.partition.next, start.from, start.published)).collect();
        (earlier.lost(&now), starts)
    }

    #[test]
    fn known_partitions_go_on_and_new_ones_begin_at_their_beginning() {
        let journal: [&[_]; 2] = [&[(0, 5, 30), (1, 0, 9)], &[(0, 5, 25), (1, 0, 12), (2, 3, 4)]];
        let (lost, starts) = go_on(&[(0, 5, 20), (1, 0, 9)], &journal, &[(7, 30), (0, 40), (3, 50), (1, 6)], "one");
        assert_eq!(lost, Lost::default());
        assert_eq!(starts, [(20, 5, 30), (9, 0, 12), (3, 3, 4), (1, 1, 0)]);
    }

    #[test]
    fn what_retention_took_is_counted_and_passed_over() {
        let (lost, starts) = go_on(&[(0, 5, 20), (1, 0, 9)], &[&[(0, 5, 30)]], &[(27, 90), (9, 9)], "one");
        assert_eq!((lost.offsets, lost.gone.len(), lost.other.len()), (7, 1, 0));
        assert!(!lost.may_come_back() && lost.what().unwrap().contains("partition 0: 20 is next, and 27 is the first"));
        assert_eq!(starts, [(27, 5, 30), (9, 0, 0)]);
    }

    #[test]
    fn another_topic_is_read_from_its_beginning_and_nothing_of_it_was_published() {
        let counted = [(0, 5, 20), (1, 0, 9)];
        for (found, cluster, starts, word) in [
            (
                vec![(2, 8), (0, 9)],
                "one",
                vec![(2, 2, 0), (9, 0, 0)],
                "partition 0 was read up to offset 30 and ends at 8",
            ),
            (vec![(2, 90)], "one", vec![(20, 5, 30)], "it had 2 partitions and has 1"),
            (vec![(2, 90), (0, 90)], "two", vec![(2, 2, 0), (0, 0, 0)], "the cluster's id was one and is two"),
            (
                vec![(2, 25), (0, 9)],
                "one",
                vec![(20, 5, 0), (9, 0, 0)],
                "partition 0 was read up to offset 30 and ends at 25",
            ),
        ] {
            let (lost, found) = go_on(&counted, &[&[(0, 5, 30)]], &found, cluster);
            assert!(lost.may_come_back() && lost.what().unwrap().contains(word), "{lost:?}");
            assert_eq!(found, starts, "{word}");
        }
    }

    #[test]
    fn a_topic_with_another_id_is_another_one_however_long_it_is() {
        let (begins, ends) = ([1, 0], [90, 90]);
        let now = TopicNow { cluster: None, id: Some("b".to_owned()), begins: &begins, ends: &ends };
        let counted = positions(&[(0, 5, 20), (1, 0, 9)]);
        // What was published of it, after it was begun once: that is to be read again before anything is published.
        let of_new = KafkaPositions { topic_id: now.id.clone(), ..positions(&[(0, 1, 40)]) };
        let of_old = positions(&[(0, 5, 30), (1, 0, 60)]);
        let earlier = Earlier { counted: &counted, published: vec![&of_old, &of_new] };
        let lost = earlier.lost(&now);
        assert!(lost.may_come_back() && lost.what().unwrap().contains("the topic's id was a and is b"), "{lost:?}");
        let starts = earlier.starts(&now, false);
        assert!(starts.iter().all(|start| start.partition.at_beginning));
        let starts: Vec<_> = starts.iter().map(|start| (start.partition.next, start.from, start.published)).collect();
        assert_eq!(starts, [(1, 1, 40), (0, 0, 0)]);
        // Counted by now: what was published of the other one holds nothing up.
        let earlier = Earlier { counted: &of_new, published: vec![&of_old] };
        assert_eq!(earlier.lost(&now), Lost::default());
        assert_eq!(earlier.starts(&now, false)[0].published, 0);
    }

    #[test]
    fn an_error_names_the_way_out_and_with_it_there_is_none() {
        let topic = TopicAddress { brokers: "b:1".to_owned(), name: "events".to_owned() };
        let (lost, _) = go_on(&[(0, 0, 3)], &[], &[(9, 9)], "one");
        let error = lost.judge(&topic, false).unwrap_err().to_string();
        assert!(error.contains("6 offsets") && error.contains("--skip-lost"), "{error}");
        lost.judge(&topic, true).unwrap();
    }
}
