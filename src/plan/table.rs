//! A table that takes everything at once, with the worker that publishes to it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::{Receiver, unbounded};

use crate::epoch::{Epoch, Generation, Versions, Window};
use crate::peers::Peers;
use crate::pipeline::Pipeline;
use crate::publish::{Handed, Next, Pace, Publisher, PublisherParts, RunState};
use crate::sink::{Intake, ItemBatch, Order, Outcome};
use crate::state::{ApplyError, DecayCounters, Moment, Publishing};
use crate::sums::ContributionBatch;
use crate::telemetry::Metrics;

/// Nothing stands in the way of a batch.
const ROOM_BYTES: u64 = 64 << 20;

/// A worker's counters and its publisher.
pub(super) struct SimulatedTable {
    counters: Rc<RefCell<DecayCounters>>,
    publisher: Publisher,
    inbox: Receiver<Handed>,
    now: Moment,
}

impl SimulatedTable {
    pub fn new(pipeline: &Arc<Pipeline>) -> SimulatedTable {
        let metrics = Arc::new(Metrics::default());
        let versions = Versions::new(Generation(1), Window(1));
        let gauge = metrics.waiting.register();
        let counters = DecayCounters::new(Arc::clone(pipeline), versions, Peers::alone(1), Publishing::Pull, metrics);
        let counters = Rc::new(RefCell::new(counters));
        let (outbox, inbox) = unbounded();
        let publisher = Publisher::new(PublisherParts {
            counters: Rc::clone(&counters),
            pace: Pace::new(&pipeline.publish.rhythms, false),
            intake: Intake { order: Order::Waiting, items_at_once: usize::MAX, room_bytes: ROOM_BYTES },
            room_bytes: ROOM_BYTES,
            worker: 0,
            outbox,
            gauge,
            journaled: None,
        });
        SimulatedTable { counters, publisher, inbox, now: Moment(0) }
    }

    /// The counters, to be looked at.
    pub fn counters(&self) -> &RefCell<DecayCounters> {
        &self.counters
    }

    /// A window has ended at this time, with these sums; what is due then is written.
    pub fn end_window(
        &mut self,
        sums: &[ContributionBatch],
        now: Moment,
        write: &mut impl FnMut(&ItemBatch),
    ) -> Result<(), ApplyError> {
        self.pass_to(now, write);
        self.counters.borrow_mut().apply_epoch(sums, now, |_| {})?;
        self.pass_to(now, write);
        Ok(())
    }

    /// Lets time pass in which nothing comes.
    pub fn pass_to(&mut self, moment: Moment, write: &mut impl FnMut(&ItemBatch)) {
        let running = RunState { is_drained: false, is_stopping: false, is_held: false, applied: Epoch(0) };
        loop {
            match self.work(running, write) {
                Next::More => {}
                Next::Wait(next) if next <= moment => self.now = self.now.max(next),
                Next::Wait(_) | Next::Done => break,
            }
        }
        self.now = self.now.max(moment);
    }

    /// Everything was read: what waits is written.
    pub fn finish(&mut self, write: &mut impl FnMut(&ItemBatch)) {
        let end = RunState { is_drained: true, is_stopping: false, is_held: false, applied: Epoch(0) };
        loop {
            match self.work(end, write) {
                Next::Done => break,
                Next::More => {}
                Next::Wait(next) if next < Moment(u64::MAX) => self.now = self.now.max(next),
                Next::Wait(_) => {}
            }
        }
    }

    /// A turn of the publisher.
    fn work(&mut self, run: RunState, write: &mut impl FnMut(&ItemBatch)) -> Next {
        // There is a deadline only for who was asked to stop.
        let next = self.publisher.work(self.now, run).unwrap_or(Next::More);
        let mut handed_any = false;
        for Handed { items, receipt, .. } in self.inbox.try_iter() {
            write(&items);
            receipt.answer(0..items.len() as u32, Outcome::Written);
            handed_any = true;
        }
        if handed_any { Next::More } else { next }
    }
}
