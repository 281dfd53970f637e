//! How a run is getting on, as `status` shows it: written beside the state, again and again.

use std::sync::Arc;

use serde_json::{Value, json};

use super::running::Reading;
use crate::peers::Peers;
use crate::telemetry::{Gauges, InputProgress, Metrics};

/// What says it of this run.
pub fn of(metrics: &Arc<Metrics>, peers: Peers, reading: Reading) -> Arc<dyn Fn() -> Value + Send + Sync> {
    let metrics = Arc::clone(metrics);
    Arc::new(move || told(&metrics, peers, &reading))
}

/// The same, now.
pub fn told(metrics: &Metrics, peers: Peers, reading: &Reading) -> Value {
    let all: Vec<Gauges> = std::iter::once(metrics.gauges()).chain(metrics.elsewhere.all()).collect();
    let sum = |of: fn(&Gauges) -> u64| all.iter().map(of).sum::<u64>();
    let oldest = all.iter().filter_map(|gauges| gauges.oldest_ms).max();
    let (lag, bytes_read, bytes_total) = match reading.progress() {
        InputProgress::Lag(lag) => (lag, None, None),
        InputProgress::Bytes { read, total } => (None, Some(read), total),
    };
    json!({
        "processes": peers.processes(),
        "workers": peers.workers(),
        "events": sum(|gauges| gauges.events),
        "rows": all.iter().map(|gauges| gauges.rows).collect::<Vec<_>>(),
        "waiting": sum(|gauges| gauges.waiting),
        "oldestWaitingMs": oldest,
        "lag": lag,
        "partitions": reading.partitions(),
        "bytesRead": bytes_read,
        "bytesTotal": bytes_total,
        "deadLetters": metrics.all_dead_letters(),
        "checkpoints": metrics.checkpoints.count(),
        "failedCheckpoints": metrics.checkpoints.failures(),
    })
}
