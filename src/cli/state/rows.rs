//! Counts the keys and rows of a checkpoint, by the group that made them.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::checkpoint::{CheckpointError, CheckpointErrorKind, Depth, Merge, Restorable};
use crate::state::{FeatureHash, InvalidRecord, RecordedFeature, RecordedKey, clear_marks};

/// What a checkpoint holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RowsReport {
    /// Which checkpoint.
    pub checkpoint: u64,
    #[serde(flatten)]
    pub all: Counted,
    pub groups: BTreeMap<String, Counted>,
}

/// What there is of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counted {
    /// A key that several groups share counts in each of them.
    pub keys: u64,
    pub rows: u64,
    /// Rows that have changed since the sink has last answered for them.
    pub marked_rows: u64,
}

/// Counts a checkpoint's keys and rows. Reads all of it.
pub(super) fn count_rows(restorable: &Restorable) -> Result<RowsReport, CheckpointError> {
    let number = restorable.manifest.number;
    let damaged = |why: &dyn std::fmt::Display| {
        CheckpointError::new(CheckpointErrorKind::Damaged, format!("checkpoint {number} is damaged: {why}"))
    };
    let (groups, names) = groups(restorable).map_err(|why| damaged(&why))?;
    let mut counted = vec![(Counted::default(), false); names.len()];
    let mut all = Counted::default();
    let mut merge = Merge::new(&restorable.segments, |_| true, Depth::ToTheBase, clear)?;
    while let Some(record) = merge.next()? {
        let key = RecordedKey::read(record.payload()).map_err(|why| damaged(&why))?;
        all.keys += 1;
        for row in key.rows() {
            let row = row.map_err(|why| damaged(&why))?;
            let group =
                groups.get(&row.feature).ok_or_else(|| damaged(&InvalidRecord("a feature that was not named")))?;
            let (group, has_key) = &mut counted[*group];
            let is_marked = u64::from(row.is_marked);
            (group.rows, group.marked_rows) = (group.rows + 1, group.marked_rows + is_marked);
            (all.rows, all.marked_rows) = (all.rows + 1, all.marked_rows + is_marked);
            *has_key = true;
        }
        for (group, has_key) in &mut counted {
            group.keys += u64::from(std::mem::take(has_key));
        }
    }
    let groups = names.into_iter().zip(counted).map(|(name, (counted, _))| (name, counted));
    Ok(RowsReport { checkpoint: number.0, all, groups: groups.filter(|(_, counted)| counted.rows > 0).collect() })
}

/// The group that makes each feature, by its place among the groups' names.
fn groups(restorable: &Restorable) -> Result<(HashMap<FeatureHash, usize>, Vec<String>), serde_json::Error> {
    let (mut groups, mut names) = (HashMap::new(), Vec::new());
    for segment in &restorable.segments {
        for (id, feature) in segment.dictionary().iter() {
            let feature: RecordedFeature = serde_json::from_value(feature.clone())?;
            let known = names.iter().position(|name| *name == feature.group);
            let group = known.unwrap_or_else(|| {
                names.push(feature.group);
                names.len() - 1
            });
            groups.insert(FeatureHash(id), group);
        }
    }
    Ok((groups, names))
}

/// What is damaged stays so, and is found when it is read.
#[expect(clippy::ptr_arg, reason = "it is a `ClearMarks`, which may make a payload shorter")]
fn clear(payload: &mut Vec<u8>) {
    let _ = clear_marks(payload);
}
