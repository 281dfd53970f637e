//! Watches over the processes of a run: each sees to it that it gets on itself, and that it hears of those it talks to.
//!
//! A process that is stopped, hung or cut off keeps its connections, and nothing else would ever notice. What is waited for is progress and not
//! mere life: a worker comes to the end of a step at least ten times a second, whatever it waits for, unless it hangs in one.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::fate::Fate;
use super::heard::Heard;
use crate::lease::Leave;
use crate::telemetry::{Metrics, WorkerProgress};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// So many times within the time that is allowed a process says that it gets on.
const BEATS: u32 = 10;
/// A connection of the dataflow that is lost has mostly a better reason, which comes by another way.
const BETTER_REASON_WITHIN: Duration = Duration::from_secs(1);

/// What is watched, and what is done meanwhile.
pub(super) struct Watch {
    /// This process.
    pub name: String,
    pub peers: Vec<Arc<Heard>>,
    /// As long as all are heard of, this process may write.
    pub leave: Leave,
    /// What nothing is heard of for so long is lost.
    pub within: Duration,
    pub metrics: Arc<Metrics>,
    pub fate: Arc<Fate>,
    /// Whether this process looks after the progress of the whole run: it hears of all that is counted, and has the writers.
    pub watches_run: bool,
    /// Ends the run for all, because of this.
    pub lose: Box<dyn Fn(String) + Send>,
    /// The name of a process.
    pub name_of: Box<dyn Fn(u32) -> String + Send>,
    /// Says to the others that this process gets on.
    pub beat: Box<dyn FnMut() + Send>,
    /// What else is to be done now and then; whether the watch goes on.
    pub tick: Box<dyn FnMut() -> bool + Send>,
}

impl Watch {
    pub fn start(self) -> std::io::Result<JoinHandle<()>> {
        // All were just heard of: whoever has leave only from now on need not wait for the first look.
        self.leave.until(Instant::now() + self.within);
        thread::Builder::new().name("watch".to_owned()).spawn(move || self.run())
    }

    fn run(mut self) {
        let mut last = Instant::now();
        let mut next_beat = last;
        let mut stalls = Stalls { run: (RunProgress::default(), Instant::now()), workers: Vec::new() };
        while (self.tick)() {
            thread::sleep(LOOK_EVERY);
            let now = Instant::now();
            let gap = now - std::mem::replace(&mut last, now);
            if let Some(culprit) = self.look(gap, now, &mut stalls) {
                (self.lose)(culprit);
                self.fate.is_awake();
                continue;
            }
            self.fate.is_awake();
            if self.fate.culprit().is_none() {
                let heard = self.peers.iter().map(|peer| peer.at()).min();
                heard.into_iter().for_each(|heard| self.leave.until(heard + self.within));
            }
            if now >= next_beat && self.fate.culprit().is_none() {
                next_beat = now + self.within / BEATS;
                (self.beat)();
            }
        }
        self.leave.for_good();
    }

    fn look(&self, gap: Duration, now: Instant, stalls: &mut Stalls) -> Option<String> {
        let seconds = |time: Duration| time.as_secs_f64();
        if gap >= self.within {
            return Some(format!("{} was stopped for {:.1} s", self.name, seconds(gap)));
        }
        if let Some(worker) = stalls.longest(&self.metrics.pulse.steps(), now).filter(|stall| stall.1 >= self.within) {
            let (worker, stalled) = worker;
            return Some(format!(
                "worker {worker} of {} hangs: no step has ended for {:.1} s",
                self.name,
                seconds(stalled)
            ));
        }
        if let Some(silent) = self.peers.iter().find(|peer| peer.since() >= self.within) {
            return Some(format!(
                "{} has not been heard of for {:.1} s: it is stopped, hangs, or is cut off",
                silent.name,
                seconds(silent.since())
            ));
        }
        if self.watches_run
            && let Some((epoch, stalled)) =
                stalls.of_run(&RunProgress::of(&self.metrics), now).filter(|stall| stall.1 >= self.within)
        {
            return Some(format!(
                "the run stands still: epoch {epoch} is not done, nothing was counted for {:.1} s, and nobody waits for a writer; what one \
                 process sends to another does not arrive",
                seconds(stalled)
            ));
        }
        let (process, why) = lost_connection(now)?;
        Some(match process {
            Some(process) => format!("the connection with {} was lost: {why}", (self.name_of)(process)),
            None => format!("a connection with another process was lost: {why}"),
        })
    }
}

/// How far the whole run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RunProgress {
    events: u64,
    workers: Vec<WorkerProgress>,
}

impl RunProgress {
    fn of(metrics: &Metrics) -> RunProgress {
        let events = metrics.events.get() + metrics.elsewhere.events();
        RunProgress { events, workers: metrics.pulse.progress() }
    }

