//! Going on where an earlier run has stopped.

use super::SourcePositions;

/// Where a run goes on that an earlier one has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Up to where the checkpoint has counted.
    pub counted: SourcePositions,
    /// Up to where something may have been published since, by one entry of the journal each: of these the largest counts.
    pub published: Vec<SourcePositions>,
    /// What is gone is passed over, counted and told (`--skip-lost`).
    pub skip_lost: bool,
}
