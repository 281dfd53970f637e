//! How far a stream has come, outliers aside: what ttl may have been measured by.

/// Follows the times of events. A running median of the last few decides, and never goes back: what a run's own clock says, which
/// believes many events and not few, is not later than this.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamEnd {
    /// The last times, in no order of use; the oldest is overwritten.
    recent: Vec<i64>,
    next: usize,
    latest: Option<i64>,
}

/// An odd number: so many wrong clocks in a row are needed to mislead the median, but for one.
const MEDIAN_OF: usize = 9;

impl StreamEnd {
    pub fn observe(&mut self, time: i64) {
        // An event that is not later than what is believed takes nothing forward by itself, but has its say in the median.
        if self.recent.len() < MEDIAN_OF {
            self.recent.push(time);
        } else {
            self.recent[self.next] = time;
            self.next = (self.next + 1) % MEDIAN_OF;
        }
        if self.latest.is_none_or(|latest| time > latest) {
            let mut sorted = self.recent.clone();
            sorted.sort_unstable();
            self.latest = self.latest.max(Some(sorted[sorted.len() / 2]));
        }
    }

    /// The time that it has come to; `None` before the first event.
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
        assert_eq!(end_of(&[7]), Some(7));
        let mut times: Vec<i64> = (0..100).collect();
        times[50] = 1_000_000;
        times[60] = 1_000_000;
        let end = end_of(&times).unwrap();
        assert!((94..100).contains(&end), "{end}");
    }
}
