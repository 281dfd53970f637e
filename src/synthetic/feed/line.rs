//! An event as a line of JSON, with the names and the time unit of the pipeline.

use jiff::Timestamp;

use super::config::FeedConfig;
use super::visit::{Action, Happening};
use super::world::World;
use crate::event::TimeUnit;
use crate::synthetic::InvalidSynthetic;

/// The field with the seconds of `time_spent`.
pub(super) const SECONDS: &str = "seconds";
/// The field with the length of a `comment`.
pub(super) const LENGTH: &str = "length";

/// The fields beside the name and the time. `categoryIds` is an array.
pub(super) const FIELDS: [&str; 7] = ["userId", "postId", "creatorId", "categoryIds", "surface", SECONDS, LENGTH];

/// How lines are written.
#[derive(Clone, Debug)]
pub(super) struct LineFormat {
    /// The line up to the event's name.
    before_name: Vec<u8>,
    /// What stands before the time.
    before_time: Vec<u8>,
    time_unit: TimeUnit,
}

impl LineFormat {
    pub(super) fn new(config: &FeedConfig) -> Result<LineFormat, InvalidSynthetic> {
        for field in [&config.name_field, &config.time_field] {
            if field.contains(['.', '\\']) || FIELDS.contains(&field.as_str()) {
                return Err(InvalidSynthetic::Field(field.clone()));
            }
        }
        let quoted = |name: &str| serde_json::Value::from(name);
        Ok(LineFormat {
            before_name: format!("{{{}:\"", quoted(&config.name_field)).into_bytes(),
            before_time: format!(",{}:", quoted(&config.time_field)).into_bytes(),
            time_unit: config.time_unit,
        })
    }

    /// Appends the line of what happens now.
    pub(super) fn append(&self, happening: &Happening, now: i64, world: &World, bytes: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        let (visit, post) = (&happening.visit, happening.post);
        bytes.extend_from_slice(&self.before_name);
        bytes.extend_from_slice(happening.action.event_name().as_bytes());
        bytes.extend_from_slice(b"\",\"userId\":\"");
        bytes.extend_from_slice(number.format(visit.user.0).as_bytes());
        bytes.extend_from_slice(b"\",\"postId\":\"");
        bytes.extend_from_slice(number.format(post.0).as_bytes());
        bytes.extend_from_slice(b"\",\"creatorId\":\"");
        bytes.extend_from_slice(number.format(world.creator(post).0 + 1).as_bytes());
        bytes.extend_from_slice(b"\",\"categoryIds\":[");
        for (index, category) in world.categories(post).enumerate() {
            bytes.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
            bytes.extend_from_slice(category.as_bytes());
            bytes.push(b'"');
        }
        bytes.extend_from_slice(b"],\"surface\":\"");
        bytes.extend_from_slice(visit.surface.name().as_bytes());
        bytes.push(b'"');
        append_amount(happening, bytes);
        bytes.extend_from_slice(&self.before_time);
        self.append_time(visit.time_of(now), bytes);
        bytes.extend_from_slice(b"}\n");
    }

    fn append_time(&self, time_ms: i64, bytes: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        let units = match self.time_unit {
            TimeUnit::Seconds => time_ms / 1_000,
            TimeUnit::Milliseconds => time_ms,
            TimeUnit::Microseconds => time_ms.saturating_mul(1_000),
            TimeUnit::Nanoseconds => time_ms.saturating_mul(1_000_000),
            TimeUnit::Rfc3339 => {
                // A time beyond the year 9999 has no such form; the last one that has stands for it.
                let time = Timestamp::from_millisecond(time_ms).unwrap_or(Timestamp::MAX);
                bytes.extend_from_slice(format!("\"{time}\"").as_bytes());
                return;
            }
        };
        bytes.extend_from_slice(number.format(units).as_bytes());
    }
}

fn append_amount(happening: &Happening, bytes: &mut Vec<u8>) {
    let mut number = itoa::Buffer::new();
    let mut field = |name: &str, whole: u64, bytes: &mut Vec<u8>| {
        bytes.extend_from_slice(b",\"");
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b"\":");
        bytes.extend_from_slice(number.format(whole).as_bytes());
    };
    match happening.action {
        Action::TimeSpent => {
            field(SECONDS, happening.amount / 10, bytes);
            bytes.extend_from_slice(&[b'.', b'0' + (happening.amount % 10) as u8]);
        }
        Action::Comment => field(LENGTH, happening.amount, bytes),
        _ => {}
    }
}
