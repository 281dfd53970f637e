//! What cannot be told of a run at one moment, but from one look to the next: how long nothing has moved, what workers have waited for, and how fresh what was published of late is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::telemetry::http::Verdict;
use crate::telemetry::{Waits, WaitsFor, WorkerProgress, WorkerSeen};

/// A process in which nothing has moved for so long, though there is something to do, is better started again.
const LIVE_FOR: Duration = Duration::from_secs(60);
/// Freshness is told of so much time, at least, and of a step more at most.
const FRESHNESS_OF: Duration = Duration::from_secs(60);
const FRESHNESS_STEP: Duration = Duration::from_secs(5);

/// What was seen until the last look.
#[derive(Debug, Default)]
pub struct Watched {
    last: Option<Instant>,
    workers: Vec<Worker>,
    /// As far as all workers were, and since when.
    progress: Option<(u64, Vec<WorkerProgress>, Instant)>,
    /// For how long nothing has moved, and what does not.
    stands_still: Option<(Duration, String)>,
    /// What had been published by then, the oldest first.
    published: VecDeque<(Instant, Waits)>,
}

/// A worker as it was at the last look.
#[derive(Clone, Debug)]
pub struct Worker {
    /// As it was seen.
    pub seen: WorkerSeen,
    /// The processor time that it has had.
    pub busy: Duration,
    /// How long it has waited, for each of [`WaitsFor::ALL`].
    pub waited: [Duration; WaitsFor::ALL.len()],
    /// When it was seen to end a step.
    stepped: Instant,
}

impl Watched {
    /// Looks, and compares with the last look.
    pub fn look(&mut self, now: Instant, events: u64, seen: &[WorkerSeen], published: &Waits) {
        let passed = self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        self.last = Some(now);
        for (index, seen) in seen.iter().enumerate() {
            match self.workers.get_mut(index) {
                Some(worker) => worker.look(now, passed, seen),
                None => self.workers.push(Worker::new(now, seen)),
            }
        }
        self.stands_still = self.hanging(now).or_else(|| self.behind(now, events));
        if self.published.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= FRESHNESS_STEP) {
            self.published.push_back((now, published.clone()));
            while self.published.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= FRESHNESS_OF) {
                self.published.pop_front();
            }
        }
    }

    /// The worker that has been in its step for longest, if it is long.
    fn hanging(&self, now: Instant) -> Option<(Duration, String)> {
        // A worker ends a step at least ten times a second, unless it has much to do in one.
        const LONG: Duration = Duration::from_secs(1);
        let in_step = |(index, worker): (usize, &Worker)| (now.saturating_duration_since(worker.stepped), index);
        let at_work = self.workers.iter().enumerate().filter(|(_, worker)| !worker.seen.has_ended);
        let (stalled, worker) = at_work.map(in_step).max().filter(|(stalled, _)| *stalled >= LONG)?;
        Some((stalled, format!("worker {worker} has ended no step")))
    }

    /// The first epoch that could be done and is not, where nothing moves.
    fn behind(&mut self, now: Instant, events: u64) -> Option<(Duration, String)> {
        let go_on = self.workers.iter().filter(|worker| !worker.seen.has_ended);
        let workers: Vec<_> = go_on.map(|worker| worker.seen.progress).collect();
        let behind = workers.iter().filter(|worker| worker.done_before < worker.announced);
        let epoch = behind.map(|worker| worker.done_before).min();
        let has_moved =
            self.progress.as_ref().is_none_or(|(counted, before, _)| *counted != events || *before != workers);
        if has_moved || epoch.is_none() {
            self.progress = Some((events, workers, now));
            return None;
        }
        let (_, _, since) = self.progress.as_ref()?;
        let stalled = now.saturating_duration_since(*since);
        Some((stalled, format!("epoch {} is not done, and nothing is counted", epoch?)))
    }

    /// For how long nothing has moved though there is something to do.
    pub fn progress_age(&self) -> Duration {
        self.stands_still.as_ref().map_or(Duration::ZERO, |(stalled, _)| *stalled)
    }

    /// Whether the process should be left to go on. What waits for a sink does: starting it again mends nothing there.
    pub fn live(&self) -> Verdict {
        let waits_for_writers = self.workers.iter().any(|worker| worker.seen.progress.waits_for_writers);
        match &self.stands_still {
            Some((stalled, what)) if *stalled >= LIVE_FOR && !waits_for_writers => {
                Err(format!("{what} for {:.0} s", stalled.as_secs_f64()))
            }
            _ => Ok(()),
        }
    }

    /// The workers, in their order.
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// How long what was published lately had waited.
    pub fn lately(&self, now: &Waits) -> Waits {
        self.published.front().map_or_else(|| now.clone(), |(_, before)| now.since(before))
    }
}

