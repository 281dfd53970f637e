//! The threads that write: one for items, one for dead letters.
//!
//! A writer ends with its inbox, which is when no worker can have anything more for it, and then closes what it wrote
//! to. (So the sink may be closed while a dead letter still waits, which keeps the run from being done.) It ends
//! before that with the first error, which it reports, and when writing is given up.

use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::failure::Failure;
use super::operators::Delivery;
use super::run::Sample;
use crate::sink::{DeadLetterBatch, DeadLetterFile, ItemBatch, Sink, SinkError};
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

/// Writes items to the sink.
pub struct ItemWriter {
    pub sink: Box<dyn Sink>,
    pub metrics: Arc<Metrics>,
    /// Gets one of the rows that were written.
    pub sample: Arc<OnceLock<Sample>>,
}

impl Write<ItemBatch> for ItemWriter {
    fn write(&mut self, batches: &[ItemBatch]) -> Result<(), SinkError> {
        self.metrics.items_written.add(self.sink.write(batches)?);
        if self.sample.get().is_none()
            && let Some((group, key)) = batches.iter().find_map(ItemBatch::first_key)
        {
            let _ = self.sample.set(Sample { group, key: String::from_utf8_lossy(key).into_owned() });
        }
        Ok(())
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
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let end = match write_all(&inbox, &given_up, &mut writer) {
            Ok(()) => writer.close(),
            Err(error) => {
                // Before the error is told, which ends the process.
                drop(writer);
                Err(error)
            }
        };
        if let Err(error) = end {
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
