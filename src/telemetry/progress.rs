//! Long work shows itself: a bar on a terminal, else a log line now and then.

use std::time::{Duration, Instant};

use super::Metrics;
use super::numbers::{HumanBytes, HumanCount};
use super::terminal::{clear_status, has_status_line, show_status, stderr_columns};

/// How often a line is logged where there is no terminal.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// How often the bar is drawn.
const REDRAW_EVERY: Duration = Duration::from_millis(500);

/// How far a source has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputProgress {
    /// Bytes of event logs (compressed, where they are); the total where it is known.
    Bytes {
        /// Read so far.
        read: u64,
        /// Of so many.
        total: Option<u64>,
    },
    /// Messages of Kafka that are not read yet; `None` while nobody says how many.
    Lag(Option<u64>),
}

/// Shows how a run is getting on.
pub struct Progress {
    on_terminal: bool,
    /// Whether there is something to say of what is written.
    publishes: bool,
    is_silent: bool,
    last: Instant,
    last_events: u64,
}

impl Progress {
    /// A bar if stderr is a terminal, unless only log lines are wanted.
    pub fn new(log_lines_only: bool) -> Progress {
        let on_terminal = !log_lines_only && has_status_line();
        Progress { on_terminal, publishes: true, is_silent: false, last: Instant::now(), last_events: 0 }
    }

    /// Of a process that says nothing of it, as another one does.
    pub fn silent() -> Progress {
        Progress { is_silent: true, ..Progress::new(true) }
    }

    /// The same, of work that writes nothing.
    pub fn of_reading(log_lines_only: bool) -> Progress {
        Progress { publishes: false, ..Progress::new(log_lines_only) }
    }

    /// To be called often; shows something when it is time.
    pub fn tick(&mut self, input: InputProgress, metrics: &Metrics) {
        let interval = if self.on_terminal { REDRAW_EVERY } else { LOG_EVERY };
        if self.is_silent || self.last.elapsed() < interval {
            return;
        }
        let facts = self.facts(input, metrics);
        if self.on_terminal {
            // A terminal without a size is as wide as terminals were.
            show_status(&bar(input, &facts, stderr_columns().unwrap_or(80)));
        } else {
            tracing::info!("{}", facts.join(", "));
        }
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        if std::mem::take(&mut self.on_terminal) {
            clear_status();
        }
    }

    /// What there is to say, the most important first.
    fn facts(&mut self, input: InputProgress, metrics: &Metrics) -> Vec<String> {
        let events = metrics.events.get() + metrics.elsewhere.events();
        let rate = events.saturating_sub(self.last_events) as f64 / self.last.elapsed().as_secs_f64();
        (self.last, self.last_events) = (Instant::now(), events);
        let input = match input {
            InputProgress::Bytes { read, total: Some(total) } => {
                format!("{} of {}", HumanBytes(read), HumanBytes(total))
            }
            InputProgress::Bytes { read, total: None } => HumanBytes(read).to_string(),
            InputProgress::Lag(Some(messages)) => format!("lag {}", HumanCount(messages)),
            InputProgress::Lag(None) => "lag unknown".to_owned(),
        };
        let mut facts = vec![
            input,
            format!("{} events", HumanCount(events)),
            format!("{}/s", HumanCount(rate as u64)),
            format!("{} rows", HumanCount(metrics.rows.get())),
        ];
        if self.publishes {
            facts.push(format!("{} items written", HumanCount(metrics.items_written.get())));
            facts.push(waiting(metrics));
        }
        facts.push(format!("{} dead letters", HumanCount(metrics.all_dead_letters())));
        facts
    }
}

/// How much waits to be published, and how long the oldest has.
fn waiting(metrics: &Metrics) -> String {
    let held = if metrics.waiting.latest().is_some() { " (budget_wcu)" } else { "" };
    match metrics.waiting.oldest() {
        Some(oldest) => {
            format!("{} wait, up to {:.1} s{held}", HumanCount(metrics.waiting.items()), oldest.as_secs_f64())
        }
        None => "none wait".to_owned(),
    }
}

