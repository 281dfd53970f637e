//! What a run says when it has ended.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use super::end::{Published, RunEnd};
use super::findings::{missing_fields, missing_text, question};
use crate::cli::output::say;
use crate::cli::time::show_time;
use crate::counter::EventTime;
use crate::event::Reason;
use crate::findings::{GroupTally, Observed};
use crate::pipeline::Pipeline;
use crate::reading::split_key;
use crate::sink::{Sample, SinkTarget};
use crate::telemetry::{
    HumanBytes, HumanCount, LogFormat, Metrics, OUTCOME, Printable, Stopwatch, peak_memory_bytes, stderr_columns, wrap,
};

/// Everything that the summary is made of.
pub struct Summary<'a> {
    pub pipeline: &'a Pipeline,
    pub pipeline_path: &'a Path,
    /// What `max_ahead` of events was judged by that nothing else gives an arrival, in the unit of their times.
    pub run_start: EventTime,
    pub target: &'a SinkTarget,
    pub target_is_from_flag: bool,
    pub dead_letter_path: &'a Path,
    pub metrics: &'a Metrics,
    pub observed: &'a Observed,
    /// What is odd about the first times.
    pub doubt_of_times: Option<String>,
    /// Some row that was published.
    pub sample: &'a OnceLock<Sample>,
    /// Since the run began.
    pub stopwatch: Stopwatch,
    /// From when it began to read until everything was published.
    pub reading_took: Duration,
    /// How it ended.
    pub end: &'a RunEnd,
}

