//! The value of a counter at the time at which it is read.

use super::Count;
use crate::counter::EventTime;

/// The time at which something is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAt {
    /// In the event's time unit.
    pub time: EventTime,
    /// Whether it is the present: a counter whose last update is ahead of that reads as it was then.
    pub is_now: bool,
}

impl ReadAt {
    /// When something with this last update is read, `max(now, last update)`; `None`: what it was before its last
    /// update, its newest state does not tell.
    pub fn of(self, last_update: EventTime) -> Option<EventTime> {
        (self.is_now || self.time >= last_update).then_some(self.time.max(last_update))
    }

    /// What a counter reads as; `None` where that is not known.
    pub fn value(self, count: &Count) -> Option<f64> {
        self.of(count.last_update).map(|time| count.value_at(time))
    }
}

impl Count {
    /// The value as it reads at `time`: `value * exp(-(time - last update) / decay interval)`. Nothing decays upwards:
    /// before the last update, as it reads then.
    pub fn value_at(&self, time: EventTime) -> f64 {
        let elapsed = time.0.saturating_sub(self.last_update.0).max(0);
        self.value * self.decay_interval.factor(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::DecayInterval;

    #[test]
    fn a_time_before_the_last_update_tells_nothing_but_now_reads_as_of_then() {
        let decay_interval = DecayInterval::new(10).unwrap();
        let count = Count { decay_interval, last_update: EventTime(100), value: 2.0, squares: None, error: None };
        let read = |time, is_now| ReadAt { time: EventTime(time), is_now }.value(&count);
        assert_eq!([read(99, false), read(99, true), read(100, false)], [None, Some(2.0), Some(2.0)]);
        assert_eq!(read(110, true), Some(2.0 * (-1.0f64).exp()));
        assert_eq!(read(110, false), read(110, true));
    }
}
