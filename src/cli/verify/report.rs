//! What a comparison has found, for people and for programs.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;

use super::input::KnownOfRun;
use crate::audit::{Example, Finding, Findings, GroupTally, RecountedRow, Sample};
use crate::cli::output::{print, print_aligned, printed};
use crate::cli::time::show_time;
use crate::cli::{CliError, ErrorCode};
use crate::pipeline::{Pipeline, TimeShift, format_duration, from_units};
use crate::sink::SinkTarget;
use crate::telemetry::{HumanBytes, HumanCount, Metrics, Printable, Stopwatch, peak_memory_bytes, write_json};

/// Everything that is told.
pub(super) struct Report<'a> {
    pub pipeline: &'a Pipeline,
    pub target: &'a SinkTarget,
    pub metrics: &'a Metrics,
    pub findings: &'a Findings,
    pub known: &'a KnownOfRun,
    pub shift: Option<TimeShift>,
    pub sample: Sample,
    pub tolerance: f64,
    pub stopwatch: Stopwatch,
}

/// The same, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    agrees: bool,
    pipeline: &'a str,
    sink: String,
    sample: String,
    tolerance: f64,
    /// In the unit of the events' times; `None`: not known.
    run_start: Option<i64>,
    events: u64,
    dead_letters: u64,
    #[serde(flatten)]
    total: Numbers,
    items: u64,
    groups: Vec<GroupSummary<'a>>,
    examples: Vec<&'a Example>,
    elapsed_seconds: f64,
    cpu_seconds: Option<f64>,
    peak_memory_bytes: Option<u64>,
}

#[derive(Serialize)]
struct GroupSummary<'a> {
    name: &'a str,
    #[serde(flatten)]
    numbers: Numbers,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Numbers {
    rows: u64,
    equal: u64,
    restarted: u64,
    expired: u64,
    not_of_pipeline: u64,
    newer: u64,
    missing: u64,
    extra: u64,
    off: u64,
    worst_difference: f64,
}

impl Numbers {
    fn of(tally: &GroupTally) -> Numbers {
        Numbers {
            rows: tally.rows(),
            equal: tally.count(Finding::Equal),
            restarted: tally.count(Finding::Restarted),
            expired: tally.count(Finding::Expired),
            not_of_pipeline: tally.count(Finding::NotOfPipeline),
            newer: tally.count(Finding::Newer),
            missing: tally.count(Finding::Missing),
            extra: tally.count(Finding::Extra),
            off: tally.count(Finding::Off),
            worst_difference: tally.worst,
        }
    }
}

