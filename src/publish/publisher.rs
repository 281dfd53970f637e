//! A worker's side of publishing: it reads what is marked while there is room, and takes the answers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::Thread;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::message::{Answer, Handed, Receipt};
use super::pace::Pace;
use crate::epoch::Epoch;
use crate::recovery::Journaled;
use crate::sink::{Intake, STOP_WITHIN, SinkError, SinkErrorKind};
use crate::state::{DecayCounters, Handover, Moment, RhythmId, Selection};
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
    /// With a state: what may be published.
    pub journaled: Option<Journaled>,
}

/// Publishes what is marked in a worker's state.
pub(crate) struct Publisher {
    parts: Parts,
    answers: Receiver<Answer>,
    answer_sender: Sender<Answer>,
    thread: Thread,
    /// What was read, each with the newest epoch that it contains, until that is in the journal. In flight, as far as the state knows: the
    /// room bounds it.
    unjournaled: VecDeque<(Epoch, Handed)>,
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

/// Why a run that was asked to stop leaves something unpublished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// The table has not taken everything since.
    TimeUp,
    /// Nothing may be published yet.
    NotCaughtUp,
}

/// How far the run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunState {
    /// Everything that was read is applied, and nothing more comes.
    pub is_drained: bool,
    /// The run was asked to stop.
    pub is_stopping: bool,
    /// Nothing may be published yet.
    pub is_held: bool,
    /// The newest epoch that is applied.
    pub applied: Epoch,
}

impl Publisher {
    /// For the thread that it is made on.
    pub fn new(parts: Parts) -> Publisher {
        // At most one answer for each item in flight.
        let (answer_sender, answers) = unbounded();
        let thread = std::thread::current();
        if let Some(journaled) = &parts.journaled {
            journaled.sleepers().add(thread.clone());
        }
        let (unjournaled, told) = (VecDeque::new(), Moment::default());
        Publisher { parts, answers, answer_sender, thread, unjournaled, stopping_since: None, told }
    }

    /// Does what there is to do, at most one batch of it. To be called between other work.
    pub fn work(&mut self, now: Moment, run: RunState) -> Result<Next, GivenUp> {
        let counters = Rc::clone(&self.parts.counters);
        let mut counters = counters.borrow_mut();
        for Answer { id, items, outcome } in self.answers.try_iter() {
            if outcome.is_there() {
                counters.note_freshness(id, items.len() as u32, now);
            }
            counters.answer(id, items, outcome);
        }
        self.send_journaled();
        let deadline = self.deadline(now, run);
        let time_is_up = deadline.is_some_and(|deadline| deadline <= now);
        let goes_on = if time_is_up || run.is_held {
            false
        } else {
            self.begin_round(&mut counters, now, run);
            self.hand_over(&mut counters, now, run.applied)
        };
        let is_done = run.is_drained && counters.unpublished_items() == 0;
        if is_done || run.is_drained && run.is_held || now.0 >= self.told.0 + TELL_EVERY {
            self.told = now;
            let unpublished = counters.unpublished();
            self.parts.gauge.set(unpublished.items as u64, unpublished.oldest.map(|since| since.0));
            if counters.put_off_for().is_some() {
                self.parts.gauge.note_late(unpublished.oldest.map_or(0, |since| now.0.saturating_sub(since.0)));
            }
        }
        // In the past: then it is room that is missing.
        let next_units = counters.may_write_at().filter(|next| *next > now);
        match deadline {
            _ if goes_on => Ok(Next::More),
            _ if is_done => Ok(Next::Done),
            _ if run.is_held && run.is_drained => Err(GivenUp::NotCaughtUp),
            // Other work goes on, and sees to it that it is asked again.
            _ if run.is_held => Ok(Next::Wait(Moment(now.0 + TELL_EVERY))),
            Some(_) if time_is_up => Err(GivenUp::TimeUp),
            Some(deadline) => Ok(Next::Wait(next_units.map_or(deadline, |next| next.min(deadline)))),
            // There is no room, and answers wake the thread; or the rate is held.
            None if counters.is_in_round() => Ok(Next::Wait(next_units.unwrap_or(Moment(u64::MAX)))),
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
        let needed = counters.memory_needs();
        // At the end each round waits for the answers to the one before: what could not be written, or was in flight.
        let last = run.is_drained && counters.bytes_in_flight() == 0;
        let Parts { pace, .. } = &mut self.parts;
        let is_time = |rhythm: &RhythmId| needed.is_some() || last || pace.is_due(*rhythm, now, counters.last_epoch());
        if let Some(longest) = pace.rhythms().filter(is_time).last()
            && counters.waits_for_round(longest)
        {
            let selection = if last { Selection::Everything } else { needed.unwrap_or(Selection::Due) };
            counters.begin_round(longest, selection, now);
            pace.round_begins(now);
        }
    }

    /// Hands a batch over, if there is one and room for it; says whether there was, or may be one yet.
    fn hand_over(&mut self, counters: &mut DecayCounters, now: Moment, applied: Epoch) -> bool {
        let Parts { pace, intake, room_bytes, .. } = &mut self.parts;
        if counters.bytes_in_flight() >= *room_bytes || !counters.may_write(now) {
            return false;
        }
        let round = counters.round();
        let handover = counters.take_evicted().or_else(|| counters.take(intake));
        if let Some(longest) = round.filter(|_| !counters.is_in_round()) {
            match counters.has_budget() {
                true => pace.paced_round_ended(longest, now),
                false => pace.round_ended(longest, now),
            }
        }
        // Of what was looked at nothing may have been due.
        let Some(Handover { id, items }) = handover else { return counters.is_in_round() };
        let more_follows = counters.is_in_round() && counters.bytes_in_flight() < *room_bytes;
        let receipt = Receipt { id, answers: self.answer_sender.clone(), thread: self.thread.clone() };
        self.unjournaled.push_back((applied, Handed { items, worker: self.parts.worker, more_follows, receipt }));
        self.send_journaled();
        true
    }

    /// Hands over what contains nothing that is not in the journal, where there is one.
    fn send_journaled(&mut self) {
        let Parts { journaled, outbox, .. } = &self.parts;
        let may_go =
            |(epoch, _): &mut (Epoch, Handed)| journaled.as_ref().is_none_or(|journaled| journaled.covers(*epoch));
        while let Some((_, handed)) = self.unjournaled.pop_front_if(may_go) {
            // A writer that is gone has said why; what it was given stays without an answer.
            let _ = outbox.send(handed);
        }
    }
}

/// What a run says whose sink has not taken so many items in time after a signal to stop, and why that was.
pub(crate) fn not_published(items: u64, sink: &str, trouble: Option<String>) -> SinkError {
    let why = trouble.unwrap_or_else(|| "it did not take them".to_owned());
    let message = format!(
        "{items} items could not be written to {sink} within {} seconds of the signal to stop ({why}): what it has of them is \
         older; see that it can be written to, and start again",
        STOP_WITHIN.as_secs()
    );
    SinkError::new(message).of_kind(SinkErrorKind::ServiceLost)
}
