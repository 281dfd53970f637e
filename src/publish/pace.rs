//! When a round begins.

use crate::pipeline::Rhythm;
use crate::state::{Moment, RhythmId};

/// When the next round of each rhythm begins, which takes all shorter rhythms along.
///
/// A rhythm that is the window's goes with the ends of windows, live; any other one by the clock. Between two rounds a table has
/// a rest of as long as the round took, up to a rhythm: one that is slower than its rhythm takes more changes at once.
#[derive(Debug)]
pub(crate) struct Pace {
    rhythms: Vec<Beat>,
    /// When the round that is under way began, or the last one.
    began: Moment,
}

#[derive(Debug)]
struct Beat {
    every: u64,
    /// It follows the ends of windows.
    is_windows: bool,
    began: Option<Moment>,
    /// Not before this.
    rested: Moment,
}

impl Pace {
    /// Live, the first round begins as soon as there is something to publish; in a replay, after a rhythm.
    pub fn new(rhythms: &[Rhythm], is_replay: bool) -> Pace {
        let beat = |rhythm: &Rhythm| Beat {
            every: u64::try_from(rhythm.every.as_millis()).unwrap_or(u64::MAX),
            is_windows: rhythm.is_default && !is_replay,
            began: is_replay.then_some(Moment(0)),
            rested: Moment(0),
        };
        Pace { rhythms: rhythms.iter().map(beat).collect(), began: Moment(0) }
    }

    /// All rhythms, the shortest first.
    pub fn rhythms(&self) -> impl Iterator<Item = RhythmId> + use<> {
        (0..self.rhythms.len() as u8).map(RhythmId)
    }

    /// Whether the next round may begin. The last epoch was applied at that moment.
    pub fn is_due(&self, rhythm: RhythmId, now: Moment, last_epoch: Moment) -> bool {
        self.next(rhythm, last_epoch) <= now
    }

    /// When the next round may begin, unless another epoch is applied before.
    pub fn next(&self, rhythm: RhythmId, last_epoch: Moment) -> Moment {
        let beat = &self.rhythms[usize::from(rhythm.0)];
        let Some(began) = beat.began else { return Moment(0) };
        let after = match beat.is_windows {
            // Windows end a little sooner or later than they should.
            true if last_epoch > began => beat.every - beat.every / 4,
            // What is left from before waits for a window that does not come.
            true => beat.every.saturating_mul(2),
            false => beat.every,
        };
        Moment(began.0.saturating_add(after)).max(beat.rested)
    }

    /// A round has begun.
    pub fn round_begins(&mut self, now: Moment) {
        self.began = now;
    }

    /// The round over this rhythm and all shorter ones has ended.
    pub fn round_ended(&mut self, longest: RhythmId, now: Moment) {
        self.end_round(longest, now, now.0.saturating_sub(self.began.0));
    }

    /// The same of a round that took so long because a rate is held: a table needs no rest then.
    pub fn paced_round_ended(&mut self, longest: RhythmId, now: Moment) {
        self.end_round(longest, now, 0);
    }

    fn end_round(&mut self, longest: RhythmId, now: Moment, took: u64) {
        for beat in &mut self.rhythms[..=usize::from(longest.0)] {
            beat.began = Some(self.began);
            beat.rested = Moment(now.0.saturating_add(took.min(beat.every)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ONLY: RhythmId = RhythmId(0);

    fn pace(is_default: bool, is_replay: bool) -> Pace {
        Pace::new(&[Rhythm { every: Duration::from_secs(5), is_default }], is_replay)
    }

    fn round(pace: &mut Pace, began: u64, ended: u64) {
        pace.round_begins(Moment(began));
        pace.round_ended(ONLY, Moment(ended));
    }

    #[test]
    fn live_a_round_begins_when_a_window_ends() {
        let mut live = pace(true, false);
        assert!(live.is_due(ONLY, Moment(0), Moment(0)));
        round(&mut live, 1_000, 1_300);
        assert!(!live.is_due(ONLY, Moment(5_990), Moment(900)), "no window has ended since");
        assert!(live.is_due(ONLY, Moment(5_990), Moment(5_990)), "and here one has, a little early");
        assert!(!live.is_due(ONLY, Moment(3_000), Moment(3_000)), "an epoch may be cut short");
        assert!(live.is_due(ONLY, Moment(11_000), Moment(900)), "what is left does not wait for ever");
    }

    #[test]
    fn a_rhythm_with_a_name_goes_by_the_clock_and_in_a_replay_the_first_round_waits() {
        let mut named = pace(false, false);
        round(&mut named, 1_000, 1_300);
        assert_eq!(named.next(ONLY, Moment(0)), Moment(6_000));
        assert_eq!(pace(true, true).next(ONLY, Moment(0)), Moment(5_000));
    }

    #[test]
    fn a_slow_table_has_a_rest() {
        let mut slow = pace(false, false);
        round(&mut slow, 1_000, 5_000);
        assert_eq!(slow.next(ONLY, Moment(0)), Moment(9_000));
        round(&mut slow, 9_000, 60_000);
        assert_eq!(slow.next(ONLY, Moment(0)), Moment(65_000));
    }
}
