//! What every sink and every reader of items keeps, and how a run opens its sink.
//!
//! # The contract of a sink
//!
//! Items are absolute values with a version that only rises, so writing one twice is harmless, and writing an older one
//! over a newer one is the one thing that must not happen. There are two ways in which a run uses a sink:
//!
//! - A **changelog** (`jsonl`, and every sink with `--every-window`) gets every change of every window, in order. The epochs
//!   of what it has not written stay open, and sources stop reading when too many are: it is never left behind.
//! - A **table** (`sqlite`, `dynamodb`, `none`) wants only the newest state of each item, so it *pulls*: what has changed is
//!   marked in the state ([`crate::state`]) and read when there is room for it ([`crate::publish`]). State never waits
//!   for a table. A slow one gets fewer and newer writes, not a queue of old ones.
//!
//! For a table the following holds; `publish/tests.rs` tries it in any order of changes, answers and failures:
//!
//! 1. *Nothing is lost.* A row stays marked, or in flight, until the sink has said that the state that was read of it is
//!    [written](Outcome::Written). What it has [not written](Outcome::NotWritten) is marked again, with its age. What changes
//!    while it is in flight is marked anew. What a table will never take goes to the dead letters, and is
//!    [tried again](Outcome::Refused) only when it changes.
//! 2. *One write of an item at a time.* An item is not given again before every item of its key in the earlier batch is
//!    answered for. So a retried write never meets a newer one of its own run.
//! 3. *Nothing is stale at the end.* An item is read at the moment it is handed over (to the thread that writes), and the last state of each is handed
//!    over before a run ends by itself.
//! 4. *Versions only rise*, and two different states of an item never have the same.
//! 5. *Longest waiting first*, by rounds: a round takes what is marked when it begins, and whatever is marked meanwhile
//!    waits for the next. Within a round the order is the [sink's choice](Order).
//! 6. *Memory is bounded*: so many bytes are in flight at a time as the [sink has room](Intake) for, or a batch more from each worker,
//!    whatever the sink does.
//!
//! A sink answers for each item of a call exactly once, in any order and in as many parts as it likes: as soon as it
//! knows, since what waits for an answer waits to be written again. While it writes, it may take more batches from the
//! [`Desk`]. An error ends the run, and answers for nothing. Where a
//! sink cannot know whether an item was written, it must not answer before it does. At the end it is [closed](Sink::close) and waited
//! for. When a run that was asked to stop gives up on a table is not the sink's business.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::error::SinkError;
use super::item::ItemBatch;
use super::record::RunRecord;
use crate::epoch::Generation;
use crate::lease::Lease;
use crate::reading::Item;

/// How long a table is waited for once a run was asked to stop and has read everything. A supervisor often kills after ten
/// seconds.
pub const STOP_WITHIN: Duration = Duration::from_secs(8);

/// What a sink says of items that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// They are durable, or newer ones are.
    Written,
    /// Not all of them are there, and this write will change nothing any more: what is newest is to be given again, later.
    NotWritten,
    /// The table will never take this state of them; a dead letter says why.
    Refused,
    /// A newer state that this run has written stands there.
    Superseded,
}

impl Outcome {
    /// Whether the table has this state or a newer one.
    pub fn is_there(self) -> bool {
        matches!(self, Outcome::Written | Outcome::Superseded)
    }
}

/// An answer for some items of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which of the batches.
    pub batch: usize,
    /// Which of its items, by their indices.
    pub items: Range<u32>,
    /// What became of them.
    pub outcome: Outcome,
}

/// An item that a table will never take, for the dead letters.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedItem {
    /// The table, as it is shown.
    pub table: String,
    /// The item's key.
    pub key: String,
    /// The rest of the item's identity in the table: its feature name.
    pub feature_name: String,
    /// What the service said.
    pub detail: String,
    /// The item.
    pub item: serde_json::Value,
}

/// Where a sink answers for what it was given, and finds more.
pub trait Desk {
    /// Takes an answer.
    fn answer(&mut self, part: Part);

    /// The next batch that is there already, for a table that has room for more while it writes. Its index follows those of
    /// the batches before it.
    fn more(&mut self) -> Option<ItemBatch> {
        None
    }

    /// Whether the run no longer waits: what is not answered for by then need not be.
    fn gives_up(&mut self) -> bool {
        false
    }

