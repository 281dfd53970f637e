//! The values of all metrics of a run, as they are now.

use std::time::{Duration, SystemTime};

use super::{View, health};
use crate::event::Reason;
use crate::pipeline::{Group, GroupId};
use crate::source::kafka::PartitionLag;
use crate::telemetry::http::Exposition;
use crate::telemetry::http::openmetrics as m;
use crate::telemetry::{WaitsFor, resident_memory_bytes};

impl View {
    pub(super) fn figures(&self) -> Exposition {
        let mut told = Exposition::default();
        self.tell_run(&mut told);
        self.tell_source(&mut told);
        self.tell_workers(&mut told);
        self.tell_rows(&mut told);
        self.tell_groups(&mut told);
        self.tell_sink(&mut told);
        self.tell_checkpoints(&mut told);
        told
    }

    fn tell_run(&self, told: &mut Exposition) {
        told.count_of(m::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1);
        let since_1970 = self.began.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        told.real(m::START_TIME, since_1970.as_secs_f64());
        if let Some(generation) = self.known.get().and_then(|known| known.generation) {
            told.count(m::GENERATION, generation.0.into());
        }
        told.count(m::PROCESSES, self.peers.processes().into());
        told.count(m::WORKERS, self.peers.workers().into());
        told.count(m::PROCESS, self.peers.process().into());
        told.count(m::READY, health::ready(&self.facts()).is_ok().into());
        told.count(m::LIVE, self.watched().live().is_ok().into());
        told.real(m::PROGRESS_AGE, self.watched().progress_age().as_secs_f64());
        if let Some(took) = self.metrics.stage.restoring() {
            told.real(m::RESTORE, took.as_secs_f64());
        }
        if let Some(bytes) = resident_memory_bytes() {
            told.count(m::RESIDENT_MEMORY, bytes);
        }
    }

    fn tell_source(&self, told: &mut Exposition) {
        let metrics = &self.metrics;
        told.count(m::EVENTS, metrics.events.get());
        told.count(m::BYTES_READ, metrics.bytes.get());
        for reason in Reason::ALL {
            told.count_of(m::DEAD_LETTERS, &[reason.as_str()], metrics.dead_letters(reason).get());
        }
        told.count(m::MISSING_KEYS, metrics.missing_keys.get());
        told.count(m::MISSING_VALUES, metrics.missing_values.get());
        told.count(m::LATE_EVENTS, metrics.late_events.get());
        told.count(m::TOMBSTONES, metrics.tombstones.get());
        for lag in self.lags().filter(|lag| self.reads(lag)) {
            let partition = lag.partition.to_string();
            told.count_of(m::SOURCE_LAG_MESSAGES, &[&partition], lag.messages);
            if let Some(seconds) = lag_seconds(&lag) {
                told.real_of(m::SOURCE_LAG_SECONDS, &[&partition], seconds);
            }
        }
    }

    fn tell_workers(&self, told: &mut Exposition) {
        let watched = self.watched();
        let in_flight = watched.workers().iter().map(|worker| worker.seen.state.epochs_in_flight).max();
        told.count(m::EPOCHS_IN_FLIGHT, in_flight.unwrap_or_default().into());
        for (index, worker) in self.peers.worker_indices_here().zip(watched.workers()) {
            let index = index.0.to_string();
            told.real_of(m::WORKER_BUSY, &[&index], worker.busy.as_secs_f64());
            for (waits_for, waited) in WaitsFor::ALL.iter().zip(worker.waited) {
                told.real_of(m::WORKER_WAITING, &[&index, waits_for.as_str()], waited.as_secs_f64());
            }
        }
    }

    fn tell_rows(&self, told: &mut Exposition) {
        let metrics = &self.metrics;
        told.count(m::ROWS, metrics.rows.get());
        told.count(m::KEYS, metrics.holdings.keys());
        told.count(m::ROW_BYTES, metrics.holdings.bytes());
        told.count(m::ROWS_EXPIRED, metrics.rows_expired.get());
        told.count_of(m::ROWS_EVICTED, &["limits"], metrics.evictions.rows.get());
        for (limit, used) in self.limits_used() {
            told.real_of(m::LIMIT_USED, &[limit], used);
        }
    }

