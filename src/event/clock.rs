//! The clock that follows the times in a stream, outliers aside.

use crate::counter::EventTime;

/// Follows event time by a running median of the last few times; never goes back.
///
/// In a real log one event in several thousand comes from hours or days in the future: one wrong
/// clock must not drag the job along. Up to four of any nine neighbouring events may be wrong.
#[derive(Clone, Debug, Default)]
pub struct MedianClock {
    recent: [i64; MedianClock::SAMPLES],
    seen: usize,
    now: Option<EventTime>,
}

impl MedianClock {
    /// How many times the median is taken over.
    pub const SAMPLES: usize = 9;

    /// Takes notice of one event's time. The clock starts with the ninth.
    pub fn observe(&mut self, time: EventTime) {
        self.recent[self.seen % Self::SAMPLES] = time.0;
        self.seen += 1;
        if self.seen >= Self::SAMPLES {
            let mut sorted = self.recent;
            sorted.sort_unstable();
            let median = EventTime(sorted[Self::SAMPLES / 2]);
            self.now = self.now.max(Some(median));
        }
    }

    /// The time it is in the stream; `None` before enough was seen.
    pub fn now(&self) -> Option<EventTime> {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn it_never_goes_back_and_does_not_start_before_nine_times() {
        let mut clock = MedianClock::default();
        for _ in 0..8 {
            clock.observe(EventTime(50));
            assert_eq!(clock.now(), None);
        }
        clock.observe(EventTime(50));
        for _ in 0..20 {
            clock.observe(EventTime(3));
        }
        assert_eq!(clock.now(), Some(EventTime(50)));
    }
}
