//! Do the first times lie where times of events lie? A wrong `time_unit` puts them into 1970, or
//! thousands of years ahead.

use crate::counter::EventTime;
use crate::event::{TimeUnit, YEAR_2000};

/// So many times are kept.
const MOST_TIMES: usize = 64;

/// So many times tell, while a run goes on.
const ENOUGH_TIMES: usize = 32;

/// No clock is so wrong: two years, in seconds.
const FAR_AHEAD: i64 = 2 * 366 * 86_400;

/// A mean year, in seconds.
const SECONDS_PER_YEAR: f64 = 31_556_952.0;

/// The first times that were seen, in the event's unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FirstTimes(Vec<EventTime>);

impl FirstTimes {
    /// Takes notice of a time.
    pub fn observe(&mut self, time: EventTime) {
        if self.0.len() < MOST_TIMES {
            self.0.push(time);
        }
    }

    /// Whether there are enough of them to judge by before the run ends.
    pub fn are_enough(&self) -> bool {
        self.0.len() >= ENOUGH_TIMES
    }

    /// Takes over those that were seen elsewhere.
    pub fn absorb(&mut self, other: &mut FirstTimes) {
        for time in other.0.drain(..) {
            self.observe(time);
        }
    }

    /// What is odd about them, if most of them lie before 2000 or years after `now`: a question, since
    /// an old log is read as well.
    pub fn doubt(&self, unit: TimeUnit, now: EventTime) -> Option<String> {
        let mut times = self.0.clone();
        times.sort_unstable();
        let median = *times.get(times.len() / 2)?;
        let now = unit.to_seconds(now.0);
        let is_odd = |time: &EventTime| !is_usual(unit.to_seconds(time.0), now);
        if !is_odd(&median) {
            return None;
        }
        times.retain(is_odd);
        let (first, last) = (*times.first()?, *times.last()?);
        let (from, to) = (year(first, unit), year(last, unit));
        if unit == TimeUnit::Rfc3339 {
            return Some(format!(
                "times lie in {from} .. {to}: is that so? The events themselves say it, as RFC 3339 text"
            ));
        }
        let meant = likely_unit(median, unit, now).map_or(String::new(), |other| {
            format!(" As \"{}\" the same numbers lie in {} .. {}", other.name(), year(first, other), year(last, other))
        });
        Some(format!("times lie in {from} .. {to}: is time_unit right? It is \"{}\".{meant}", unit.name()))
    }
}

/// Whether times of events lie here, in seconds since 1970.
fn is_usual(seconds: i64, now: i64) -> bool {
    // Few logs of events are older.
    seconds >= YEAR_2000 && seconds <= now.saturating_add(FAR_AHEAD)
}

/// The unit in which this number is an ordinary time, if in its own it is none; `now` is in seconds since 1970.
pub fn likely_unit(time: EventTime, written: TimeUnit, now: i64) -> Option<TimeUnit> {
    if is_usual(written.to_seconds(time.0), now) {
        return None;
    }
    let others = [TimeUnit::Seconds, TimeUnit::Milliseconds, TimeUnit::Microseconds, TimeUnit::Nanoseconds];
    others.into_iter().filter(|unit| *unit != written).find(|unit| is_usual(unit.to_seconds(time.0), now))
}

/// The year of a time, also far beyond those that calendars know.
fn year(time: EventTime, unit: TimeUnit) -> i64 {
    let seconds = unit.to_seconds(time.0);
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => i64::from(jiff::tz::TimeZone::UTC.to_datetime(time).year()),
        Err(_) => 1970 + (seconds as f64 / SECONDS_PER_YEAR) as i64,
    }
}
