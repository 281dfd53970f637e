//! The whole dataflow on one page.
//!
//! ```text
//!                                                            marks -> publisher -> table
//!                                                           /
//! source -> window_sum -> [exchange by key] -> decay_counters -> [exchange to the writer] -> changelog --+-> probe
//!    ^          \--- dead letters -------------> [exchange to worker 0] -------------> dead letters ------/     |
//!    \------------------ at most a few epochs and bytes between what is read and what is done ------------------/
//! ```
//!
//! The timestamp is the epoch. A change on its way into a changelog, or a dead letter, holds its epoch open until its writer
//! has made it durable; nothing holds one open for a table. So the probe at the end shows which epochs are done: applied,
//! and durable but for what a table has not pulled yet.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crossbeam_channel::Sender;
use timely::dataflow::channels::pact::{Exchange, Pipeline as SameWorker};
use timely::dataflow::operators::probe::Handle as Probe;
use timely::dataflow::operators::vec::Map as _;
use timely::dataflow::operators::{Concatenate, Probe as _};
use timely::worker::Worker;

use super::count_block::BlockCounter;
use super::failure::Failure;
use super::in_flight::InFlight;
use super::operators::{Delivery, SourceHandle, acknowledged, decay_counters, source, window_sum};
use crate::epoch::Epoch;
use crate::publish::RunClock;
use crate::recovery::Snapshotter;
use crate::sink::{DeadLetterBatch, ItemBatch, Writers};
use crate::source::Feed;
use crate::state::DecayCounters;

/// What one worker's share of the dataflow is made of.
pub struct Parts {
    /// Where its blocks come from.
    pub feed: Feed,
    /// What it does with them.
    pub counter: BlockCounter,
    /// The counters it holds.
    pub counters: Rc<RefCell<DecayCounters>>,
    /// What cuts them for checkpoints, where there are any.
    pub kept: Option<Rc<RefCell<Snapshotter>>>,
    /// Where it stands which epoch was applied last.
    pub applied: Rc<Cell<Epoch>>,
    /// When things happen to them.
    pub clock: RunClock,
    /// Where its items go, into a changelog; a table pulls them.
    pub changelog: Option<Changelog>,
    /// Where its dead letters go.
    pub dead_letters: Sender<Delivery<DeadLetterBatch>>,
    /// What has left the workers of this process, and is not yet durable.
    pub in_flight: InFlight,
    /// Where its errors go.
    pub failure: Failure,
}

/// Where items go that leave with their epoch.
#[derive(Clone)]
pub struct Changelog {
    /// To the writer.
    pub items: Sender<Delivery<ItemBatch>>,
    /// How many writers the sink wants.
    pub writers: Writers,
}

/// Builds one worker's share. The probe shows which epochs are done.
pub fn build(worker: &mut Worker, parts: Parts) -> (Probe<u64>, SourceHandle) {
    worker.dataflow(|scope| {
        let durable = Probe::new();
        let failure = || parts.failure.clone();
        let in_flight = || parts.in_flight.clone();
        let (blocks, handle) = source(scope, parts.feed, durable.clone(), in_flight());
        let (contributions, dead_letters) = window_sum(blocks, parts.counter, in_flight(), failure());
        let items = decay_counters(
            contributions,
            parts.counters,
            parts.kept,
            parts.applied,
            parts.clock,
            in_flight(),
            failure(),
        );
        let items = match parts.changelog {
            None => items.flat_map(|_| None),
            Some(Changelog { items: outbox, writers: Writers::OnePerCluster }) => {
                acknowledged(items, Exchange::new(|_| 0), "items", outbox, in_flight(), failure())
            }
            Some(Changelog { items: outbox, writers: Writers::OnePerProcess }) => {
                acknowledged(items, SameWorker, "items", outbox, in_flight(), failure())
            }
        };
        let dead_letters = acknowledged(
            dead_letters,
            Exchange::new(|_| 0),
            "dead_letters",
            parts.dead_letters,
            in_flight(),
            failure(),
        );
        scope.concatenate([items, dead_letters]).probe_with(&durable);
        (durable, handle)
    })
}
