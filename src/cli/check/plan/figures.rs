//! What a plan says.

use std::collections::BTreeMap;

use crate::event::Reason;
use crate::findings::Observed;
use crate::plan::GroupWrites;
use crate::state::ApplyError;

/// What a run over the sample would hold and publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Events that count.
    pub events: u64,
    /// Events that do not, by reason.
    pub dead_letters: BTreeMap<Reason, u64>,
    /// What they look like, and what of it was missing.
    pub observed: Observed,
    /// How many windows of the event clock the sample spans.
    pub windows: u64,
    /// Whether there were so many rows that a share of them stands for all.
    pub is_estimate: bool,
    /// One for each group of the pipeline, in its order.
    pub groups: Vec<GroupPlan>,
    /// Why nothing is known of what would be written.
    pub not_rehearsed: Option<ApplyError>,
}

/// What a group would write, with items of both layouts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroupPublishing {
    /// One item for each feature of a key.
    pub by_feature: GroupWrites,
    /// One for each key: what of it is the group's.
    pub by_key: GroupWrites,
}

/// What one group would hold and publish.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupPlan {
    /// What the events add to rows: one for each measure and row.
    pub contributions: u64,
    /// How many times an event had a key of this group.
    pub key_uses: u64,
    /// How many different keys there are after a quarter, a half and all of the events.
    pub keys: [u64; 3],
    /// How many rows (keys x features).
    pub rows: u64,
    /// What the rows take in memory: sketches and sets of members with them, and their part of their keys, which all
    /// groups that are keyed alike share.
    pub row_bytes: u64,
    /// What the rows' items take in a DynamoDB table.
    pub table_bytes: u64,
    /// What would be written if no change were held back.
    pub all_changes: GroupPublishing,
    /// What would be written if small changes are held back: as the pipeline says or, where it says nothing, those of up to 1 %.
    pub held_back: GroupPublishing,
}

impl GroupPlan {
    /// How the number of keys grows with the log: as events to the power of this. 0 if no new keys
    /// come, 1 if a share of the events always brings new ones. (The slope of the line through the
    /// three points, in logarithms.)
    pub fn growth_exponent(&self) -> Option<f64> {
        let [quarter, _, all] = self.keys;
        (quarter > 0).then(|| (all as f64 / quarter as f64).ln() / 4f64.ln())
    }
}
