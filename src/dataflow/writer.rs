//! The thread that a sink writes on.

use std::thread::JoinHandle;

use crossbeam_channel::Receiver;

use super::failure::Failure;
use super::operators::Delivery;
use crate::sink::SinkError;

/// How many batches are written at once, at most.
const BATCHES_AT_ONCE: usize = 64;

/// Writes what comes into the inbox, as much at once as is there, and acknowledges what is durable.
/// Ends with the inbox, or with the first error, which it reports.
pub fn spawn_writer<B: Send + 'static>(
    name: &str,
    inbox: Receiver<Delivery<B>>,
    mut write: impl FnMut(&[B]) -> Result<(), SinkError> + Send + 'static,
    failure: Failure,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        while let Ok(first) = inbox.recv() {
            let deliveries = std::iter::once(first).chain(inbox.try_iter().take(BATCHES_AT_ONCE - 1));
            let (batches, receipts): (Vec<B>, Vec<_>) = deliveries.map(Delivery::split).unzip();
            if let Err(error) = write(&batches) {
                return failure.sink(error);
            }
            receipts.into_iter().for_each(|receipt| receipt.acknowledge());
        }
    })
}
