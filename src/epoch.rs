//! The numbers by which progress is told: epochs, windows and versions.
//!
//! A *window* is one tumbling interval of the clock, the rhythm of publishing. An *epoch* is one or
//! more whole windows: the dataflow's timestamp and the unit of consistency. An epoch carries the
//! number of its first window, so both are counted on one axis and both only rise.

use serde::{Deserialize, Serialize};

/// The dataflow's timestamp: the number of the epoch's first window. Only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// The number of a window. Only rises; numbers may be skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window(pub u64);

/// Orders the published states of one item: of two, the one with the larger version is the newer.
///
/// Made of the generation of the run (high bits) and the window that was published (low
/// [`Version::WINDOW_BITS`] bits), so it rises within a run and from run to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version(pub u64);

/// Counts the runs that share one state; a run without state is always the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u16);

impl Generation {
    /// The generation of a run that continues nothing.
    pub const FIRST: Generation = Generation(1);
}

impl Version {
    /// Bits kept for the window number: windows of 100 ms since 1970 fit until the year 5450.
    pub const WINDOW_BITS: u32 = 40;

    /// The version of what `generation` publishes for `window`.
    pub fn new(generation: Generation, window: Window) -> Version {
        let window_mask = (1 << Self::WINDOW_BITS) - 1;
        Version((u64::from(generation.0) << Self::WINDOW_BITS) | (window.0 & window_mask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_rise_with_windows_and_then_with_generations() {
        let early = Version::new(Generation(1), Window(900));
        let later = Version::new(Generation(1), Window(901));
        let restarted = Version::new(Generation(2), Window(1));
        assert!(early < later && later < restarted);
    }
}
