//! `/metrics`: what each metric is called and means, in one place, and how they are written as OpenMetrics text.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::telemetry::Waits;

/// The type of what [`Exposition::text`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What all names begin with.
pub const PREFIX: &str = "counter_machine";

/// A metric: what it is called and means.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, without what all begin with; of a counter, without `_total`.
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
}

/// What can be done with the values of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only rises, until the process ends.
    Counter,
    /// It rises and falls.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Metric {
    /// Its whole name, as dashboards and alerts use it.
    pub fn full_name(&self) -> String {
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{PREFIX}_{}{total}", self.name)
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The names of its labels.
    pub fn labels(&self) -> &'static [&'static str] {
        self.labels
    }

    /// What it means.
    pub fn help(&self) -> &'static str {
        self.help
    }
}

macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: Metric = Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )*

        /// All metrics, in the order in which they are written.
        pub const METRICS: &[Metric] = &[$($id),*];
    };
}

metrics! {
    BUILD_INFO = Gauge "build_info" ["version"] "1, with the version of the program";
    START_TIME = Gauge "start_time_seconds" [] "When the process began, in seconds since 1970";
    GENERATION = Gauge "generation" [] "The generation of the run: each run of a state has a larger one; none without a state";
    PROCESSES = Gauge "processes" [] "How many processes the run has";
    WORKERS = Gauge "workers" [] "How many workers the run has, in all its processes";
    PROCESS = Gauge "process" [] "Which of the processes this is, from 0";
    READY = Gauge "ready" [] "1 where /ready says yes, else 0";
    LIVE = Gauge "live" [] "1 where /live says yes, else 0";
    PROGRESS_AGE = Gauge "progress_age_seconds" [] "How long ago the workers of this process last made progress or had nothing to do";
    RESTORE = Gauge "restore_seconds" [] "How long it took to restore the state at the start; none without a state";
    EVENTS = Counter "events" [] "Events that were counted";
    BYTES_READ = Counter "bytes_read" [] "Bytes of input that were decoded";
    DEAD_LETTERS = Counter "dead_letters" ["reason"] "Events that could not be counted, by reason";
    MISSING_KEYS = Counter "missing_keys" [] "Times an event added nothing to a group because a key field was missing, null or empty";
    MISSING_VALUES = Counter "missing_values" [] "Times a row was not touched because the field of its value or weight was missing or null";
    LATE_EVENTS = Counter "late_events" [] "Events that arrived more than a window after they had happened, where it is known when they arrived; they count like others";
    TOMBSTONES = Counter "tombstones" [] "Kafka messages without a payload";
    SOURCE_LAG_MESSAGES = Gauge "source_lag_messages" ["partition"] "Messages of a Kafka partition that are still to be read, about; of the partitions that this process reads";
    SOURCE_LAG_SECONDS = Gauge "source_lag_seconds" ["partition"] "How old the last message is that was read of a Kafka partition; 0 where all are read";
    EPOCHS_IN_FLIGHT = Gauge "epochs_in_flight" [] "Epochs that a source has begun and that are not done; of all workers of this process the most";
    WORKER_BUSY = Counter "worker_busy_seconds" ["worker"] "Processor time of a worker";
    WORKER_WAITING = Counter "worker_waiting_seconds" ["worker", "for"] "Time in which a worker had no processor, by what it would have needed to go on: sampled, four times a second";
    ROWS = Gauge "rows" [] "Rows that are held";
    KEYS = Gauge "keys" [] "Keys that are held";
    ROW_BYTES = Gauge "row_bytes" [] "Bytes that are allocated for keys and their rows";
    GROUP_EVENTS = Counter "group_events" ["group"] "Events of the names that a group counts";
    GROUP_ROWS = Gauge "group_rows" ["group"] "Rows that are held of a group";
    GROUP_ROW_BYTES = Gauge "group_row_bytes" ["group"] "Bytes of a group's rows, with the sketches of uniques; without keys, which groups share";
    GROUP_KEYS = Gauge "group_keys" ["key"] "Keys that are held, by their fields: groups with the same key fields share their keys";
    ROWS_EXPIRED = Counter "rows_expired" [] "Rows that were forgotten because their ttl had passed";
    ROWS_EVICTED = Counter "rows_evicted" ["cause"] "Rows that were evicted, by cause";
    LIMIT_USED = Gauge "limit_used_ratio" ["limit"] "How much of a limit of the pipeline file is used, for this process's share; none without limits";
    ITEMS_WAITING = Gauge "items_waiting" [] "Items that have changed and are not known to be in the table";
    OLDEST_WAITING = Gauge "oldest_waiting_seconds" [] "How long the oldest of them has waited; 0 where none waits";
    FRESHNESS = Histogram "freshness_seconds" [] "How long items had waited when the table acknowledged them, or a little less; none for a changelog";
    ITEMS = Counter "items" ["outcome"] "Items by what became of them: written, refused by the table for good, superseded by a newer one";
    SINK_RETRIES = Counter "sink_retries" ["cause"] "Attempts of the sink that failed and were tried again, by cause";
    WRITE_UNITS = Counter "write_units" [] "Write units that DynamoDB says it has taken";
    GROUP_WRITE_UNITS = Counter "group_write_units" ["group"] "The same, shared out among the groups whose items were written, by the size of these";
    WRITES_HELD_BACK = Counter "writes_held_back" ["cause"] "Times that an item that had changed was left for a later round: because it had changed by less than min_change, or to hold budget_wcu";
    CHECKPOINTS = Counter "checkpoints" [] "Checkpoints that were made; by process 0, for all";
    CHECKPOINT_FAILURES = Counter "checkpoint_failures" [] "Checkpoints that could not be made";
    CHECKPOINT_AGE = Gauge "checkpoint_age_seconds" [] "How long ago the last checkpoint was made, or the process began; none without a state";
    CHECKPOINT_DURATION = Gauge "checkpoint_duration_seconds" [] "How long the last checkpoint took, from asking for it until it was durable";
    CHECKPOINT_BYTES = Gauge "checkpoint_bytes" [] "Bytes of changes in the last checkpoint";
    RESIDENT_MEMORY = Gauge "resident_memory_bytes" [] "Memory that the process holds";
}

