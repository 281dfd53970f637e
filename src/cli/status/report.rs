//! How a run is getting on, for people and for programs.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::checkpoint::{JournalEntry, LeaseRecord, Manifest, Store};
use crate::telemetry::{HumanBytes, HumanCount};

/// So many renewals may be missed before a run does not count as running: see `recovery/lease.rs`.
const MISSED: f64 = 2.0;

/// What `status` tells.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusReport {
    state: String,
    /// `running`, `ended`, `silent` (it has not said for a while that it goes on), or `none`.
    run: &'static str,
    generation: Option<u32>,
    host: Option<String>,
    process: Option<u32>,
    /// How old what the run says is.
    heard_seconds_ago: Option<f64>,
    checkpoint: Option<u64>,
    checkpoint_seconds_ago: Option<f64>,
    /// The last epoch that the checkpoint holds, and that the journal covers.
    checkpoint_epoch: Option<u64>,
    journal_epoch: Option<u64>,
    /// What the run says of itself.
    says: Value,
}

impl StatusReport {
    /// By what is found in the state at this time.
    pub fn of(
        store: &Store,
        lease: Option<LeaseRecord>,
        manifest: Option<&Manifest>,
        journal: Option<&JournalEntry>,
        now: Timestamp,
    ) -> StatusReport {
        let ago = |text: &str| Some((now - text.parse::<Timestamp>().ok()?).total(jiff::Unit::Second).ok()?.max(0.0));
        let heard = lease.as_ref().and_then(|lease| ago(&lease.renewed));
        let run = match &lease {
            None => "none",
            Some(lease) if lease.is_over => "ended",
            // The lock of a folder goes with its holder, however it ends.
            Some(_) if store.holder().is_some() => "running",
            Some(lease)
                if heard.is_some_and(|heard| heard < MISSED * lease.valid_for().as_secs_f64()) && is_remote(store) =>
            {
                "running"
            }
            Some(_) => "silent",
        };
        StatusReport {
            state: store.location().to_string(),
            run,
            generation: lease.as_ref().map(|lease| lease.generation.0),
            host: lease.as_ref().map(|lease| lease.host.clone()),
            process: lease.as_ref().map(|lease| lease.process),
            heard_seconds_ago: heard,
            checkpoint: manifest.map(|manifest| manifest.number.0),
            checkpoint_seconds_ago: manifest.and_then(|manifest| ago(&manifest.created)),
            checkpoint_epoch: manifest.map(|manifest| manifest.epoch.0),
            journal_epoch: journal.map(|entry| entry.epoch.0),
            says: lease.map_or(Value::Null, |lease| lease.status),
        }
    }

    /// Whether a run is using the state.
    pub fn is_running(&self) -> bool {
        self.run == "running"
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<14} {value}");
        };
        line("state", self.state.clone());
        line("run", self.told_run());
        let number = |name: &str| self.says.get(name).and_then(Value::as_u64);
        let count = |number: u64| HumanCount(number).to_string();
        if let (Some(processes), Some(workers)) = (number("processes"), number("workers")) {
            line("processes", format!("{processes}, with {workers} workers"));
        }
        if let Some(events) = number("events") {
            line("events", count(events));
        }
        if let Some(letters) = number("deadLetters").filter(|letters| *letters > 0) {
            line("dead letters", count(letters));
        }
        if let Some(rows) = self.says.get("rows").and_then(Value::as_array) {
            let each: Vec<u64> = rows.iter().filter_map(Value::as_u64).collect();
            let by_process: Vec<String> = each.iter().map(|rows| count(*rows)).collect();
            let all = count(each.iter().sum());
            line("rows", if each.len() > 1 { format!("{all} (by process: {})", by_process.join(" ")) } else { all });
        }
        if let Some(lag) = number("lag") {
            line("lag", format!("{} messages", count(lag)));
        }
        if let Some(read) = number("bytesRead") {
            let total = number("bytesTotal").map_or(String::new(), |total| format!(" of {}", HumanBytes(total)));
            line("read", format!("{}{total}", HumanBytes(read)));
        }
        if let Some(waiting) = number("waiting") {
            let oldest = number("oldestWaitingMs").map_or(String::new(), |oldest| {
                format!(", the oldest has waited for {:.1} s", oldest as f64 / 1_000.0)
            });
            line("not published", format!("{} items{oldest}", count(waiting)));
        }
        match (self.checkpoint, self.checkpoint_seconds_ago) {
            (Some(number), Some(ago)) => line("checkpoint", format!("{number}, made {ago:.0} s ago")),
            (Some(number), None) => line("checkpoint", number.to_string()),
            (None, _) => line("checkpoint", "none yet".to_owned()),
        }
        if let Some(failed) = number("failedCheckpoints").filter(|failed| *failed > 0) {
            line("", format!("{failed} could not be made"));
        }
        if let Some(epoch) = self.journal_epoch {
            line("journal", format!("covers epoch {epoch}"));
        }
        for (partition, bounds) in self.partitions() {
            line(&format!("partition {partition}"), bounds);
        }
        text
    }

    fn told_run(&self) -> String {
        let by = match (self.generation, &self.host, self.process) {
            (Some(generation), Some(host), Some(process)) => format!(" {generation} on {host} (process {process})"),
            _ => String::new(),
        };
        let ago = self.heard_seconds_ago.map_or(String::new(), |ago| format!("{ago:.0} s ago"));
        match self.run {
            "running" => format!("run{by} is using it, and said so {ago}"),
            "ended" => format!("none: run{by} has ended, {ago}"),
            "silent" => format!("none: run{by} did not say that it has ended, and was heard of last {ago}"),
            _ => "none has said that it uses it".to_owned(),
        }
    }

    /// Of a topic, each partition with where the next message is and how many are left.
    fn partitions(&self) -> Vec<(usize, String)> {
        let Some(all) = self.says.get("partitions").and_then(Value::as_array) else { return Vec::new() };
        let bounds = |value: &Value| Some((value.get(0)?.as_i64()?, value.get(1)?.as_i64()?));
        let told =
            |(next, end): (i64, i64)| format!("next offset {next}, {} to go", HumanCount((end - next).max(0) as u64));
        all.iter().enumerate().filter_map(|(partition, value)| Some((partition, told(bounds(value)?)))).collect()
    }
}

fn is_remote(store: &Store) -> bool {
    matches!(store.location(), crate::checkpoint::Location::Bucket { .. })
}
