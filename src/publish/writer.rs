//! The table's side of publishing: a thread that writes what workers hand over, as much at once as pays.

use std::collections::BTreeMap;
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError, select_biased};

use super::message::{Handed, Receipt};
use crate::sink::{Desk, Destination, ItemBatch, Part, SinkError};

/// A worker that has more for the table is waited for, but not for longer: it may be counting.
const MORE_WITHIN: Duration = Duration::from_millis(100);

/// Writes what comes into the inbox until nothing more can come, or writing is given up, and closes the sink. The run gives it up
/// after an error; its workers do by ending, which with a state they may before the table has taken everything.
///
/// An error is no answer: what was just written stays unanswered.
pub(crate) fn write_table(
    mut table: Destination,
    items_at_once: usize,
    inbox: &Receiver<Handed>,
    given_up: &[Receiver<()>; 2],
) -> Result<(), SinkError> {
    // Workers that have ended are gone from the inbox, too.
    let [by_the_run, _] = given_up;
    loop {
        let first = select_biased! {
            recv(by_the_run) -> _ => return table.close(),
            recv(inbox) -> first => first,
        };
        let Ok(first) = first else { return table.close() };
        let mut desk = TableDesk { inbox, given_up, open: BTreeMap::new(), batches: 0 };
        let batches = desk.gather(first, items_at_once);
        table.write(&batches, &mut desk)?;
    }
}

/// Where a call of the table answers, and finds more.
struct TableDesk<'a> {
    inbox: &'a Receiver<Handed>,
    given_up: &'a [Receiver<()>; 2],
    /// By index, what is not answered for in full.
    open: BTreeMap<usize, Unanswered>,
    /// How many batches the table was given in this call.
    batches: usize,
}

struct Unanswered {
    receipt: Receipt,
    items: usize,
}

impl TableDesk<'_> {
    /// About so many items as are to be written at once, or up to a batch more, beginning with this.
    fn gather(&mut self, first: Handed, items_at_once: usize) -> Vec<ItemBatch> {
        let mut batches = Vec::new();
        // By worker, whether it has said that it has more.
        let mut more: BTreeMap<usize, bool> = BTreeMap::new();
        let mut items = 0;
        let mut next = Some(first);
        while let Some(handed) = next {
            more.insert(handed.worker, handed.more_follows);
            items += handed.items.len();
            batches.push(self.take(handed));
            next = match items < items_at_once {
                true if more.values().any(|more| *more) => self.inbox.recv_timeout(MORE_WITHIN).ok(),
                true => self.inbox.try_recv().ok(),
                false => None,
            };
        }
        batches
    }

    fn take(&mut self, Handed { items, receipt, .. }: Handed) -> ItemBatch {
        if !items.is_empty() {
            self.open.insert(self.batches, Unanswered { receipt, items: items.len() });
        }
        self.batches += 1;
        items
    }
}

impl Desk for TableDesk<'_> {
    fn answer(&mut self, Part { batch, items, outcome }: Part) {
        let Some(unanswered) = self.open.get_mut(&batch) else { return };
        unanswered.items = unanswered.items.saturating_sub(items.len());
        unanswered.receipt.answer(items, outcome);
        if unanswered.items == 0 {
            self.open.remove(&batch);
        }
    }

    fn more(&mut self) -> Option<ItemBatch> {
        if self.gives_up() {
            return None;
        }
        self.inbox.try_recv().ok().map(|handed| self.take(handed))
    }

    fn gives_up(&mut self) -> bool {
        // Nothing is ever sent: it is disconnected.
        self.given_up.iter().any(|given_up| given_up.try_recv() != Err(TryRecvError::Empty))
    }
}
