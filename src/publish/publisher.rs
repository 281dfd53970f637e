//! A worker's side of publishing: it reads what is marked while there is room, and takes the answers.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::Thread;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::message::{Answer, Handed, Receipt};
use super::pace::Pace;
use crate::sink::{Intake, STOP_WITHIN, SinkError, SinkErrorKind};
use crate::state::{DecayCounters, Handover, Moment, RhythmId};
use crate::telemetry::WaitingGauge;

/// How often it is told how much waits, in milliseconds.
const TELL_EVERY: u64 = 100;

/// What a publisher is made of.
pub(crate) struct Parts {
    /// The worker's state.
    pub counters: Rc<RefCell<DecayCounters>>,
    pub pace: Pace,
    pub intake: Intake,
    /// So many bytes may be in flight: this worker's share.
    pub room_bytes: u64,
    /// Which worker of this process it is.
    pub worker: usize,
    /// Bounded by the room of all workers.
    pub outbox: Sender<Handed>,
    pub gauge: Arc<WaitingGauge>,
}

/// Publishes what is marked in a worker's state.
pub(crate) struct Publisher {
    parts: Parts,
    answers: Receiver<Answer>,
    answer_sender: Sender<Answer>,
    thread: Thread,
    /// When everything that was read had been applied, and the run was asked to stop.
    stopping_since: Option<Moment>,
    told: Moment,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The same at once: there is more to hand over.
    More,
    /// Nothing before the answers come, something changes, or this time has come.
    Wait(Moment),
    /// Nothing any more: everything that was read is in the table.
    Done,
}

/// The run was asked to stop, and the table has not taken everything since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeUp;

/// How far the run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunState {
    /// Everything that was read is applied, and nothing more comes.
    pub is_drained: bool,
    /// The run was asked to stop.
    pub is_stopping: bool,
}

impl Publisher {
    /// For the thread that it is made on.
    pub fn new(parts: Parts) -> Publisher {
        // At most one answer for each item in flight.
        let (answer_sender, answers) = unbounded();
        let thread = std::thread::current();
        Publisher { parts, answers, answer_sender, thread, stopping_since: None, told: Moment::default() }
    }

    /// Does what there is to do, at most one batch of it. To be called between other work.
    pub fn work(&mut self, now: Moment, run: RunState) -> Result<Next, TimeUp> {
        let counters = Rc::clone(&self.parts.counters);
        let mut counters = counters.borrow_mut();
        for Answer { id, items, outcome } in self.answers.try_iter() {
            counters.answer(id, items, outcome);
        }
        let deadline = self.deadline(now, run);
        let time_is_up = deadline.is_some_and(|deadline| deadline <= now);
        let handed_over = if time_is_up {
            false
        } else {
            self.begin_round(&mut counters, now, run);
            self.hand_over(&mut counters, now)
        };
        let is_done = run.is_drained && counters.unpublished_items() == 0;
        if is_done || now.0 >= self.told.0 + TELL_EVERY {
            self.told = now;
            let unpublished = counters.unpublished();
            self.parts.gauge.set(unpublished.items as u64, unpublished.oldest.map(|since| since.0));
        }
        match deadline {
            _ if handed_over => Ok(Next::More),
            _ if is_done => Ok(Next::Done),
            Some(_) if time_is_up => Err(TimeUp),
            Some(deadline) => Ok(Next::Wait(deadline)),
            // There is no room; answers wake the thread.
            None if counters.is_in_round() => Ok(Next::Wait(Moment(u64::MAX))),
            None => match self.next_round(&counters) {
                // A longer rhythm was due before the round that has just ended.
                due if due <= now => Ok(Next::More),
                next => Ok(Next::Wait(next)),
            },
        }
    }

    /// Until when the table is waited for, where that is not for ever.
    fn deadline(&mut self, now: Moment, run: RunState) -> Option<Moment> {
        let is_ending = run.is_drained && run.is_stopping;
        is_ending.then(|| Moment(self.stopping_since.get_or_insert(now).0 + STOP_WITHIN.as_millis() as u64))
    }

    /// When a round may begin, as far as that is known now.
    fn next_round(&self, counters: &DecayCounters) -> Moment {
        let Parts { pace, .. } = &self.parts;
        let rhythms = pace.rhythms().filter(|rhythm| counters.waits_for_round(*rhythm));
        rhythms.map(|rhythm| pace.next(rhythm, counters.last_epoch())).min().unwrap_or(Moment(u64::MAX))
    }

    /// Begins a round, if it is time for one: over the rhythms that are due, and all shorter ones.
    fn begin_round(&mut self, counters: &mut DecayCounters, now: Moment, run: RunState) {
        if counters.is_in_round() {
            return;
        }
        let soon = counters.is_to_be_published_soon();
        // At the end each round waits for the answers to the one before: what could not be written, or was in flight.
        let last = run.is_drained && counters.bytes_in_flight() == 0;
        let Parts { pace, .. } = &mut self.parts;
        let is_time = |rhythm: &RhythmId| soon || last || pace.is_due(*rhythm, now, counters.last_epoch());
        if let Some(longest) = pace.rhythms().filter(is_time).last()
            && counters.waits_for_round(longest)
        {
            counters.begin_round(longest);
            pace.round_begins(now);
        }
    }

    /// Hands a batch over, if there is one and room for it; says whether there was.
    fn hand_over(&mut self, counters: &mut DecayCounters, now: Moment) -> bool {
        let Parts { pace, intake, room_bytes, .. } = &mut self.parts;
        if counters.bytes_in_flight() >= *room_bytes {
            return false;
        }
        let round = counters.round();
        let handover = counters.take_evicted().or_else(|| counters.take(intake));
        if let Some(longest) = round.filter(|_| !counters.is_in_round()) {
            pace.round_ended(longest, now);
        }
        let Some(Handover { id, items }) = handover else { return false };
        let more_follows = counters.is_in_round() && counters.bytes_in_flight() < *room_bytes;
        let receipt = Receipt { id, answers: self.answer_sender.clone(), thread: self.thread.clone() };
        // A writer that is gone has said why; what it was given stays without an answer.
        let _ = self.parts.outbox.send(Handed { items, worker: self.parts.worker, more_follows, receipt });
        true
    }
}

/// What a run says whose sink has not taken so many items in time after a signal to stop, and why that was.
pub(crate) fn not_published(items: u64, sink: &str, trouble: Option<String>) -> SinkError {
    let why = trouble.map_or_else(|| "it did not take them".to_owned(), |trouble| trouble);
    let message = format!(
        "{items} items could not be written to {sink} within {} seconds of the signal to stop ({why}): what it has of them is \
         older; see that it can be written to, and start again",
        STOP_WITHIN.as_secs()
    );
    SinkError::new(message).of_kind(SinkErrorKind::ServiceLost)
}
