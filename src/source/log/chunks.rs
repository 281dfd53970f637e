//! Reading a log's content from one end to the other.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::go_on::became_shorter;
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

/// Reads a log's content behind `from`, chunk by chunk, until its end or until `each` breaks off. That less than `from` can be
/// read of it is an error.
pub(super) fn read_chunks<B>(
    log: &Log,
    from: u64,
    progress: &Arc<LogProgress>,
    mut each: impl FnMut(&[u8]) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, ReadFailure> {
    let (mut content, mut position) = log.open(from, progress).map_err(ReadFailure::Failed)?;
    let too_short = |length, damage| ReadFailure::Failed(became_shorter(&log.name, length, from, damage));
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match content.read(&mut buffer) {
            Ok(0) if position < from => return Err(too_short(position, None)),
            Ok(0) => return Ok(ControlFlow::Continue(())),
            Ok(read) => {
                let passed_over = usize::try_from(from.saturating_sub(position)).unwrap_or(usize::MAX).min(read);
                position += read as u64;
                if passed_over < read
                    && let ControlFlow::Break(reason) = each(&buffer[passed_over..read])
                {
                    return Ok(ControlFlow::Break(reason));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(match ReadFailure::new(&log.name, position, error) {
                    ReadFailure::Damaged(what) if position < from => too_short(position, Some(what)),
                    failure => failure,
                });
            }
        }
    }
}

/// Reads a log behind `from` on a thread of its own, so that whoever takes the chunks need not wait for a pipe
/// that is silent. The thread ends with the log, or with the first chunk that nobody takes; from a
/// silent pipe it ends with the process.
pub(super) fn chunks_of(log: &Log, from: u64, progress: &Arc<LogProgress>) -> Result<Receiver<Chunk>, SourceError> {
    let (sender, chunks) = bounded(CHUNKS_AHEAD);
    let (log_to_read, progress) = (log.clone(), Arc::clone(progress));
    thread::Builder::new()
        .name("log content".into())
        .spawn(move || send_chunks(&log_to_read, from, &progress, &sender))
        .map_err(|error| unreadable(&log.name, error))?;
    Ok(chunks)
}

fn send_chunks(log: &Log, from: u64, progress: &Arc<LogProgress>, chunks: &Sender<Chunk>) {
    let read = read_chunks(log, from, progress, |bytes| match chunks.send(Chunk::Bytes(bytes.to_vec())) {
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
