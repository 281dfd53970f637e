//! How far each log was handed over, for whoever writes down the positions of a run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::open::Log;
use crate::counter::EventTime;
use crate::source::cuts::Ground;
use crate::source::{LogHead, LogPart, LogPositions, OffsetRange, SourcePositions};

/// How far the lines of each log have been handed to the workers.
#[derive(Debug)]
pub struct LogReached {
    run_start: EventTime,
    /// Logs that earlier runs have read and that are not here any more.
    absent: Vec<LogPositions>,
    /// In the order of reading.
    logs: Vec<OneLog>,
    /// The log that is being read.
    current: AtomicUsize,
}

#[derive(Debug)]
struct OneLog {
    path: String,
    head: Option<LogHead>,
    earlier: EarlierParts,
    to: AtomicU64,
    /// Before this something may have been published.
    published: AtomicU64,
}

/// What earlier runs have read of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EarlierParts {
    /// Up to where it is counted.
    pub(super) counted: u64,
    /// By what each part was judged; behind what is counted, those of which something may have been published.
    pub(super) parts: Vec<LogPart>,
}

impl EarlierParts {
    /// Up to where the earlier runs may have published something of it.
    pub(super) fn published(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.to)
    }

    /// The parts that are still to be counted.
    pub(super) fn to_come(&self) -> impl Iterator<Item = LogPart> {
        self.parts.iter().filter(|part| part.to > self.counted).copied()
    }

    /// What is behind this offset is not there any more.
    pub(super) fn cut_off(&mut self, end: u64) {
        let start = self.parts.iter().find(|part| part.to > end).map(|part| part.run_start);
        self.parts.retain(|part| part.to <= end);
        if let Some(run_start) = start.filter(|_| self.published() < end) {
            self.parts.push(LogPart { to: end, run_start });
        }
    }

    /// The parts of all that is before `to`: what is behind the earlier ones is of a run that began at `run_start`.
    fn up_to(&self, to: u64, run_start: EventTime) -> Vec<LogPart> {
        let mut parts: Vec<LogPart> = Vec::new();
        for part in self.parts.iter().copied().chain([LogPart { to: u64::MAX, run_start }]) {
            let (begin, end) = (parts.last().map_or(0, |before| before.to), part.to.min(to));
            match parts.last_mut() {
                _ if end <= begin => {}
                Some(before) if before.run_start == part.run_start => before.to = end,
                _ => parts.push(LogPart { to: end, ..part }),
            }
        }
        parts
    }
}

impl LogReached {
    pub(super) fn none_of(logs: &[Log], run_start: EventTime) -> LogReached {
        LogReached::going_on(logs, vec![EarlierParts::default(); logs.len()], Vec::new(), run_start)
    }

    /// Of a run that goes on behind what earlier ones have counted of each log.
    pub(super) fn going_on(
        logs: &[Log],
        earlier: Vec<EarlierParts>,
        absent: Vec<LogPositions>,
        run_start: EventTime,
    ) -> LogReached {
        let not_begun = |(log, earlier): (&Log, EarlierParts)| OneLog {
            path: log.name.to_string_lossy().into_owned(),
            head: log.found().map(|found| found.head),
            to: earlier.counted.into(),
            published: earlier.published().into(),
            earlier,
        };
        let logs = logs.iter().zip(earlier).map(not_begun).collect();
        LogReached { run_start, absent, logs, current: AtomicUsize::new(0) }
    }

    /// This log is read from now on, and none before it.
    pub(super) fn begin(&self, log: usize) {
        self.current.store(log, Ordering::Relaxed);
    }

    /// Everything of this log before the offset `to` was handed over.
    pub(super) fn reached(&self, log: usize, to: u64) {
        if let Some(log) = self.logs.get(log) {
            log.to.store(to, Ordering::Relaxed);
        }
    }

    /// Nothing is left of this log that could be read again, though more of it may have been published.
    pub(super) fn nothing_is_left_of(&self, log: usize) {
        if let Some(log) = self.logs.get(log) {
            log.published.store(0, Ordering::Relaxed);
        }
    }

    /// What was handed over by now, by this run and by those that it goes on from: all of what is read, once reading has
    /// ended.
    pub fn positions(&self) -> Vec<LogPositions> {
        self.positions_at(|index| self.logs[index].to.load(Ordering::Relaxed))
    }

