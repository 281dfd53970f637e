//! Long work shows itself: a bar on a terminal, else a log line now and then.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use super::Metrics;

/// How often a line is logged where there is no terminal.
const LOG_EVERY: Duration = Duration::from_secs(10);

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

/// How often the bar's text changes.
const REDRAW_EVERY: Duration = Duration::from_millis(500);

/// Shows how a run is getting on.
pub struct Progress {
    bar: Option<ProgressBar>,
    last: Instant,
    last_events: u64,
}

impl Progress {
    /// A bar if stderr is a terminal, unless only log lines are wanted.
    pub fn new(log_lines_only: bool) -> Progress {
        let bar = (!log_lines_only && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(0);
            bar.set_style(style("{spinner} {msg}"));
            bar
        });
        Progress { bar, last: Instant::now(), last_events: 0 }
    }

    /// To be called often; shows something when it is time.
    pub fn tick(&mut self, input: InputProgress, metrics: &Metrics) {
        if let (Some(bar), InputProgress::Bytes { read, total }) = (&self.bar, input) {
            if let Some(total) = total.filter(|total| bar.length() != Some(*total)) {
                bar.set_length(total);
                bar.set_style(style("{wide_bar} {percent}% {bytes}/{total_bytes}  {msg}"));
            }
            bar.set_position(read);
        }
        let interval = if self.bar.is_some() { REDRAW_EVERY } else { LOG_EVERY };
        if self.last.elapsed() >= interval {
            let sentence = self.sentence(input, metrics);
            match &self.bar {
                Some(bar) => bar.set_message(sentence),
                None => tracing::info!("{sentence}"),
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn sentence(&mut self, input: InputProgress, metrics: &Metrics) -> String {
        let events = metrics.events.get();
        let rate = (events - self.last_events) as f64 / self.last.elapsed().as_secs_f64();
        (self.last, self.last_events) = (Instant::now(), events);
        let input = match input {
            InputProgress::Bytes { read, total: Some(total) } => {
                format!("{} of {}", HumanBytes(read), HumanBytes(total))
            }
            InputProgress::Bytes { read, total: None } => HumanBytes(read).to_string(),
            InputProgress::Lag(Some(messages)) => format!("lag {}", HumanCount(messages)),
            InputProgress::Lag(None) => "lag unknown".to_owned(),
        };
        format!(
            "{input}, {} events, {} events/s, {} rows, {} items written, {} dead letters",
            HumanCount(events),
            HumanCount(rate as u64),
            HumanCount(metrics.rows.get()),
            HumanCount(metrics.items_written.get()),
            HumanCount(metrics.all_dead_letters()),
        )
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
