//! Logs up to where a run has read them: each is found again by its head, whatever it is called by now.

use std::path::Path;

use super::LogSource;
use super::find::some_of;
use super::open::{Log, content_head, head, head_of, unreadable};
use crate::source::{LogHead, LogPart, LogPositions, Positions, SourceError, SourceErrorKind, SourcePositions};

impl LogSource {
    /// The same logs, read only as far as a run has read them, and with the arrival by which it judged each part; for
    /// [`LogSource::each_payload`].
    ///
    /// Logs of which the run read nothing are left out, which is told. One that it read and that is not here is an error
    /// that names it, and so are one that is shorter now and a pipe, which is not there to be read again.
    pub fn up_to(self, positions: &Positions) -> Result<LogSource, SourceError> {
        let SourcePositions::Logs(logs) = &positions.source else {
            return Err(SourceError::new(
                "these are positions in a Kafka topic, not in event logs: leave --events out, or give the positions of a run \
                 over these logs",
            ));
        };
        let read: Vec<&LogPositions> = logs.iter().filter(|log| !log.parts.is_empty()).collect();
        if let Some(pipe) = read.iter().find(|log| log.head.is_none()) {
            return Err(SourceError::new(format!(
                "the run has read {}, a pipe, which cannot be read again up to there",
                pipe.path
            )));
        }
        let mut parts = parts_of(&self.logs, &read)?;
        let (mut logs, mut not_read) = (Vec::new(), Vec::new());
        for (log, parts) in self.logs.into_iter().zip(&parts) {
            if parts.is_empty() {
                not_read.push(log.name.display().to_string());
            } else {
                logs.push(log);
            }
        }
        parts.retain(|parts| !parts.is_empty());
        if !not_read.is_empty() {
            tracing::warn!("left out, as the run has read nothing of them: {}", some_of(&not_read));
        }
        Ok(LogSource { parts: Some(parts), ..LogSource::of(logs, self.options) })
    }
}

/// Of each log what was read of it, which may be nothing.
fn parts_of(logs: &[Log], read: &[&LogPositions]) -> Result<Vec<Vec<LogPart>>, SourceError> {
    let (found, missing) = found_again(logs, read)?;
    if let Some(missing) = missing.first() {
        return Err(SourceError::new(format!(
            "the run has read {}, and none of the logs here begins as it did: name it too, as it was stored then (its name \
             may be another)",
            read[*missing].path
        )));
    }
    let parts = |(log, found): (&Log, &Option<usize>)| match *found {
        Some(found) => refuse_shorter(log, read[found]).map(|()| read[found].parts.clone()),
        None => Ok(Vec::new()),
    };
    logs.iter().zip(&found).map(parts).collect()
}

/// Of each log which of these it is, by its index, if any; and which of these none of the logs is.
///
/// Several logs may begin alike. A log that still has its name is the one that had it; of others that look alike, the ones
/// with more to be known by have the first choice. One that is not there any more as it was stored may have been compressed since.
pub(super) fn found_again(
    logs: &[Log],
    read: &[&LogPositions],
) -> Result<(Vec<Option<usize>>, Vec<usize>), SourceError> {
    let stored = logs.iter().map(head_bytes).collect::<Result<Vec<_>, _>>()?;
    let mut found: Vec<Option<usize>> = vec![None; logs.len()];
    let mut assign = |index: usize, heads: &[Vec<u8>], may_be: &dyn Fn(&Log) -> bool| {
        let begins_so = |log: &usize| read[index].head.is_some_and(|head| begins_with(&heads[*log], head));
        let is_free = |log: &usize| found[*log].is_none() && may_be(&logs[*log]);
        let first = (0..logs.len()).filter(is_free).find(begins_so);
        first.map(|log| found[log] = Some(index)).is_some()
    };
    let mut missing: Vec<_> = (0..read.len())
        .filter(|index| !assign(*index, &stored, &|log| log.name.to_string_lossy() == read[*index].path.as_str()))
        .collect();
    missing.sort_by_key(|index| std::cmp::Reverse(read[*index].head.map(|head| head.bytes)));
    missing.retain(|index| !assign(*index, &stored, &|_| true));
    if !missing.is_empty() {
        let content = |log| if Log::is_compressed(log) { content_head(log) } else { Ok(Vec::new()) };
        let contents = logs.iter().map(content).collect::<Result<Vec<_>, _>>()?;
        missing.retain(|index| !assign(*index, &contents, &Log::is_compressed));
    }
    Ok((found, missing))
}

/// The first bytes of a log; none of a pipe.
fn head_bytes(log: &Log) -> Result<Vec<u8>, SourceError> {
    let Some(found) = log.found() else { return Ok(Vec::new()) };
    head(&*log.open_file(found)?, found.length).map_err(|error| unreadable(&log.name, error))
}

fn begins_with(bytes: &[u8], head: LogHead) -> bool {
    let length = usize::try_from(head.bytes).unwrap_or(usize::MAX);
    bytes.get(..length).is_some_and(|bytes| head_of(bytes) == head)
}

/// An error where a plain log is shorter than what was read of it. (Of a compressed one only reading tells.)
fn refuse_shorter(log: &Log, read: &LogPositions) -> Result<(), SourceError> {
    match log.content_length() {
        Some(length) if length < read.length() => Err(shorter(&log.name, length, read.length(), None)),
        _ => Ok(()),
    }
}

/// A log that ends before the position `to`.
pub(super) fn shorter(log: &Path, length: u64, to: u64, damage: Option<String>) -> SourceError {
    let why = damage.map(|damage| format!(" ({damage})")).unwrap_or_default();
    SourceError::new(format!(
        "{} has {length} bytes of content, of which the run has read {to}: it became shorter since{why}",
        log.display()
    ))
    .of_kind(SourceErrorKind::Changed)
}
