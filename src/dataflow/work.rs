//! One worker of a run: it moves its share of the dataflow, publishes what has changed, and writes its part of checkpoints in between.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;
use timely::dataflow::operators::probe::Handle as Probe;
use timely::worker::Worker;

use super::count_block::BlockCounter;
use super::failure::Failure;
use super::gate::Gate;
use super::graph::{self, Changelog, Parts};
use super::in_flight::InFlight;
use super::operators::Delivery;
use super::writer::KeepWriting;
use crate::epoch::Epoch;
use crate::pipeline::Pipeline;
use crate::publish::{
    GivenUp as PublishingEnds, Handed, Next, Pace, Publisher, PublisherParts, RunClock, RunState, not_published,
};
use crate::recovery::{Snapshotter, WorkerRecovery, Writing};
use crate::sink::{DeadLetterBatch, Intake};
use crate::source::Feed;
use crate::state::{DecayCounters, Moment};
use crate::telemetry::{Metrics, WorkerProgress};

/// How long a worker sleeps, at most, when nothing wakes it.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// The same while something of a snapshot waits for room: whoever makes it does not wake.
const WHILE_WRITING: Duration = Duration::from_millis(1);

/// What the writer threads and the workers share.
#[derive(Clone)]
pub(super) struct Outboxes {
    pub items: ItemOutbox,
    pub dead_letters: Sender<Delivery<DeadLetterBatch>>,
}

#[derive(Clone)]
pub(super) enum ItemOutbox {
    Changelog(Changelog),
    /// And what tells the writer that no worker waits for it any more.
    Table {
        handed: Sender<Handed>,
        keep_writing: KeepWriting,
        intake: Intake,
        is_replay: bool,
    },
}

/// What one worker is made of: what can be sent to its thread.
pub(super) struct WorkerParts {
    pub feed: Feed,
    pub counter: BlockCounter,
    pub counters: DecayCounters,
    pub outboxes: Outboxes,
    pub clock: RunClock,
    /// Which of so many workers of this process it is.
    pub index: usize,
    pub workers: usize,
    pub in_flight: InFlight,
    pub metrics: Arc<Metrics>,
    pub pipeline: Arc<Pipeline>,
    pub signalled: Arc<AtomicBool>,
    pub kept: Option<WorkerRecovery>,
    /// The newest epoch that its state contains.
    pub applied: Epoch,
    /// What is written to, for messages.
    pub sink_name: Arc<str>,
    pub gate: Gate,
    pub failure: Failure,
}

