//! Everything that is counted about a run, in one place.

use super::causes::Causes;
use super::checkpoints::Checkpoints;
use super::counter::Counter;
use super::elsewhere::Elsewhere;
use super::evictions::Evictions;
use super::freshness::Freshness;
use super::holdings::Holdings;
use super::hot_keys::HotKeys;
use super::pulse::Pulse;
use super::recent::RecentLetters;
use super::shares::Shares;
use super::silence::Silence;
use super::stage::Stage;
use super::trouble::Trouble;
use super::waiting::Waiting;
use crate::event::Reason;

/// The counters of one process. Operators and writers add to them once per batch, never once per
/// event.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Events that were counted.
    pub events: Counter,
    /// Times an event added nothing to a group because a key field was missing, null or empty.
    pub missing_keys: Counter,
    /// Times a row was not touched because the field of its value or weight was missing or null.
    pub missing_values: Counter,
    /// Events that arrived more than a window after they had happened, where it is known when they did.
    pub late_events: Counter,
    /// Kafka messages without a payload.
    pub tombstones: Counter,
    /// Bytes of input that were decoded.
    pub bytes: Counter,
    /// Checkpoints that were made.
    pub checkpoints: Checkpoints,
    /// Rows that are held.
    pub rows: Counter,
    /// Rows that were forgotten because their ttl had passed.
    pub rows_expired: Counter,
    /// Rows that were evicted because memory ran short.
    pub evictions: Evictions,
    /// How other processes get on.
    pub elsewhere: Elsewhere,
    /// That workers get on.
    pub pulse: Pulse,
    /// What is not known to be in the table yet.
    pub waiting: Waiting,
    /// How long items had waited when the table acknowledged them.
    pub freshness: Freshness,
    /// What the run is at.
    pub stage: Stage,
    /// Keys that are held, and what they take.
    pub holdings: Holdings,
    /// Keys that get most events.
    pub hot_keys: HotKeys,
    /// How long the sink has not taken anything of what it was given.
    pub sink_silence: Silence,
    /// The last few dead letters.
    pub recent_letters: RecentLetters,
    /// Items that the sink acknowledged.
    pub items_written: Counter,
    /// Items that the table will never take: they are in the dead letters.
    pub items_refused: Counter,
    /// Writes that found a newer item of the same run in the table.
    pub items_superseded: Counter,
    /// Write units that the table says it has taken for them.
    pub write_units: Counter,
    /// The same, by group.
    pub group_write_units: Shares,
    /// How often an item that had changed was left for a later round, because it had changed too little.
    pub held_back_little: Counter,
    /// The same, to hold a rate of write units.
    pub held_back_for_budget: Counter,
    /// Attempts of the sink that failed and were tried again.
    pub sink_retries: Counter,
    /// The same, by cause.
    pub sink_retry_causes: Causes,
    /// Why the last one did.
    pub sink_trouble: Trouble,
    dead_letters: [Counter; Reason::ALL.len()],
}

impl Metrics {
    /// The counter of dead letters of this reason.
    pub fn dead_letters(&self, reason: Reason) -> &Counter {
        &self.dead_letters[reason.index()]
    }

    pub(super) fn each_dead_letters(&self) -> impl Iterator<Item = &Counter> {
        self.dead_letters.iter()
    }

    /// All dead letters.
    pub fn all_dead_letters(&self) -> u64 {
        self.dead_letters.iter().map(Counter::get).sum()
    }
}