impl Summary<'_> {
    /// Says what the run did and what to type next, on stderr.
    pub fn print(&self, format: LogFormat) {
        match format {
            LogFormat::Text => say(&self.text(stderr_columns())),
            LogFormat::Json => self.log(),
        }
    }

    fn events_per_second(&self) -> Option<f64> {
        rate(self.metrics.events.get(), self.reading_took)
    }

    fn text(&self, columns: Option<usize>) -> String {
        let metrics = self.metrics;
        let count = |count: u64| HumanCount(count).to_string();
        let missing = |of| missing_text(self.pipeline, self.observed, of);
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<14} {}", Printable(value));
        };
        line("events", count(metrics.events.get()));
        line("dead letters", self.dead_letters());
        if let Some(shift) = self.pipeline.shift {
            let [from, to] = [shift.from, shift.to].map(|time| show_time(time.0, self.pipeline.event.time_unit));
            line("last event", format!("{from}, published as {to}"));
        }
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
            ("superseded", &metrics.items_superseded),
            ("write units", &metrics.write_units),
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
        line("items written", self.items_written());
        if let Some(oldest) = metrics.waiting.oldest() {
            let (items, waited) = (count(metrics.waiting.items()), oldest.as_secs_f64());
            line("not published", format!("{items} items, the oldest has waited for {waited:.1} s"));
        }
        if metrics.items_refused.get() > 0 {
            let (refused, path) = (count(metrics.items_refused.get()), self.dead_letter_path.display());
            line("refused items", format!("{refused}, which the table will never take as they are: see {path}"));
        }
        if let Some(latest) = metrics.waiting.latest() {
            let value = format!("what changed least, for up to {:.1} s: budget_wcu was reached", latest.as_secs_f64());
            line("put off", value);
        }
        let unpublished = metrics.evictions.unpublished.get();
        if unpublished > 0 {
            line(
                "lost items",
                format!("{} changes of rows that were evicted before the table took them", count(unpublished)),
            );
        }
        let checkpoints = &metrics.checkpoints;
        if checkpoints.count() + checkpoints.failures() > 0 {
            let failed = match checkpoints.failures() {
                0 => String::new(),
                failures => format!(", {failures} failed"),
            };
            let (made, bytes, longest) =
                (count(checkpoints.count()), HumanBytes(checkpoints.bytes()), checkpoints.longest());
            line(
                "checkpoints",
                format!("{made} made{failed}, {bytes}, the longest took {:.1} s", longest.as_secs_f64()),
            );
        }
        if let Some(bytes) = peak_memory_bytes() {
            line("peak memory", HumanBytes(bytes).to_string());
        }
        if let Some(seconds) = self.stopwatch.cpu_seconds() {
            line("CPU time", format!("{seconds:.2} s"));
        }
        line("elapsed", format!("{:.2} s", self.stopwatch.elapsed().as_secs_f64()));
        line("events/s", self.events_per_second().map_or("-".to_owned(), |rate| count(rate as u64)));
        let mut whole = wrap(&format!("{}: {}\n{text}", Printable(&self.pipeline.name), self.end.headline()), columns);
        if let Some(command) = self.next_command() {
            let _ = write!(whole, "\nRead a counter:\n  {command}\n");
        }
        whole
    }

    /// How much of what was counted stands in the sink.
    fn published(&self) -> Published {
        match self.end.published() {
            Published::All if self.is_something_missing() => Published::Part,
            published => published,
        }
    }

    /// Whether something that was counted is not in the sink, though the run has come to its end.
    fn is_something_missing(&self) -> bool {
        self.metrics.evictions.unpublished.get() + self.metrics.items_refused.get() > 0
    }

    /// How many items, and whether they are there.
    fn items_written(&self) -> String {
        let (items, target) = (HumanCount(self.metrics.items_written.get()), self.target);
        match self.published() {
            Published::All => format!("{items} to {target}"),
            Published::Part => format!("{items} acknowledged by {target}; not all that was counted is there"),
            Published::Nothing => format!("{items} to {target}: what was counted waits to catch up"),
            Published::Gone => format!("0 left of {items} in {target}"),
        }
    }

    fn dead_letters(&self) -> String {
        let total = self.metrics.all_dead_letters();
        if total == 0 {
            return "0".to_owned();
        }
        let reasons: Vec<String> =
            self.reasons().map(|(reason, count)| format!("{count} {}", reason.as_str())).collect();
        format!("{} ({}), see {}", HumanCount(total), reasons.join(", "), self.dead_letter_path.display())
    }

    fn reasons(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        let counts = Reason::ALL.into_iter().map(|reason| (reason, self.metrics.dead_letters(reason).get()));
        counts.filter(|(_, count)| *count > 0)
    }

    /// How to read one of the items that the run has published.
    fn next_command(&self) -> Option<String> {
        if !self.end.completed() || !self.target.can_be_read() {
            return None;
        }
        let sample = self.sample.get()?;
        let group = self.pipeline.group(sample.group);
        let program = std::env::args().next().unwrap_or_else(|| "counter-machine".to_owned());
        let mut command = format!("{} get {}", quoted(&program), quoted(&self.pipeline_path.display().to_string()));
        for (id, value) in group.key.iter().zip(split_key(&sample.key, group.key.len())) {
            let name = self.pipeline.event.field_name(*id);
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
            self.reasons().map(|(reason, count)| format!("{}={count}", reason.as_str())).collect();
        let missing = |of| missing_fields(self.pipeline, self.observed, of);
        tracing::info!(
            target: OUTCOME,
            pipeline = self.pipeline.name,
            outcome = self.end.outcome(),
            completed = self.end.completed(),
            exit_code = self.end.exit_code(),
            run_start = self.run_start.0,
            published = self.published().as_str(),
            events = metrics.events.get(),
            dead_letters = metrics.all_dead_letters(),
            dead_letter_reasons = reasons.join(","),
            last_event = self.pipeline.shift.map(|shift| shift.from.0),
            last_event_published_as = self.pipeline.shift.map(|shift| shift.to.0),
            missing_keys = metrics.missing_keys.get(),
            missing_values = metrics.missing_values.get(),
            missing_keys_by_group = missing(|group| group.keyless),
            missing_values_by_group = missing(GroupTally::missing_values),
            doubt_of_times = self.doubt_of_times,
            tombstones = metrics.tombstones.get(),
            rows = metrics.rows.get(),
            rows_expired = metrics.rows_expired.get(),
            rows_evicted = metrics.evictions.rows.get(),
            evicted_unpublished = metrics.evictions.unpublished.get(),
            items_waiting = metrics.waiting.items(),
            oldest_waiting_seconds = metrics.waiting.oldest().map(|oldest| oldest.as_secs_f64()),
            checkpoints = metrics.checkpoints.count(),
            checkpoints_failed = metrics.checkpoints.failures(),
            checkpoint_bytes = metrics.checkpoints.bytes(),
            put_off_seconds = metrics.waiting.latest().map(|latest| latest.as_secs_f64()),
            largest_evicted_worth = metrics.evictions.largest_worth(),
            items_written = metrics.items_written.get(),
            items_refused = metrics.items_refused.get(),
            items_superseded = metrics.items_superseded.get(),
            write_units = metrics.write_units.get(),
            sink_retries = metrics.sink_retries.get(),
            peak_memory_bytes = peak_memory_bytes(),
            cpu_seconds = self.stopwatch.cpu_seconds(),
            elapsed_seconds = self.stopwatch.elapsed().as_secs_f64(),
            events_per_second = self.events_per_second(),
            "{}",
            self.end.headline()
        );
    }
}

/// So many in so much time, per second; `None` where the time is so short that the rate would say more of starting and ending
/// than of counting.
fn rate(events: u64, took: Duration) -> Option<f64> {
    const SHORTEST: Duration = Duration::from_millis(100);
    (took >= SHORTEST).then(|| events as f64 / took.as_secs_f64())
}

/// As a shell wants it; in the form of bash and zsh where the word holds what does not print.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if word.bytes().all(plain) {
        return word.to_owned();
    }
    if Printable(word).to_string() == word {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let escaped = |byte: u8| match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    format!("$'{}'", word.bytes().map(escaped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_no_rate() {
        assert_eq!(rate(303, Duration::from_millis(99)), None);
        assert_eq!(rate(303, Duration::ZERO), None);
        assert_eq!(rate(303, Duration::from_millis(100)), Some(3_030.0));
    }

    #[test]
    fn a_word_is_quoted_as_a_shell_wants_it() {
        let quoted = ["userId=1234", "it's", "a b", "\x1b]0;'\\x\u{202e}"].map(quoted);
        assert_eq!(quoted, ["userId=1234", r"'it'\''s'", "'a b'", r"$'\x1b]0;\'\\x\xe2\x80\xae'"]);
    }
}
