//! A second reading of the log, for a few rows: their events in the order in which the run read them.

use std::ops::ControlFlow;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};

use super::blocks::BlockReader;
use super::lives::Placed;
use super::recount::Shared;
use super::row::{Counted, RowId};
use crate::source::SourceError;
use crate::source::log::LogSource;
use crate::telemetry::Metrics;

/// The events of these rows, in the order of the log.
pub(super) fn closer_look(
    shared: &Shared,
    source: &LogSource,
    rows: HashSet<RowId, RandomState>,
) -> Result<HashMap<RowId, Vec<Placed>, RandomState>, SourceError> {
    let mut placed: HashMap<RowId, Vec<Placed>, RandomState> = HashMap::default();
    // What this reads has been counted.
    let metrics = Metrics::default();
    let mut reader = BlockReader::new(shared, &metrics);
    // What is damaged was told when it was read for the first time.
    let _ = source.each_payload(&mut |payload| {
        reader.read(&payload, &mut |row, addition, stream_end| {
            if rows.contains(&row) {
                let counted = Counted { addition, events: 1 };
                placed.entry(row).or_default().push(Placed { counted, stream_end });
            }
        });
        ControlFlow::Continue(())
    })?;
    Ok(placed)
}
