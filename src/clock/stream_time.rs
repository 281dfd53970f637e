//! The stream's time: by what time, in the stream, most of the last many events have happened.
//!
//! It decides what can be forgotten (ttl) and what is worth least (limits), so it must not be led astray: thousands
//! of events in a row may be wrong, by any time in either direction, in one partition or in all. The rule:
//!
//! **The stream's time is the latest time that nine of ten of the last 15,872 events have reached**, over all workers
//! together, no event counting as later than its arrival. It is not known before so many events were
//! seen. It goes forward and comes back by this rule alone.
//!
//! What follows from it, in events (every 31st is looked at, so give or take some hundred):
//!
//! - A run of up to 14,000 wrong clocks ahead moves it nowhere: at most it rises to the tenth part of the events that are right
//!   and latest. Only a run of more than that is believed, until 1,600 right ones have come behind it.
//! - A run of wrong clocks back takes it back once they are 1,600, and it is right again as soon as the run lies 15,872
//!   events back, or is less than a tenth of what came since. Meanwhile things are forgotten later than they could be.
//! - After a gap in the log, of a year say, it stays before the gap for 14,000 events. A log that should have
//!   come earlier takes it back within 1,600 events; a backfill that catches up takes it along, 14,000 events
//!   behind.
//! - A stream with few events is far behind: then there is little to forget, too. What it holds too long is what
//!   the last 15,872 events have touched, at most.
//!
//! Which of two things is worth less ([`StreamTime::middle`]) is asked of the same samples, and of their middle: of all
//! that is not forgotten something must go, and the later the clock the better it tells them apart.

use serde::{Deserialize, Serialize};

use crate::counter::EventTime;

/// Of so many events one is looked at. A prime number, so that it follows no rhythm of the stream.
const EVENTS_PER_SAMPLE: u32 = 31;
/// How many samples the stream's time is judged by.
const SAMPLES: usize = 512;
/// One of so many may lie before it.
const ONE_IN: usize = 10;

/// The times of some events of one worker, evenly taken from all that it saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeSamples {
    /// Of so many events one is here; 0 where there never were any.
    stride: u32,
    times: Vec<EventTime>,
}

/// Takes samples from the events that a worker sees.
#[derive(Clone, Debug)]
pub struct TimeSampler {
    until_next: u32,
    samples: TimeSamples,
}

/// The stream's time. See the head of this module for its rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTime {
    /// The last [`SAMPLES`] samples, at most; the next one takes the place of the oldest.
    recent: Vec<EventTime>,
    next: usize,
    reached: Option<EventTime>,
    middle: Option<EventTime>,
}

impl Default for TimeSampler {
    fn default() -> TimeSampler {
        TimeSampler { until_next: 0, samples: TimeSamples::none() }
    }
}

impl TimeSamples {
    fn none() -> TimeSamples {
        TimeSamples { stride: EVENTS_PER_SAMPLE, times: Vec::new() }
    }

    /// Times of which each stands for so many events.
    #[cfg(test)]
    pub fn of(times: Vec<EventTime>) -> TimeSamples {
        TimeSamples { times, ..TimeSamples::none() }
    }
}

impl TimeSampler {
    /// Takes notice of an event that counts; says whether it is one of the samples.
    #[inline]
    pub fn observe(&mut self, time: EventTime, arrival: EventTime) -> bool {
        let is_sample = self.until_next == 0;
        if is_sample {
            self.take_sample(time.min(arrival));
        }
        self.until_next -= 1;
        is_sample
    }

    #[cold]
    fn take_sample(&mut self, time: EventTime) {
        self.samples.times.push(time);
        if self.samples.times.len() > 2 * SAMPLES {
            // More are not needed: every other one says the same.
            let mut keep = false;
            self.samples.times.retain(|_| {
                keep = !keep;
                keep
            });
            self.samples.stride = self.samples.stride.saturating_mul(2);
        }
        self.until_next = self.samples.stride;
    }

    /// Hands over the samples since the last time.
    pub fn take(&mut self) -> TimeSamples {
        let samples = std::mem::replace(&mut self.samples, TimeSamples::none());
        self.until_next = self.until_next.min(EVENTS_PER_SAMPLE);
        samples
    }
}

