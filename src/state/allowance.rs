//! What a table may be given when it may be given only so much: the rate is held by putting off what has changed least.
//!
//! Write units come by a bucket that holds a second's worth. When a round begins, a [`Census`] over some of what waits says
//! how much there is of each *rank*: how much it has changed, and the longer it has waited the more. From this follows where
//! to [cut](Cut): above is what there will be units for until the next round, and a little more, so that none are left over.
//! What lies below is put off.
//!
//! **How late it may be**: the rank of a change rises with its age so that after a time `A`, twice what it would take to
//! write all that waits, it is above everything and is no longer put off. All that is overdue at once takes at most half
//! of `A`. So no mark is older than `A`, what is left of a round, and a round: less than twice `A`, or four times what it
//! takes to write all that waits.

use super::marks::Moment;
use super::shown::Change;

/// A rank is an eighth of a doubling of the change.
const RANKS_PER_DOUBLING: f64 = 8.0;
/// The rank of a change of 1: of what is new.
const RANK_OF_ONE: f64 = 128.0;
/// The rank of what is overdue.
const OVERDUE: usize = 255;
const RANKS: usize = OVERDUE + 1;

/// So much more is let through than there should be units for: what comes too late for one round begins the next.
const MARGIN: f64 = 1.25;
/// It is not worth it to write less than this at once, where that is not more than a second's worth.
const UNITS_AT_ONCE: f64 = 25.0;

/// How many units a worker may write.
#[derive(Debug)]
pub(super) struct Allowance {
    per_second: f64,
    /// The rhythm of rounds, in seconds.
    round_seconds: f64,
    /// What may be written now; less than nothing where the last write was more than there was.
    units: f64,
    /// When that was.
    counted: Moment,
    cut: Cut,
    /// `A`, in milliseconds.
    patience: f64,
}

/// What is put off.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cut {
    /// What has a higher rank goes; of this rank so many units do.
    rank: usize,
    part: f64,
}

/// Some of what waits.
#[derive(Debug, Default)]
pub(super) struct Census(Vec<Counted>);

/// Something that waits, or several alike.
#[derive(Clone, Copy, Debug)]
struct Counted {
    change: Change,
    waited: u64,
    units: f64,
}

impl Census {
    /// Takes notice of something that has changed so much, has waited for so many milliseconds and would take so many units,
    /// with all for which it stands.
    pub fn count(&mut self, change: Change, waited: u64, units: f64) {
        self.0.push(Counted { change, waited, units });
    }
}

/// Nothing is put off.
const EVERYTHING: Cut = Cut { rank: 0, part: f64::INFINITY };

impl Allowance {
    /// Of so many units a second, with a round so often.
    pub fn new(per_second: f64, round_seconds: f64) -> Allowance {
        Allowance {
            per_second,
            round_seconds,
            units: per_second,
            counted: Moment(0),
            cut: EVERYTHING,
            patience: f64::INFINITY,
        }
    }

    /// Whether something may be written now.
    pub fn allows(&mut self, now: Moment) -> bool {
        let passed = now.0.saturating_sub(self.counted.0) as f64 / 1_000.0;
        self.units = (self.units + passed * self.per_second).min(self.per_second.max(1.0));
        self.counted = self.counted.max(now);
        self.units >= self.wanted_at_once()
    }

    /// Whether there is something left of what was allowed.
    pub fn has_units(&self) -> bool {
        self.units > 0.0
    }

    /// When something may be written again; `None`: now.
    pub fn next(&self) -> Option<Moment> {
        let missing = self.wanted_at_once() - self.units;
        let milliseconds = (missing / self.per_second * 1_000.0).ceil().max(1.0);
        (missing > 0.0).then_some(Moment(self.counted.0.saturating_add(milliseconds as u64)))
    }

    fn wanted_at_once(&self) -> f64 {
        UNITS_AT_ONCE.min(self.per_second.max(1.0) / 2.0)
    }

    /// So many units are written.
    pub fn spend(&mut self, units: u64) {
        self.units -= units as f64;
    }

    /// A round begins, over what was counted.
    pub fn begin_round(&mut self, census: &Census) {
        let all: f64 = census.0.iter().map(|counted| counted.units).sum();
        self.patience = 2.0 * all / self.per_second * 1_000.0;
        let mut ranks = [0.0; RANKS];
        for Counted { change, waited, units } in &census.0 {
            ranks[self.rank(*change, *waited)] += units;
        }
        let mut room = MARGIN * self.per_second * self.round_seconds;
        self.cut = EVERYTHING;
        for (rank, units) in ranks.iter().enumerate().rev() {
            if *units > room {
                // All that is overdue goes, however much it is.
                self.cut =
                    if rank == OVERDUE { Cut { rank: OVERDUE - 1, part: 0.0 } } else { Cut { rank, part: room } };
                return;
            }
            room -= units;
        }
    }

