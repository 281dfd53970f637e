//! The clock that follows the times in a stream, outliers aside.

use crate::counter::EventTime;

/// Follows event time by a running median of the last few times.
///
/// In a real log one event in several thousand comes from hours or days in the future: one wrong
/// clock must not drag the job along. Up to four of any nine neighbouring events may be wrong.
///
/// It goes forward with the median. Late events do not take it back; but when the median has stayed behind
/// for [`MedianClock::HOLD`] events, the clock was wrong, or the stream has moved: it then comes back to the latest median among
/// these. So whatever a run of wrong clocks did to it is over so many events behind the run.
#[derive(Clone, Debug, Default)]
pub struct MedianClock {
    recent: [i64; MedianClock::SAMPLES],
    seen: usize,
    now: Option<EventTime>,
    /// For how many events the median has been behind, and the latest that it was since.
    behind: usize,
    latest_behind: Option<EventTime>,
}

impl MedianClock {
    /// How many times the median is taken over.
    pub const SAMPLES: usize = 9;

    /// For how many events the clock stays where it is while the median lies behind it.
    pub const HOLD: usize = 64;

    /// Takes notice of one event's time. The clock starts with the ninth.
    pub fn observe(&mut self, time: EventTime) {
        self.recent[self.seen % Self::SAMPLES] = time.0;
        self.seen += 1;
        if self.seen >= Self::SAMPLES {
            let mut sorted = self.recent;
            sorted.sort_unstable();
            self.follow(EventTime(sorted[Self::SAMPLES / 2]));
        }
    }

    fn follow(&mut self, median: EventTime) {
        if self.now.is_some_and(|now| median < now) {
            self.behind += 1;
            self.latest_behind = self.latest_behind.max(Some(median));
            if self.behind < Self::HOLD {
                return;
            }
            self.now = self.latest_behind;
        } else {
            self.now = Some(median);
        }
        (self.behind, self.latest_behind) = (0, None);
    }

    /// The time it is in the stream; `None` before enough was seen.
    pub fn now(&self) -> Option<EventTime> {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(times: impl IntoIterator<Item = i64>) -> MedianClock {
        let mut clock = MedianClock::default();
        times.into_iter().for_each(|time| clock.observe(EventTime(time)));
        clock
    }

    #[test]
    fn a_few_times_from_the_future_do_not_move_it() {
        let mut clock = MedianClock::default();
        for second in 0..100 {
            let wrong = second % 10 < 4;
            clock.observe(EventTime(if wrong { 1_000_000 } else { second }));
            assert!(clock.now().is_none_or(|now| now.0 < 100));
        }
        assert!(clock.now().is_some_and(|now| now.0 > 85));
    }

    #[test]
    fn it_does_not_start_before_nine_times() {
        assert_eq!(after([50; 8]).now(), None);
        assert_eq!(after([50; 9]).now(), Some(EventTime(50)));
    }

    #[test]
    fn late_events_do_not_take_it_back_unless_nothing_else_comes() {
        let mut clock = after([50; 9]);
        for event in 0..1_000 {
            clock.observe(EventTime(if event % 2 == 0 { 51 } else { 3 }));
            assert!(clock.now() >= Some(EventTime(50)), "{event}");
        }
        let mut clock = after([100; 9]);
        // The median is behind from the fifth on.
        (0..4 + MedianClock::HOLD as i64 - 1).for_each(|event| clock.observe(EventTime(event)));
        assert_eq!(clock.now(), Some(EventTime(100)));
        clock.observe(EventTime(67));
        assert_eq!(clock.now(), Some(EventTime(63)), "where the median is now");
    }

    /// However many clocks were wrong, and in which direction: this many events later nothing is left of it.
    #[test]
    fn a_run_of_wrong_clocks_is_over_soon_after_its_end() {
        for run in [10, 80, 1_000, 10_000] {
            for wrong in [8_640_000, -8_640_000] {
                let mut clock = after(0..1_000);
                (0..run).for_each(|event| clock.observe(EventTime(1_000 + wrong + event)));
                let soon = MedianClock::HOLD as i64 + MedianClock::SAMPLES as i64;
                (1_000..1_000 + soon).for_each(|time| clock.observe(EventTime(time)));
                assert_eq!(clock.now(), Some(EventTime(1_000 + soon - 5)), "{run} clocks, wrong by {wrong}");
            }
        }
    }
}