impl Worker {
    fn new(now: Instant, seen: &WorkerSeen) -> Worker {
        Worker { seen: *seen, busy: seen.busy.unwrap_or_default(), waited: Default::default(), stepped: now }
    }

    fn look(&mut self, now: Instant, passed: Duration, seen: &WorkerSeen) {
        let had_ended = self.seen.has_ended;
        if seen.steps != self.seen.steps {
            self.stepped = now;
        }
        self.seen = *seen;
        let busy = seen.busy.unwrap_or(self.busy).max(self.busy);
        let worked = busy - std::mem::replace(&mut self.busy, busy);
        if !had_ended {
            self.waited[seen.state.waits_for as usize] += passed.saturating_sub(worked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Freshness, WorkerState};

    fn seen(steps: u64, done_before: u64, announced: u64) -> WorkerSeen {
        WorkerSeen {
            steps,
            has_ended: false,
            busy: Some(Duration::ZERO),
            progress: WorkerProgress { done_before, announced, waits_for_writers: false },
            state: WorkerState { waits_for: WaitsFor::Source, ..WorkerState::default() },
        }
    }

    /// After looks of so many seconds from the beginning, each with a worker like this.
    fn watched(looks: &[(u64, WorkerSeen)]) -> Watched {
        let (mut watched, start) = (Watched::default(), Instant::now());
        for (seconds, worker) in looks {
            watched.look(start + Duration::from_secs(*seconds), 5, &[*worker], &Waits::default());
        }
        watched
    }

    #[test]
    fn what_has_nothing_to_do_or_moves_is_live_and_what_hangs_is_not() {
        let idle = watched(&[(0, seen(1, 7, 7)), (500, seen(2, 7, 7)), (1_000, seen(3, 7, 7))]);
        assert_eq!((idle.live(), idle.progress_age()), (Ok(()), Duration::ZERO));
        let moves = watched(&[(0, seen(1, 7, 9)), (500, seen(2, 8, 9))]);
        assert_eq!((moves.live(), moves.progress_age()), (Ok(()), Duration::ZERO));
        let hangs = watched(&[(0, seen(1, 7, 7)), (50, seen(1, 7, 7))]);
        assert_eq!((hangs.live(), hangs.progress_age()), (Ok(()), Duration::from_secs(50)));
        let hangs = watched(&[(0, seen(1, 7, 7)), (61, seen(1, 7, 7))]);
        assert_eq!(hangs.live(), Err("worker 0 has ended no step for 61 s".to_owned()));
        let stalls = [(0, seen(1, 7, 9)), (30, seen(2, 7, 9)), (62, seen(3, 7, 9))];
        assert_eq!(watched(&stalls).live(), Err("epoch 7 is not done, and nothing is counted for 62 s".to_owned()));
        let mut writes = stalls;
        writes.iter_mut().for_each(|(_, worker)| worker.progress.waits_for_writers = true);
        assert_eq!((watched(&writes).live(), watched(&writes).progress_age()), (Ok(()), Duration::from_secs(62)));
    }

    #[test]
    fn time_without_a_processor_is_what_was_waited_for() {
        let mut busy = seen(2, 7, 7);
        busy.busy = Some(Duration::from_secs(4));
        let mut ended = WorkerSeen { has_ended: true, ..busy };
        ended.state.waits_for = WaitsFor::Writers;
        let watched = watched(&[(0, seen(1, 7, 7)), (10, busy), (12, ended), (60, ended)]);
        let worker = &watched.workers()[0];
        assert_eq!(worker.busy, Duration::from_secs(4));
        assert_eq!(worker.waited[WaitsFor::Source as usize], Duration::from_secs(6));
        assert_eq!(worker.waited[WaitsFor::Writers as usize], Duration::from_secs(2), "and nothing once it has ended");
    }

    #[test]
    fn freshness_is_of_the_last_minute() {
        let (mut watched, start, freshness) = (Watched::default(), Instant::now(), Freshness::default());
        let mut look = |seconds, waited, items| {
            watched.look(start + Duration::from_secs(seconds), 0, &[], &freshness.now());
            freshness.note(Duration::from_secs(waited), items);
            watched.lately(&freshness.now()).items()
        };
        assert_eq!([look(0, 1, 10), look(30, 1, 10), look(59, 1, 1)], [10, 20, 21]);
        assert_eq!(look(95, 1, 5), 16, "what was published after the look at 30 s");
        for second in (100..10_000).step_by(5) {
            look(second, 1, 1);
        }
        assert!(watched.published.len() <= 14);
    }
}