    /// Whether something goes in this round that takes so many units.
    pub fn admits(&mut self, change: Change, waited: u64, units: u64) -> bool {
        let rank = self.rank(change, waited);
        if rank != self.cut.rank {
            return rank > self.cut.rank;
        }
        let goes = self.cut.part > 0.0;
        if goes {
            self.cut.part -= units as f64;
        }
        goes
    }

    /// How long something is put off at most (`A`), in milliseconds, where something is.
    pub fn patience(&self) -> Option<u64> {
        (self.cut != EVERYTHING).then_some(self.patience as u64)
    }

    fn rank(&self, change: Change, waited: u64) -> usize {
        let left = 1.0 - waited as f64 / self.patience;
        if left <= 0.0 {
            return OVERDUE;
        }
        let rank = RANK_OF_ONE + RANKS_PER_DOUBLING * (change.of_larger / left).log2();
        (rank.max(0.0) as usize).min(OVERDUE - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(of_larger: f64) -> Change {
        Change { of_shown: of_larger, of_larger }
    }

    #[test]
    fn units_come_with_time_and_no_more_than_a_seconds_worth_is_kept() {
        let mut allowance = Allowance::new(100.0, 5.0);
        assert!(allowance.allows(Moment(0)));
        allowance.spend(300);
        assert!(!allowance.has_units() && !allowance.allows(Moment(1_000)));
        let next = allowance.next();
        assert_eq!(next, Some(Moment(2_250)), "100 are owed, and 25 are worth it");
        assert!(allowance.allows(Moment(2_250)));
        assert!(allowance.allows(Moment(100_000)));
        let mut written = 0;
        while allowance.has_units() {
            allowance.spend(1);
            written += 1;
        }
        assert_eq!(written, 100);
        // A clock that stands still or goes back gives nothing.
        assert!(!allowance.allows(Moment(100_000)) && !allowance.allows(Moment(5)));
    }

    #[test]
    fn a_rate_below_one_is_kept_too() {
        let mut allowance = Allowance::new(0.25, 5.0);
        let (mut now, mut written) = (Moment(0), 0);
        while now.0 < 1_000_000 {
            if allowance.allows(now) {
                allowance.spend(1);
                written += 1;
            }
            now.0 += 100;
        }
        assert!((248..=252).contains(&written), "{written}");
    }

    #[test]
    fn the_largest_changes_go_as_far_as_there_are_units() {
        let mut allowance = Allowance::new(10.0, 8.0);
        let mut census = Census::default();
        let changes = [1.0, 0.5, 0.1, 0.01];
        changes.iter().for_each(|of_larger| census.count(change(*of_larger), 0, 60.0));
        allowance.begin_round(&census);
        assert_eq!(allowance.patience(), Some(48_000));
        // A hundred: all sixty of the first and forty of the second.
        let gone = changes.map(|of_larger| (0..60).filter(|_| allowance.admits(change(of_larger), 0, 1)).count());
        assert_eq!(gone, [60, 40, 0, 0]);
    }

    #[test]
    fn what_waits_rises_until_it_is_overdue_and_then_it_goes_in_any_case() {
        let mut allowance = Allowance::new(10.0, 1.0);
        let mut census = Census::default();
        census.count(change(1.0), 0, 1_000.0);
        allowance.begin_round(&census);
        assert_eq!(allowance.patience(), Some(200_000));
        let ranks = [0, 100_000, 190_000, 199_999].map(|waited| allowance.rank(change(0.01), waited));
        assert!(ranks.is_sorted() && ranks[0] < ranks[3] && ranks[3] < OVERDUE);
        assert_eq!(allowance.rank(change(0.0), 200_000), OVERDUE);
        let mut census = Census::default();
        census.count(change(1.0), 300_000, 500.0);
        census.count(change(1.0), 0, 500.0);
        allowance.begin_round(&census);
        assert!(allowance.admits(change(0.0), 300_000, 1_000) && allowance.admits(change(0.0), 300_000, 1_000));
        assert!(!allowance.admits(change(2.0), 0, 1));
    }

    #[test]
    fn where_there_are_units_for_everything_nothing_is_put_off() {
        let mut allowance = Allowance::new(10.0, 5.0);
        let mut census = Census::default();
        census.count(change(0.5), 0, 40.0);
        allowance.begin_round(&census);
        assert!(allowance.admits(change(0.0), 0, 100) && allowance.patience().is_none());
    }
}
