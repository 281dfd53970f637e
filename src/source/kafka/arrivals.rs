//! When messages arrived: what their records' timestamps say, where that can be.

use std::sync::atomic::{AtomicBool, Ordering};

use super::topic_address::TopicAddress;
use crate::clock::ArrivalClock;
use crate::counter::EventTime;
use crate::event::{Arrival, earliest_arrival};

/// So much may the clocks of brokers and of this machine differ without a word.
const TOLERANCE_SECONDS: i64 = 60;

/// Judges the timestamps of records for all readers of a run.
///
/// A timestamp from before the year 2000 (none, or seconds for milliseconds) or later than this
/// machine's clock (perhaps the producer's, which is ahead) is no time of arrival: such a message arrives
/// when it is read. That there are such is said once.
#[derive(Debug)]
pub struct RecordArrivals {
    clock: ArrivalClock,
    said: AtomicBool,
}

impl RecordArrivals {
    /// By this clock.
    pub fn new(clock: ArrivalClock) -> RecordArrivals {
        RecordArrivals { clock, said: AtomicBool::new(false) }
    }

    /// When a message arrived that is read now and whose record has this timestamp, in milliseconds
    /// since 1970.
    pub(super) fn arrival(&self, topic: &TopicAddress, timestamp_ms: Option<i64>) -> Arrival {
        let (unit, read) = (self.clock.unit(), self.clock.now());
        let Some(timestamp_ms) = timestamp_ms else { return Arrival::at(read) };
        let recorded = EventTime(unit.from_nanoseconds(i128::from(timestamp_ms) * 1_000_000));
        if (earliest_arrival(unit)..=read).contains(&recorded) {
            return Arrival::recorded(recorded, read);
        }
        let tolerated = EventTime(read.0.saturating_add(TOLERANCE_SECONDS.saturating_mul(unit.per_second())));
        if !(read..=tolerated).contains(&recorded) {
            self.say(topic, timestamp_ms);
        }
        Arrival::at(read)
    }

    fn say(&self, topic: &TopicAddress, timestamp_ms: i64) {
        if !self.said.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "{topic}: a record's timestamp, {timestamp_ms}, cannot be the time of its arrival in milliseconds since \
                 1970. Such messages arrive when they are read. (Producers write these timestamps unless the topic has \
                 message.timestamp.type=LogAppendTime; said once)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::event::TimeUnit;

    const NOW: i64 = 1_707_605_599;

    #[test]
    fn a_timestamp_that_cannot_be_is_no_arrival_and_that_is_said_once() {
        let clock = ArrivalClock::told(TimeUnit::Seconds, || UNIX_EPOCH + Duration::from_secs(NOW as u64));
        let topic = TopicAddress { brokers: "b".to_owned(), name: "t".to_owned() };
        let read = Arrival::at(EventTime(NOW));
        let judged = |timestamp_ms, expected, is_said| {
            let arrivals = RecordArrivals::new(clock.clone());
            assert_eq!(arrivals.arrival(&topic, timestamp_ms), expected, "{timestamp_ms:?}");
            assert_eq!(arrivals.said.load(Ordering::Relaxed), is_said, "{timestamp_ms:?}");
        };
        let ms = NOW * 1_000;
        judged(Some(ms - 86_400_000), Arrival::recorded(EventTime(NOW - 86_400), EventTime(NOW)), false);
        judged(Some(ms), Arrival::recorded(EventTime(NOW), EventTime(NOW)), false);
        judged(Some(946_684_800_000), Arrival::recorded(EventTime(946_684_800), EventTime(NOW)), false);
        judged(None, read, false);
        judged(Some(ms + 59_000), read, false);
        for impossible in [0, -1, NOW, 946_684_799_999, ms + 61_000, ms + 82_800_000, ms * 1_000, i64::MAX, i64::MIN] {
            judged(Some(impossible), read, true);
        }
    }
}
