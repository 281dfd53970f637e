//! Event logs: files, directories and pipes of JSON lines, read as one sequence.
//!
//! One thread cuts the sequence into blocks of whole lines, stamps them and hands them to whichever
//! worker is free; the workers decode. What it promises:
//!
//! - The blocks of a log, put together, are the log, byte for byte (but for a byte-order mark at its
//!   beginning and lines that are too long, which are only reported).
//! - Cut and stamps depend on the content of the logs alone: not on the number of workers, not on
//!   how fast anything is, nor on whether a log is compressed. (A pipe that pauses is the exception:
//!   its lines do not wait for a whole block.)
//! - Memory stays bounded, however long a line is.
//! - What was there when the logs were found is read: lines that are appended to a file later are
//!   not; a file that was renamed is read all the same; one that became shorter, or was replaced or
//!   written anew, is an error.
//!
//! `find` finds the logs, once each, with `foreign` for what is none and `twins` for what is there twice; `open` opens what was found;
//! `form` tells how it is stored, and `members` decompresses it; `cut` says where to cut, `plain` does
//! so without reading a file, `stream` with what `chunks` reads, and `pieces` of a whole log; `stamp` gives out epochs, by what
//! `tail` or `windows` finds in the lines; `reached` knows how far that has come. `span` reads ahead of all that, where it is asked
//! for. `payloads` is the way in for whoever wants no epochs, `up_to` goes no further than an earlier run did. Of a run with a state,
//! `go_on` finds what earlier ones have left, `course` says from where to where a log is read, and `last_line` whether it ends whole.

mod chunks;
mod course;
mod cut;
mod find;
mod foreign;
mod form;
mod go_on;
mod last_line;
mod lines;
mod members;
mod open;
mod options;
mod payloads;
mod pieces;
mod plain;
mod progress;
mod reached;
mod span;
mod stamp;
mod stream;
mod tail;
mod times;
mod twins;
mod up_to;
mod windows;

#[cfg(test)]
mod tests;

pub use lines::{LogLine, for_each_line};
pub use options::LogOptions;
pub use progress::LogProgress;
pub use reached::LogReached;
pub use span::LogSpan;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use course::Course;
use cut::CutLimits;
use find::find_logs;
use form::Form;
use last_line::end_of_whole_lines;
use open::{Log, LogKind, unreadable};
use plain::PlainFile;
use reached::{EarlierParts, ReaderOfLogs};
use stamp::{Stamper, Stop};
use stream::read_stream;

use super::{Cuts, FeedSender, LogPart, SourceError};
use crate::event::EventSchema;

/// How reading event logs ended, if nothing failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEnd {
    /// Everything was read.
    Finished,
    /// The run was asked to stop, or the workers are gone.
    Interrupted,
    /// Everything that can be decoded was read, but some compressed logs are truncated or damaged.
    /// The text says which, and where.
    ///
    /// The logs behind a damaged one are read all the same, as `zcat` does: one run counts all that
    /// can be counted and names every log that needs care.
    Truncated(String),
}

/// Event logs that were found and can be read.
#[derive(Debug)]
pub struct LogSource {
    logs: Vec<Log>,
    /// Of each log, how far it is read; `None`: to its end.
    parts: Option<Vec<Vec<LogPart>>>,
    options: LogOptions,
    progress: Arc<LogProgress>,
    reached: Arc<LogReached>,
    /// Of each log, what earlier runs have read of it.
    earlier: Vec<EarlierParts>,
    /// Later runs go on from here.
    keeps_state: bool,
    /// What may have been published and is gone is passed over.
    skips_lost: bool,
}

impl LogSource {
    /// Finds the logs that these paths name, in the order given, and looks whether each can be read.
    ///
    /// A path is a file, a named pipe, `-` for standard input, or a directory, which stands for its
    /// files in the order of their names' bytes (not hidden ones, nor those of directories inside
    /// it, nor what a run has written). A file that is named twice, or by a link, is read once. Gzip
    /// and zstd are recognised by a log's first bytes, whatever its name; a name that
    /// promises one of them without these bytes is an error.
    pub fn open(paths: &[PathBuf], options: LogOptions) -> Result<LogSource, SourceError> {
        let logs = find_logs(paths)?;
        refuse_unknown_arrival(&options.schema, &logs)?;
        Ok(LogSource::of(logs, options))
    }

    fn of(logs: Vec<Log>, options: LogOptions) -> LogSource {
        let progress = Arc::new(LogProgress::new(logs.iter().map(Log::length).sum()));
        let reached = Arc::new(LogReached::none_of(&logs, options.run_start));
        let earlier = vec![EarlierParts::default(); logs.len()];
        LogSource { logs, parts: None, options, progress, reached, earlier, keeps_state: false, skips_lost: false }
    }

    /// The names of the logs that are read, in order; `-` is standard input.
    pub fn names(&self) -> impl Iterator<Item = &Path> {
        self.logs.iter().map(|log| &*log.name)
    }

    /// How far reading has come, now and later.
    pub fn progress(&self) -> Arc<LogProgress> {
        Arc::clone(&self.progress)
    }