impl Report<'_> {
    /// Prints the findings.
    pub fn print(&self, as_json: bool, out: &mut impl Write) -> Result<(), CliError> {
        if as_json {
            return printed(write_json(&mut *out, &self.summary()).and_then(|()| out.write_all(b"\n")));
        }
        let mut text = self.head();
        let mut rest = Vec::new();
        printed(self.groups(&mut rest).and_then(|()| self.examples(&mut rest)))?;
        text += &String::from_utf8_lossy(&rest);
        print(out, &text)
    }

    /// An error where the sink is not what the events say, or where nothing could tell.
    pub fn verdict(&self) -> Result<(), CliError> {
        let total = self.findings.tally.total();
        let sink = Printable(self.target);
        let count = |finding| HumanCount(total.count(finding));
        let compared = |finding: &Finding| !matches!(finding, Finding::NotOfPipeline | Finding::Newer);
        if Finding::ALL.into_iter().filter(compared).all(|finding| total.count(finding) == 0) {
            let of_share = if self.sample.is_partial() { " of this share of the keys" } else { "" };
            return Err(CliError::new(
                ErrorCode::NothingCompared,
                format!(
                    "nothing was compared{of_share}: the events make {} rows, and {sink} holds {} items, {} of them newer and {} not of this \
                 pipeline. Are these the events, the pipeline file and the sink of the run?",
                    HumanCount(total.rows()),
                    HumanCount(self.findings.items),
                    count(Finding::Newer),
                    count(Finding::NotOfPipeline),
                ),
            ));
        }
        if total.agrees() {
            return Ok(());
        }
        let wrong = Finding::ALL.into_iter().filter(|finding| finding.is_wrong() && total.count(*finding) > 0);
        let wrong: Vec<String> =
            wrong.map(|finding| format!("{} {}", HumanCount(total.count(finding)), name(finding))).collect();
        Err(CliError::new(ErrorCode::ItemsDiffer, format!("{sink} is not what the events say: {}", wrong.join(", "))))
    }

    fn summary(&self) -> Summary<'_> {
        let tally = &self.findings.tally;
        let total = tally.total();
        Summary {
            agrees: self.verdict().is_ok(),
            pipeline: &self.pipeline.name,
            sink: self.target.to_string(),
            sample: self.sample.to_string(),
            tolerance: self.tolerance,
            run_start: self.known.run_start.map(|start| start.0),
            events: self.metrics.events.get(),
            dead_letters: self.metrics.all_dead_letters(),
            total: Numbers::of(&total),
            items: self.findings.items,
            groups: self
                .group_names()
                .map(|(name, tally)| GroupSummary { name, numbers: Numbers::of(tally) })
                .collect(),
            examples: tally.examples.values().flatten().collect(),
            elapsed_seconds: self.stopwatch.elapsed().as_secs_f64(),
            cpu_seconds: self.stopwatch.cpu_seconds(),
            peak_memory_bytes: peak_memory_bytes(),
        }
    }

    fn group_names(&self) -> impl Iterator<Item = (&str, &GroupTally)> {
        let names = self.pipeline.groups.iter().map(|group| group.name.as_str());
        names.zip(&self.findings.tally.groups)
    }

    fn head(&self) -> String {
        let total = self.findings.tally.total();
        let count = |count: u64| HumanCount(count).to_string();
        let mut text = format!("{} against {}\n", Printable(self.target), Printable(&self.pipeline.name));
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<16} {value}");
        };
        line("events", count(self.metrics.events.get()));
        line("dead letters", count(self.metrics.all_dead_letters()));
        if self.sample.is_partial() {
            line("sample", format!("{} of the keys", self.sample));
        }
        if let Some(shift) = self.shift {
            let [from, to] = [shift.from, shift.to].map(|time| show_time(time.0, self.pipeline.event.time_unit));
            line("last event", format!("{from}, published as {to}"));
        }
        line("run start", self.run_start());
        line("rows", count(total.rows()));
        line("items", count(self.findings.items));
        for finding in Finding::ALL {
            let found = total.count(finding);
            match finding {
                Finding::Equal => {
                    let (worst, tolerance) = (total.worst, self.tolerance);
                    line("equal", format!("{}, within {worst:.1e} (tolerance {tolerance:.0e})", count(found)));
                }
                _ if found > 0 => line(name(finding), format!("{}: {}", count(found), meaning(finding))),
                _ => {}
            }
        }
        line(
            "took",
            format!(
                "{:.1} s{}",
                self.stopwatch.elapsed().as_secs_f64(),
                peak_memory_bytes().map_or_else(String::new, |bytes| format!(", {}", HumanBytes(bytes)))
            ),
        );
        text
    }

    fn run_start(&self) -> String {
        let max_ahead = self.pipeline.event.max_ahead;
        match self.known.run_start {
            Some(start) => show_time(start.0, self.pipeline.event.time_unit),
            None if max_ahead.is_none() => "not needed: nothing is too far ahead".to_owned(),
            None => "not known, so nothing up to now was too far ahead; --run-start says when".to_owned(),
        }
    }

    fn groups(&self, out: &mut impl Write) -> io::Result<()> {
        let columns: Vec<Finding> =
            Finding::ALL.into_iter().filter(|finding| self.findings.tally.total().count(*finding) > 0).collect();
        let mut lines = vec![vec!["group".to_owned(), "rows".to_owned()]];
        lines[0].extend(columns.iter().map(|finding| name(*finding).to_owned()));
        for (group, tally) in self.group_names() {
            let mut line = vec![Printable(group).to_string(), HumanCount(tally.rows()).to_string()];
            line.extend(columns.iter().map(|finding| HumanCount(tally.count(*finding)).to_string()));
            lines.push(line);
        }
        writeln!(out)?;
        print_aligned(&lines, 1, out)
    }

    fn examples(&self, out: &mut impl Write) -> io::Result<()> {
        for example in self.findings.tally.examples.values().flatten() {
            let events = example.recount.as_ref().and_then(|row| row.events);
            writeln!(
                out,
                "\n{}: {}  (key {}{}){}",
                name(example.finding),
                Printable(&example.feature_name),
                Printable(&example.key),
                events.map_or_else(String::new, |events| format!(
                    ", {events} event{}",
                    if events == 1 { "" } else { "s" }
                )),
                example.what.as_ref().map_or_else(String::new, |what| format!(", {what}")),
            )?;
            let mut lines = vec![["", "last update", "interval", "value"].map(str::to_owned).to_vec()];
            let sides = [("recount", &example.recount), ("item", &example.item)];
            for (side, row) in sides.into_iter().filter_map(|(side, row)| Some((side, row.as_ref()?))) {
                lines.extend(self.lines(side, row));
            }
            print_aligned(&lines, 3, out)?;
        }
        Ok(())
    }

    fn lines(&self, side: &str, row: &RecountedRow) -> Vec<Vec<String>> {
        let unit = self.pipeline.event.time_unit;
        let last_update = row.last_update.map_or_else(|| "they differ".to_owned(), |time| show_time(time, unit));
        let mut lines = Vec::new();
        for (what, numbers) in [("", &row.values), ("squares of ", &row.squares)] {
            for (interval, number) in numbers {
                let interval = format_duration(from_units(interval.units(), unit));
                let [side, last_update] = if lines.is_empty() { [side, &last_update] } else { [""; 2] };
                lines.push(vec![
                    side.to_owned(),
                    last_update.to_owned(),
                    format!("{what}{interval}"),
                    show_number(*number),
                ]);
            }
        }
        lines
    }
}

/// With all its digits: what differs may be the last ones.
fn show_number(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-4..1e15).contains(&size) { number.to_string() } else { format!("{number:e}") }
}

/// In one or two words.
fn name(finding: Finding) -> &'static str {
    match finding {
        Finding::Equal => "equal",
        Finding::Restarted => "restarted",
        Finding::Expired => "expired",
        Finding::NotOfPipeline => "not of pipeline",
        Finding::Newer => "newer",
        Finding::Missing => "missing",
        Finding::Extra => "extra",
        Finding::Off => "off",
    }
}

fn meaning(finding: Finding) -> &'static str {
    match finding {
        Finding::Equal => "what the events say",
        Finding::Restarted => {
            "what the events say from one on before which ttl or [limits] let the run forget the row, or before which the feature was added"
        }
        Finding::Expired => {
            "rows without an item any more, since their ttl has passed, or they came before the feature was added"
        }
        Finding::NotOfPipeline => "items of features that the pipeline file does not make, or does not keep",
        Finding::Newer => "items that were published later",
        Finding::Missing => "rows without an item",
        Finding::Extra => "items that no event has made",
        Finding::Off => "items that say something else than the events",
    }
}
