//! Blocks enter the dataflow, each at its epoch.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crossbeam_channel::TryRecvError;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::operator::source as timely_source;
use timely::dataflow::operators::probe::Handle as Probe;
use timely::dataflow::{Scope, StreamVec};
use timely::scheduling::Activator;

use super::super::in_flight::InFlight;
use crate::epoch::Epoch;
use crate::source::{Block, Feed};
use crate::telemetry::{WaitsFor, WorkerState};

/// How many epochs may be in flight: read, but not yet acknowledged by the sink. This and [`InFlight`] bound the
/// memory of everything behind the source.
const EPOCHS_IN_FLIGHT: usize = 4;

/// Takes blocks from the feed until it ends, one at a time: what comes of one shows before the next.
///
/// The capability is the source's promise: the operator reads the announced epoch *before* it looks
/// for a block, so when there is none, everything below the announced epoch has been taken.
/// A block that is too far ahead of the acknowledged epochs is held back until they catch up, and so is one while too
/// much is under way. The source's promise has moved on to its epoch by then, so it keeps no earlier one open.
pub fn source<'scope>(
    scope: Scope<'scope, u64>,
    feed: Feed,
    acknowledged: Probe<u64>,
    under_way: InFlight,
) -> (StreamVec<'scope, u64, Block>, SourceHandle) {
    let waits_for = Rc::new(Cell::new(None));
    let handle_waits_for = Rc::clone(&waits_for);
    let in_flight = Rc::<RefCell<EpochsInFlight>>::default();
    let handle_in_flight = Rc::clone(&in_flight);
    let looks_for = Rc::new(Cell::new(WaitsFor::Nothing));
    let handle_looks_for = Rc::clone(&looks_for);
    let mut activator = None;
    let handle_activator = &mut activator;
    let (probe, handle_under_way, handle_feed) = (acknowledged.clone(), under_way.clone(), feed.clone());
    let blocks = timely_source::<_, CapacityContainerBuilder<Vec<Block>>, _, _>(scope, "source", |capability, info| {
        let again = scope.activator_for(info.address.clone());
        *handle_activator = Some(scope.activator_for(info.address.clone()));
        feed.register(scope.worker().sync_activator_for(info.address.to_vec()));
        under_way.register(scope.worker().sync_activator_for(info.address.to_vec()));
        let mut capability = Some(capability);
        let mut held_back: Option<Block> = None;
        move |output| {
            let Some(held) = capability.as_mut() else { return };
            let announced = feed.announced();
            match held_back.take().map_or_else(|| feed.blocks.try_recv(), Ok) {
                Ok(block) => {
                    held.downgrade(&block.epoch.0);
                    let oldest = in_flight.borrow_mut().oldest_with(block.epoch);
                    let must_be_done = if under_way.too_many_sums() { block.epoch.0 } else { oldest };
                    let waits_for_epoch = acknowledged.less_than(&must_be_done).then_some(must_be_done);
                    waits_for.set(waits_for_epoch);
                    if waits_for_epoch.is_some() || under_way.too_many_batches() {
                        looks_for.set(WaitsFor::Exchange);
                        held_back = Some(block);
                        return;
                    }
                    looks_for.set(WaitsFor::Nothing);
                    output.session(held).give(block);
                    again.activate();
                }
                Err(TryRecvError::Empty) => {
                    looks_for.set(WaitsFor::Source);
                    held.downgrade(&announced.0);
                }
                Err(TryRecvError::Disconnected) => {
                    looks_for.set(WaitsFor::Exchange);
                    capability = None;
                }
            }
        }
    });
    (
        blocks,
        SourceHandle {
            feed: handle_feed,
            under_way: handle_under_way,
            waits_for: handle_waits_for,
            looks_for: handle_looks_for,
            in_flight: handle_in_flight,
            acknowledged: probe,
            activator,
        },
    )
}

/// The last few epochs of a source. (Their numbers may lie far apart: an epoch may be many windows.)
#[derive(Default)]
struct EpochsInFlight(VecDeque<u64>);

impl EpochsInFlight {
    /// The oldest epoch that may be in flight beside this one: all before it must be done.
    fn oldest_with(&mut self, epoch: Epoch) -> u64 {
        if self.0.back() != Some(&epoch.0) {
            self.0.push_back(epoch.0);
        }
        if self.0.len() > EPOCHS_IN_FLIGHT {
            self.0.pop_front();
        }
        self.0.front().copied().unwrap_or(epoch.0)
    }
}

/// Wakes a source that waits for acknowledgements: nothing else would.
pub struct SourceHandle {
    feed: Feed,
    under_way: InFlight,
    waits_for: Rc<Cell<Option<u64>>>,
    /// What the source has found when it last looked.
    looks_for: Rc<Cell<WaitsFor>>,
    in_flight: Rc<RefCell<EpochsInFlight>>,
    acknowledged: Probe<u64>,
    activator: Option<Activator>,
}

impl SourceHandle {
    /// See [`Feed::could_be_done_before`].
    pub fn could_be_done_before(&self) -> Epoch {
        self.feed.could_be_done_before()
    }

    /// What the worker is at that this is the source of.
    pub fn state(&self, is_held: bool) -> WorkerState {
        let waits_for = match self.looks_for.get() {
            // The epochs that are not done may be, but for what is being written of them.
            WaitsFor::Exchange if self.under_way.has_batches() => WaitsFor::Writers,
            other => other,
        };
        let in_flight = self.in_flight.borrow();
        let not_done = in_flight.0.iter().filter(|epoch| self.acknowledged.less_equal(*epoch)).count();
        WorkerState { waits_for, epochs_in_flight: not_done as u32, is_held }
    }

    /// To be called after every step of the worker.
    pub fn wake_if_acknowledged(&self) {
        self.under_way.epochs_are_done(|epoch| !self.acknowledged.less_equal(&epoch.0));
        let (Some(must_be_done), Some(activator)) = (self.waits_for.get(), &self.activator) else { return };
        if !self.acknowledged.less_than(&must_be_done) {
            activator.activate();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_epochs_are_in_flight_whatever_their_numbers() {
        let mut in_flight = EpochsInFlight::default();
        let oldest = [1, 1, 50, 51, 51, 900, 7_000, 7_001].map(|epoch| in_flight.oldest_with(Epoch(epoch)));
        assert_eq!(oldest, [1, 1, 1, 1, 1, 1, 50, 51]);
    }
}
