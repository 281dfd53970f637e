//! `[limits]`: how much may be held in memory.

use super::bytes::Bytes;
use super::checks::at_least;
use super::error::Fault;
use super::raw::RawLimits;

/// How many rows a run may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowLimit(pub u64);

/// `[limits]`: whichever is reached first counts. Where there is none, rows are bounded by their ttl
/// alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most rows that the whole run may hold: all workers of all processes together.
    pub rows: Option<RowLimit>,
    /// The most memory that rows may take in each process, at least [`Limits::LEAST_MEMORY`]; the empty
    /// tables of groups are not counted.
    pub memory: Option<Bytes>,
}

impl Limits {
    /// Below this there would be no room for rows to speak of.
    pub const LEAST_MEMORY: Bytes = Bytes(1 << 20);

    /// What the section means.
    pub(super) fn expand(raw: &RawLimits) -> Result<Limits, Fault> {
        let rows = raw.rows.as_ref().map(|rows| at_least(rows, 1, "rows").map(RowLimit)).transpose()?;
        let memory = raw.memory.as_ref().map(|text| {
            let memory = Bytes::parse(text.get_ref()).map_err(|error| Fault::new(text.span(), error.to_string()))?;
            if memory < Limits::LEAST_MEMORY {
                let message = format!("memory must be at least {}, not {memory}", Limits::LEAST_MEMORY);
                return Err(Fault::new(text.span(), message));
            }
            Ok(memory)
        });
        Ok(Limits { rows, memory: memory.transpose()? })
    }

    /// Whether there is any limit.
    pub fn any(&self) -> bool {
        self.rows.is_some() || self.memory.is_some()
    }
}
