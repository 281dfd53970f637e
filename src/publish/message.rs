//! What workers and the thread that writes to a table tell each other.

use std::ops::Range;
use std::thread::Thread;

use crossbeam_channel::Sender;

use crate::sink::{ItemBatch, Outcome};
use crate::state::BatchId;

/// Items for the table.
#[derive(Debug)]
pub(crate) struct Handed {
    pub items: ItemBatch,
    /// Which of the workers of this process has read them.
    pub worker: usize,
    /// That worker has more for the table right now: it pays to wait a moment.
    pub more_follows: bool,
    pub receipt: Receipt,
}

/// With what a batch is answered for.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub id: BatchId,
    pub answers: Sender<Answer>,
    /// The worker's thread, which sleeps when it has nothing to do.
    pub thread: Thread,
}

/// What became of some items of a batch, by their indices.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub id: BatchId,
    pub items: Range<u32>,
    pub outcome: Outcome,
}

impl Receipt {
    pub fn answer(&self, items: Range<u32>, outcome: Outcome) {
        // An error means that the worker has ended, and with it the need to tell it.
        let _ = self.answers.send(Answer { id: self.id, items, outcome });
        self.thread.unpark();
    }
}