    /// Keeps an item that the table will never take, before it is answered for.
    fn refuse(&mut self, item: &RefusedItem) -> Result<(), SinkError> {
        let RefusedItem { key, feature_name, detail, .. } = item;
        Err(SinkError::new(format!(
            "the table does not take the item with key `{key}` and feature `{feature_name}`: {detail}"
        )))
    }
}

/// One that only listens.
impl<F: FnMut(Part)> Desk for F {
    fn answer(&mut self, part: Part) {
        self(part);
    }
}

/// In which order a table wants the items of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they come, which is longest waiting first.
    Waiting,
    /// By the bytes of their keys, as far as one worker can: neighbours in a tree are then written together.
    Key,
}

/// How a table wants what has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intake {
    /// In which order.
    pub order: Order,
    /// How many items pay to be written at once: about so many come in one call.
    pub items_at_once: usize,
    /// So many bytes of items may be on their way, from all workers of a process: enough to keep the table busy, and no more,
    /// since what is on its way grows old.
    pub room_bytes: u64,
}

/// Takes items and makes them durable. What it promises, and what it is promised, stands at the head of its module.
pub trait Sink: Send {
    /// Makes these batches durable, oldest first, and answers for every item, and for those of what it takes besides. Of
    /// several items of one key and feature a table writes only the newest; a log writes each.
    fn write(&mut self, batches: &[ItemBatch], desk: &mut dyn Desk) -> Result<(), SinkError>;

    /// What is written to, for messages.
    fn name(&self) -> String {
        "the table".to_owned()
    }

    /// Brings what was written into order at the end of a run, and says what could not be. Everything is durable
    /// before.
    fn close(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }

    /// The run's generation, where the sink has a record of earlier runs: above theirs. That of a run that goes on is the one
    /// that it came with.
    fn generation(&self) -> Option<Generation> {
        None
    }
}

/// Answers for all items of some batches alike.
pub(super) fn answer_all(batches: &[ItemBatch], outcome: Outcome, desk: &mut dyn Desk) {
    for (batch, items) in batches.iter().enumerate().filter(|(_, items)| !items.is_empty()) {
        desk.answer(Part { batch, items: 0..items.len() as u32, outcome });
    }
}

/// Reads items back.
pub trait ItemReader {
    /// The items of `key`, or the one with this feature name, in the order of feature names.
    fn get(&mut self, key: &str, feature_name: Option<&str>) -> Result<Vec<Item>, SinkError>;

    /// Every item, in the order of the bytes of (key, feature name).
    fn each(&mut self, visit: &mut dyn FnMut(Item) -> io::Result<()>) -> Result<(), SinkError> {
        self.each_of(&|_| true, visit)
    }

    /// The same, of the keys that are wanted.
    fn each_of(
        &mut self,
        wanted: &dyn Fn(&str) -> bool,
        visit: &mut dyn FnMut(Item) -> io::Result<()>,
    ) -> Result<(), SinkError>;

    /// What the run that filled the sink judged its events by, where the sink keeps that.
    fn record(&mut self) -> Result<Option<RunRecord>, SinkError> {
        Ok(None)
    }
}

/// How a run opens its sink.
#[derive(Clone, Debug, Default)]
pub struct SinkOptions {
    /// Empty the sink first, instead of refusing one that is not empty.
    pub replace: bool,
    /// An earlier run of the same state has filled the sink: what is there is kept, unless it is to be replaced. The
    /// generation is then exactly the one that is given, and must be above those of all runs before.
    pub goes_on: bool,
    /// Names the run; the sink keeps it, so that it is known who filled it.
    pub run_id: String,
    /// The run's generation: by the clock, or of a run that goes on, the one that it has claimed.
    pub generation: Generation,
    /// What the run judges its events by; the sink keeps it, where it can.
    pub record: Option<RunRecord>,
    /// The input begins with what is still to come, so that nothing of before is counted again.
    pub starts_at_the_end: bool,
    /// Since when no earlier run of the same state can send anything any more: since this one holds the state's lock, for
    /// instance. `None`: since the sink is opened.
    pub alone_since: Option<Instant>,
    /// Nothing is sent to a service without it.
    pub lease: Lease,
    /// Set by the first signal to stop: a sink that waits for its service then gives up, opening at once and writing
    /// after a while.
    pub stop: Arc<AtomicBool>,
}
