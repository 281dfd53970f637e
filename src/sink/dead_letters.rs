//! Dead letters: events that could not be counted, kept with their reason and position; and items that a table will never
//! take.
//!
//! A JSONL file that is only appended to, and only if it holds dead letters. What [`DeadLetterFile::write`] has
//! returned for is durable. The file is made with the first dead letter: a clean run leaves none. One that is moved
//! or deleted under a run is made anew. A run that goes on with a state writes no letter twice (`known.rs`).

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::make_durable;
use super::{RefusedItem, SinkError, SinkErrorKind};
use crate::file_id::FileId;
use crate::lease::Lease;
use crate::telemetry::{Counter, Metrics, RecentLetters};

mod batch;
mod file;
mod known;
mod line;

use self::batch::append_refused;
pub use self::batch::{DeadLetter, DeadLetterBatch, Position};
use self::file::{open, open_recognised, try_to_make};
use self::known::{HeldMark, Letters};
pub use self::known::{Known, LetterMark, LetterMarker};

/// Lines go to the file when they are so many bytes: many dead letters are not kept as lines, too, before they are written.
/// As many as a processor keeps near.
const WRITTEN_AT_ONCE_BYTES: usize = 256 << 10;

/// The file that dead letters are appended to.
#[derive(Debug)]
pub struct DeadLetterFile {
    path: PathBuf,
    /// More than this many stop the run.
    max: Option<u64>,
    /// How many were written in this run, by whoever writes to the same file.
    written: Arc<Counter>,
    metrics: Arc<Metrics>,
    file: Option<File>,
    /// Where lines are put together. It keeps its memory for the next ones: that of one piece, unless a line is longer.
    lines: Vec<u8>,
    /// Events that have their letter in the file already, from an earlier run, and are read again.
    known: Letters,
    /// Where marks stay until all of these have come.
    held: HeldMark,
    /// While it is not held nothing is written.
    lease: Lease,
}

impl DeadLetterFile {
    /// Dead letters go to the end of the file in this place. More than `max` in one run are an error.
    pub fn new(path: impl Into<PathBuf>, max: Option<u64>, metrics: Arc<Metrics>) -> DeadLetterFile {
        DeadLetterFile::with(path.into(), max, Arc::default(), metrics, HeldMark::default(), Lease::default())
    }

    /// Another one that appends to the same file, for another thread. They count together.
    pub fn another(&self) -> DeadLetterFile {
        let (path, written, metrics) = (self.path.clone(), Arc::clone(&self.written), Arc::clone(&self.metrics));
        DeadLetterFile::with(path, self.max, written, metrics, self.held.clone(), self.lease.clone())
    }

    fn with(
        path: PathBuf,
        max: Option<u64>,
        written: Arc<Counter>,
        metrics: Arc<Metrics>,
        held: HeldMark,
        lease: Lease,
    ) -> DeadLetterFile {
        let (lines, known) = (Vec::new(), Letters::default());
        DeadLetterFile { path, max, written, metrics, file: None, lines, known, held, lease }
    }

    /// The same, which waits while this lease is not held: the process was stopped, and another run may write there.
    pub fn under(self, lease: &Lease) -> DeadLetterFile {
        DeadLetterFile { lease: lease.clone(), ..self }
    }

    /// Where the file ends now, or from where on letters are to come again; all before that is durable. `None`: there is no file.
    pub fn mark(&self) -> io::Result<Option<LetterMark>> {
        self.marker().mark()
    }

    /// What takes marks, for another thread.
    pub fn marker(&self) -> LetterMarker {
        LetterMarker::new(&self.path, self.held.clone())
    }

    /// Goes on behind an earlier run of the same state, whose last checkpoint has this mark, or whose file had not been made
    /// then: events that have their letter behind it are counted when they come again, but not written again, each
    /// once. A torn last line is cut off; so no other run may be writing to the file. Where the file is another one, nothing is
    /// known, which is told.
    pub fn go_on(&mut self, mark: Option<&LetterMark>) -> Result<Known, SinkError> {
        let (letters, known) = known::go_on(&self.path, mark).map_err(|error| {
            let path = self.path.display();
            SinkError::io(format!("cannot read which events have their dead letter in {path} already"), error)
                .of_kind(SinkErrorKind::DeadLetters)
        })?;
        if let Some(mark) = mark.filter(|_| known.is_another) {
            tracing::warn!(
                "{} is not the file of dead letters that the last checkpoint knows ({}, {} bytes): events that are read again may \
                 have their letter twice, in both",
                self.path.display(),
                mark.path.display(),
                mark.length
            );
        }
        self.held.hold(&self.path, mark, !letters.is_empty());
        self.known = letters;
        Ok(known)
    }

