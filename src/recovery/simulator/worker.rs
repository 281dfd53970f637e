//! A worker of a simulated run: what the dataflow's operators and the loop around them do, with the real state, snapshotter and publisher.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crossbeam_channel::{Receiver, unbounded};

use super::fault::Fault;
use crate::epoch::Epoch;
use crate::pipeline::Pipeline;
use crate::publish::{Handed, Next, Pace, Publisher, PublisherParts, RunState};
use crate::recovery::{Journaled, Snapshotter};
use crate::sink::{Intake, Order};
use crate::state::{DecayCounters, Moment};
use crate::sums::ContributionBatch;
use crate::telemetry::Metrics;

/// What a worker gets of each epoch, which it takes out.
pub(super) type Batches = BTreeMap<u64, Vec<ContributionBatch>>;

/// A worker.
pub(super) struct Worker {
    pub counters: Rc<RefCell<DecayCounters>>,
    publisher: Publisher,
    pub snapshotter: Snapshotter,
    pub handed: Receiver<Handed>,
    /// Everything below this epoch has come, as far as it knows.
    frontier: u64,
    /// Everything below this epoch is applied.
    pub done: u64,
    /// The newest epoch that its state contains.
    pub applied: Epoch,
    gate_is_open: bool,
    pub has_settled: bool,
}

/// What a worker publishes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings {
    pub now: Moment,
    /// Everything below this epoch is applied by all workers.
    pub done: u64,
    /// From this epoch's end on everything was read again.
    pub passed: Option<Epoch>,
    pub fault: Option<Fault>,
}

impl Worker {
    pub fn new(
        counters: DecayCounters,
        snapshotter: Snapshotter,
        journaled: Option<Journaled>,
        pipeline: &Pipeline,
        metrics: &Metrics,
        applied: Epoch,
        room_bytes: u64,
    ) -> Worker {
        let counters = Rc::new(RefCell::new(counters));
        let (outbox, handed) = unbounded();
        let publisher = Publisher::new(PublisherParts {
            counters: Rc::clone(&counters),
            pace: Pace::new(&pipeline.publish.rhythms, false),
            intake: Intake { order: Order::Waiting, items_at_once: 2, room_bytes },
            room_bytes,
            worker: 0,
            outbox,
            gauge: metrics.waiting.register(),
            journaled,
        });
        Worker {
            counters,
            publisher,
            snapshotter,
            handed,
            frontier: 0,
            done: 0,
            applied,
            gate_is_open: false,
            has_settled: false,
        }
    }

    /// Learns how far the readers are.
    pub fn learn(&mut self, frontier: u64) {
        self.frontier = frontier;
    }

    /// Applies what has come, as `dataflow/operators/decay_counters.rs` does it.
    pub fn apply(&mut self, batches: &mut Batches, now: Moment, fault: Option<Fault>) -> Result<(), String> {
        let mut counters = self.counters.borrow_mut();
        let cuts_late = fault == Some(Fault::CutsOneEpochLate);
        while let Some(first) = batches.first_entry().filter(|first| *first.key() < self.frontier) {
            let (epoch, batches) = first.remove_entry();
            if !cuts_late {
                self.snapshotter.cut_before(Epoch(epoch), &mut counters);
            }
            let applied = counters.apply_epoch(&batches, now, |_| unreachable!("a table pulls"));
            applied.map_err(|error| error.to_string())?;
            self.applied = Epoch(epoch);
            if cuts_late {
                self.snapshotter.cut_before(Epoch(epoch), &mut counters);
            }
        }
        self.snapshotter.cut_before(Epoch(self.frontier), &mut counters);
        self.done = self.frontier;
        Ok(())
    }

    /// Whether nothing may be published yet, as `dataflow/gate.rs` sees it.
    fn is_held(&mut self, around: Surroundings) -> bool {
        let is_counted = |epoch: Epoch| around.done > epoch.0;
        self.gate_is_open |= around.done == u64::MAX || around.passed.is_some_and(is_counted);
        !self.gate_is_open && around.fault != Some(Fault::HasNoGate)
    }

    /// Publishes, as the loop in `dataflow/work.rs` does it.
    pub fn publish(&mut self, around: Surroundings) -> Next {
        let run = RunState {
            is_drained: around.done == u64::MAX,
            is_stopping: false,
            is_held: self.is_held(around),
            applied: self.applied,
        };
        self.publisher.work(around.now, run).unwrap_or(Next::Done)
    }
}
