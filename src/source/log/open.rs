//! A log that was found, and its content.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::form::{Form, decoded_stream};
use super::members::Unsupported;
use super::progress::LogProgress;
use crate::file_id::FileId;
use crate::source::{BecameShorter, LogHead, SourceError, read_at};

/// How much of a file's beginning is looked at and compared.
pub(super) const BEGINNING_BYTES: usize = 4 * 1_024;

/// One log of the sequence.
#[derive(Clone, Debug)]
pub(super) struct Log {
    /// As it was named; for a file of a directory, with the directory's name.
    pub(super) name: Arc<Path>,
    pub(super) kind: LogKind,
}

/// What kind of thing a log is.
#[derive(Clone, Debug)]
pub(super) enum LogKind {
    /// `-`.
    StandardInput,
    /// A named pipe, or another thing that has no length.
    Pipe,
    /// A regular file, of which what was there when it was found is read.
    File(FoundFile),
}

/// A file as it was found.
#[derive(Clone, Debug)]
pub(super) struct FoundFile {
    pub(super) id: FileId,
    pub(super) length: u64,
    pub(super) form: Form,
    /// By what it is known: its first bytes, at most [`BEGINNING_BYTES`].
    pub(super) head: LogHead,
    /// Open since it was found; `None` where too many are.
    pub(super) handle: Option<Arc<File>>,
}

impl Log {
    /// How many bytes it has, as it is stored; a pipe does not tell.
    pub(super) fn length(&self) -> Option<u64> {
        self.found().map(|file| file.length)
    }

    /// How many bytes its content has, where that is known before it is read.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.found().filter(|file| file.form == Form::Plain).map(|file| file.length)
    }

    /// Whether it is a file whose content must be decompressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.found().is_some_and(|file| file.form != Form::Plain)
    }

    /// What was found, of a file.
    pub(super) fn found(&self) -> Option<&FoundFile> {
        match &self.kind {
            LogKind::File(file) => Some(file),
            LogKind::StandardInput | LogKind::Pipe => None,
        }
    }

    /// Whether its lines come as they are written: all but regular files, also where one is standard input.
    pub(super) fn is_pipe(&self) -> bool {
        match self.kind {
            LogKind::File(_) => false,
            LogKind::Pipe => true,
            LogKind::StandardInput => {
                let input = io::stdin().as_fd().try_clone_to_owned().map(File::from);
                !input.and_then(|input| input.metadata()).is_ok_and(|metadata| metadata.is_file())
            }
        }
    }

    /// Opens a file for reading at places of one's own choice. That it is not the one that was found, or
    /// does not begin as it did, is an error: something has moved or written it anew meanwhile.
    pub(super) fn open_file(&self, found: &FoundFile) -> Result<Arc<File>, SourceError> {
        let file = match &found.handle {
            Some(file) => Arc::clone(file),
            None => Arc::new(File::open(&self.name).map_err(|error| unreadable(&self.name, error))?),
        };
        let now = file.metadata().and_then(|metadata| Ok((FileId::of(&metadata), head(&file, found.length)?)));
        let (id, head) = now.map_err(|error| unreadable(&self.name, error))?;
        let change = if id != found.id {
            "another file has its name now: it was renamed or replaced after it was found"
        } else if head_of(&head) != found.head {
            "it was written anew after it was found"
        } else {
            return Ok(file);
        };
        Err(unreadable(&self.name, format!("{change}; read logs that are not being rotated")))
    }

    /// Opens its content, decompressed, from this offset on where it is stored as it is, else from its beginning. Says from
    /// where. A named pipe is waited for until somebody writes to it.
    pub(super) fn open(
        &self,
        from: u64,
        progress: &Arc<LogProgress>,
    ) -> Result<(Box<dyn Read + Send>, u64), SourceError> {
        let from = self.content_length().map_or(0, |length| from.min(length));
        let inner: Box<dyn Read + Send> = match &self.kind {
            LogKind::StandardInput => Box::new(io::stdin()),
            LogKind::Pipe => Box::new(File::open(&self.name).map_err(|error| unreadable(&self.name, error))?),
            LogKind::File(found) => Box::new(FromBeginning { file: self.open_file(found)?, offset: from }),
        };
        progress.add(from);
        let left = self.length().map(|length| length - from);
        let stored = Box::new(Stored { inner, left, progress: Arc::clone(progress) });
        let content = match &self.kind {
            LogKind::File(found) => found.form.decoded(stored),
            LogKind::StandardInput | LogKind::Pipe => decoded_stream(stored),
        };
        content.map(|content| (content, from)).map_err(|error| unreadable(&self.name, error))
    }
}

/// The first bytes of a file of this length.
pub(super) fn head(file: &File, length: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    read_at(file, 0, length.min(BEGINNING_BYTES as u64) as usize, &mut head)?;
    Ok(head)
}

/// The first bytes of a log's content, as far as they can be decompressed.
pub(super) fn content_head(log: &Log) -> Result<Vec<u8>, SourceError> {
    let Some(found) = log.found() else { return Ok(Vec::new()) };
    let stored = FromBeginning { file: log.open_file(found)?, offset: 0 };
    let decoded = found.form.decoded(Box::new(stored.take(found.length)));
    let mut content = decoded.map_err(|error| unreadable(&log.name, error))?;
    let (mut head, mut buffer) = (Vec::new(), [0; BEGINNING_BYTES]);
    while head.len() < BEGINNING_BYTES {
        match content.read(&mut buffer[head.len()..]) {
            Ok(0) => break,
            Ok(read) => head.extend_from_slice(&buffer[head.len()..][..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Whoever reads it will say so; what came before it is compared.
            Err(_) => break,
        }
    }
    Ok(head)
}

/// The identity of a log with these first bytes.
pub(super) fn head_of(bytes: &[u8]) -> LogHead {
    LogHead { bytes: bytes.len() as u64, hash: xxh3_128(bytes) }
}

/// Reads a file that others may read at the same time.
pub(super) struct FromBeginning {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
}

impl Read for FromBeginning {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
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
        if became_shorter || Unsupported::is_in(&error) || error.raw_os_error().is_some() {
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
