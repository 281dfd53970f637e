//! How far a stream has come, outliers aside: what ttl may have been measured by.

/// Follows the times of events. The median of the last few hundred decides, and never goes back: what a run's own clock says, which
/// believes thousands of events and not a few, is not later than this.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamEnd {
    /// The last times, in no order of use; the oldest is overwritten.
    recent: Vec<i64>,
    next: usize,
    latest: Option<i64>,
}

/// An odd number: so many wrong clocks in a row are needed to mislead the median, but for one. Of fewer events a run forgets nothing.
const MEDIAN_OF: usize = 501;

/// The median is looked at once for so many events.
const EVENTS_PER_LOOK: usize = 32;

impl StreamEnd {
    pub fn observe(&mut self, time: i64) {
        if self.recent.len() < MEDIAN_OF {
            self.recent.push(time);
        } else {
            self.recent[self.next % MEDIAN_OF] = time;
        }
        self.next = self.next.wrapping_add(1);
        if self.recent.len() == MEDIAN_OF && self.next.is_multiple_of(EVENTS_PER_LOOK) {
            let mut times = self.recent.clone();
            let (_, median, _) = times.select_nth_unstable(MEDIAN_OF / 2);
            self.latest = self.latest.max(Some(*median));
        }
    }

    /// The time that it has come to; `None` as long as nobody can say.
    pub fn latest(&self) -> Option<i64> {
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_of(times: &[i64]) -> Option<i64> {
        let mut end = StreamEnd::default();
        times.iter().for_each(|time| end.observe(*time));
        end.latest()
    }

    #[test]
    fn a_few_wrong_clocks_do_not_take_it_along() {
        assert_eq!(end_of(&[]), None);
        assert_eq!(end_of(&[7; MEDIAN_OF - 1]), None);
        for wrong in [0..250, 1_000..1_250, 4_750..5_000] {
            let mut times: Vec<i64> = (0..5_000).collect();
            times[wrong].fill(1_000_000);
            let end = end_of(&times).unwrap();
            assert!((4_450..5_000).contains(&end), "{end}");
        }
    }

    #[test]
    fn it_never_goes_back() {
        let times: Vec<i64> = (5_000..10_000).chain(0..5_000).collect();
        assert!(end_of(&times).unwrap() > 9_600);
    }
}
