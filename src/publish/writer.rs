//! The table's side of publishing: a thread that writes what workers hand over, as much at once as pays.

use std::collections::BTreeMap;
use std::time::Duration;

use crossbeam_channel::{Receiver, select_biased};

use super::message::{Handed, Receipt};
use crate::sink::{Destination, ItemBatch, Part, SinkError};

/// A worker that has more for the table is waited for, but not for longer: it may be counting.
const MORE_WITHIN: Duration = Duration::from_millis(100);

/// Writes what comes into the inbox until nothing more can come, or writing is given up, and closes the sink.
///
/// An error is no answer: what was just written stays unanswered.
pub(crate) fn write_table(
    mut table: Destination,
    items_at_once: usize,
    inbox: &Receiver<Handed>,
    given_up: &Receiver<()>,
) -> Result<(), SinkError> {
    loop {
        let first = select_biased! {
            recv(given_up) -> _ => return table.close(),
            recv(inbox) -> first => first,
        };
        let Ok(first) = first else { return table.close() };
        let (batches, receipts) = gather(first, items_at_once, inbox);
        table.write(&batches, &mut |Part { batch, items, outcome }| receipts[batch].answer(items, outcome))?;
    }
}

/// About so many items as are to be written at once, or up to a batch more, beginning with this.
fn gather(first: Handed, items_at_once: usize, inbox: &Receiver<Handed>) -> (Vec<ItemBatch>, Vec<Receipt>) {
    let (mut batches, mut receipts) = (Vec::new(), Vec::new());
    // By worker, whether it has said that it has more.
    let mut more: BTreeMap<usize, bool> = BTreeMap::new();
    let mut items = 0;
    let mut next = Some(first);
    while let Some(Handed { items: batch, worker, more_follows, receipt }) = next {
        items += batch.len();
        batches.push(batch);
        receipts.push(receipt);
        more.insert(worker, more_follows);
        next = match items < items_at_once {
            true if more.values().any(|more| *more) => inbox.recv_timeout(MORE_WITHIN).ok(),
            true => inbox.try_recv().ok(),
            false => None,
        };
    }
    (batches, receipts)
}
