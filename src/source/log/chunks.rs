//! Reading a log's content from one end to the other.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::open::{Log, ReadFailure, unreadable};
use super::progress::LogProgress;
use crate::source::SourceError;

/// How much is read at once. The cutter holds a block and this.
const CHUNK_BYTES: usize = 128 * 1_024;

/// How many chunks wait for the cutter.
const CHUNKS_AHEAD: usize = 4;

/// What a reading thread says.
#[derive(Debug)]
pub(super) enum Chunk {
    /// The next bytes.
    Bytes(Vec<u8>),
    /// There are no more.
    End,
    /// There are more, but they cannot be read.
    Failure(ReadFailure),
}

/// Reads a log's content, chunk by chunk, until its end or until `each` breaks off.
pub(super) fn read_chunks<B>(
    log: &Log,
    progress: &Arc<LogProgress>,
    mut each: impl FnMut(&[u8]) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, ReadFailure> {
    let mut content = log.open(progress).map_err(ReadFailure::Failed)?;
    let mut position = 0;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(ControlFlow::Continue(())),
            Ok(read) => {
                position += read as u64;
                if let ControlFlow::Break(reason) = each(&buffer[..read]) {
                    return Ok(ControlFlow::Break(reason));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ReadFailure::new(&log.name, position, error)),
        }
    }
}

/// Reads a log on a thread of its own, so that whoever takes the chunks need not wait for a pipe
/// that is silent. The thread ends with the log, or with the first chunk that nobody takes; from a
/// silent pipe it ends with the process.
pub(super) fn chunks_of(log: &Log, progress: &Arc<LogProgress>) -> Result<Receiver<Chunk>, SourceError> {
    let (sender, chunks) = bounded(CHUNKS_AHEAD);
    let (log_to_read, progress) = (log.clone(), Arc::clone(progress));
    thread::Builder::new()
        .name("log content".into())
        .spawn(move || send_chunks(&log_to_read, &progress, &sender))
        .map_err(|error| unreadable(&log.name, error))?;
    Ok(chunks)
}

fn send_chunks(log: &Log, progress: &Arc<LogProgress>, chunks: &Sender<Chunk>) {
    let read = read_chunks(log, progress, |bytes| match chunks.send(Chunk::Bytes(bytes.to_vec())) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    });
    let last = match read {
        Ok(_) => Chunk::End,
        Err(failure) => Chunk::Failure(failure),
    };
    // An error means that nobody wants to know.
    let _ = chunks.send(last);
}
