//! The threads that write: one for items, one for dead letters.
//!
//! A writer ends with its inbox, which is when no worker can have anything more for it, and then closes what it wrote
//! to. (So the sink may be closed while a dead letter still waits, which keeps the run from being done.) It ends
//! before that with the first error, which it reports, and when writing is given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::failure::Failure;
use super::operators::Delivery;
use crate::publish::{Handed, write_table};
use crate::sink::{DeadLetterBatch, DeadLetterFile, Destination, ItemBatch, Outcome, SinkError, SinkErrorKind};

/// How many batches are written at once, at most.
const BATCHES_AT_ONCE: usize = 64;

/// So often it is tried to write a changelog once the run was asked to stop: a sink that does not take something has waited
/// a second for it, or some.
const ATTEMPTS_AFTER_A_SIGNAL: usize = 8;

/// Makes batches durable.
pub trait Write<B>: Send + 'static {
    /// Returns when these batches are durable.
    fn write(&mut self, batches: &[B]) -> Result<(), SinkError>;

    /// Brings what was written into order; nothing more comes.
    fn close(self) -> Result<(), SinkError>;
}

/// Writes a changelog: what a sink has not written it gets again, since nothing may come before.
pub(crate) struct ChangelogWriter {
    pub sink: Destination,
    /// Set by the first signal to stop.
    pub signalled: Arc<AtomicBool>,
}

impl Write<ItemBatch> for ChangelogWriter {
    fn write(&mut self, batches: &[ItemBatch]) -> Result<(), SinkError> {
        let mut attempts_left = ATTEMPTS_AFTER_A_SIGNAL;
        while attempts_left > 0 {
            let mut all_written = true;
            self.sink.write(batches, &mut |part| all_written &= part.outcome == Outcome::Written)?;
            if all_written {
                return Ok(());
            }
            if self.signalled.load(Ordering::Acquire) {
                attempts_left -= 1;
            }
        }
        let message = "the sink did not take what changed for some seconds after the signal to stop: see that it can be \
                       written to, and start again";
        Err(SinkError::new(message).of_kind(SinkErrorKind::ServiceLost))
    }

    fn close(self) -> Result<(), SinkError> {
        self.sink.close()
    }
}

impl Write<DeadLetterBatch> for DeadLetterFile {
    fn write(&mut self, batches: &[DeadLetterBatch]) -> Result<(), SinkError> {
        self.write(batches)
    }

    /// Every dead letter is durable already.
    fn close(self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Tells writers to end without waiting for the rest, by being dropped.
#[derive(Debug)]
pub struct KeepWriting(#[expect(dead_code, reason = "its drop is the message")] Sender<()>);

/// Disconnects when writing is given up.
pub type GivenUp = Receiver<()>;

/// What lets writers go on, and with what they find out that they need not.
pub fn keep_writing() -> (KeepWriting, GivenUp) {
    let (sender, receiver) = bounded(0);
    (KeepWriting(sender), receiver)
}

/// Writes what comes into the inbox, as much at once as is there, and acknowledges what is durable.
pub fn spawn_writer<B: Send + 'static>(
    name: &str,
    inbox: Receiver<Delivery<B>>,
    given_up: GivenUp,
    mut writer: impl Write<B>,
    failure: Failure,
) -> std::io::Result<JoinHandle<()>> {
    spawn(name, failure, move || {
        write_all(&inbox, &given_up, &mut writer)?;
        writer.close()
    })
}

/// Writes what a table gets.
pub(crate) fn spawn_table_writer(
    inbox: Receiver<Handed>,
    given_up: GivenUp,
    table: Destination,
    items_at_once: usize,
    failure: Failure,
) -> std::io::Result<JoinHandle<()>> {
    spawn("sink", failure, move || write_table(table, items_at_once, &inbox, &given_up))
}

/// Starts a thread whose error is told. What it writes to is dropped before: being told ends the process.
fn spawn(
    name: &str,
    failure: Failure,
    write: impl FnOnce() -> Result<(), SinkError> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Err(error) = write() {
            failure.sink(error);
        }
    })
}

fn write_all<B>(
    inbox: &Receiver<Delivery<B>>,
    given_up: &GivenUp,
    writer: &mut impl Write<B>,
) -> Result<(), SinkError> {
    loop {
        let first = select! {
            recv(inbox) -> first => first,
            recv(given_up) -> _ => return Ok(()),
        };
        let Ok(first) = first else { return Ok(()) };
        let deliveries = std::iter::once(first).chain(inbox.try_iter().take(BATCHES_AT_ONCE - 1));
        let (batches, receipts): (Vec<B>, Vec<_>) = deliveries.map(Delivery::split).unzip();
        writer.write(&batches)?;
        // Before that is told: a source may then take the next block.
        drop(batches);
        receipts.into_iter().for_each(|receipt| receipt.acknowledge());
    }
}
