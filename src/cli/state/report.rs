//! What a state holds, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::rows::{Counted, RowsReport};
use crate::checkpoint::JournalEntry;
use crate::cli::output::print_aligned;
use crate::source::SourcePositions;
use crate::telemetry::{HumanBytes, HumanCount, Printable};

/// All that is told of a state.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateReport {
    pub state: String,
    pub pipeline: Option<String>,
    /// The process of the run that uses it now, where that is known.
    pub in_use: Option<Option<u32>>,
    #[serde(skip)]
    pub is_remote: bool,
    pub objects: u64,
    pub bytes: u64,
    /// The newest first.
    pub checkpoints: Vec<CheckpointReport>,
    /// Of the newest that is whole.
    pub rows: Option<RowsReport>,
    /// What was added to the pipeline file later, and so counts nothing from before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<AddedReport>,
    pub journal: Option<JournalReport>,
    pub journal_problem: Option<String>,
}

/// What was added to the pipeline file when there was a state already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct AddedReport {
    pub group: String,
    /// `group`, `feature` or `decay`.
    pub what: &'static str,
    /// Which; of a group all that it had then.
    pub name: String,
    /// By the times of events.
    pub since: String,
}

/// A checkpoint. Of one that is not whole it may not be known what it was.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CheckpointReport {
    pub number: u64,
    /// What is wrong with it; `None`: it is whole.
    pub problem: Option<String>,
    pub generation: Option<u32>,
    pub created: Option<String>,
    pub age_seconds: Option<u64>,
    pub epoch: Option<u64>,
    pub bytes: u64,
    pub segments: Vec<SegmentReport>,
    pub positions: Option<Value>,
}

/// A file of records.
#[derive(Debug, Serialize)]
pub(super) struct SegmentReport {
    pub name: String,
    pub bytes: u64,
    pub records: u64,
}

/// The newest entry of the journal.
#[derive(Debug, Serialize)]
pub(super) struct JournalReport {
    pub number: u64,
    pub generation: u32,
    pub epoch: u64,
    pub positions: Value,
}

/// So many positions, and segments, are told one by one.
const MOST_TOLD: usize = 8;

impl JournalReport {
    pub fn of(entry: JournalEntry) -> JournalReport {
        JournalReport {
            number: entry.number.0,
            generation: entry.generation.0,
            epoch: entry.epoch.0,
            positions: entry.positions,
        }
    }
}

impl StateReport {
    /// What is not as it should be.
    pub fn problems(&self) -> Vec<String> {
        let of_checkpoint = |checkpoint: &CheckpointReport| {
            Some(format!("checkpoint {}: {}", checkpoint.number, checkpoint.problem.as_ref()?))
        };
        let journal = self.journal_problem.as_ref().map(|problem| format!("the journal: {problem}"));
        self.checkpoints.iter().filter_map(of_checkpoint).chain(journal).collect()
    }

    /// All of it, but for positions and segments that are too many.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let of = self
            .pipeline
            .as_ref()
            .map_or(String::new(), |pipeline| format!(" of pipeline \"{}\"", Printable(pipeline)));
        let holder = match self.in_use {
            Some(Some(process)) => format!("by process {process}"),
            Some(None) => "by a process that is not known".to_owned(),
            None if self.is_remote => "in a bucket that cannot be seen".to_owned(),
            None => "by no run on this machine".to_owned(),
        };
        line(&mut text, &format!("{}: the state{of}", Printable(&self.state)));
        line(&mut text, &format!("in use     {holder}"));
        line(&mut text, &format!("takes      {} in {} objects", HumanBytes(self.bytes), HumanCount(self.objects)));
        line(&mut text, "");
        self.checkpoints(&mut text);
        if let Some(rows) = &self.rows {
            rows_of(rows, &mut text);
        }
        if !self.added.is_empty() {
            self.told_added(&mut text);
        }
        let newest = self.checkpoints.iter().find(|checkpoint| checkpoint.problem.is_none());
        if let Some(newest) = newest {
            segments(newest, &mut text);
            let positions = newest.positions.as_ref().unwrap_or(&Value::Null);
            told_positions(&format!("read up to, by checkpoint {}", newest.number), positions, &mut text);
        }
        match &self.journal {
            Some(entry) => {
                let JournalReport { number, generation, epoch, .. } = entry;
                let heading = format!(
                    "may have been published up to, by entry {number} of the journal (run {generation}, epoch {epoch})"
                );
                told_positions(&heading, &entry.positions, &mut text);
            }
            None if self.journal_problem.is_none() => line(&mut text, "journal    empty: nothing was published"),
            None => {}
        }
        self.problems().iter().for_each(|problem| line(&mut text, &format!("problem: {}", Printable(problem))));
        text
    }

    fn told_added(&self, text: &mut String) {
        line(text, "");
        line(text, "added to the pipeline file later: it counts nothing from before");
        let lines = self.added.iter().map(|AddedReport { group, what, name, since }| {
            vec![Printable(group).to_string(), format!("{what} {}", Printable(name)), format!("since {since}")]
        });
        let lines: Vec<_> = lines.collect();
        table(&lines[..lines.len().min(MOST_TOLD)], 3, text);
        more(lines.len(), text);
    }

    fn checkpoints(&self, text: &mut String) {
        if self.checkpoints.is_empty() {
            return line(text, "no checkpoint yet");
        }
        let heading = ["checkpoint", "", "run", "created", "age", "epoch", "segments", "size"];
        let mut lines = vec![heading.map(str::to_owned).to_vec()];
        lines.extend(self.checkpoints.iter().map(|checkpoint| {
            let CheckpointReport { number, problem, generation, created, age_seconds, epoch, .. } = checkpoint;
            let number_of = |number: Option<u64>| number.map_or(String::new(), |number| number.to_string());
            let age = age_seconds.map(rough_age);
            vec![
                number.to_string(),
                if problem.is_some() { "not whole" } else { "whole" }.to_owned(),
                number_of(generation.map(u64::from)),
                created.clone().unwrap_or_default(),
                age.unwrap_or_default(),
                number_of(*epoch),
                checkpoint.segments.len().to_string(),
                HumanBytes(checkpoint.bytes).to_string(),
            ]
        }));
        table(&lines, 4, text);
    }
}