    /// Tries, before anything depends on it, whether dead letters can be kept in this place. Leaves nothing behind. Waits
    /// for whoever reads a named pipe.
    pub fn try_out(&mut self) -> Result<(), SinkError> {
        let outcome = match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(metadata) if !metadata.is_file() => open(&self.path).map(|stream| self.file = Some(stream)),
            Ok(_) => open_recognised(&self.path).map(|_| ()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => try_to_make(&self.path),
            Err(error) => Err(error),
        };
        outcome.map_err(|error| {
            let hint = "name another file with --dead-letters PATH, or path in [dead_letters]";
            let path = self.path.display();
            SinkError::io(format!("events that cannot be counted would go to {path}, which cannot be: {hint}"), error)
                .of_kind(SinkErrorKind::DeadLetters)
        })
    }

    /// Where they go.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the dead letters of these batches durable, all at once, and counts them. Those that an earlier run has written
    /// are left out, and counted all the same. An error when there are now more
    /// than may be; these are written nevertheless.
    pub fn write(&mut self, batches: &[DeadLetterBatch]) -> Result<(), SinkError> {
        let letters = || batches.iter().flat_map(DeadLetterBatch::iter);
        let Some(last) = letters().last() else { return Ok(()) };
        let mut known = std::mem::take(&mut self.known);
        let new =
            letters().filter(|letter| known.is_empty() || !known.remove(&known::id(letter.source, letter.position)));
        let appended = self.append(new, DeadLetter::append_line);
        if known.is_empty() {
            self.held.release();
        }
        self.known = known;
        appended.map_err(|error| {
            SinkError::io(format!("cannot keep events that could not be counted in {}", self.path.display()), error)
                .of_kind(SinkErrorKind::DeadLetters)
        })?;
        letters().for_each(|letter| self.metrics.dead_letters(letter.reason).add(1));
        let count = letters().count();
        for letter in letters().skip(count.saturating_sub(RecentLetters::KEPT)) {
            self.metrics.recent_letters.note(letter.reason.to_string(), letter.place(), letter.bytes);
        }
        self.wrote(count, &format_args!("events could not be counted"), &last)
    }

    /// Makes an item that the table will never take durable. An error when there are now more than may be; it is
    /// written nevertheless.
    pub fn keep_refused(&mut self, item: &RefusedItem) -> Result<(), SinkError> {
        self.append(std::iter::once(item), append_refused).map_err(|error| {
            SinkError::io(format!("cannot keep an item that was refused in {}", self.path.display()), error)
                .of_kind(SinkErrorKind::DeadLetters)
        })?;
        let last = format_args!("the item with key `{}` and feature `{}`", item.key, item.feature_name).to_string();
        self.wrote(1, &format_args!("events could not be counted, or items not written"), &last)
    }

    /// Counts what was written.
    fn wrote(&self, letters: usize, what: &dyn fmt::Display, last: &dyn fmt::Display) -> Result<(), SinkError> {
        self.written.add(letters as u64);
        let written = self.written.get();
        match self.max {
            Some(max) if written > max => Err(SinkError::new(format!(
                "{written} {what}, more than the {max} that may be (--max-dead-letters, or max in \
                 [dead_letters]): see {}; the last is {last}",
                self.path.display(),
            ))
            .of_kind(SinkErrorKind::TooManyDeadLetters)),
            _ => Ok(()),
        }
    }

    fn append<L>(
        &mut self,
        letters: impl Iterator<Item = L>,
        append_line: impl Fn(&L, &mut Vec<u8>) -> serde_json::Result<()>,
    ) -> io::Result<()> {
        let mut letters = letters.peekable();
        if letters.peek().is_none() {
            return Ok(());
        }
        self.lease.wait(None);
        let file = match self.file.take().filter(|file| FileId::is_in_place(file, &self.path)) {
            Some(file) => self.file.insert(file),
            None => self.file.insert(open(&self.path)?),
        };
        let lines = &mut self.lines;
        for letter in letters {
            append_line(&letter, lines)?;
            // Whole lines: another run may append to the same file.
            if lines.len() >= WRITTEN_AT_ONCE_BYTES {
                file.write_all(lines)?;
                lines.clear();
                lines.shrink_to(2 * WRITTEN_AT_ONCE_BYTES);
            }
        }
        file.write_all(lines)?;
        lines.clear();
        make_durable(file)
    }
}

#[cfg(test)]
mod going_on_tests;

#[cfg(test)]
mod tests;