impl StreamTime {
    /// Learns the samples of all workers of one epoch: of each worker in the measure of what it saw.
    pub fn learn<'a>(&mut self, workers: impl Iterator<Item = &'a TimeSamples> + Clone) {
        let stride = workers.clone().map(|samples| samples.stride).max().unwrap_or_default().max(1);
        let mut times = Vec::new();
        for samples in workers {
            times.extend(samples.times.iter().step_by((stride / samples.stride.max(1)) as usize));
        }
        if times.is_empty() {
            return;
        }
        let taken = times.len().min(SAMPLES);
        for number in 0..taken {
            let time = times[number * times.len() / taken];
            if self.recent.len() < SAMPLES {
                self.recent.push(time);
            } else {
                self.recent[self.next] = time;
            }
            self.next = (self.next + 1) % SAMPLES;
        }
        let mut sorted = self.recent.clone();
        sorted.sort_unstable();
        self.reached = sorted.get(sorted.len() / ONE_IN).copied();
        self.middle = sorted.get(sorted.len() / 2).copied();
    }

    /// The stream's time; `None` while too few events were seen to know it.
    pub fn now(&self) -> Option<EventTime> {
        self.reached.filter(|_| self.recent.len() == SAMPLES)
    }

    /// The time that half of these events have reached, however few they are yet: good enough to tell which of two
    /// things is worth less, and not to forget any.
    pub fn middle(&self) -> Option<EventTime> {
        self.middle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of one event a second that two workers read by turns, an epoch of 5,000 events after the other.
    struct Stream {
        time: StreamTime,
        workers: [TimeSampler; 2],
        seen: usize,
    }

    /// So long after the last event.
    const ARRIVAL: EventTime = EventTime(i64::MAX);

    impl Stream {
        fn new() -> Stream {
            Stream { time: StreamTime::default(), workers: [TimeSampler::default(), TimeSampler::default()], seen: 0 }
        }

        fn read(&mut self, times: impl IntoIterator<Item = i64>) {
            for time in times {
                self.workers[self.seen / 700 % 2].observe(EventTime(time), ARRIVAL);
                self.seen += 1;
                if self.seen.is_multiple_of(5_000) {
                    let samples = self.workers.each_mut().map(TimeSampler::take);
                    self.time.learn(samples.iter());
                }
            }
        }

        fn now(&self) -> i64 {
            self.time.now().expect("known").0
        }
    }

    const DAY: i64 = 86_400;

    fn settled() -> Stream {
        let mut stream = Stream::new();
        stream.read(0..100_000);
        stream
    }

    #[test]
    fn it_is_not_known_before_many_events_were_seen() {
        let mut stream = Stream::new();
        stream.read(0..15_000);
        assert_eq!(stream.time.now(), None);
        assert!((7_000..8_000).contains(&stream.time.middle().expect("known").0));
        stream.read(15_000..20_000);
        assert!((5_000..6_000).contains(&stream.now()), "{}", stream.now());
    }

    #[test]
    fn it_follows_an_ordered_stream_late_rather_than_early() {
        let stream = settled();
        // Nine tenths of 15,872 events behind the last.
        assert!((85_000..86_000).contains(&stream.now()), "{}", stream.now());
    }

    #[test]
    fn no_run_of_wrong_clocks_ahead_moves_it_past_what_is_right() {
        for run in [10, 80, 1_000, 10_000] {
            let mut stream = settled();
            stream.read((0..run).map(|second| 100_000 + second + 100 * DAY));
            assert!(stream.now() <= 100_000, "a run of {run}: {}", stream.now());
            stream.read(100_000..110_000);
            assert!(stream.now() <= 110_000, "behind a run of {run}: {}", stream.now());
        }
    }

    #[test]
    fn more_wrong_clocks_than_that_are_believed_and_soon_not_any_more() {
        let mut stream = settled();
        stream.read((0..20_000).map(|second| 100_000 + second + 100 * DAY));
        assert!(stream.now() > 100 * DAY);
        stream.read(100_000..110_000);
        assert!(stream.now() <= 110_000, "{}", stream.now());
    }

    #[test]
    fn a_run_of_wrong_clocks_back_takes_it_back_at_most_and_is_forgotten() {
        for (run, goes_back) in [(10, false), (80, false), (1_000, false), (10_000, true)] {
            let mut stream = settled();
            stream.read((0..run).map(|second| second - 100 * DAY));
            stream.read(100_000..105_000);
            assert_eq!(stream.now() < 0, goes_back, "a run of {run}: {}", stream.now());
            stream.read(105_000..130_000);
            assert!(stream.now() > 100_000, "behind a run of {run}: {}", stream.now());
        }
    }

    #[test]
    fn one_worker_whose_clocks_are_all_wrong_is_outvoted_while_it_sees_less_than_a_tenth() {
        for wrong in [100 * DAY, -100 * DAY] {
            let mut time = StreamTime::default();
            for epoch in 0..40 {
                let samples =
                    |from: i64, count: i64| TimeSamples::of((0..count).map(|i| EventTime(from + i)).collect());
                time.learn([samples(epoch * 100, 95), samples(epoch * 100 + wrong, 5)].iter());
            }
            assert!((0..4_000).contains(&time.now().expect("known").0), "{time:?}");
        }
    }

    #[test]
    fn it_comes_over_a_gap_and_back_to_a_log_that_should_have_come_first() {
        let mut stream = settled();
        let year = 365 * DAY;
        stream.read(year..year + 10_000);
        assert!(stream.now() < 100_000, "still before the gap: {}", stream.now());
        stream.read(year + 10_000..year + 20_000);
        assert!(stream.now() >= year);
        stream.read(-year..-year + 5_000);
        assert!(stream.now() < 0, "{}", stream.now());
    }

    #[test]
    fn it_never_runs_ahead_of_arrival() {
        let mut sampler = TimeSampler::default();
        (0..100_000).for_each(|_| {
            sampler.observe(EventTime(i64::MAX), EventTime(7));
        });
        let mut time = StreamTime::default();
        time.learn([sampler.take()].iter());
        assert_eq!(time.now(), Some(EventTime(7)));
    }

    #[test]
    fn a_large_epoch_takes_no_more_memory_and_counts_each_worker_by_what_it_saw() {
        let mut samplers = [TimeSampler::default(), TimeSampler::default()];
        (0..10_000_000).for_each(|_| {
            samplers[0].observe(EventTime(1_000), ARRIVAL);
        });
        (0..500_000).for_each(|_| {
            samplers[1].observe(EventTime(5), ARRIVAL);
        });
        let samples = samplers.each_mut().map(TimeSampler::take);
        assert!(samples.iter().all(|samples| samples.times.len() <= 2 * SAMPLES));
        let mut time = StreamTime::default();
        time.learn(samples.iter());
        assert_eq!(time.now(), Some(EventTime(1_000)), "a twentieth of the events does not decide");
    }
}