    /// The first epoch that is not done though it could be, and nobody waits for a writer.
    fn behind(&self) -> Option<u64> {
        if self.workers.iter().any(|worker| worker.waits_for_writers) {
            return None;
        }
        let behind = self.workers.iter().filter(|worker| worker.done_before < worker.announced);
        behind.map(|worker| worker.done_before).min()
    }
}

/// Since when each worker has been in its step, and since when the run has been as far as it is.
struct Stalls {
    workers: Vec<(u64, Instant)>,
    run: (RunProgress, Instant),
}

impl Stalls {
    /// The epoch that is not done, and for how long nothing has moved.
    fn of_run(&mut self, progress: &RunProgress, now: Instant) -> Option<(u64, Duration)> {
        let (known, since) = &mut self.run;
        if known != progress || progress.behind().is_none() {
            (*known, *since) = (progress.clone(), now);
        }
        Some((progress.behind()?, now - *since))
    }

    /// The worker that has been in one step for the longest time; `None` of its steps: it has ended.
    fn longest(&mut self, steps: &[Option<u64>], now: Instant) -> Option<(usize, Duration)> {
        self.workers.resize(steps.len(), (0, now));
        let stalled = |(worker, (steps, known)): (usize, (&Option<u64>, &mut (u64, Instant)))| {
            let steps = (*steps)?;
            if steps != known.0 {
                *known = (steps, now);
            }
            Some((worker, now - known.1))
        };
        steps.iter().zip(&mut self.workers).enumerate().filter_map(stalled).max_by_key(|(_, stalled)| *stalled)
    }
}

/// The first connection of the dataflow that was lost: when, with which process, and why.
static LOST: Mutex<Option<(Instant, Option<u32>, String)>> = Mutex::new(None);

/// Takes notice that the dataflow has lost a connection, in a thread of this name: timely says so by a panic, and what shares memory with that thread
/// must not go on after it.
pub fn note_lost_connection(thread: Option<&str>, why: &str) {
    let process = thread.and_then(|name| name.rsplit_once('-')).and_then(|(_, index)| index.parse().ok());
    let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
    lost.get_or_insert_with(|| (Instant::now(), process, why.to_owned()));
}

fn lost_connection(now: Instant) -> Option<(Option<u32>, String)> {
    let lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
    let (since, process, why) = lost.as_ref()?;
    (now.saturating_duration_since(*since) >= BETTER_REASON_WITHIN).then(|| (*process, why.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_hangs_whose_steps_do_not_end() {
        let began = Instant::now();
        let mut stalls = Stalls { workers: Vec::new(), run: (RunProgress::default(), began) };
        let at = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(stalls.longest(&[], at(0)), None);
        assert_eq!(stalls.longest(&[Some(1), Some(1)], at(0)).unwrap().1, Duration::ZERO);
        assert_eq!(stalls.longest(&[Some(1), Some(9)], at(7)), Some((0, Duration::from_secs(7))));
        assert_eq!(stalls.longest(&[Some(2), Some(9)], at(9)), Some((1, Duration::from_secs(2))));
        assert_eq!(stalls.longest(&[Some(2), None], at(30)), Some((0, Duration::from_secs(21))), "one has ended");
    }

    #[test]
    fn a_run_stands_still_that_has_something_to_do_and_does_not_move() {
        let began = Instant::now();
        let mut stalls = Stalls { workers: Vec::new(), run: (RunProgress::default(), began) };
        let at = |seconds| began + Duration::from_secs(seconds);
        let worker = |done_before, announced| WorkerProgress { done_before, announced, waits_for_writers: false };
        let run = |events, workers: &[WorkerProgress]| RunProgress { events, workers: workers.to_vec() };
        assert_eq!(stalls.of_run(&run(5, &[worker(9, 9)]), at(50)), None, "there is nothing to do");
        assert_eq!(stalls.of_run(&run(5, &[worker(9, 10)]), at(51)), Some((9, Duration::ZERO)));
        assert_eq!(stalls.of_run(&run(6, &[worker(9, 11)]), at(58)), Some((9, Duration::ZERO)), "it counts");
        assert_eq!(stalls.of_run(&run(6, &[worker(9, 11)]), at(70)), Some((9, Duration::from_secs(12))));
        let waits = WorkerProgress { waits_for_writers: true, ..worker(9, 11) };
        assert_eq!(stalls.of_run(&run(6, &[waits]), at(80)), None, "a writer is waited for");
        assert_eq!(stalls.of_run(&run(6, &[worker(9, 11)]), at(81)), Some((9, Duration::ZERO)));
    }
}
