//! What a reader does about errors: most pass, and where messages are gone it stops.

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::context::Report;
use super::partition::Partition;
use super::poller::{Ended, Poller};
use super::probe::ask_offsets;
use super::problem::{describe, made_anew, passes};
use crate::source::{SourceError, SourceErrorKind};

impl Poller<'_> {
    /// Goes on where librdkafka does; ends where it would skip something or wait for ever.
    pub(super) fn judge(&mut self, error: KafkaError) -> Result<(), Ended> {
        let topic = &self.reader.topic;
        let report = self.consumer.context().take_report();
        let Some(code) = error.rdkafka_error_code() else {
            return Err(Ended::Failed(SourceError::caused_by(topic.to_string(), error)));
        };
        let report = report.unwrap_or_else(|| Report { code, text: code.to_string() });
        if matches!(code, RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) {
            return self.look_again(&report);
        }
        if !passes(code) {
            return Err(Ended::Failed(describe(topic, &report)));
        }
        self.waiting = true;
        self.reader.outages.lost(topic, &report);
        Ok(())
    }

    /// Some offset that was asked for is not there. Where it was to be the beginning, that is where it is now: what
    /// retention took before the first message was read is not missing. Else messages are lost.
    fn look_again(&mut self, report: &Report) -> Result<(), Ended> {
        let ask = |which| ask_offsets(self.consumer, &self.reader.topic.name, self.partition_count, which);
        let Ok((begins, ends)) = ask(Offset::Beginning).and_then(|begins| Ok((begins, ask(Offset::End)?))) else {
            return Err(self.lost_messages(&report.text).into());
        };
        for partition in self.partitions.iter_mut().filter(|partition| !partition.done) {
            let Partition { id, next, .. } = *partition;
            let index = usize::try_from(id).unwrap_or_default();
            let (Some(begin), Some(end)) = (begins.get(index), ends.get(index)) else { continue };
            if (*begin..=*end).contains(&next) {
                continue;
            }
            if !partition.at_beginning || next > *end {
                let gap = format!("partition {id}: offset {next} is asked for, {begin} to {end} are there");
                return Err(self.lost_messages(&gap).into());
            }
            tracing::info!("{}, partition {id}: its messages begin at offset {begin} by now", self.reader.topic);
            partition.passed(*begin);
            self.reader.progress.begins_at(id, *begin);
        }
        // Each partition may fail once; more than that is no matter of its beginning.
        self.looked_again += 1;
        if self.looked_again > self.partitions.len() {
            return Err(self.lost_messages(&report.text).into());
        }
        self.assign_anew()
    }

    /// Reads all partitions on from where they stand: librdkafka does not say which of them it has given up.
    fn assign_anew(&self) -> Result<(), Ended> {
        let unread: Vec<_> = self.partitions.iter().filter(|partition| !partition.done).copied().collect();
        self.list(&unread, |partition| Offset::Offset(partition.next))
            .and_then(|list| self.consumer.assign(&list))
            .map_err(|error| self.cannot("assign partitions", error))
    }

    fn lost_messages(&self, gap: &str) -> SourceError {
        SourceError::new(format!(
            "{}: {gap}. Messages were deleted before they were read (by the topic's retention, or with the topic): let \
             the topic keep them longer; to count what is left, start anew, or with a state once with --skip-lost",
            self.reader.topic,
        ))
        .of_kind(SourceErrorKind::MessagesGone)
    }

    pub(super) fn began_anew(&self, id: i32, offset: i64, expected: i64) -> SourceError {
        let finding = format!("partition {id}: offset {offset} comes after offset {}", expected - 1);
        made_anew(&self.reader.topic, &finding)
    }
}
