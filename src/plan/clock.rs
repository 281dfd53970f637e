//! The time by which a rehearsal publishes.

use crate::clock::MedianClock;
use crate::counter::EventTime;
use crate::pipeline::Pipeline;
use crate::state::Moment;

/// What drives the windows of a rehearsal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RehearsalClock {
    /// The times of the events, as a live stream would have brought them; wrong ones do no harm.
    EventTime,
    /// So many events a second, whatever their times say.
    EventsPerSecond(u64),
}

/// A clock that goes, and the windows that it has been in.
#[derive(Debug)]
pub(super) struct RunningClock {
    kind: RehearsalClock,
    median: MedianClock,
    events: u64,
    /// The windows' length, in the event's unit and in milliseconds.
    window_units: i64,
    window_ms: u64,
    /// The window that it started in, counted in window lengths since 1970.
    first: Option<i64>,
    window: u64,
}

impl RunningClock {
    pub fn new(kind: RehearsalClock, pipeline: &Pipeline) -> RunningClock {
        RunningClock {
            kind,
            median: MedianClock::default(),
            events: 0,
            window_units: pipeline.window_units(),
            window_ms: u64::try_from(pipeline.window.length.as_millis()).unwrap_or(u64::MAX).max(1),
            first: None,
            window: 0,
        }
    }

    /// Takes notice of an event; says when the window before it ended, where it begins another one. (The clock does not go
    /// back: what comes after a wrong time that was believed stays in the window of that.)
    pub fn observe(&mut self, time: EventTime) -> Option<Moment> {
        let window = match self.kind {
            RehearsalClock::EventsPerSecond(rate) => {
                let passed = self.events.saturating_mul(1_000) / rate.max(1);
                self.events += 1;
                passed / self.window_ms
            }
            RehearsalClock::EventTime => {
                self.median.observe(time);
                // Before the clock has started, all is in the window that it will start with.
                let now = self.median.now()?.0.div_euclid(self.window_units);
                u64::try_from(now - *self.first.get_or_insert(now)).unwrap_or_default()
            }
        };
        if window <= self.window {
            return None;
        }
        let ended = self.window + 1;
        self.window = window;
        Some(Moment(ended.saturating_mul(self.window_ms)))
    }

    /// When the window ends that it is in.
    pub fn window_end(&self) -> Moment {
        Moment((self.window + 1).saturating_mul(self.window_ms))
    }

    /// When that window began.
    pub fn window_begin(&self) -> Moment {
        Moment(self.window.saturating_mul(self.window_ms))
    }
}
