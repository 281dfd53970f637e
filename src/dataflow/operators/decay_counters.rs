//! Contributions -> changed rows, an epoch at a time. A changelog gets them; for a table they are marked.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::{Capability, Operator};

use super::super::failure::Failure;
use super::super::in_flight::InFlight;
use crate::epoch::Epoch;
use crate::publish::RunClock;
use crate::recovery::Snapshotter;
use crate::sink::ItemBatch;
use crate::state::{DecayCounters, Swept};
use crate::sums::ContributionBatch;

/// Sends each batch to the worker that holds its keys. There, all input is pulled first; then the
/// epochs that are closed are applied in order. Nothing of an open epoch touches a row. Where the state is kept, it is cut
/// between two epochs.
pub fn decay_counters<'scope>(
    contributions: StreamVec<'scope, u64, ContributionBatch>,
    counters: Rc<RefCell<DecayCounters>>,
    kept: Option<Rc<RefCell<Snapshotter>>>,
    newest: Rc<Cell<Epoch>>,
    clock: RunClock,
    in_flight: InFlight,
    failure: Failure,
) -> StreamVec<'scope, u64, ItemBatch> {
    let to_owner = Exchange::new(|batch: &ContributionBatch| u64::from(batch.owner.0));
    let scope = contributions.scope();
    contributions.unary_frontier::<CapacityContainerBuilder<Vec<_>>, _, _, _>(to_owner, "decay_counters", |_, info| {
        let again = scope.activator_for(info.address);
        let mut failed = false;
        let mut waiting: BTreeMap<u64, (Capability<u64>, Vec<ContributionBatch>)> = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each_stamp(|stamp, batches| {
                let Some(capability) = stamp.retain_least(0) else {
                    return failure.bug("a batch arrived without a time");
                };
                let (_, epoch) = waiting.entry(*capability.time()).or_insert_with(|| (capability, Vec::new()));
                epoch.extend(batches.flat_map(|batches| batches.drain(..)));
            });
            let mut counters = counters.borrow_mut();
            let cut_before = |next: u64, counters: &mut DecayCounters| {
                if let Some(kept) = &kept {
                    kept.borrow_mut().cut_before(Epoch(next), counters);
                }
            };
            while let Some(first) = waiting.first_entry().filter(|_| !failed) {
                let epoch_complete = !frontier.less_equal(first.key());
                if !epoch_complete {
                    break;
                }
                let (capability, batches) = first.remove();
                cut_before(*capability.time(), &mut counters);
                let mut session = output.session(&capability);
                let applied = counters.apply_epoch(&batches, clock.now(), |items| session.give(items));
                drop(session);
                if let Err(error) = applied {
                    // Which ends the run: this epoch is never done, nor is any later one.
                    failed = true;
                    waiting.insert(*capability.time(), (capability, Vec::new()));
                    return failure.state(error);
                }
                in_flight.sums_are_applied(&batches);
                newest.set(Epoch(*capability.time()));
            }
            if failed {
                return;
            }
            cut_before(frontier.frontier().first().copied().unwrap_or(u64::MAX), &mut counters);
            // It holds no epoch, so whatever else there is to do comes between.
            if counters.forget_expired() == Swept::MoreToDo {
                again.activate();
            }
        }
    })
}
