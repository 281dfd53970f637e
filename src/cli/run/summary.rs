//! What a run says when it has ended.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};

use super::findings::{missing_fields, missing_text, question};
use crate::cli::CliError;
use crate::cli::output::say;
use crate::dataflow::Sample;
use crate::event::Reason;
use crate::findings::{GroupTally, Observed};
use crate::pipeline::{Pipeline, split_key};
use crate::sink::SinkTarget;
use crate::telemetry::{LogFormat, Metrics, cpu_seconds, peak_memory_bytes};

/// Everything that the summary is made of.
pub struct Summary<'a> {
    pub pipeline: &'a Pipeline,
    pub pipeline_path: &'a Path,
    pub target: &'a SinkTarget,
    pub target_is_from_flag: bool,
    pub dead_letter_path: &'a Path,
    pub metrics: &'a Metrics,
    pub observed: &'a Observed,
    /// What is odd about the first times.
    pub doubt_of_times: Option<String>,
    /// Some row that was published.
    pub sample: &'a OnceLock<Sample>,
    pub elapsed: Duration,
    /// Whether the run came to its ordinary end.
    pub completed: bool,
}

impl Summary<'_> {
    /// Says what the run did and what to type next, on stderr.
    pub fn print(&self, format: LogFormat) {
        match format {
            LogFormat::Text => say(&self.text()),
            LogFormat::Json => self.log(),
        }
    }

    /// A run in which nothing counted and something was refused has failed.
    pub fn verdict(&self) -> Result<(), CliError> {
        let dead_letters = self.metrics.all_dead_letters();
        if self.metrics.events.get() > 0 || dead_letters == 0 {
            return Ok(());
        }
        let hint = if self.metrics.dead_letters(Reason::TimeAhead).get() == dead_letters {
            "every time is later than max_ahead allows: is time_unit in [event] right? (times 1000 times too large are \
             milliseconds read as seconds)"
        } else {
            "do name, time and the keys in the pipeline file fit the events?"
        };
        let path = self.dead_letter_path.display();
        Err(CliError::Failed(format!("no event counted, {dead_letters} dead letters in {path}: {hint}")))
    }

    fn events_per_second(&self) -> f64 {
        self.metrics.events.get() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    fn text(&self) -> String {
        let metrics = self.metrics;
        let count = |number: u64| HumanCount(number).to_string();
        let missing = |of| missing_text(self.pipeline, self.observed, of);
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<14} {value}");
        };
        line("events", count(metrics.events.get()));
        line("dead letters", self.dead_letters());
        for (name, text) in [
            ("time_unit", self.doubt_of_times.as_deref().map(question)),
            ("missing keys", missing(|group| group.keyless)),
            ("missing values", missing(GroupTally::missing_values)),
        ] {
            if let Some(text) = text {
                line(name, text);
            }
        }
        for (name, counter) in [
            ("tombstones", &metrics.tombstones),
            ("rows forgotten", &metrics.rows_expired),
            ("sink retries", &metrics.sink_retries),
        ] {
            if counter.get() > 0 {
                line(name, count(counter.get()));
            }
        }
        if metrics.evictions.rows.get() > 0 {
            let worth = metrics.evictions.largest_worth_text();
            let evicted = count(metrics.evictions.rows.get());
            line("rows evicted", format!("{evicted}, worth at most {worth} each when they went: [limits] was reached"));
        }
        line("rows", count(metrics.rows.get()));
        line("items written", format!("{} to {}", count(metrics.items_written.get()), self.target));
        if let Some(bytes) = peak_memory_bytes() {
            line("peak memory", HumanBytes(bytes).to_string());
        }
        if let Some(seconds) = cpu_seconds() {
            line("CPU time", format!("{seconds:.2} s"));
        }
        line("elapsed", format!("{:.2} s", self.elapsed.as_secs_f64()));
        line("events/s", count(self.events_per_second() as u64));
        let headline = if self.completed { "done" } else { "ended early" };
        let mut whole = format!("{}: {headline}\n{text}", self.pipeline.name);
        if let Some(command) = self.next_command() {
            let _ = write!(whole, "\nRead a counter:\n  {command}\n");
        }
        whole
    }

    fn dead_letters(&self) -> String {
        let total = self.metrics.all_dead_letters();
        if total == 0 {
            return "0".to_owned();
        }
        let reasons: Vec<String> =
            self.reasons().map(|(reason, number)| format!("{number} {}", reason.as_str())).collect();
        format!("{} ({}), see {}", HumanCount(total), reasons.join(", "), self.dead_letter_path.display())
    }

    fn reasons(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        let counts = Reason::ALL.into_iter().map(|reason| (reason, self.metrics.dead_letters(reason).get()));
        counts.filter(|(_, number)| *number > 0)
    }

    /// How to read one of the items that the run has published.
    fn next_command(&self) -> Option<String> {
        if !self.target.can_be_read() {
            return None;
        }
        let sample = self.sample.get()?;
        let group = self.pipeline.group(sample.group);
        let program = std::env::args().next().unwrap_or_else(|| "counter-machine".to_owned());
        let mut command = format!("{program} get {}", self.pipeline_path.display());
        for (field, value) in group.key.iter().zip(split_key(&sample.key, group.key.len())) {
            let name = &self.pipeline.event.fields[usize::from(field.0)].name;
            let _ = write!(command, " --key {}", quoted(&format!("{name}={value}")));
        }
        if self.target_is_from_flag {
            let _ = write!(command, " --from {}", quoted(&self.target.to_string()));
        }
        Some(command)
    }

    fn log(&self) {
        let metrics = self.metrics;
        let reasons: Vec<String> =
            self.reasons().map(|(reason, number)| format!("{}={number}", reason.as_str())).collect();
        let missing = |of| missing_fields(self.pipeline, self.observed, of);
        tracing::info!(
            pipeline = self.pipeline.name,
            completed = self.completed,
            events = metrics.events.get(),
            dead_letters = metrics.all_dead_letters(),
            dead_letter_reasons = reasons.join(","),
            missing_keys = metrics.missing_keys.get(),
            missing_values = metrics.missing_values.get(),
            missing_keys_by_group = missing(|group| group.keyless),
            missing_values_by_group = missing(GroupTally::missing_values),
            doubt_of_times = self.doubt_of_times,
            tombstones = metrics.tombstones.get(),
            rows = metrics.rows.get(),
            rows_expired = metrics.rows_expired.get(),
            rows_evicted = metrics.evictions.rows.get(),
            largest_evicted_worth = metrics.evictions.largest_worth(),
            items_written = metrics.items_written.get(),
            sink_retries = metrics.sink_retries.get(),
            peak_memory_bytes = peak_memory_bytes(),
            cpu_seconds = cpu_seconds(),
            elapsed_seconds = self.elapsed.as_secs_f64(),
            events_per_second = self.events_per_second(),
            "done"
        );
    }
}

/// As a shell wants it.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if word.bytes().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
