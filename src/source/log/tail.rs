//! The last lines of a block: enough for the clock, and little to read.

use std::io;

use memchr::memchr_iter;

use super::plain::read_back;
use super::times::LineTimes;
use crate::clock::MedianClock;
use crate::counter::EventTime;
use crate::event::{Arrival, Utf8};
use crate::source::LogBytes;

/// What a block's last lines tell. They are as many as the clock's median is taken over, or all
/// lines of a block that has fewer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BlockTail {
    /// The times of the events among them.
    pub(super) times: Vec<EventTime>,
    /// About how many lines the block has, if all are as long as these. (The epochs of a replay
    /// hang on this number, so it must be the same where the block is not read here.)
    pub(super) estimated_lines: u64,
}

impl BlockTail {
    /// Of one line that is no event.
    pub(super) const LINE_WITHOUT_TIME: BlockTail = BlockTail { times: Vec::new(), estimated_lines: 1 };

    /// Of whole lines that stand at `offset` in their log.
    pub(super) fn of(lines: &LogBytes, offset: u64, arrival: Arrival, times: &mut LineTimes) -> io::Result<BlockTail> {
        match lines {
            LogBytes::Read(bytes) => Ok(BlockTail::of_bytes(bytes, bytes.len(), arrival, times)),
            LogBytes::InFile { file, length } => {
                let mut end_of_block = Vec::new();
                let range = offset..offset + *length as u64;
                // One newline more than lines: the first of them stands behind one.
                let enough = |bytes: &[u8]| memchr_iter(b'\n', bytes).count() > MedianClock::SAMPLES;
                read_back(file, range, enough, &mut end_of_block)?;
                Ok(BlockTail::of_bytes(&end_of_block, *length, arrival, times))
            }
        }
    }

    /// Of a block of this length that ends with these bytes.
    fn of_bytes(end_of_block: &[u8], block_length: usize, arrival: Arrival, times: &mut LineTimes) -> BlockTail {
        let lines = last_lines(end_of_block);
        let time_of = |line| times.time_of(line, arrival, Utf8::Unchecked).ok().flatten();
        BlockTail {
            times: lines.split(|byte| *byte == b'\n').filter_map(time_of).collect(),
            estimated_lines: (block_length * line_count(lines)).div_ceil(lines.len().max(1)) as u64,
        }
    }
}

/// The last lines of these bytes: [`MedianClock::SAMPLES`] of them, or all.
fn last_lines(bytes: &[u8]) -> &[u8] {
    let without_last_newline = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let begin = memchr::memrchr_iter(b'\n', without_last_newline).nth(MedianClock::SAMPLES - 1);
    &bytes[begin.map_or(0, |newline| newline + 1)..]
}

fn line_count(lines: &[u8]) -> usize {
    memchr_iter(b'\n', lines.strip_suffix(b"\n").unwrap_or(lines)).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Ahead, EventSchema, FieldPath};
    use std::io::Write as _;
    use std::sync::Arc;

    const ARRIVAL: Arrival = Arrival::before(EventTime(1_000));

    fn times() -> LineTimes {
        LineTimes::new(&EventSchema::of_seconds("n", "t"))
    }

    fn line(time: i64) -> String {
        format!("{{\"n\":\"like\",\"t\":{time}}}\n")
    }

    fn tail(log: &str) -> BlockTail {
        let read = BlockTail::of(&LogBytes::Read(log.into()), 3, ARRIVAL, &mut times()).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        write!(file, "xxx{log}").unwrap();
        let in_file = LogBytes::InFile { file: Arc::new(file), length: log.len() };
        assert_eq!(BlockTail::of(&in_file, 3, ARRIVAL, &mut times()).unwrap(), read);
        read
    }

    #[test]
    fn it_knows_the_last_times_and_about_how_many_lines() {
        let log: String = (100..900).map(line).collect();
        let tail = tail(&log);
        assert_eq!(tail.times, (891..900).map(EventTime).collect::<Vec<_>>());
        assert_eq!(tail.estimated_lines, 800);
    }

    #[test]
    fn lines_of_any_length_are_found() {
        for padding in [10, 1_000, 9_000] {
            let log: String = (100..115).map(|time| format!("{:padding$}{}", "", line(time))).collect();
            assert_eq!(tail(&log).times.len(), MedianClock::SAMPLES);
            assert_eq!(tail(&log).estimated_lines, 15);
        }
    }

    #[test]
    fn short_blocks_blank_lines_and_a_missing_newline_are_fine() {
        assert_eq!(tail(&line(7)), BlockTail { times: vec![EventTime(7)], estimated_lines: 1 });
        assert_eq!(tail(line(7).trim_end()), BlockTail { times: vec![EventTime(7)], estimated_lines: 1 });
        assert_eq!(tail("\n"), BlockTail { times: vec![], estimated_lines: 1 });
        assert_eq!(tail("\n\n\n").times, []);
        let with_blank = format!("\n{}\r\n{}", line(3), line(4));
        assert_eq!(tail(&with_blank).times, [EventTime(3), EventTime(4)]);
    }

    #[test]
    fn events_that_do_not_count_do_not_move_the_clock() {
        let log = [line(5), line(-1), "nonsense\n".into(), line(1_011), line(1_010)].concat();
        assert_eq!(tail(&log).times, [EventTime(5), EventTime(1_010)]);
    }

    #[test]
    fn an_event_that_counts_at_its_arrival_moves_the_clock_to_then() {
        let year_2020 = 1_577_836_800;
        let schema = EventSchema {
            ahead: Ahead::Arrival,
            arrival_field: Some(FieldPath::top_level("a")),
            ..EventSchema::of_seconds("n", "t")
        };
        let line = format!("{{\"n\":\"like\",\"t\":{},\"a\":{year_2020}}}\n", year_2020 + 11);
        let read = Arrival::before(EventTime(year_2020 + 1_000));
        let tail = BlockTail::of(&LogBytes::Read(line.into()), 0, read, &mut LineTimes::new(&schema)).unwrap();
        assert_eq!(tail.times, [EventTime(year_2020)]);
    }
}
