//! `/status`: what `counter-machine status` tells of a run, and more of this process.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::figures::lag_seconds;
use super::watched::Worker;
use super::{View, health};
use crate::cli::run::status;
use crate::event::Reason;
use crate::pipeline::{Group, GroupId};
use crate::source::kafka::PartitionLag;
use crate::telemetry::http::Verdict;
use crate::telemetry::{HotKey, RecentLetter, WaitsFor, resident_memory_bytes};

/// So many of the keys that get most events are told.
const HOT_KEYS: usize = 10;

impl View {
    pub(super) fn as_json(&self) -> Value {
        let mut told = match self.known.get() {
            Some(known) => status::told(&self.metrics, self.peers, &known.reading),
            None => json!({ "processes": self.peers.processes(), "workers": self.peers.workers() }),
        };
        if let Value::Object(members) = &mut told {
            for more in [self.of_run(), self.of_source(), self.of_workers(), self.of_sink()] {
                if let Value::Object(more) = more {
                    members.extend(more);
                }
            }
        }
        told
    }

    fn of_run(&self) -> Value {
        let limits: Map<_, _> =
            self.limits_used().into_iter().map(|(limit, used)| (limit.to_owned(), used.into())).collect();
        json!({
            "pipeline": self.pipeline.name,
            "version": env!("CARGO_PKG_VERSION"),
            "process": self.peers.process(),
            "generation": self.known.get().and_then(|known| known.generation).map(|generation| generation.0),
            "uptimeSeconds": self.began.1.elapsed().as_secs_f64(),
            "timeUnit": self.pipeline.event.time_unit.name(),
            "windowSeconds": self.pipeline.window.length.as_secs_f64(),
            "ready": verdict(&health::ready(&self.facts())),
            "live": verdict(&self.watched().live()),
            "progressAgeSeconds": self.watched().progress_age().as_secs_f64(),
            "restoreSeconds": self.metrics.stage.restoring().map(|took| took.as_secs_f64()),
            "residentBytes": resident_memory_bytes(),
            "limitsUsed": limits,
        })
    }

    fn of_source(&self) -> Value {
        let reasons = Reason::ALL.map(|reason| (reason.as_str(), self.metrics.dead_letters(reason).get()));
        let reasons: Map<_, _> = reasons
            .into_iter()
            .filter(|(_, letters)| *letters > 0)
            .map(|(reason, letters)| (reason.to_owned(), letters.into()))
            .collect();
        let lag = |lag: PartitionLag| json!({ "partition": lag.partition, "messages": lag.messages, "seconds": lag_seconds(&lag) });
        json!({
            "bytesDecoded": self.metrics.bytes.get(),
            "missingKeys": self.metrics.missing_keys.get(),
            "missingValues": self.metrics.missing_values.get(),
            "lateEvents": self.metrics.late_events.get(),
            "deadLettersByReason": reasons,
            "lastDeadLetters": self.metrics.recent_letters.all().iter().map(letter).collect::<Vec<_>>(),
            "lagByPartition": self.lags().map(lag).collect::<Vec<_>>(),
        })
    }

    fn of_workers(&self) -> Value {
        let watched = self.watched();
        let workers = self.peers.worker_indices_here().zip(watched.workers());
        let workers: Vec<_> = workers.map(|(index, seen)| worker(index.0, seen)).collect();
        drop(watched);
        let tallies = self.known.get().map(|known| known.observations.groups()).unwrap_or_default();
        let group = |(index, group): (usize, &Group)| {
            let (tally, held) = (tallies.get(index), self.metrics.holdings.of_group(index));
            let keys = self
                .metrics
                .holdings
                .of_group(usize::from(self.pipeline.first_keyed_like(GroupId(index as u16)).0))
                .keys;
            json!({
                "group": group.name,
                "key": self.key_fields(group),
                "rows": held.rows,
                "rowBytes": held.bytes,
                "keys": keys,
                "writeUnits": self.metrics.group_write_units.of(&group.name),
                "events": tally.map(|tally| tally.events),
                "updates": tally.map(|tally| tally.keys),
                "missingKeys": tally.map(|tally| tally.keyless),
            })
        };
        json!({
            "workersHere": workers,
            "groups": self.pipeline.groups.iter().enumerate().map(group).collect::<Vec<_>>(),
            "hotKeys": self.metrics.hot_keys.top(HOT_KEYS).iter().map(|key| self.hot_key(key)).collect::<Vec<_>>(),
            "rowsHere": self.metrics.rows.get(),
            "keysHere": self.metrics.holdings.keys(),
            "rowBytesHere": self.metrics.holdings.bytes(),
            "rowsExpired": self.metrics.rows_expired.get(),
            "rowsEvicted": self.metrics.evictions.rows.get(),
        })
    }

    fn hot_key(&self, key: &HotKey) -> Value {
        let group = self.pipeline.group(key.group);
        json!({ "group": group.name, "fields": self.key_fields(group), "key": key.text, "share": key.share })
    }

    fn of_sink(&self) -> Value {
        let metrics = &self.metrics;
        let lately = self.watched().lately(&metrics.freshness.now());
        let last = metrics.checkpoints.last();
        let checkpoint = self.makes_checkpoints().then(|| {
            json!({
                "ageSeconds": self.checkpoint_age().as_secs_f64(),
                "durationSeconds": last.map(|last| last.took.as_secs_f64()),
                "bytes": last.map(|last| last.bytes),
                "trouble": metrics.checkpoints.trouble(),
            })
        });
        json!({
            "sink": self.target.to_string(),
            "canGet": self.target.can_be_read_meanwhile(),
            "freshness": {
                "p50Seconds": lately.quantile(0.5),
                "p99Seconds": lately.quantile(0.99),
                "items": lately.items(),
                "oldestSeconds": metrics.waiting.oldest().map(|oldest| oldest.as_secs_f64()),
            },
            "itemsWaitingHere": metrics.waiting.items(),
            "itemsWritten": metrics.items_written.get(),
            "itemsRefused": metrics.items_refused.get(),
            "itemsSuperseded": metrics.items_superseded.get(),
            "writeUnits": metrics.write_units.get(),
            "budgetWriteUnits": self.pipeline.dynamodb.budget_wcu,
            "heldBack": {
                "min_change": metrics.held_back_little.get(),
                "budget_wcu": metrics.held_back_for_budget.get(),
            },
            "putOffSeconds": metrics.waiting.latest().map(|latest| latest.as_secs_f64()),
            "sinkRetries": metrics.sink_retry_causes.all(),
            "sinkTrouble": metrics.sink_trouble.get(),
            "checkpoint": checkpoint,
        })
    }
}

fn verdict(verdict: &Verdict) -> Value {
    json!({ "ok": verdict.is_ok(), "reason": verdict.as_ref().err() })
}

fn letter(letter: &RecentLetter) -> Value {
    let at = Timestamp::try_from(letter.at).map(|at| at.to_string()).unwrap_or_default();
    json!({ "at": at, "reason": letter.reason, "place": letter.place, "text": letter.text })
}

fn worker(index: u32, worker: &Worker) -> Value {
    let waited = WaitsFor::ALL.iter().zip(worker.waited);
    let waited: Map<_, _> =
        waited.map(|(waits_for, waited)| (waits_for.as_str().to_owned(), waited.as_secs_f64().into())).collect();
    json!({
        "worker": index,
        "busySeconds": worker.busy.as_secs_f64(),
        "waitingSeconds": waited,
        "waitsFor": worker.seen.state.waits_for.as_str(),
        "epochsInFlight": worker.seen.state.epochs_in_flight,
        "isHeld": worker.seen.state.is_held,
    })
}
