//! When a round begins.

use std::time::Duration;

use crate::pipeline::Rhythm;
use crate::state::{Moment, RhythmId};

/// Where event logs are read to their end nobody waits for the table, and a round that is followed by another costs more than it
/// is worth: without a rhythm of their own, groups are published no more often.
const REPLAY_EVERY: Duration = Duration::from_secs(30);

/// When the next round of each rhythm begins, which takes all shorter rhythms along: a rhythm after the last one has ended, so that a table that is slower than its
/// rhythm has a rest between two, and each takes more changes at once.
#[derive(Debug)]
pub(crate) struct Pace {
    rhythms: Vec<Beat>,
}

#[derive(Debug)]
struct Beat {
    every: u64,
    next: Moment,
}

impl Pace {
    /// Live, the first round begins as soon as there is something to publish; in a replay, after a rhythm.
    pub fn new(rhythms: &[Rhythm], is_replay: bool) -> Pace {
        let beat = |rhythm: &Rhythm| {
            let every = if is_replay && rhythm.is_default { rhythm.every.max(REPLAY_EVERY) } else { rhythm.every };
            let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
            Beat { every, next: Moment(if is_replay { every } else { 0 }) }
        };
        Pace { rhythms: rhythms.iter().map(beat).collect() }
    }

    /// All rhythms, the shortest first.
    pub fn rhythms(&self) -> impl Iterator<Item = RhythmId> + use<> {
        (0..self.rhythms.len() as u8).map(RhythmId)
    }

    /// Whether the next round may begin.
    pub fn is_due(&self, rhythm: RhythmId, now: Moment) -> bool {
        self.next(rhythm) <= now
    }

    /// When the next round may begin.
    pub fn next(&self, rhythm: RhythmId) -> Moment {
        self.rhythms[usize::from(rhythm.0)].next
    }

    /// A round over this rhythm and all shorter ones has ended.
    pub fn round_ended(&mut self, longest: RhythmId, now: Moment) {
        for beat in &mut self.rhythms[..=usize::from(longest.0)] {
            beat.next = Moment(now.0.saturating_add(beat.every));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(every: u64, is_default: bool, is_replay: bool) -> Pace {
        Pace::new(&[Rhythm { every: Duration::from_secs(every), is_default }], is_replay)
    }

    #[test]
    fn a_round_begins_a_rhythm_after_the_last_has_ended() {
        let mut live = pace(5, true, false);
        assert!(live.is_due(RhythmId(0), Moment(0)));
        live.round_ended(RhythmId(0), Moment(1_700));
        assert_eq!(live.next(RhythmId(0)), Moment(6_700));
        assert!(!live.is_due(RhythmId(0), Moment(6_699)) && live.is_due(RhythmId(0), Moment(6_700)));
    }

    #[test]
    fn in_a_replay_the_first_round_waits_and_only_a_rhythm_that_is_named_is_short() {
        assert_eq!(pace(5, true, true).next(RhythmId(0)), Moment(30_000));
        assert_eq!(pace(60, true, true).next(RhythmId(0)), Moment(60_000));
        assert_eq!(pace(5, false, true).next(RhythmId(0)), Moment(5_000));
    }
}
