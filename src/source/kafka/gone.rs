//! What a reader does about errors: most pass, and where messages are gone it stops.

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::context::Report;
use super::partition::Partition;
use super::probe::ask_offsets;
use super::problem::{describe, made_anew, passes};
use super::reading::{Ended, Reading};
use crate::source::SourceError;

impl Reading<'_> {
    /// Goes on where librdkafka does; ends where it would skip something or wait for ever.
    pub(super) fn judge(&mut self, error: KafkaError) -> Result<(), Ended> {
        let place = &self.reader.place;
        let report = self.consumer.context().take_report();
        let Some(code) = error.rdkafka_error_code() else {
            return Err(Ended::Failed(SourceError::caused_by(place.to_string(), error)));
        };
        let report = report.unwrap_or_else(|| Report { code, text: code.to_string() });
        if matches!(code, RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) {
            return self.look_again(&report);
        }
        if !passes(code) {
            return Err(Ended::Failed(describe(place, &report)));
        }
        self.waiting = true;
        self.reader.outages.lost(place, &report);
        Ok(())
    }

    /// Some offset that was asked for is not there. Where nothing was read yet and the beginning was asked for, that is
    /// where it is now: what retention took before the first message was read is not missing. Else messages are lost.
    fn look_again(&mut self, report: &Report) -> Result<(), Ended> {
        let ask = |which| ask_offsets(self.consumer, &self.reader.place.topic, self.partition_count, which);
        let Ok((begins, ends)) = ask(Offset::Beginning).and_then(|begins| Ok((begins, ask(Offset::End)?))) else {
            return Err(self.lost_messages(&report.text).into());
        };
        let mut moved = Vec::new();
        for partition in self.partitions.iter_mut().filter(|partition| !partition.done) {
            let number = usize::try_from(partition.number).unwrap_or_default();
            let (Some(begin), Some(end)) = (begins.get(number), ends.get(number)) else { continue };
            if (*begin..=*end).contains(&partition.next) {
                continue;
            }
            if !(partition.untouched && self.reader.from_beginning && partition.next < *begin) {
                let Partition { number, next, .. } = *partition;
                let gap = format!("partition {number}: offset {next} is asked for, {begin} to {end} are there");
                return Err(self.lost_messages(&gap).into());
            }
            partition.passed(*begin);
            moved.push(*partition);
        }
        if moved.is_empty() {
            return Err(self.lost_messages(&report.text).into());
        }
        self.begin_at(&moved)
    }

    /// Reads partitions from where they stand, wherever that was before.
    fn begin_at(&mut self, partitions: &[Partition]) -> Result<(), Ended> {
        for partition in partitions {
            let Partition { number, next, .. } = *partition;
            tracing::info!("{}, partition {number}: its messages begin at offset {next} by now", self.reader.place);
            self.reader.progress.reached(number, next);
            self.unassign(partition)?;
        }
        let unread: Vec<_> = partitions.iter().filter(|partition| !partition.done).copied().collect();
        Ok(self.assign(&unread)?)
    }

    fn lost_messages(&self, gap: &str) -> SourceError {
        SourceError::new(format!(
            "{}: {gap}. Messages were deleted before they were read (by the topic's retention, or with the topic): let \
             the topic keep them longer; to count what is left, start anew",
            self.reader.place,
        ))
    }

    pub(super) fn began_anew(&self, number: i32, offset: i64, expected: i64) -> SourceError {
        let finding = format!("partition {number}: offset {offset} comes after offset {}", expected - 1);
        made_anew(&self.reader.place, &finding)
    }
}
