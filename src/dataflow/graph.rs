//! The whole dataflow on one page.
//!
//! ```text
//! source -> window_sum -> [exchange by key] -> decay_counters -> [exchange to the writer] -> items --+-> probe
//!    ^          \--- dead letters -------------> [exchange to worker 0] ------------> dead letters ----/     |
//!    \------------------ at most a few epochs and bytes between what is read and what is durable ------------/
//! ```
//!
//! The timestamp is the epoch. An item or dead letter holds its epoch open until its writer has made
//! it durable, so the probe at the end shows the durable frontier.

use crossbeam_channel::Sender;
use timely::dataflow::channels::pact::{Exchange, Pipeline as SameWorker};
use timely::dataflow::operators::probe::Handle as Probe;
use timely::dataflow::operators::{Concatenate, Probe as _};
use timely::worker::Worker;

use super::count_block::BlockCounter;
use super::failure::Failure;
use super::in_flight::InFlight;
use super::operators::{Delivery, SourceHandle, acknowledged, decay_counters, source, window_sum};
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
    pub counters: DecayCounters,
    /// Where its items go.
    pub items: Sender<Delivery<ItemBatch>>,
    /// How many writers the sink wants.
    pub writers: Writers,
    /// Where its dead letters go.
    pub dead_letters: Sender<Delivery<DeadLetterBatch>>,
    /// What has left the workers of this process, and is not yet durable.
    pub in_flight: InFlight,
    /// Where its errors go.
    pub failure: Failure,
}

/// Builds one worker's share. The probe shows the durable frontier.
pub fn build(worker: &mut Worker, parts: Parts) -> (Probe<u64>, SourceHandle) {
    worker.dataflow(|scope| {
        let durable = Probe::new();
        let failure = || parts.failure.clone();
        let in_flight = || parts.in_flight.clone();
        let (blocks, handle) = source(scope, parts.feed, durable.clone(), in_flight());
        let (contributions, dead_letters) = window_sum(blocks, parts.counter, in_flight(), failure());
        let items = decay_counters(contributions, parts.counters, in_flight(), failure());
        let items = match parts.writers {
            Writers::OnePerCluster => {
                acknowledged(items, Exchange::new(|_| 0), "items", parts.items, in_flight(), failure())
            }
            Writers::OnePerProcess => acknowledged(items, SameWorker, "items", parts.items, in_flight(), failure()),
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
