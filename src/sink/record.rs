//! What a sink keeps of the run that fills it, beside its items: by what that judged its events, and how it moved their
//! times; and which runs those were. Whoever counts the same events again needs it.

use super::SinkError;
use crate::counter::EventTime;
use crate::epoch::{Generation, Version};
use crate::pipeline::TimeShift;

/// What a run judged its events by. Times are in the unit of the event's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// When the run started.
    pub run_start: EventTime,
    /// What gave events their arrival, where no field of theirs does.
    pub arrival: ArrivalSource,
    /// How times were moved as they were published.
    pub shift: Option<TimeShift>,
}

/// What a sink knows of the runs that have filled it: by it a state sees whether the sink goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The newest generation that it knows of; of `dynamodb`, which has no record, that of a few items. `None`: it knows none.
    pub generation: Option<Generation>,
    /// The newest version that was published into it, where it keeps that.
    pub newest_version: Option<Version>,
    /// It holds no items.
    pub is_empty: bool,
}

impl Recorded {
    /// Of a sink that is not there yet, or keeps nothing.
    pub const NOTHING: Recorded = Recorded { generation: None, newest_version: None, is_empty: true };
}

/// What gives events their arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrivalSource {
    /// They stood in files: all arrived before the start of the run.
    Files,
    /// Some came by a pipe, and arrived as they were read.
    Pipe,
    /// They arrived when the records of a topic say.
    Kafka,
}

const RUN_START: &str = "runStart";
const ARRIVAL: &str = "arrival";
const SHIFT_FROM: &str = "shiftFrom";
const SHIFT_TO: &str = "shiftTo";

impl ArrivalSource {
    const ALL: [ArrivalSource; 3] = [ArrivalSource::Files, ArrivalSource::Pipe, ArrivalSource::Kafka];

    /// In a record.
    pub fn as_str(self) -> &'static str {
        match self {
            ArrivalSource::Files => "files",
            ArrivalSource::Pipe => "pipe",
            ArrivalSource::Kafka => "kafka",
        }
    }
}

impl RunRecord {
    /// The record as names and values.
    pub(super) fn entries(&self) -> Vec<(&'static str, String)> {
        let mut entries = vec![(RUN_START, self.run_start.0.to_string()), (ARRIVAL, self.arrival.as_str().to_owned())];
        if let Some(TimeShift { from, to }) = self.shift {
            entries.extend([(SHIFT_FROM, from.0.to_string()), (SHIFT_TO, to.0.to_string())]);
        }
        entries
    }

    /// The record whose values these are, by their names; `None` where a release before there were records wrote them.
    pub(super) fn of_entries(
        mut value: impl FnMut(&str) -> Result<Option<String>, SinkError>,
    ) -> Result<Option<RunRecord>, SinkError> {
        let mut time = |name: &str| value(name)?.map(|text| time_of(name, &text)).transpose();
        let (run_start, from, to) = (time(RUN_START)?, time(SHIFT_FROM)?, time(SHIFT_TO)?);
        let (Some(run_start), Some(arrival)) = (run_start, value(ARRIVAL)?) else { return Ok(None) };
        let known = ArrivalSource::ALL.into_iter().find(|known| known.as_str() == arrival);
        let arrival = known.ok_or_else(|| not_understood(ARRIVAL, &arrival))?;
        let shift = from.zip(to).map(|(from, to)| TimeShift { from, to });
        Ok(Some(RunRecord { run_start, arrival, shift }))
    }
}

fn time_of(name: &str, text: &str) -> Result<EventTime, SinkError> {
    text.parse().map(EventTime).map_err(|_| not_understood(name, text))
}

fn not_understood(name: &str, text: &str) -> SinkError {
    SinkError::new(format!(
        "the record of the run that filled it says {name} = `{text}`, which this program does not understand: use the release \
         that filled it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_what_is_not_understood_is_named() {
        let shift = Some(TimeShift { from: EventTime(-3), to: EventTime(i64::MAX) });
        for arrival in ArrivalSource::ALL {
            for shift in [None, shift] {
                let record = RunRecord { run_start: EventTime(1_790_000_000), arrival, shift };
                let entries = record.entries();
                let read = |changed: Option<(&str, &str)>| {
                    RunRecord::of_entries(|name| {
                        if let Some((_, text)) = changed.filter(|(changed, _)| *changed == name) {
                            return Ok(Some(text.to_owned()));
                        }
                        Ok(entries.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()))
                    })
                };
                assert_eq!(read(None).unwrap(), Some(record));
                for changed in [("arrival", "satellite"), ("runStart", "soon"), ("shiftTo", "1.5")] {
                    let error = read(Some(changed)).unwrap_err().to_string();
                    assert!(error.contains(&format!("{} = `{}`", changed.0, changed.1)), "{error}");
                }
            }
        }
        assert_eq!(RunRecord::of_entries(|_| Ok(None)).unwrap(), None);
    }
}
