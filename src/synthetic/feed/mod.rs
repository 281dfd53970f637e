//! A synthetic feed: people who look at posts, and what they do with what they see.
//!
//! Creators post, each at a rhythm of their own; a post's popularity rises, and dies within a day.
//! People come back to categories and creators of their own taste, at hours of their own. A visit is
//! a series of views, and everything else follows from a view: no like without a view of that post
//! by that user before it, no `unlike` without a like, in the order of event times and in the order
//! of the log alike. A visit may be late: its device is offline meanwhile and sends everything later.
//! Now and then a bot pushes a post, with a new user id for every view.
//!
//! A line looks like
//! `{"eventName":"time_spent","userId":"4","postId":"8","creatorId":"9","categoryIds":["music"],"surface":"feed","seconds":7.5,"eventTs":1707605599000}`;
//! `seconds` stands in `time_spent` and `length`, in characters, in `comment`. Memory is bounded: what
//! people and posts are like is worked out from their ids, and what is still to come is limited
//! (see [`agenda`]).

mod agenda;
mod config;
mod line;
mod visit;
mod world;

use std::io::{self, Write};

pub use config::FeedConfig;

use super::{InvalidSynthetic, write_lines};
use line::LineFormat;
use visit::Visitors;
use world::World;

/// A synthetic feed's log, line by line, without an end.
#[derive(Clone, Debug)]
pub struct FeedLog {
    visitors: Visitors,
    format: LineFormat,
    events_per_second: f64,
    start_ms: i64,
    written: u64,
}

impl FeedLog {
    /// The fields that the events have beside their name and time. `categoryIds` is an array.
    pub const FIELDS: [&str; 7] = line::FIELDS;

    /// The log that the configuration describes, from its first line on.
    pub fn new(config: &FeedConfig) -> Result<FeedLog, InvalidSynthetic> {
        let traffic = config.traffic;
        traffic.check()?;
        if !(0.0..=1.0).contains(&config.bot_share) {
            return Err(InvalidSynthetic::BotShare(config.bot_share));
        }
        Ok(FeedLog {
            visitors: Visitors::new(config, World::new(traffic.users, traffic.zipf, traffic.seed)),
            format: LineFormat::new(config)?,
            events_per_second: traffic.events_per_second,
            start_ms: traffic.start.0.saturating_mul(1_000),
            written: 0,
        })
    }

    /// Appends the next line, with its newline.
    pub fn append_line(&mut self, bytes: &mut Vec<u8>) {
        let since_start = (self.written as f64 * 1_000.0 / self.events_per_second) as i64;
        let now = self.start_ms.saturating_add(since_start);
        self.written += 1;
        let happening = self.visitors.next(now);
        self.format.append(&happening, now, self.visitors.world(), bytes);
    }

    /// Writes the next lines, so many.
    pub fn write_lines(&mut self, lines: u64, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        write_lines(lines, out, |bytes| self.append_line(bytes))
    }
}

#[cfg(test)]
mod tests;