    fn tell_groups(&self, told: &mut Exposition) {
        let tallies = self.known.get().map(|known| known.observations.groups()).unwrap_or_default();
        for (index, group) in self.pipeline.groups.iter().enumerate() {
            let (name, held) = (group.name.as_str(), self.metrics.holdings.of_group(index));
            told.count_of(m::GROUP_EVENTS, &[name], tallies.get(index).map_or(0, |tally| tally.events));
            told.count_of(m::GROUP_ROWS, &[name], held.rows);
            told.count_of(m::GROUP_ROW_BYTES, &[name], held.bytes);
            if self.pipeline.first_keyed_like(GroupId(index as u16)) == GroupId(index as u16) {
                told.count_of(m::GROUP_KEYS, &[&self.key_fields(group).join(",")], held.keys);
            }
            if self.target.is_dynamodb() {
                told.real_of(m::GROUP_WRITE_UNITS, &[name], self.metrics.group_write_units.of(name));
            }
        }
    }

    /// The names of the fields that a group is keyed by.
    pub(super) fn key_fields(&self, group: &Group) -> Vec<&str> {
        group.key.iter().map(|id| self.pipeline.event.field_name(*id)).collect()
    }

    fn tell_sink(&self, told: &mut Exposition) {
        let metrics = &self.metrics;
        told.count(m::ITEMS_WAITING, metrics.waiting.items());
        told.real(m::OLDEST_WAITING, metrics.waiting.oldest().unwrap_or_default().as_secs_f64());
        if self.target.is_table() {
            told.waits(m::FRESHNESS, metrics.freshness.now());
        }
        for (outcome, items) in [
            ("written", &metrics.items_written),
            ("refused", &metrics.items_refused),
            ("superseded", &metrics.items_superseded),
        ] {
            told.count_of(m::ITEMS, &[outcome], items.get());
        }
        for (cause, retries) in metrics.sink_retry_causes.all() {
            told.count_of(m::SINK_RETRIES, &[cause], retries);
        }
        told.count(m::WRITE_UNITS, metrics.write_units.get());
        for (cause, writes) in
            [("min_change", &metrics.held_back_little), ("budget_wcu", &metrics.held_back_for_budget)]
        {
            told.count_of(m::WRITES_HELD_BACK, &[cause], writes.get());
        }
    }

    fn tell_checkpoints(&self, told: &mut Exposition) {
        let checkpoints = &self.metrics.checkpoints;
        if !self.makes_checkpoints() {
            return;
        }
        told.count(m::CHECKPOINTS, checkpoints.count());
        told.count(m::CHECKPOINT_FAILURES, checkpoints.failures());
        told.real(m::CHECKPOINT_AGE, self.checkpoint_age().as_secs_f64());
        if let Some(last) = checkpoints.last() {
            told.real(m::CHECKPOINT_DURATION, last.took.as_secs_f64());
            told.count(m::CHECKPOINT_BYTES, last.bytes);
        }
    }

    /// Process 0 does, of a run with a state.
    pub(super) fn makes_checkpoints(&self) -> bool {
        self.peers.process() == 0 && self.known.get().is_some_and(|known| known.generation.is_some())
    }

    /// Since the last checkpoint, or the beginning of the run.
    pub(super) fn checkpoint_age(&self) -> Duration {
        self.metrics.checkpoints.last().map_or(self.began.1, |last| last.at).elapsed()
    }

    /// How much of its share of each limit this process uses.
    pub(super) fn limits_used(&self) -> Vec<(&'static str, f64)> {
        let limits = &self.pipeline.limits;
        let share = f64::from(self.peers.workers_here()) / f64::from(self.peers.workers());
        let rows = limits.rows.map(|rows| ("rows", self.metrics.rows.get() as f64 / (rows.0 as f64 * share)));
        let memory = limits.memory.map(|bytes| ("memory", self.metrics.holdings.bytes() as f64 / bytes.0 as f64));
        rows.into_iter().chain(memory).collect()
    }

    /// How far behind each partition is, of a topic.
    pub(super) fn lags(&self) -> impl Iterator<Item = PartitionLag> + use<> {
        self.known.get().and_then(|known| known.reading.lag_by_partition()).unwrap_or_default().into_iter()
    }

    /// Whether this process reads that partition.
    fn reads(&self, lag: &PartitionLag) -> bool {
        let worker = lag.partition.unsigned_abs() % self.peers.workers();
        self.peers.worker_indices_here().any(|index| index.0 == worker)
    }
}

/// How old the last message is that was read: what comes next is younger. Nothing, where none was read that has a time.
pub(super) fn lag_seconds(lag: &PartitionLag) -> Option<f64> {
    if lag.messages == 0 {
        return Some(0.0);
    }
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Some((since_1970.as_millis() as f64 - lag.last_ms? as f64).max(0.0) / 1_000.0)
}