/// The values of metrics at one moment.
#[derive(Debug, Default)]
pub struct Exposition(Vec<Sample>);

#[derive(Debug)]
struct Sample {
    metric: Metric,
    labels: Vec<(&'static str, String)>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Whole(u64),
    Real(f64),
    Waits(Waits),
}

impl Exposition {
    /// A metric without labels, which is a whole number.
    pub fn count(&mut self, metric: Metric, value: u64) {
        self.push(metric, &[], Value::Whole(value));
    }

    /// A metric without labels.
    pub fn real(&mut self, metric: Metric, value: f64) {
        self.push(metric, &[], Value::Real(value));
    }

    /// A whole number, with the values of the metric's labels.
    pub fn count_of(&mut self, metric: Metric, labels: &[&str], value: u64) {
        self.push(metric, labels, Value::Whole(value));
    }

    /// A number, with the values of the metric's labels.
    pub fn real_of(&mut self, metric: Metric, labels: &[&str], value: f64) {
        self.push(metric, labels, Value::Real(value));
    }

    /// A histogram.
    pub fn waits(&mut self, metric: Metric, waits: Waits) {
        self.push(metric, &[], Value::Waits(waits));
    }

    fn push(&mut self, metric: Metric, labels: &[&str], value: Value) {
        let labels = metric.labels.iter().copied().zip(labels.iter().map(|label| (*label).to_owned())).collect();
        self.0.push(Sample { metric, labels, value });
    }

    /// As OpenMetrics text.
    pub fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS {
            let mut samples = self.0.iter().filter(|sample| sample.metric.name == metric.name).peekable();
            if samples.peek().is_none() {
                continue;
            }
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            for sample in samples {
                if sample.labels.is_empty() {
                    sample.write(&mut family)?;
                } else {
                    sample.write(&mut family.encode_family(&sample.labels)?)?;
                }
            }
        }
        Ok(())
    }
}

impl Sample {
    fn write(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match (self.metric.kind, &self.value) {
            (Kind::Counter, Value::Whole(value)) => encoder.encode_counter::<NoLabelSet, _, u64>(value, None),
            (Kind::Counter, Value::Real(value)) => encoder.encode_counter::<NoLabelSet, _, u64>(value, None),
            (_, Value::Whole(value)) => encoder.encode_gauge(value),
            (_, Value::Real(value)) => encoder.encode_gauge(value),
            (_, Value::Waits(waits)) => {
                let buckets: Vec<_> = waits.buckets().collect();
                encoder.encode_histogram::<NoLabelSet>(waits.seconds(), waits.items(), &buckets, None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::telemetry::Freshness;

    const DOCS: &str = include_str!("../../../docs/metrics.md");

    #[test]
    fn values_are_written_as_openmetrics() {
        let mut exposition = Exposition::default();
        exposition.count(EVENTS, 3);
        exposition.count_of(DEAD_LETTERS, &["bad_name"], 2);
        exposition.real_of(WORKER_WAITING, &["1", "source"], 0.5);
        let freshness = Freshness::default();
        freshness.note(Duration::from_secs(3), 7);
        exposition.waits(FRESHNESS, freshness.now());
        exposition.real(OLDEST_WAITING, 1.25);
        let text = exposition.text().unwrap();
        for line in [
            "# TYPE counter_machine_events counter",
            "counter_machine_events_total 3",
            "counter_machine_dead_letters_total{reason=\"bad_name\"} 2",
            "counter_machine_worker_waiting_seconds_total{worker=\"1\",for=\"source\"} 0.5",
            "counter_machine_oldest_waiting_seconds 1.25",
            "counter_machine_freshness_seconds_bucket{le=\"2.5\"} 0",
            "counter_machine_freshness_seconds_bucket{le=\"5.0\"} 7",
            "counter_machine_freshness_seconds_bucket{le=\"+Inf\"} 7",
            "counter_machine_freshness_seconds_count 7",
            "counter_machine_freshness_seconds_sum 21.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|told| told == line), "`{line}` is not in:\n{text}");
        }
        assert!(!text.contains("tombstones"), "what has no value is left out");
    }

    #[test]
    fn every_metric_has_a_name_of_its_own_and_a_meaning() {
        let names: BTreeSet<_> = METRICS.iter().map(Metric::full_name).collect();
        assert_eq!(names.len(), METRICS.len());
        let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(METRICS.iter().all(|metric| plain(metric.name)
            && metric.help.len() > 10
            && metric.labels.iter().all(|label| plain(label))));
        assert!(METRICS.iter().all(|metric| !metric.name.ends_with("_total")));
    }

    /// A row of the table in the docs, as it should be.
    fn row(metric: &Metric) -> String {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let kind = format!("{:?}", metric.kind).to_lowercase();
        format!("| `{}` | {kind} | {} | {} |", metric.full_name(), labels.join(", "), metric.help)
    }

    #[test]
    fn the_table_in_the_docs_is_all_of_them_in_their_order() {
        let expected: Vec<_> = METRICS.iter().map(row).collect();
        let found: Vec<_> = DOCS.lines().filter(|line| line.starts_with("| `counter_machine_")).collect();
        assert_eq!(found, expected, "docs/metrics.md should have:\n{}\n", expected.join("\n"));
    }
}
