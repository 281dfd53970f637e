//! Synthetic event logs: seeded, Zipf-skewed, the same bytes on every machine.
//!
//! Every line has the shape of the reference job's events,
//! `{"eventName":"like","userId":"1234","creatorId":"7777","eventTs":1707605599}`. Event time goes
//! on evenly from line to line; late events carry an earlier time than where they stand says. Users, and
//! creators, of whom there are a tenth as many, come up with Zipf's frequencies; which of them are
//! the busy ones is scattered over their ids.
//!
//! [`FeedLog`] is another log: that of a feed, in which everything follows from views.

mod feed;
mod mix;
mod random;

pub use feed::{FeedConfig, FeedLog};
pub use mix::{EventMix, InvalidMix};

use std::io::{self, Write};

use random::{SplitMix64, Zipf};

use crate::counter::EventTime;

/// What a synthetic log is like.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntheticConfig {
    /// Who makes events, and when. There is a creator for every ten users.
    pub traffic: Traffic,
    /// Which events there are.
    pub mix: EventMix,
}

/// Who makes the events of any synthetic log, and when. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// How many users there are; from 1 to [`Traffic::MOST_USERS`].
    pub users: u32,
    /// The exponent of Zipf's law: 0 makes all users alike, 1.1 is usual.
    pub zipf: f64,
    /// How many events share a second of event time.
    pub events_per_second: f64,
    /// The share of late events, from 0 to 1.
    pub late_share: f64,
    /// Late events are evenly spread from one second to this many late.
    pub late_by_seconds: u64,
    /// The time of the first event.
    pub start: EventTime,
    /// Logs of different seeds differ, those of the same are equal.
    pub seed: u64,
}

impl Traffic {
    /// So many users have ids of at most seven digits.
    pub const MOST_USERS: u32 = 9_999_999;

    fn check(&self) -> Result<(), InvalidSynthetic> {
        if !(1..=Traffic::MOST_USERS).contains(&self.users) {
            return Err(InvalidSynthetic::Users(self.users));
        }
        if !(0.0..=Zipf::LARGEST_EXPONENT).contains(&self.zipf) {
            return Err(InvalidSynthetic::Exponent(self.zipf));
        }
        if !self.events_per_second.is_finite() || self.events_per_second <= 0.0 {
            return Err(InvalidSynthetic::Rate(self.events_per_second));
        }
        if !(0.0..=1.0).contains(&self.late_share) {
            return Err(InvalidSynthetic::LateShare(self.late_share));
        }
        if self.late_by_seconds == 0 || i64::try_from(self.late_by_seconds).is_err() {
            return Err(InvalidSynthetic::LateBy);
        }
        if self.start.0 < 0 {
            return Err(InvalidSynthetic::Start);
        }
        Ok(())
    }
}

/// A log that could not be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidSynthetic {
    /// Too few or too many.
    #[error("users must be from 1 to {most}, not {0}", most = Traffic::MOST_USERS)]
    Users(u32),
    /// Not a usable exponent.
    #[error("the Zipf exponent must be from 0 to {largest}, not {0}", largest = Zipf::LARGEST_EXPONENT)]
    Exponent(f64),
    /// Event time would not go on.
    #[error("events per second must be a number above 0, not {0}")]
    Rate(f64),
    /// Not a share.
    #[error("the share of late events must be from 0 to 1, not {0}")]
    LateShare(f64),
    /// An event cannot be late by nothing.
    #[error("late events must be late by at least a second")]
    LateBy,
    /// Times are not negative.
    #[error("the log must not start before 1970")]
    Start,
    /// Not a share.
    #[error("the share of events of bots must be from 0 to 1, not {0}")]
    BotShare(f64),
    /// A field that is not free for the event's name or time.
    #[error(
        "a feed's log cannot have the event's name or time in \"{0}\": it must be a field of the event's own object, and none of {fields}",
        fields = FeedLog::FIELDS.join(", ")
    )]
    Field(String),
}

