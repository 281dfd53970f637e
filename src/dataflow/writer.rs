//! The threads that write: one for items, one for dead letters.
//!
//! A writer ends with its inbox, which is when no worker can have anything more for it, and then closes what it wrote
//! to. (So the sink may be closed while a dead letter still waits, which keeps the run from being done.) It ends
//! before that with the first error, which it reports, and when writing is given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::failure::Failure;
use super::operators::Delivery;
use crate::publish::{Handed, not_published, write_table};
use crate::sink::{
    DeadLetterBatch, DeadLetterFile, Desk, Destination, ItemBatch, Outcome, Part, STOP_WITHIN, SinkError,
};
use crate::telemetry::Metrics;

/// How many batches are written at once, at most.
const BATCHES_AT_ONCE: usize = 64;

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
    pub metrics: Arc<Metrics>,
}

/// Where a changelog's sink answers: it is waited for, but not for long after a signal.
struct ChangelogDesk<'a> {
    signalled: &'a AtomicBool,
    /// When the signal was noticed.
    since: Option<Instant>,
    unwritten: usize,
}

impl Desk for ChangelogDesk<'_> {
    fn answer(&mut self, part: Part) {
        if part.outcome != Outcome::NotWritten {
            self.unwritten = self.unwritten.saturating_sub(part.items.len());
        }
    }

    fn gives_up(&mut self) -> bool {
        self.signalled.load(Ordering::Acquire) && self.since.get_or_insert_with(Instant::now).elapsed() >= STOP_WITHIN
    }
}

impl Write<ItemBatch> for ChangelogWriter {
    fn write(&mut self, batches: &[ItemBatch]) -> Result<(), SinkError> {
        let items: usize = batches.iter().map(ItemBatch::len).sum();
        let mut desk = ChangelogDesk { signalled: &self.signalled, since: None, unwritten: items };
        loop {
            desk.unwritten = items;
            self.sink.write(batches, &mut desk)?;
            if desk.unwritten == 0 {
                return Ok(());
            }
            if desk.gives_up() {
                return Err(not_published(desk.unwritten as u64, &self.sink.name(), self.metrics.sink_trouble.get()));
            }
        }
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

/// Tells writers to end without waiting for the rest, by being dropped, and all its clones with it.
#[derive(Clone, Debug)]
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

/// Writes what a table gets, as long as nobody gives it up.
pub(crate) fn spawn_table_writer(
    inbox: Receiver<Handed>,
    given_up: [GivenUp; 2],
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