/// One worker, from the beginning to the end of the stream.
pub(super) fn work(worker: &mut Worker, parts: WorkerParts) {
    let counters = Rc::new(RefCell::new(parts.counters));
    let (clock, failure, signalled, mut gate) = (parts.clock, parts.failure, parts.signalled, parts.gate);
    let (metrics, sink_name, applied) =
        (Arc::clone(&parts.metrics), parts.sink_name, Rc::new(Cell::new(parts.applied)));
    let journaled = parts.kept.as_ref().map(|kept| kept.journaled.clone());
    let mut kept = parts.kept.map(|kept| Keeping::new(kept, Rc::clone(&counters)));
    let (changelog, mut publisher, _keep_writing) = match parts.outboxes.items {
        ItemOutbox::Changelog(changelog) => (Some(changelog), None, None),
        ItemOutbox::Table { handed, keep_writing, intake, is_replay } => {
            let publisher = Publisher::new(PublisherParts {
                counters: Rc::clone(&counters),
                pace: Pace::new(&parts.pipeline.publish.rhythms, is_replay),
                intake,
                room_bytes: intake.room_bytes / parts.workers as u64,
                worker: parts.index,
                outbox: handed,
                gauge: parts.metrics.waiting.register(),
                journaled,
            });
            (None, Some(publisher), Some(keep_writing))
        }
    };
    let in_flight = parts.in_flight.clone();
    let parts = Parts {
        feed: parts.feed,
        counter: parts.counter,
        counters,
        kept: kept.as_ref().map(|kept| Rc::clone(&kept.snapshotter)),
        applied: Rc::clone(&applied),
        clock,
        changelog,
        dead_letters: parts.outboxes.dead_letters,
        in_flight: parts.in_flight,
        failure: failure.clone(),
    };
    let (done, source) = graph::build(worker, parts);
    let pulse = metrics.pulse.register();
    let mut next = Next::Done;
    let mut writing = Writing::Nothing;
    while !done.done() || next != Next::Done || kept.as_ref().is_some_and(|kept| !kept.may_end()) {
        match writing {
            _ if next == Next::More => worker.step(),
            Writing::More => worker.step(),
            Writing::Waits => worker.step_or_park(Some(clock.until(next).min(WHILE_WRITING))),
            Writing::Nothing => worker.step_or_park(Some(clock.until(next).min(LONGEST_SLEEP))),
        };
        let is_held = gate.is_closed(&done);
        let progress = WorkerProgress {
            done_before: done.with_frontier(|frontier| frontier.first().copied().unwrap_or(u64::MAX)),
            announced: source.could_be_done_before().0,
            waits_for_writers: in_flight.has_batches(),
        };
        pulse.beat(progress, source.state(is_held));
        source.wake_if_acknowledged();
        if let Some(kept) = &mut kept {
            writing = kept.write(&done);
        }
        let run = RunState {
            is_drained: done.done(),
            is_stopping: signalled.load(Ordering::Acquire),
            is_held,
            applied: applied.get(),
        };
        if kept.as_ref().is_some_and(Keeping::has_given_up) {
            continue;
        }
        next = match publisher.as_mut().map_or(Ok(Next::Done), |publisher| publisher.work(clock.now(), run)) {
            Ok(next) => next,
            Err(why) => match &mut kept {
                // The state has it, and the next run publishes it.
                Some(kept) => kept.give_up(),
                None => {
                    match why {
                        PublishingEnds::TimeUp => {
                            failure.sink(not_published(metrics.waiting.items(), &sink_name, metrics.sink_trouble.get()))
                        }
                        PublishingEnds::NotCaughtUp => failure.not_caught_up(metrics.waiting.items()),
                    }
                    Next::Wait(Moment(u64::MAX))
                }
            },
        };
        if let Some(kept) = &mut kept
            && done.done()
            && next == Next::Done
        {
            kept.settle();
        }
    }
}

/// A worker's state that is kept.
struct Keeping {
    snapshotter: Rc<RefCell<Snapshotter>>,
    counters: Rc<RefCell<DecayCounters>>,
    is_finished: Arc<AtomicBool>,
    has_settled: bool,
    has_given_up: bool,
}

impl Keeping {
    fn new(kept: WorkerRecovery, counters: Rc<RefCell<DecayCounters>>) -> Keeping {
        let WorkerRecovery { snapshotter, is_finished, .. } = kept;
        let snapshotter = Rc::new(RefCell::new(snapshotter));
        Keeping { snapshotter, counters, is_finished, has_settled: false, has_given_up: false }
    }

    /// Writes a slice of a snapshot, if there is one.
    fn write(&mut self, done: &Probe<u64>) -> Writing {
        if done.done() {
            // No operator runs any more, and there are cuts still: of what was published.
            self.snapshotter.borrow_mut().cut_before(Epoch(u64::MAX), &mut self.counters.borrow_mut());
        }
        self.snapshotter.borrow_mut().work(&mut self.counters.borrow_mut(), |epoch| !done.less_equal(&epoch.0))
    }

    /// What is not published by now stays so.
    fn give_up(&mut self) -> Next {
        self.has_given_up = true;
        self.settle();
        Next::Done
    }

    fn has_given_up(&self) -> bool {
        self.has_given_up
    }

    /// Nothing more will be published.
    fn settle(&mut self) {
        if !std::mem::replace(&mut self.has_settled, true) {
            self.snapshotter.borrow().settled();
        }
    }

    /// Whether everything of the state is written that is to be written.
    fn may_end(&self) -> bool {
        self.is_finished.load(Ordering::Acquire)
    }
}
