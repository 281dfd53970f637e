//! How far each log was handed over, for whoever writes down the positions of a run.

use std::sync::atomic::{AtomicU64, Ordering};

use super::open::Log;
use crate::counter::EventTime;
use crate::source::{LogHead, LogPart, LogPositions};

/// How far the lines of each log have been handed to the workers.
#[derive(Debug)]
pub struct LogReached {
    run_start: EventTime,
    /// In the order of reading.
    logs: Vec<OneLog>,
}

#[derive(Debug)]
struct OneLog {
    path: String,
    head: Option<LogHead>,
    to: AtomicU64,
}

impl LogReached {
    pub(super) fn none_of(logs: &[Log], run_start: EventTime) -> LogReached {
        let not_begun = |log: &Log| OneLog {
            path: log.name.to_string_lossy().into_owned(),
            head: log.found().map(|found| found.head),
            to: AtomicU64::new(0),
        };
        LogReached { run_start, logs: logs.iter().map(not_begun).collect() }
    }

    /// Everything of this log before the offset `to` was handed over.
    pub(super) fn reached(&self, log: usize, to: u64) {
        if let Some(log) = self.logs.get(log) {
            log.to.store(to, Ordering::Relaxed);
        }
    }

    /// What was handed over by now: all of what is read, once reading has ended.
    pub fn positions(&self) -> Vec<LogPositions> {
        let positions = |log: &OneLog| {
            let to = log.to.load(Ordering::Relaxed);
            let part = (to > 0).then_some(LogPart { to, run_start: self.run_start });
            LogPositions { path: log.path.clone(), head: log.head, parts: part.into_iter().collect() }
        };
        self.logs.iter().map(positions).collect()
    }
}
