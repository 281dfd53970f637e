//! From the paths that a person names to logs that can be read.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::form::{Form, MAGIC_BYTES, decoded_stream};
use super::progress::LogProgress;
use crate::source::{BecameShorter, SourceError};

/// One log of the sequence.
#[derive(Clone, Debug)]
pub(super) struct Log {
    /// As it was named; for a file of a directory, with the directory's name.
    pub(super) name: Arc<Path>,
    pub(super) kind: LogKind,
}

/// What kind of thing a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogKind {
    /// `-`.
    StandardInput,
    /// A named pipe, or another thing that has no length.
    Pipe,
    /// A regular file, of which what was there when it was found is read.
    File { length: u64, form: Form },
}

/// Finds the logs that these paths name, and looks whether each can be read, before any is.
///
/// `-` is standard input; a directory stands for its files, by name, without hidden ones and
/// without those of directories inside it.
pub(super) fn find_logs(paths: &[PathBuf]) -> Result<Vec<Log>, SourceError> {
    let mut logs = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            logs.push(Log { name: path.as_path().into(), kind: LogKind::StandardInput });
            continue;
        }
        let metadata = fs::metadata(path).map_err(|error| unreadable(path, error))?;
        if metadata.is_dir() {
            find_in_directory(path, &mut logs)?;
        } else {
            logs.push(Log { name: path.as_path().into(), kind: kind_of(path, &metadata)? });
        }
    }
    let mut streams = HashSet::new();
    for log in logs.iter().filter(|log| log.length().is_none()) {
        if !streams.insert(&log.name) {
            let name = log.name.display();
            return Err(SourceError::new(format!("{name} is named twice, but a pipe can be read only once")));
        }
    }
    Ok(logs)
}

fn find_in_directory(directory: &Path, logs: &mut Vec<Log>) -> Result<(), SourceError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| unreadable(directory, error))? {
        names.push(entry.map_err(|error| unreadable(directory, error))?.file_name());
    }
    names.sort_unstable_by(|a, b| a.as_encoded_bytes().cmp(b.as_encoded_bytes()));
    let before = logs.len();
    for name in names.iter().filter(|name| !name.as_encoded_bytes().starts_with(b".")) {
        let path = directory.join(name);
        let metadata = fs::metadata(&path).map_err(|error| unreadable(&path, error))?;
        if metadata.is_file() {
            logs.push(Log { name: path.as_path().into(), kind: kind_of(&path, &metadata)? });
        }
    }
    if logs.len() == before {
        let directory = directory.display();
        return Err(SourceError::new(format!(
            "no event logs in {directory}: it holds no files (hidden ones and directories inside it are not read)"
        )));
    }
    Ok(())
}

fn kind_of(path: &Path, metadata: &fs::Metadata) -> Result<LogKind, SourceError> {
    if !metadata.is_file() {
        return Ok(LogKind::Pipe);
    }
    let mut head = Vec::with_capacity(MAGIC_BYTES);
    File::open(path)
        .and_then(|file| file.take(MAGIC_BYTES as u64).read_to_end(&mut head))
        .map_err(|error| unreadable(path, error))?;
    let named = Form::named(path);
    let form = match Form::of(&head) {
        _ if head.is_empty() => Form::Plain,
        Some(Form::Plain) if named.is_some() => {
            let name = path.display();
            return Err(SourceError::new(format!(
                "{name} is named like a compressed log but does not begin like one; if it is plain, rename it"
            )));
        }
        Some(form) => form,
        None => named.unwrap_or(Form::Plain),
    };
    Ok(LogKind::File { length: metadata.len(), form })
}

impl Log {
    /// How many bytes it has, as it is stored; a pipe does not tell.
    pub(super) fn length(&self) -> Option<u64> {
        match self.kind {
            LogKind::File { length, .. } => Some(length),
            LogKind::StandardInput | LogKind::Pipe => None,
        }
    }

    /// Opens it for reading at places of one's own choice.
    pub(super) fn open_file(&self) -> Result<File, SourceError> {
        File::open(&self.name).map_err(|error| unreadable(&self.name, error))
    }

    /// Opens its content, decompressed. A named pipe is waited for until somebody writes to it.
    pub(super) fn open(&self, progress: &Arc<LogProgress>) -> Result<Box<dyn Read + Send>, SourceError> {
        let inner: Box<dyn Read + Send> = match self.kind {
            LogKind::StandardInput => Box::new(io::stdin()),
            LogKind::Pipe | LogKind::File { .. } => Box::new(self.open_file()?),
        };
        let stored = Box::new(Stored { inner, left: self.length(), progress: Arc::clone(progress) });
        let content = match self.kind {
            LogKind::File { form, .. } => form.decoded(stored),
            LogKind::StandardInput | LogKind::Pipe => decoded_stream(stored),
        };
        content.map_err(|error| unreadable(&self.name, error))
    }
}

/// A log's bytes as they are stored: as many as there were when the log was found.
struct Stored {
    inner: Box<dyn Read + Send>,
    /// `None`: to the end, wherever that is.
    left: Option<u64>,
    progress: Arc<LogProgress>,
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.left.map_or(buffer.len(), |left| buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        if most == 0 {
            return Ok(0);
        }
        let read = self.inner.read(&mut buffer[..most])?;
        if let Some(left) = &mut self.left {
            if read == 0 {
                return Err(io::Error::other(BecameShorter));
            }
            *left -= read as u64;
        }
        self.progress.add(read as u64);
        Ok(read)
    }
}

/// Why a log's content ends early.
#[derive(Debug)]
pub(super) enum ReadFailure {
    /// Its compressed form is truncated or damaged: what came before it counts.
    Damaged(String),
    /// It cannot be read.
    Failed(SourceError),
}

impl ReadFailure {
    /// What an error means that came when so many bytes of the content had been read.
    pub(super) fn new(log: &Path, position: u64, error: io::Error) -> ReadFailure {
        let became_shorter = error.get_ref().is_some_and(|inner| inner.is::<BecameShorter>());
        // Decoders make errors of their own; what the system reports has a number.
        if became_shorter || error.raw_os_error().is_some() {
            return ReadFailure::Failed(unreadable(log, error));
        }
        let log = log.display();
        ReadFailure::Damaged(format!("{log} is truncated or damaged behind byte {position} of its content: {error}"))
    }
}

/// A log that cannot be opened or read.
pub(super) fn unreadable(log: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SourceError {
    SourceError::caused_by(format!("cannot read the event log {}", log.display()), error)
}
