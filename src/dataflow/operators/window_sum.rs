//! Decode, route and add up: blocks -> one batch of contributions per worker and epoch.

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline as SameWorker;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::super::count_block::BlockCounter;
use super::super::failure::Failure;
use super::super::in_flight::InFlight;
use crate::epoch::Epoch;
use crate::sink::DeadLetterBatch;
use crate::source::Block;
use crate::sums::ContributionBatch;

/// An epoch of this worker that is not yet closed.
struct OpenEpoch {
    epoch: Epoch,
    contributions: Capability<u64>,
}

/// Counts blocks. When an epoch of this worker has ended, its sums leave on the first stream; dead
/// letters leave on the second one at once.
///
/// A worker's blocks come in the order of their epochs, so an epoch has ended when the first block
/// of a later one is there, or when the frontier has passed it.
pub fn window_sum<'scope>(
    blocks: StreamVec<'scope, u64, Block>,
    mut counter: BlockCounter,
    in_flight: InFlight,
    failure: Failure,
) -> (StreamVec<'scope, u64, ContributionBatch>, StreamVec<'scope, u64, DeadLetterBatch>) {
    let mut builder = OperatorBuilder::new("window_sum".to_owned(), blocks.scope());
    let mut input = builder.new_input(blocks, SameWorker);
    let (output, contributions) = builder.new_output();
    let mut contribution_output = OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(output);
    let (output, dead_letters) = builder.new_output();
    let mut dead_letter_output = OutputBuilder::<_, CapacityContainerBuilder<Vec<_>>>::from(output);
    const CONTRIBUTIONS: usize = 0;
    const DEAD_LETTERS: usize = 1;

    builder.build(move |capabilities| {
        drop(capabilities);
        let mut open: Option<OpenEpoch> = None;
        move |frontiers| {
            let mut contribution_handle = contribution_output.activate();
            let mut dead_letter_handle = dead_letter_output.activate();
            let mut close = |counter: &mut BlockCounter, ended: OpenEpoch| {
                let sums = counter.end_epoch();
                in_flight.sums_are_made(ended.epoch, &sums);
                contribution_handle.session(&ended.contributions).give_iterator(sums.into_iter());
            };
            // In the order of arrival: grouping by stamp may reorder the blocks of one epoch.
            input.for_each(|stamp, blocks| {
                let (Some(contributions), Some(dead_letters)) =
                    (stamp.retain_least(CONTRIBUTIONS), stamp.retain_least(DEAD_LETTERS))
                else {
                    return failure.bug("a block arrived without a time");
                };
                let epoch = Epoch(*contributions.time());
                if open.as_ref().is_none_or(|open| open.epoch != epoch) {
                    if let Some(ended) = open.take() {
                        close(&mut counter, ended);
                    }
                    counter.begin_epoch(epoch);
                    open = Some(OpenEpoch { epoch, contributions });
                }
                for block in blocks.drain(..) {
                    match counter.count(&block) {
                        Ok(letters) if letters.is_empty() => {}
                        Ok(letters) => dead_letter_handle.session(&dead_letters).give(letters),
                        Err(error) => failure.block(error),
                    }
                }
            });
            if let Some(ended) = open.take_if(|open| !frontiers[0].less_equal(&open.epoch.0)) {
                close(&mut counter, ended);
            }
        }
    });
    (contributions, dead_letters)
}