const ROOM_FOR_CTRL_C: usize = 4;

/// The bar itself, where it is known how much there is, is at least and at most so wide.
const BAR_COLUMNS: std::ops::RangeInclusive<usize> = 10..=30;

/// One line that is narrower than a terminal of so many columns: a bar, where it is known how much there is to do, and
/// as many of the facts as there is room for.
fn bar(input: InputProgress, facts: &[String], columns: usize) -> String {
    // The last columns stay free: a terminal writes `^C` there, and begins a new line behind its last one.
    let room = columns.saturating_sub(ROOM_FOR_CTRL_C);
    let InputProgress::Bytes { read, total: Some(total) } = input else { return fitting(facts, room) };
    let share = if total == 0 { 1.0 } else { (read as f64 / total as f64).min(1.0) };
    let percent = format!("{:3} %  ", (share * 100.0) as u64);
    let around = percent.len() + "[] ".len();
    let facts = fitting(facts, room.saturating_sub(around + BAR_COLUMNS.start()));
    let bar = room.saturating_sub(around + facts.len()).min(*BAR_COLUMNS.end());
    if bar < *BAR_COLUMNS.start() {
        return facts;
    }
    let done = (share * bar as f64) as usize;
    format!("[{}{}] {percent}{facts}", "=".repeat(done), " ".repeat(bar - done))
}

/// The first of the facts, as many as fit.
fn fitting(facts: &[String], room: usize) -> String {
    let mut line = String::new();
    for fact in facts {
        let separator = if line.is_empty() { "" } else { ", " };
        if line.len() + separator.len() + fact.len() > room {
            break;
        }
        line += separator;
        line += fact;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(input: InputProgress, columns: usize) -> String {
        let metrics = Metrics::default();
        metrics.events.add(303_000_000);
        metrics.rows.add(1_234_567);
        let mut progress = Progress { last_events: 303_000_000, on_terminal: true, ..Progress::new(true) };
        bar(input, &progress.facts(input, &metrics), columns)
    }

    const FILES: InputProgress = InputProgress::Bytes { read: 3 << 29, total: Some(3 << 30) };

    #[test]
    fn at_80_columns_there_is_a_bar_and_what_matters_most() {
        let expected = "[==========           ]  50 %  1.50 GiB of 3.00 GiB, 303,000,000 events, 0/s";
        assert_eq!(shown(FILES, 80), expected);
    }

    #[test]
    fn at_200_columns_everything_is_told() {
        let line = shown(FILES, 200);
        assert!(line.starts_with("[===============               ]  50 %  1.50 GiB of 3.00 GiB, "), "{line}");
        assert!(line.ends_with(", 1,234,567 rows, 0 items written, none wait, 0 dead letters"), "{line}");
    }

    #[test]
    fn no_line_is_as_wide_as_the_terminal_and_no_fact_is_cut() {
        let inputs = [FILES, InputProgress::Bytes { read: 7, total: None }, InputProgress::Lag(Some(1_234_567))];
        for input in inputs {
            let whole = shown(input, 1_000);
            for columns in 0..250 {
                let line = shown(input, columns);
                assert!(line.len() <= columns.saturating_sub("^C".len() + 1), "{columns}: {line}");
                let facts = line.split("%  ").last().unwrap();
                assert!(whole.contains(facts), "{columns}: {line}");
                let rest = whole.split_once(facts).unwrap().1;
                assert!(facts.is_empty() || rest.is_empty() || rest.starts_with(", "), "{columns}: {line}");
            }
        }
    }

    #[test]
    fn nothing_to_read_is_all_read() {
        let nothing = InputProgress::Bytes { read: 0, total: Some(0) };
        assert!(shown(nothing, 80).contains("] 100 %  0 B of 0 B"), "{}", shown(nothing, 80));
    }
}
