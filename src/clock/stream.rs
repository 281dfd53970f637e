//! The event clock: windows and epochs follow the times in the stream.
//!
//! Windows are numbered in the order in which the clock comes to them, from a given first number:
//! windows in which nothing happens have no number, and no time, however strange, overflows one.
//! An epoch carries the number of the window in which it begins.
//!
//! A replay takes many windows in one epoch, because a round of progress for each would cost more
//! than the counting. There are two rhythms, and a clock serves one of them:
//!
//! - [`StreamClock::after_block`]: the source shows the clock the last times of each block. An epoch
//!   ends at the first block's end that lies past a window's end and past `replay_batch` events
//!   since the last.
//! - [`StreamClock::observe`]: the source shows the clock every event. Windows begin at single
//!   events, and an epoch ends where a window does, so it is made of whole windows.
//!
//! An epoch that grows too large ([`EpochSize`]) ends wherever the clock stands: many events at one time, or a
//! clock that was led astray, must not make one epoch of all that follows. That ends its window too; what
//! follows is a window with a number of its own.

use std::time::Duration;

use crate::counter::EventTime;
use crate::epoch::{Epoch, Window};
use crate::event::TimeUnit;

use super::{EpochSize, MedianClock};

/// Tells one source the current window and epoch. A pure function of what it was shown.
#[derive(Clone, Debug)]
pub struct StreamClock {
    times: MedianClock,
    /// In the unit of the event's time; at least 1.
    window_length: i64,
    replay_batch: u64,
    /// The window that the clock stands in, counted in window lengths since 1970; `None` before
    /// the clock has started, which is still the first window.
    place: Option<i64>,
    window: Window,
    epoch: Epoch,
    size: EpochSize,
}

/// What begins with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// Nothing: it belongs to the same window as the event before it.
    Nothing,
    /// A window inside the current epoch.
    Window(Window),
    /// An epoch, and with it the window of the same number.
    Epoch(Epoch),
}

impl StreamClock {
    /// A clock with windows of this length and epochs of at least `replay_batch` events, whose
    /// first epoch is `first`. A window shorter than one time unit is as long as the unit.
    pub fn new(window_length: Duration, unit: TimeUnit, replay_batch: u64, first: Epoch) -> StreamClock {
        let nanoseconds = i128::try_from(window_length.as_nanos()).unwrap_or(i128::MAX);
        StreamClock {
            times: MedianClock::default(),
            window_length: unit.from_nanoseconds(nanoseconds).max(1),
            replay_batch,
            place: None,
            window: Window(first.0),
            epoch: first,
            size: EpochSize::default(),
        }
    }

    /// The current epoch: that of the next block or event.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The current window: the newest one that has begun.
    pub fn window(&self) -> Window {
        self.window
    }

    /// Takes notice of a block of about so many events and bytes that ends with events at these times, and
    /// says which epoch the next block belongs to.
    pub fn after_block(&mut self, events: u64, bytes: u64, tail_times: impl IntoIterator<Item = EventTime>) -> Epoch {
        self.size.add(events, bytes);
        for time in tail_times {
            self.follow(time);
        }
        if self.is_full() {
            self.pause();
        } else if self.window.0 > self.epoch.0 && self.size.events >= self.replay_batch {
            self.begin_epoch();
        }
        self.epoch
    }

    /// Takes notice of one event of so many bytes, or of one that has no time by which the clock may go, and says
    /// what begins with it.
    pub fn observe(&mut self, time: Option<EventTime>, bytes: u64) -> Begins {
        let begins_window = time.is_some_and(|time| self.follow(time));
        let begins = match begins_window {
            _ if self.is_full() => {
                self.window.0 += u64::from(!begins_window);
                Begins::Epoch(self.begin_epoch())
            }
            true if self.size.events >= self.replay_batch => Begins::Epoch(self.begin_epoch()),
            true => Begins::Window(self.window),
            false => Begins::Nothing,
        };
        self.size.add(1, bytes);
        begins
    }