    /// How far the logs were handed over, now and later.
    pub fn reached(&self) -> Arc<LogReached> {
        Arc::clone(&self.reached)
    }

    /// What the reader notes as it reads; for one run.
    pub fn cuts(&self) -> Arc<Cuts> {
        Arc::new(Cuts::new(Box::new(ReaderOfLogs::of(self.reached())), 1))
    }

    /// Whether some of them give their lines an arrival of their own, as they come: pipes do.
    pub fn has_pipes(&self) -> bool {
        self.logs.iter().any(Log::is_pipe)
    }

    /// Reads the logs and hands them over, until they or the workers end, or `stop` is set, which is
    /// noticed within a moment also when a pipe is silent or the feed is full.
    pub fn run(self, sender: FeedSender, stop: &AtomicBool) -> Result<LogEnd, SourceError> {
        if self.parts.is_some() {
            return Err(SourceError::new("internal error: a run reads whole logs, not up to the positions of another"));
        }
        let mut stamper = Stamper::new(&self.options, &sender, &self.reached, stop);
        let mut damages = Vec::new();
        for (index, log) in self.logs.iter().enumerate() {
            self.progress.begin(&log.name);
            stamper.begin_log(index, log.is_pipe());
            match self.read(log, &self.earlier[index], &mut stamper) {
                Ok(()) => {}
                Err(Stop::Damaged(what)) => damages.push(what),
                Err(stop) => {
                    // The end of the run is told by what stopped it.
                    damages.iter().for_each(|what| tracing::warn!("{what}"));
                    return match stop {
                        Stop::Failed(error) => Err(error),
                        Stop::Interrupted | Stop::Damaged(_) => Ok(LogEnd::Interrupted),
                    };
                }
            }
        }
        Ok(if damages.is_empty() { LogEnd::Finished } else { LogEnd::Truncated(damages.join("; ")) })
    }

    fn limits(&self) -> CutLimits {
        CutLimits::new(self.options.block_bytes, self.options.schema.max_bytes)
    }

    fn read(&self, log: &Log, earlier: &EarlierParts, stamper: &mut Stamper<'_>) -> Result<(), Stop> {
        let course = Course {
            from: earlier.counted,
            parts: earlier.to_come().collect(),
            end: self.end_of(log, earlier.published())?,
            leaves_torn_lines: self.keeps_state,
            skips_lost: self.skips_lost,
        };
        match &log.kind {
            LogKind::File(found) if found.form == Form::Plain && !stamper.reads_every_line() => {
                self.progress.add(course.from);
                let file = log.open_file(found)?;
                let mut from = course.from;
                for (run_start, end) in course.legs() {
                    let end = end.unwrap_or(found.length);
                    stamper.begin_part(run_start);
                    self.read_plain(
                        log,
                        PlainFile::new(&log.name, Arc::clone(&file), from..end, self.limits())?,
                        stamper,
                    )?;
                    from = end;
                }
                Ok(())
            }
            _ => read_stream(log, &course, self.limits(), &self.progress, stamper),
        }
    }

    /// Where reading a plain log ends, if it may still grow and its last line is not whole yet.
    fn end_of(&self, log: &Log, published: u64) -> Result<Option<u64>, SourceError> {
        let Some(found) = log.found().filter(|found| self.keeps_state && found.form == Form::Plain) else {
            return Ok(None);
        };
        let max_line_bytes = self.options.schema.max_bytes;
        let end = end_of_whole_lines(&*log.open_file(found)?, published, found.length, max_line_bytes)
            .map_err(|error| unreadable(&log.name, error))?;
        if end < found.length {
            tracing::warn!(
                "{}: the last line, from byte {end} on, has no end and is no whole JSON value: it is left to the next run",
                log.name.display()
            );
        }
        Ok(Some(end))
    }

    fn read_plain(&self, log: &Log, mut file: PlainFile<'_>, stamper: &mut Stamper<'_>) -> Result<(), Stop> {
        while !file.is_finished() {
            if stamper.should_stop() {
                return Err(Stop::Interrupted);
            }
            let position = file.position();
            if let Some(piece) = file.next_piece(stamper.stop_flag())? {
                stamper.hand_over(&log.name, piece)?;
                self.progress.add(file.position() - position);
            }
        }
        Ok(())
    }
}

/// Fails where events that are too far ahead should count at their arrival, and nothing says when the
/// lines of some log arrived.
pub fn check_arrival(paths: &[PathBuf], schema: &EventSchema) -> Result<(), SourceError> {
    refuse_unknown_arrival(schema, &find_logs(paths)?)
}

fn refuse_unknown_arrival(schema: &EventSchema, logs: &[Log]) -> Result<(), SourceError> {
    match logs.iter().find(|log| !log.is_pipe()) {
        Some(log) if schema.needs_known_arrival() => Err(SourceError::new(format!(
            "{}: ahead = \"arrival\" needs to know when events arrived, and the start of the run is no arrival of an old \
             event: name the field with the time of arrival (arrival = \"FIELD\" in [event]), or leave `ahead` out",
            log.name.display()
        ))),
        _ => Ok(()),
    }
}