    fn positions_at(&self, to: impl Fn(usize) -> u64) -> Vec<LogPositions> {
        let positions = |(index, log): (usize, &OneLog)| LogPositions {
            path: log.path.clone(),
            head: log.head,
            parts: log.earlier.up_to(to(index), self.run_start),
        };
        self.absent.iter().cloned().chain(self.logs.iter().enumerate().map(positions)).collect()
    }
}

/// The logs of a run, as the one reader notes them.
#[derive(Debug)]
pub(super) struct ReaderOfLogs {
    reached: Arc<LogReached>,
    /// The log that was being read when this was asked before.
    asked_at: AtomicUsize,
}

impl ReaderOfLogs {
    pub(super) fn of(reached: Arc<LogReached>) -> ReaderOfLogs {
        ReaderOfLogs { reached, asked_at: AtomicUsize::new(0) }
    }

    fn ranges(&self, logs: impl Iterator<Item = usize>) -> Vec<(usize, OffsetRange)> {
        let range = |log: usize| OffsetRange { from: 0, to: signed(self.reached.logs[log].to.load(Ordering::Relaxed)) };
        logs.map(|log| (log, range(log))).collect()
    }
}

impl Ground for ReaderOfLogs {
    fn all_of(&self, _reader: usize) -> Vec<(usize, OffsetRange)> {
        self.ranges(0..self.reached.logs.len())
    }

    fn changed(&self, _reader: usize) -> Vec<(usize, OffsetRange)> {
        let current = self.reached.current.load(Ordering::Relaxed);
        let since = self.asked_at.swap(current, Ordering::Relaxed);
        self.ranges(since..(current + 1).min(self.reached.logs.len()))
    }

    fn published(&self, number: usize) -> i64 {
        self.reached.logs.get(number).map_or(0, |log| signed(log.published.load(Ordering::Relaxed)))
    }

    fn positions(&self, handed_over: &BTreeMap<usize, OffsetRange>) -> SourcePositions {
        let to = |log| handed_over.get(&log).map_or(0, |range| range.to.unsigned_abs());
        SourcePositions::Logs(self.reached.positions_at(to))
    }
}

/// No file is longer than this can say.
fn signed(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(to: u64, run_start: i64) -> LogPart {
        LogPart { to, run_start: EventTime(run_start) }
    }

    #[test]
    fn what_is_behind_earlier_parts_is_of_this_run_and_neighbours_with_one_start_are_one_part() {
        let earlier = EarlierParts { counted: 300, parts: vec![part(300, 1), part(500, 2)] };
        let up_to = |to| earlier.up_to(to, EventTime(3));
        assert_eq!(up_to(300), [part(300, 1)]);
        assert_eq!(up_to(400), [part(300, 1), part(400, 2)]);
        assert_eq!(up_to(501), [part(300, 1), part(500, 2), part(501, 3)]);
        assert_eq!(earlier.up_to(501, EventTime(2)), [part(300, 1), part(501, 2)]);
        assert_eq!(EarlierParts::default().up_to(0, EventTime(1)), []);
        assert_eq!(earlier.to_come().collect::<Vec<_>>(), [part(500, 2)]);
        assert_eq!((earlier.published(), EarlierParts::default().published()), (500, 0));
    }

    proptest! {
        /// Byte by byte: each has the start by which the first run that may have published it has judged it.
        #[test]
        fn every_byte_keeps_its_start(
            lengths in prop::collection::vec((1..9_u64, 0..3_i64), 0..5), to in 0..60_u64, run_start in 0..4_i64,
        ) {
            let mut at = 0;
            let parts: Vec<_> = lengths.iter().map(|(length, start)| { at += length; part(at, *start) }).collect();
            let start_in = |parts: &[LogPart], byte: u64| {
                parts.iter().find(|part| byte < part.to).map_or(EventTime(run_start), |part| part.run_start)
            };
            let found = EarlierParts { counted: 0, parts: parts.clone() }.up_to(to, EventTime(run_start));
            prop_assert_eq!(found.last().map_or(0, |part| part.to), to);
            prop_assert!(found.windows(2).all(|two| two[0].to < two[1].to && two[0].run_start != two[1].run_start));
            for byte in 0..to {
                prop_assert_eq!(start_in(&found, byte), start_in(&parts, byte));
            }
        }
    }
}