/// A synthetic log, line by line, without an end.
#[derive(Clone, Debug)]
pub struct SyntheticLog {
    random: SplitMix64,
    events: Vec<EventLine>,
    all_weights: u64,
    users: Population,
    creators: Population,
    traffic: Traffic,
    written: u64,
}

/// One event of the mix.
#[derive(Clone, Debug)]
struct EventLine {
    /// The weights up to and with this one's.
    weights_until: u64,
    /// The line up to the user's id.
    head: Vec<u8>,
}

impl SyntheticLog {
    /// The log that the configuration describes, from its first line on.
    pub fn new(config: &SyntheticConfig) -> Result<SyntheticLog, InvalidSynthetic> {
        let traffic = config.traffic;
        traffic.check()?;
        let mut all_weights = 0;
        let event_line = |(name, weight): (&str, u32)| {
            all_weights += u64::from(weight);
            let name = serde_json::Value::from(name);
            EventLine { weights_until: all_weights, head: format!("{{\"eventName\":{name},\"userId\":\"").into_bytes() }
        };
        Ok(SyntheticLog {
            random: SplitMix64::new(traffic.seed),
            events: config.mix.events().map(event_line).collect(),
            all_weights,
            users: Population::new(traffic.users, traffic.zipf),
            creators: Population::new((traffic.users / 10).max(1), traffic.zipf),
            traffic,
            written: 0,
        })
    }

    /// Appends the next line, with its newline.
    pub fn append_line(&mut self, bytes: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        let chosen = self.random.below(self.all_weights);
        let event = self.events.partition_point(|event| event.weights_until <= chosen);
        bytes.extend_from_slice(&self.events[event].head);
        bytes.extend_from_slice(number.format(self.users.draw(&mut self.random)).as_bytes());
        bytes.extend_from_slice(b"\",\"creatorId\":\"");
        bytes.extend_from_slice(number.format(self.creators.draw(&mut self.random)).as_bytes());
        bytes.extend_from_slice(b"\",\"eventTs\":");
        bytes.extend_from_slice(number.format(self.next_time()).as_bytes());
        bytes.extend_from_slice(b"}\n");
    }

    /// Writes the next lines, so many.
    pub fn write_lines(&mut self, lines: u64, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        write_lines(lines, out, |bytes| self.append_line(bytes))
    }

    /// Draws as often for an event that is on time as for a late one: so that logs that differ
    /// only in their late events have the same users.
    fn next_time(&mut self) -> i64 {
        let since_start = (self.written as f64 / self.traffic.events_per_second) as i64;
        self.written += 1;
        let is_late = self.random.unit() < self.traffic.late_share;
        let late_by = 1 + self.random.below(self.traffic.late_by_seconds) as i64;
        let on_time = self.traffic.start.0.saturating_add(since_start);
        if is_late { (on_time - late_by).max(0) } else { on_time }
    }
}

fn write_lines(
    lines: u64,
    out: &mut (impl Write + ?Sized),
    mut append_line: impl FnMut(&mut Vec<u8>),
) -> io::Result<()> {
    /// A line is far shorter than what is left of the buffer when it is written out.
    const WRITE_AT: usize = 1 << 18;
    let mut buffer = Vec::with_capacity(WRITE_AT + 4096);
    for _ in 0..lines {
        append_line(&mut buffer);
        if buffer.len() >= WRITE_AT {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)
}

/// People with ids from 1 on, some busier than others.
#[derive(Clone, Debug)]
struct Population {
    size: u32,
    ranks: Zipf,
}

impl Population {
    fn new(size: u32, exponent: f64) -> Population {
        Population { size, ranks: Zipf::new(size, exponent) }
    }

    /// Draws somebody's id.
    fn draw(&self, random: &mut SplitMix64) -> u32 {
        self.of_rank(self.ranks.draw(random))
    }

    /// The id of the busiest, the second busiest, and so on.
    fn of_rank(&self, rank: u32) -> u32 {
        /// A prime above every size, so that this takes the ranks to different ids.
        const SCATTER: u64 = 2_654_435_761;
        1 + (u64::from(rank) * SCATTER % u64::from(self.size)) as u32
    }
}

#[cfg(test)]
mod tests;
