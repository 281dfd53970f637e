//! The end of the dataflow: what a writer thread has made durable, and nothing else, is done.

use std::collections::HashMap;

use crossbeam_channel::{Sender, unbounded};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::ParallelizationContract;
use timely::dataflow::operators::{Capability, Inspect as _, Operator};
use timely::scheduling::activate::SyncActivator;

use super::super::failure::Failure;
use super::super::in_flight::{Arrived, InFlight, Weigh};

/// A batch on its way to a writer thread. Unless it is acknowledged, its epoch stays open.
#[derive(Debug)]
pub struct Delivery<B> {
    batch: B,
    receipt: Receipt,
}

/// Acknowledges one batch.
#[derive(Debug)]
pub struct Receipt {
    number: u64,
    acknowledgements: Sender<u64>,
    activator: SyncActivator,
    arrived: Arrived,
}

impl<B> Delivery<B> {
    /// What to write, and with what to say that it is done.
    pub fn split(self) -> (B, Receipt) {
        (self.batch, self.receipt)
    }
}

impl Receipt {
    /// Says that the batch is durable, and is not held any more.
    pub fn acknowledge(self) {
        drop(self.arrived);
        // Errors mean that the worker has ended, and with it the need to tell it.
        let _ = self.acknowledgements.send(self.number);
        let _ = self.activator.activate();
    }
}

/// Hands every batch to `outbox` and holds its capability until it is acknowledged. The stream that
/// is returned is empty: a probe on it shows what is durable.
///
/// The outbox is unbounded, but no more goes into it than may be in flight.
pub fn acknowledged<'scope, B: Weigh + 'static, P>(
    batches: StreamVec<'scope, u64, B>,
    pact: P,
    name: &str,
    outbox: Sender<Delivery<B>>,
    in_flight: InFlight,
    failure: Failure,
) -> StreamVec<'scope, u64, ()>
where
    P: ParallelizationContract<u64, Vec<B>>,
{
    let worker = batches.scope().worker();
    let made = in_flight.clone();
    let batches = batches.inspect(move |batch| made.batch_is_made(batch));
    batches.unary_frontier::<CapacityContainerBuilder<Vec<()>>, _, _, _>(pact, name, |_, info| {
        let activator = worker.sync_activator_for(info.address.to_vec());
        let (acknowledgements, acknowledged) = unbounded();
        let mut unacknowledged: HashMap<u64, Capability<u64>> = HashMap::new();
        let mut next_number = 0;
        move |(input, _frontier), _output| {
            // In the order of arrival: of one row's items the newest comes last.
            input.for_each(|stamp, batches| {
                for batch in batches.drain(..) {
                    let Some(capability) = stamp.retain_least(0) else {
                        return failure.bug("a batch arrived without a time");
                    };
                    let (acknowledgements, activator) = (acknowledgements.clone(), activator.clone());
                    let arrived = in_flight.batch_has_arrived(&batch);
                    let receipt = Receipt { number: next_number, acknowledgements, activator, arrived };
                    unacknowledged.insert(next_number, capability);
                    next_number += 1;
                    // A writer that is gone has said why; its batches stay unacknowledged.
                    let _ = outbox.send(Delivery { batch, receipt });
                }
            });
            for number in acknowledged.try_iter() {
                unacknowledged.remove(&number);
            }
        }
    })
}