    fn is_full(&self) -> bool {
        self.size.is_full(self.replay_batch.saturating_mul(4).max(EpochSize::MOST_EVENTS))
    }

    /// Ends the window and the epoch here, whatever the times say: the stream pauses. An epoch in
    /// which nothing was read yet goes on. Says which epoch the next event belongs to.
    pub fn pause(&mut self) -> Epoch {
        if self.size != EpochSize::default() {
            self.window.0 += 1;
            self.begin_epoch();
        }
        self.epoch
    }

    fn begin_epoch(&mut self) -> Epoch {
        self.epoch = Epoch(self.window.0);
        self.size = EpochSize::default();
        self.epoch
    }

    /// Whether this time moves the clock into another window.
    fn follow(&mut self, time: EventTime) -> bool {
        self.times.observe(time);
        let place = self.times.now().map(|now| now.0.div_euclid(self.window_length));
        let moved = self.place.is_some() && self.place != place;
        self.place = place;
        if moved {
            self.window.0 += 1;
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clock(replay_batch: u64) -> StreamClock {
        StreamClock::new(Duration::from_secs(5), TimeUnit::Seconds, replay_batch, Epoch(7))
    }

    fn tail_at(second: i64) -> Vec<EventTime> {
        vec![EventTime(second); MedianClock::SAMPLES]
    }

    #[test]
    fn an_epoch_ends_at_a_block_past_a_window_and_past_the_batch() {
        let mut clock = clock(100);
        assert_eq!(clock.after_block(60, 1, tail_at(1_000)), Epoch(7), "the clock starts in the first window");
        assert_eq!(clock.after_block(60, 1, tail_at(1_004)), Epoch(7), "enough events, but the same window");
        assert_eq!(clock.after_block(60, 1, tail_at(1_005)), Epoch(8));
        assert_eq!(clock.after_block(60, 1, tail_at(1_010)), Epoch(8), "a window's end, but too few events");
        assert_eq!(clock.after_block(60, 1, tail_at(1_011)), Epoch(9), "the window ended since the epoch began");
        assert_eq!(clock.after_block(1_000, 1, []), Epoch(9), "without times the clock stands still");
    }

    #[test]
    fn every_event_may_begin_a_window_and_an_epoch_begins_with_one() {
        let mut clock = clock(12);
        let mut begins = Vec::new();
        for event in 0..40 {
            begins.push(clock.observe(Some(EventTime(event)), 1));
        }
        let windows: Vec<_> = begins.iter().copied().filter(|begins| *begins != Begins::Nothing).collect();
        // The median trails by four seconds, so the last of 40 seconds stands in the window at 35.
        assert_eq!(
            windows,
            [
                Begins::Window(Window(8)),
                Begins::Epoch(Epoch(9)),
                Begins::Window(Window(10)),
                Begins::Window(Window(11)),
                Begins::Epoch(Epoch(12)),
                Begins::Window(Window(13)),
                Begins::Window(Window(14)),
            ]
        );
        assert_eq!((clock.epoch(), clock.window()), (Epoch(12), Window(14)));
    }

    #[test]
    fn events_without_a_time_count_for_the_batch_and_begin_nothing() {
        let mut clock = clock(50);
        for _ in 0..50 {
            assert_eq!(clock.observe(None, 1), Begins::Nothing);
        }
        for _ in 0..MedianClock::SAMPLES {
            assert_eq!(clock.observe(Some(EventTime(0)), 1), Begins::Nothing);
        }
        let first_later = (0..5).map(|_| clock.observe(Some(EventTime(5)), 1)).last();
        assert_eq!(first_later, Some(Begins::Epoch(Epoch(8))));
    }

    #[test]
    fn outliers_begin_nothing() {
        let mut clock = clock(0);
        for event in 0..1_000 {
            let wrong = event % 9 < 4;
            let begins = clock.observe(Some(EventTime(if wrong { i64::MAX } else { 3 })), 1);
            assert_eq!(begins, Begins::Nothing);
        }
    }

    #[test]
    fn an_epoch_that_grows_too_large_ends_inside_its_window() {
        let mut every_event = clock(1_000);
        for event in 0..EpochSize::MOST_EVENTS {
            assert_eq!(every_event.observe(Some(EventTime(3)), 1), Begins::Nothing, "{event}");
        }
        assert_eq!(every_event.observe(Some(EventTime(3)), 1), Begins::Epoch(Epoch(8)));
        assert_eq!(every_event.observe(Some(EventTime(3)), EpochSize::MOST_BYTES), Begins::Nothing);
        assert_eq!(every_event.observe(None, 1), Begins::Epoch(Epoch(9)), "also by bytes, and without a time");
        let mut blocks = clock(u64::MAX);
        assert_eq!(blocks.after_block(1 << 40, EpochSize::MOST_BYTES - 1, tail_at(3)), Epoch(7), "so many are wanted");
        assert_eq!(blocks.after_block(1, 1, tail_at(3)), Epoch(8));
        assert_eq!(blocks.after_block(1, 1, tail_at(3)), Epoch(8));
    }

    #[test]
    fn windows_go_on_behind_a_run_of_wrong_clocks() {
        for wrong in [8_640_000, -8_640_000] {
            let mut clock = clock(1);
            (0..1_000).for_each(|second| _ = clock.observe(Some(EventTime(second)), 1));
            (0..10_000).for_each(|_| _ = clock.observe(Some(EventTime(wrong)), 1));
            let before = clock.window();
            (1_000..2_000).for_each(|second| _ = clock.observe(Some(EventTime(second)), 1));
            let windows = clock.window().0 - before.0;
            assert!((180..=210).contains(&windows), "{windows} windows in 1,000 seconds");
        }
    }

    #[test]
    fn a_pause_ends_an_epoch_only_once() {
        let mut clock = clock(1_000);
        assert_eq!(clock.pause(), Epoch(7), "nothing was read yet");
        clock.observe(Some(EventTime(3)), 1);
        assert_eq!(clock.pause(), Epoch(8));
        assert_eq!(clock.pause(), Epoch(8));
        clock.after_block(1, 1, []);
        assert_eq!(clock.pause(), Epoch(9));
    }

    #[test]
    fn a_window_shorter_than_a_unit_is_one_unit_and_no_length_overflows() {
        for (length, unit) in [
            (Duration::from_millis(100), TimeUnit::Seconds),
            (Duration::MAX, TimeUnit::Nanoseconds),
            (Duration::from_secs(1_000_000_000_000), TimeUnit::Microseconds),
        ] {
            let mut clock = StreamClock::new(length, unit, 0, Epoch(0));
            for time in [0, 1, i64::MAX, i64::MIN] {
                clock.after_block(1, 1, vec![EventTime(time); MedianClock::SAMPLES]);
            }
            assert!(clock.epoch() <= Epoch(3));
        }
    }

    proptest! {
        #[test]
        fn numbers_only_rise_and_never_faster_than_events(times in prop::collection::vec(any::<i64>(), 0..300), replay_batch in 0..20_u64) {
            let mut clock = clock(replay_batch);
            let mut since_epoch = 0;
            for (event, time) in times.into_iter().enumerate() {
                let before = (clock.epoch(), clock.window());
                match clock.observe(Some(EventTime(time)), 1) {
                    Begins::Nothing => prop_assert_eq!((clock.epoch(), clock.window()), before),
                    Begins::Window(window) => {
                        prop_assert_eq!(window, Window(before.1.0 + 1));
                        prop_assert_eq!((clock.epoch(), clock.window()), (before.0, window));
                    }
                    Begins::Epoch(epoch) => {
                        prop_assert_eq!((clock.epoch(), clock.window()), (epoch, Window(epoch.0)));
                        prop_assert_eq!(epoch.0, before.1.0 + 1);
                        prop_assert!(since_epoch >= replay_batch);
                        since_epoch = 0;
                    }
                }
                since_epoch += 1;
                prop_assert!(clock.window().0 <= 7 + event as u64);
            }
        }
    }
}
