//! Items on their way to the one process that writes them, and the answers.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};

use crossbeam_channel::{Receiver, Sender, select, unbounded};

use super::link::Outbox;
use super::message::{BulkToLeader, ToMember};
use crate::dataflow::WriterForAll;
use crate::publish::{Answer, Handed, Receipt};
use crate::sink::{ItemBatch, Outcome};
use crate::state::BatchId;

/// At process 0: what another one hands on.
pub(super) struct ItemsOfMember {
    member: usize,
    /// Gone when nothing more comes.
    writer: Mutex<Option<WriterForAll>>,
    answers: Sender<Answer>,
    answering: Thread,
}

impl ItemsOfMember {
    /// Answers go out on this control connection.
    pub fn new(member: usize, writer: WriterForAll, control: Outbox) -> io::Result<ItemsOfMember> {
        // At most one answer for each item that is in flight.
        let (answers, to_tell) = unbounded::<Answer>();
        let answering = thread::Builder::new().name(format!("answers p{}", member + 1)).spawn(move || {
            for Answer { id, items, outcome } in to_tell {
                control.tell(&ToMember::Answer { batch: id.0, from: items.start, to: items.end, outcome });
            }
        })?;
        let answering = answering.thread().clone();
        Ok(ItemsOfMember { member, writer: Mutex::new(Some(writer)), answers, answering })
    }

    /// Gives items to the writer.
    pub fn take(&self, batch: u64, worker: usize, more_follows: bool, items: &[u8]) -> io::Result<()> {
        let items: ItemBatch = postcard::from_bytes(items).map_err(io::Error::other)?;
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = &*writer {
            let receipt = Receipt { id: BatchId(batch), answers: self.answers.clone(), thread: self.answering.clone() };
            // So that the workers of two processes have two numbers.
            let worker = ((self.member + 1) << 16) + worker;
            // A writer that is gone has said why.
            let _ = writer.handed.send(Handed { items, worker, more_follows, receipt });
        }
        Ok(())
    }

    /// Nothing more comes.
    pub fn end(&self) {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// At another process: what was handed on, until it is answered for.
#[derive(Default)]
pub(super) struct HandedOn {
    open: Mutex<HashMap<u64, Unanswered>>,
}

struct Unanswered {
    receipt: Receipt,
    items: usize,
}

impl HandedOn {
    /// Takes an answer.
    pub fn answer(&self, batch: u64, items: Range<u32>, outcome: Outcome) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(unanswered) = open.get_mut(&batch) else { return };
        unanswered.items = unanswered.items.saturating_sub(items.len());
        unanswered.receipt.answer(items, outcome);
        if unanswered.items == 0 {
            open.remove(&batch);
        }
    }

    /// Hands on what workers give, until nothing more comes, or it is given up.
    pub fn hand_on(self: &Arc<HandedOn>, inbox: &Receiver<Handed>, given_up: &Receiver<()>, bulk: &Outbox) {
        for batch in 0.. {
            let handed = select! {
                recv(inbox) -> handed => handed.ok(),
                recv(given_up) -> _ => None,
            };
            let Some(Handed { items, worker, more_follows, receipt }) = handed else { break };
            // They are our own structs, which can always be written.
            let bytes = postcard::to_allocvec(&items).unwrap_or_default();
            if !items.is_empty() {
                let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
                open.insert(batch, Unanswered { receipt, items: items.len() });
            }
            bulk.tell_with(&BulkToLeader::Items { batch, worker, more_follows }, bytes);
        }
        bulk.tell_with(&BulkToLeader::End, Vec::new());
    }
}
