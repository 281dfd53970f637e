//! What an item shows: kept beside the state, to tell how much a row has changed since it was written.
//!
//! Both sides decay alike: what an item shows and what the state says are worth less by the same factor at every later
//! time, so their relative difference is that of any time not before the newest event. Only what is near nothing
//! needs a time, by which it is judged: the stream's.
//!
//! It is kept as f32, in two to a word: a difference is told within some 1e-7, and [`ROUNDING`] makes up for that.

use crate::counter::{Decays, EventTime};

/// What differs by less than this when it is read is no difference.
pub const FLOOR: f64 = 1e-9;

/// Changes are held back that are smaller than what is asked for by this: more than the rounding of what is remembered.
const ROUNDING: f64 = 1e-6;

/// How many words it takes to remember so many values, with their last update.
pub fn shown_words(values: usize) -> usize {
    1 + values.div_ceil(2)
}

/// What an item shows.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a>(&'a [u64]);

/// How much a row has changed since its item was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Change {
    /// The largest of its decays, relative to what the item shows.
    pub of_shown: f64,
    /// The same relative to the larger of what it was and what it is: from 0 to 2, and 1 for what was nothing before.
    pub of_larger: f64,
}

impl Change {
    /// Of what is not in the table, or not known to be.
    pub const UNKNOWN: Change = Change { of_shown: f64::INFINITY, of_larger: 1.0 };

    /// Of what is in the table as it is.
    pub const NONE: Change = Change { of_shown: 0.0, of_larger: 0.0 };

    /// Whether it need not be published where changes of up to this are held back.
    pub fn is_within(self, min_change: f64) -> bool {
        self.of_shown <= min_change - ROUNDING
    }
}

/// A row as it would be published: its last update, and a value for each decay; behind these their squares, where it keeps
/// them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read<'a> {
    pub last_update: EventTime,
    pub values: &'a [f64],
}

/// Remembers a row as it was read.
pub(super) fn remember(words: &mut [u64], last_update: EventTime, values: &[f32]) {
    words[0] = last_update.0 as u64;
    for (word, pair) in words[1..].iter_mut().zip(values.chunks(2)) {
        let bits = |index: usize| u64::from(pair.get(index).map_or(0, |value: &f32| value.to_bits()));
        *word = bits(0) | bits(1) << 32;
    }
}

impl<'a> Shown<'a> {
    /// What was remembered in these words.
    pub fn new(words: &'a [u64]) -> Shown<'a> {
        Shown(words)
    }

    fn last_update(self) -> EventTime {
        EventTime(self.0[0] as i64)
    }

    fn value(self, index: usize) -> f64 {
        let bits = self.0[1 + index / 2] >> (32 * (index as u32 % 2));
        f64::from(f32::from_bits(bits as u32))
    }

    /// How much the row has changed since, as it is read now or, if it is newer than that, at its last update.
    pub fn change(self, decays: &Decays, row: Read<'_>, now: Option<EventTime>) -> Change {
        let mut change = Change { of_shown: 0.0, of_larger: 0.0 };
        let elapsed = row.last_update.0 - self.last_update().0;
        if elapsed < 0 {
            return Change::UNKNOWN;
        }
        let until_now = now.map_or(0, |now| now.0.saturating_sub(row.last_update.0).max(0));
        decays.each_factor(elapsed, until_now, row.values.len(), |index, since_shown, until_now| {
            let (shown, own) = (self.value(index) * since_shown, row.values[index]);
            let difference = (own - shown).abs();
            if difference * until_now > FLOOR || !difference.is_finite() {
                let relative = |to: f64| if difference.is_finite() { difference / to } else { f64::INFINITY };
                change.of_shown = change.of_shown.max(relative(shown.abs()));
                change.of_larger = change.of_larger.max(relative(shown.abs().max(own.abs())).min(2.0));
            }
        });
        change
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::counter::DecayInterval;

    fn decays() -> Decays {
        Decays::new([60, 3_600, 86_400].map(|units| DecayInterval::new(units).expect("valid")).to_vec())
    }

    fn remembered(decays: &Decays, last_update: i64, values: &[f64]) -> Vec<u64> {
        let mut words = vec![0; shown_words(decays.width())];
        remember(&mut words, EventTime(last_update), &values.iter().map(|value| *value as f32).collect::<Vec<_>>());
        words
    }

    #[test]
    fn what_was_nothing_or_is_too_large_to_be_remembered_has_changed() {
        let decays = decays();
        let change = |shown: f64, own: f64| {
            let words = remembered(&decays, 0, &[shown; 3]);
            Shown::new(&words).change(&decays, Read { last_update: EventTime(0), values: &[own; 3] }, None)
        };
        assert_eq!(change(1.0, 1.0), Change { of_shown: 0.0, of_larger: 0.0 });
        assert_eq!(change(0.0, 2.0), Change { of_shown: f64::INFINITY, of_larger: 1.0 });
        assert!(change(100.0, 101.0).is_within(0.011) && !change(100.0, 101.0).is_within(0.01));
        assert_eq!(change(1.0, -1.0).of_larger, 2.0);
        assert_eq!(change(1e-9, 0.0).of_shown, 0.0, "the floor");
        assert!(!change(1e40, 1e40).is_within(1.0) && !change(1e40, 2.0).is_within(1.0), "no f32 holds that");
    }

    #[test]
    fn what_lies_long_ago_is_judged_by_what_is_left_of_it() {
        let decays = decays();
        let words = remembered(&decays, 0, &[1.0, 1.0, 1.0]);
        let row = Read { last_update: EventTime(0), values: &[1.5, 1.0, 1.0] };
        let at = |now: i64| Shown::new(&words).change(&decays, row, Some(EventTime(now)));
        assert_eq!((at(0).of_shown, at(-5).of_shown), (0.5, 0.5));
        // exp(-25) / 2 is 7e-12.
        assert_eq!(at(60 * 25).of_shown, 0.0);
    }

    proptest! {
        /// What is held back reads alike at any time not before the newest event, within what was asked for.
        #[test]
        fn a_change_within_the_bound_reads_within_it_at_any_time(
            shown in prop::collection::vec(-1e6..1e6f64, 3),
            ratios in prop::collection::vec(0.98..1.02f64, 3),
            elapsed in 0..200_000i64,
            later in 0..1_000_000i64,
        ) {
            let decays = decays();
            let words = remembered(&decays, 0, &shown);
            let factors: Vec<f64> = decays.intervals().iter().map(|interval| interval.factor(elapsed)).collect();
            let own: Vec<f64> = shown.iter().zip(&factors).zip(&ratios).map(|((s, f), ratio)| s * f * ratio).collect();
            let read = Read { last_update: EventTime(elapsed), values: &own };
            let change = Shown::new(&words).change(&decays, read, Some(EventTime(elapsed)));
            if change.is_within(0.01) {
                for (index, interval) in decays.intervals().iter().enumerate() {
                    let of_item = shown[index] * interval.factor(elapsed + later);
                    let of_state = own[index] * interval.factor(later);
                    let difference = (of_state - of_item).abs();
                    prop_assert!(difference <= (0.01 * of_item.abs()).max(FLOOR), "{of_state} is not {of_item}");
                }
            } else {
                prop_assert!(ratios.iter().any(|ratio| (ratio - 1.0).abs() > 0.0099));
            }
        }
    }
}
