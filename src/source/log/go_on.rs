//! Logs of a run with a state: read on where an earlier run has counted to, and so that the next one can.

use std::path::Path;
use std::sync::Arc;

use super::LogSource;
use super::find::some_of;
use super::open::Log;
use super::reached::{EarlierParts, LogReached};
use super::up_to::found_again;
use crate::source::{LogPositions, Resume, SourceError, SourceErrorKind, SourcePositions};

impl LogSource {
    /// An error where something can be read only once: a run with a state must be able to read again what it had not counted.
    pub fn refuse_pipes(&self) -> Result<(), SourceError> {
        match self.pipe() {
            None => Ok(()),
            Some(pipe) => Err(SourceError::new(format!(
                "{} cannot be read again after a restart: write it to a file, and give that to --events, or run without a state \
                 (--no-state)",
                pipe.display()
            ))
            .of_kind(SourceErrorKind::Usage)),
        }
    }

    /// The same logs for a run whose state later runs go on from. What is not whole yet is left to them: a last line of a
    /// plain log without its newline that is no whole JSON value, and what is torn before the damage of a compressed one.
    pub fn keeping_state(self) -> Result<LogSource, SourceError> {
        self.refuse_pipes()?;
        Ok(LogSource { keeps_state: true, ..self })
    }

    /// The same logs, read on where a checkpoint has counted to, and new ones from their beginning. What may have been
    /// published behind that is judged as it was then.
    ///
    /// Logs that were read and are not here any more keep their positions, which is told. An error where a log is shorter
    /// than what was counted of it; and, unless what is lost is to be passed over, where something may have been published of
    /// what is not here any more.
    pub fn go_on(self, resume: &Resume) -> Result<LogSource, SourceError> {
        let source = self.keeping_state()?;
        let counted = read_in(&resume.counted)?;
        let (found, missing) = found_again(&source.logs, &counted)?;
        let of_found =
            |found: &Option<usize>| found.map_or_else(EarlierParts::default, |index| counted_of(counted[index]));
        let mut earlier: Vec<_> = found.iter().map(of_found).collect();
        for (log, earlier) in source.logs.iter().zip(&earlier) {
            if let Some(length) = log.content_length().filter(|length| *length < earlier.counted) {
                return Err(became_shorter(&log.name, length, earlier.counted, None));
            }
        }
        let absent: Vec<&LogPositions> = missing.into_iter().map(|index| counted[index]).collect();
        let mut lost = Lost::default();
        for published in &resume.published {
            let published = read_in(published)?;
            let (found, missing) = found_again(&source.logs, &published)?;
            for (earlier, found) in earlier.iter_mut().zip(found) {
                found.into_iter().for_each(|index| earlier.extend_to(published[index]));
            }
            missing.into_iter().for_each(|index| lost.note_absent(published[index], &absent));
        }
        for (log, earlier) in source.logs.iter().zip(&mut earlier) {
            lost.note_shorter(log, earlier);
        }
        lost.judge(resume.skip_lost)?;
        if !absent.is_empty() {
            let names: Vec<_> = absent.iter().map(|log| log.path.clone()).collect();
            tracing::warn!("not here any more: {}. What was counted of them stays counted", some_of(&names));
        }
        let absent = absent.into_iter().cloned().collect();
        let reached = LogReached::going_on(&source.logs, earlier.clone(), absent, source.options.run_start);
        Ok(LogSource { reached: Arc::new(reached), earlier, skips_lost: resume.skip_lost, ..source })
    }
}

/// The logs of which something was read.
fn read_in(positions: &SourcePositions) -> Result<Vec<&LogPositions>, SourceError> {
    match positions {
        SourcePositions::Logs(logs) => Ok(logs.iter().filter(|log| !log.parts.is_empty()).collect()),
        SourcePositions::Kafka(kafka) => Err(SourceError::new(format!(
            "the state was counted from the Kafka topic \"{}\", not from event logs: leave --events out, or take another state",
            kafka.topic
        ))
        .of_kind(SourceErrorKind::OtherInput)),
    }
}

fn counted_of(log: &LogPositions) -> EarlierParts {
    EarlierParts { counted: log.length(), parts: log.parts.clone() }
}

impl EarlierParts {
    /// Takes notice that so much may have been published.
    fn extend_to(&mut self, published: &LogPositions) {
        if published.length() > self.published() {
            self.parts.retain(|part| part.to <= self.counted);
            self.parts.extend(published.parts.iter().filter(|part| part.to > self.counted));
        }
    }
}

/// What may have been published and cannot be read again.
#[derive(Debug, Default)]
struct Lost {
    what: Vec<String>,
    bytes: u64,
}

impl Lost {
    fn note_absent(&mut self, published: &LogPositions, absent: &[&LogPositions]) {
        let is_it = |log: &&&LogPositions| log.path == published.path || log.head == published.head;
        let counted = absent.iter().find(is_it).map_or(0, |log| log.length());
        self.note(&published.path, counted, published.length(), "it is not here any more");
    }

    fn note_shorter(&mut self, log: &Log, earlier: &mut EarlierParts) {
        let Some(length) = log.content_length().filter(|length| *length < earlier.published()) else { return };
        self.note(&log.name.to_string_lossy(), length, earlier.published(), "it became shorter");
        earlier.cut_off(length);
    }

    fn note(&mut self, log: &str, there: u64, published: u64, why: &str) {
        // Of one log more than one entry of the journal may tell.
        let what = format!("{log} ({why})");
        if published > there && !self.what.contains(&what) {
            self.bytes += published - there;
            self.what.push(what);
        }
    }

    fn judge(&self, skip_lost: bool) -> Result<(), SourceError> {
        if self.what.is_empty() {
            return Ok(());
        }
        if skip_lost {
            let (what, bytes) = (some_of(&self.what), self.bytes);
            tracing::warn!(
                "{bytes} bytes that an earlier run may have published are passed over (--skip-lost): of {what}"
            );
            return Ok(());
        }
        Err(self.error())
    }

    fn error(&self) -> SourceError {
        SourceError::new(format!(
            "an earlier run may have published {} bytes that are not counted yet and cannot be read again: of {}. Put back what was \
             there, or start once with --skip-lost to go on without",
            self.bytes,
            some_of(&self.what)
        ))
        .of_kind(SourceErrorKind::Lost)
    }
}

/// A log that ends before what may have been published of it.
pub(super) fn published_and_gone(log: &Path, length: u64, published: u64) -> SourceError {
    let mut lost = Lost::default();
    lost.note(&log.to_string_lossy(), length, published, "it became shorter");
    lost.error()
}

/// A log of which more is counted than it has.
pub(super) fn became_shorter(log: &Path, length: u64, counted: u64, damage: Option<String>) -> SourceError {
    let why = damage.map(|damage| format!(" ({damage})")).unwrap_or_default();
    SourceError::new(format!(
        "{} has {length} bytes of content, and {counted} are counted already: it became shorter since{why}. Put it back as it was, or \
         leave it out: what is counted of it stays",
        log.display()
    ))
    .of_kind(SourceErrorKind::Changed)
}
