//! The numbers by which progress is told: epochs, windows and versions.
//!
//! A *window* is one tumbling interval of the clock, live the rhythm of publishing. An *epoch* is one or
//! more whole windows: the dataflow's timestamp and the unit of consistency. An epoch carries the
//! number of its first window, so both are counted on one axis and both only rise.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The dataflow's timestamp: the number of the epoch's first window. Only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

/// The number of a window. Only rises; numbers may be skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window(pub u64);

/// Orders the published states of one item: of two, the one with the larger version is the newer.
///
/// 63 bits: the generation of the run in the high 32, the number of the window within the run in the low
/// [`Version::WINDOW_BITS`]. So it rises within a run and from run to run. (Before there were generations, it was at
/// most 2⁴¹, which is below all of today's.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version(pub u64);

/// The number of a run: every start takes a larger one than the starts before it.
///
/// It is the second since 1970 at which the run started, or one more than the sink's own record holds, whichever is
/// larger. So a clock that was set back, or a second start within one second, does not take versions back where the
/// sink has a record (see [`crate::sink::Sink::generation`]); where it has none, two starts within one second have the
/// same generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u32);

/// The versions of one run.
#[derive(Clone, Copy, Debug)]
pub struct Versions {
    generation: Generation,
    first: Window,
}

impl Generation {
    /// A clock that is earlier is wrong: 2020-01-01.
    const EARLIEST: u64 = 1_577_836_800;
    /// A clock that is later is wrong, or it is 2106: a million starts are left then.
    const LATEST: u64 = (1 << 32) - (1 << 20);

    /// The generation of a run that starts at this time, and whether the clock can be right. One that cannot be gives
    /// the nearest time that can.
    pub fn at(now: SystemTime) -> (Generation, bool) {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let possible = seconds.clamp(Self::EARLIEST, Self::LATEST);
        (Generation(possible as u32), possible == seconds)
    }

    /// This one, or the next after `recorded`, whichever is larger; `None` where `recorded` is the last there is.
    pub fn above(self, recorded: Generation) -> Option<Generation> {
        recorded.0.checked_add(1).map(|next| self.max(Generation(next)))
    }
}

impl Version {
    /// Bits kept for the window: of 100 ms, so many last for 6.8 years without a restart.
    pub const WINDOW_BITS: u32 = 31;

    /// The generation of the run that published this.
    pub fn generation(self) -> Generation {
        Generation(u32::try_from(self.0 >> Self::WINDOW_BITS).unwrap_or(u32::MAX))
    }
}

/// The largest number of a window within a run.
const LAST_WINDOW: u64 = (1 << Version::WINDOW_BITS) - 1;

impl Versions {
    /// Versions of a run whose first window has the number `first`.
    pub fn new(generation: Generation, first: Window) -> Versions {
        Versions { generation, first }
    }

    /// The run's generation, and the first window that is counted.
    pub fn parts(self) -> (Generation, Window) {
        (self.generation, self.first)
    }

    /// The version of what is published for `window`. The first one is counted as 1. What does not fit has the last
    /// number there is: it never looks like a later run.
    pub fn of(self, window: Window) -> Version {
        self.numbered(window.0.saturating_sub(self.first.0).saturating_add(1).min(LAST_WINDOW))
    }

    /// The largest there can be, whatever windows come: what is newer was published by a later run.
    pub fn largest(self) -> Version {
        self.numbered(LAST_WINDOW)
    }

    fn numbered(self, window: u64) -> Version {
        Version((u64::from(self.generation.0) << Version::WINDOW_BITS) | window)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn version(generation: u32, window: u64) -> Version {
        Versions::new(Generation(generation), Window(1)).of(Window(window))
    }

    fn at(seconds: u64) -> (Generation, bool) {
        Generation::at(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn versions_rise_with_windows_and_then_with_generations() {
        assert!(version(7, 900) < version(7, 901) && version(7, 901) < version(8, 1));
        assert_eq!(version(7, 900).generation(), Generation(7));
        let live = Versions::new(Generation(7), Window(17_900_000_000));
        assert_eq!(live.of(Window(17_900_000_004)), version(7, 5), "windows are counted from the start");
    }

    #[test]
    fn a_run_without_end_never_looks_like_a_later_one() {
        let last = (1 << Version::WINDOW_BITS) - 1;
        assert!(version(7, last - 1) < version(7, last));
        assert_eq!(version(7, last), version(7, u64::MAX));
        assert_eq!(version(7, last), Versions::new(Generation(7), Window(900)).largest());
        assert!(version(7, u64::MAX) < version(8, 1));
        assert!(version(u32::MAX, u64::MAX).0 < 1 << 63, "SQLite's integers are signed");
    }

    #[test]
    fn versions_are_above_those_of_runs_without_generations() {
        let (earliest, _) = at(0);
        assert!(version(earliest.0, 1).0 > 1 << 41);
    }

    #[test]
    fn the_next_start_has_a_larger_generation_whatever_the_clock_says() {
        let (first, right) = at(1_790_000_000);
        assert_eq!((first, right), (Generation(1_790_000_000), true));
        assert_eq!(at(1_790_000_001).0.above(first), Some(Generation(1_790_000_001)));
        assert_eq!(first.above(first), Some(Generation(1_790_000_001)), "within one second");
        assert_eq!(at(1_600_000_000).0.above(first), Some(Generation(1_790_000_001)), "a clock that was set back");
    }

    #[test]
    fn a_clock_that_cannot_be_right_gives_a_generation_all_the_same() {
        for wrong in [0, 86_400, Generation::EARLIEST - 1, 1 << 32, 1 << 40] {
            let (generation, right) = at(wrong);
            assert!(!right && generation >= at(Generation::EARLIEST).0, "{wrong}: {generation:?}");
            let next = generation.above(generation).unwrap();
            assert!(next > generation, "{wrong}: there is a next one");
        }
        assert!(!Generation::at(UNIX_EPOCH - Duration::from_secs(1)).1);
        assert_eq!(at(1_790_000_000).0.above(Generation(u32::MAX)), None);
    }
}