/// In the largest unit of which there are two.
fn rough_age(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60)];
    let unit = units.into_iter().find(|(_, length)| seconds >= 2 * length);
    unit.map_or_else(|| format!("{seconds}s"), |(unit, length)| format!("{}{unit}", seconds / length))
}

fn rows_of(rows: &RowsReport, text: &mut String) {
    let line_of = |name: String, Counted { keys, rows, marked_rows }: Counted| {
        let numbers = [keys, rows, marked_rows].map(|number| HumanCount(number).to_string());
        [name].into_iter().chain(numbers).collect::<Vec<_>>()
    };
    let heading = ["group", "keys", "rows", "waiting for the sink"].map(str::to_owned).to_vec();
    let groups = rows.groups.iter().map(|(name, counted)| line_of(Printable(name).to_string(), *counted));
    let lines: Vec<_> = [heading].into_iter().chain(groups).chain([line_of("all".to_owned(), rows.all)]).collect();
    line(text, "");
    table(&lines, 1, text);
}

fn segments(checkpoint: &CheckpointReport, text: &mut String) {
    line(text, "");
    line(text, &format!("segments of checkpoint {}, the oldest first", checkpoint.number));
    let lines = checkpoint.segments.iter().map(|SegmentReport { name, bytes, records }| {
        vec![name.clone(), HumanBytes(*bytes).to_string(), format!("{} records", HumanCount(*records))]
    });
    let lines: Vec<_> = lines.collect();
    table(&lines[..lines.len().min(MOST_TOLD)], 1, text);
    more(lines.len(), text);
}

/// Up to where something was read.
fn told_positions(heading: &str, positions: &Value, text: &mut String) {
    line(text, "");
    line(text, heading);
    let lines = match serde_json::from_value(positions.clone()) {
        Ok(SourcePositions::Kafka(kafka)) => {
            let topic = Printable(&kafka.topic).to_string();
            let partition =
                |(id, range): (&i32, &crate::source::OffsetRange)| vec![format!("{topic}/{id}"), range.to.to_string()];
            kafka.partitions.iter().map(partition).collect::<Vec<_>>()
        }
        Ok(SourcePositions::Logs(logs)) => {
            logs.iter().map(|log| vec![Printable(&log.path).to_string(), log.length().to_string()]).collect()
        }
        // Of another form: as it stands.
        Err(_) if positions.is_null() => vec![vec!["nothing".to_owned(), String::new()]],
        Err(_) => vec![vec![Printable(positions).to_string(), String::new()]],
    };
    table(&lines[..lines.len().min(MOST_TOLD)], 1, text);
    more(lines.len(), text);
}

fn more(all: usize, text: &mut String) {
    if all > MOST_TOLD {
        line(text, &format!("  and {} more: --json prints all", all - MOST_TOLD));
    }
}

fn table(lines: &[Vec<String>], text_columns: usize, text: &mut String) {
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let _ = print_aligned(lines, text_columns, &mut bytes);
    for row in String::from_utf8_lossy(&bytes).lines() {
        line(text, row.trim_end());
    }
}

fn line(text: &mut String, line: &str) {
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_as_rough_as_it_is_long() {
        let ages = [0, 119, 120, 7_199, 7_200, 172_799, 172_800, 8_640_000].map(rough_age);
        assert_eq!(ages, ["0s", "119s", "2m", "119m", "2h", "47h", "2d", "100d"]);
    }
}
