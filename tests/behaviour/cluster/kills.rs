//! Fault: one of the processes is killed, at a random moment or at a step of a checkpoint. All others end and name it, and whoever is started next,
//! be they more or fewer, go on as if nothing had happened.

use std::ops::AddAssign;
use std::time::Duration;

use counter_machine::checkpoint::failpoint::{Step, VARIABLE};
use rand::RngExt;

use super::processes::names;
use super::{Processes, finish, patience, start};
use crate::program::Ended;
use crate::recovery::job::{Job, time_of};
use crate::recovery::kills::slowed_down;
use crate::recovery::seed;

/// So many lines are new to a life, about.
const LINES: u64 = 12_000;

/// What a life was like.
#[derive(Clone, Copy, Debug)]
struct Life {
    processes: usize,
    workers: usize,
    victim: usize,
}

/// How lives have ended.
#[derive(Debug, Default)]
struct Ends {
    /// The others still waited for the process that was killed, or for all to begin.
    forming: u32,
    /// The others had begun, and no checkpoint was made.
    begun: u32,
    checkpointed: u32,
    /// It had ended by then.
    over: u32,
}

impl Ends {
    fn killed(&self) -> u32 {
        self.forming + self.begun + self.checkpointed
    }

    /// The process is dead, or has ended by itself: so must the others.
    fn add(&mut self, life: Life, victim: &Ended, run: Processes) {
        let ends = run.end_without(life.victim);
        if !victim.was_killed() {
            assert_eq!(victim.code(), Some(0), "{life:?}: {victim:?}");
            ends.into_iter().for_each(|ended| drop(ended.exits(0)));
            self.over += 1;
            return;
        }
        for ended in &ends {
            let has_formed = ended.stderr.contains("all processes are there");
            let is_well = match ended.code() {
                // It waited for the others, and was asked not to.
                Some(130) => !has_formed,
                // All was published when the other was killed.
                Some(0) => has_formed && ended.stderr.contains("done"),
                _ => names(ended, life.victim),
            };
            assert!(is_well, "{life:?}, and another process: {ended:?}");
        }
        let leader = if life.victim == 0 { victim } else { &ends[0] };
        let stage = if leader.stderr.contains("a checkpoint was made") {
            &mut self.checkpointed
        } else if leader.stderr.contains("all processes are there") {
            &mut self.begun
        } else {
            &mut self.forming
        };
        *stage += 1;
    }
}

impl AddAssign for Ends {
    fn add_assign(&mut self, Ends { forming, begun, checkpointed, over }: Ends) {
        self.forming += forming;
        self.begun += begun;
        self.checkpointed += checkpointed;
        self.over += over;
    }
}

fn life(job: &mut Job) -> Life {
    let processes = job.random.random_range(2..=3);
    Life { processes, workers: job.random.random_range(1..=2), victim: job.random.random_range(0..processes) }
}

/// Kills so many lives, each within the time of one that nobody ends.
fn killed(mut job: Job, kills: u32) -> Ends {
    job.grow(LINES);
    let mut whole = time_of(|| drop(start(&job, 2, 2, patience(&job)).end_well()));
    let mut ends = Ends::default();
    for number in 0..3 * kills {
        if ends.killed() == kills {
            break;
        }
        job.grow(LINES);
        let life = life(&mut job);
        let moment = whole.mul_f64(job.random.random_range(0.0..1.0));
        let mut run = start(&job, life.processes, life.workers, patience(&job));
        if job.random.random() {
            run.have_formed();
        }
        if number % 3 == 2 {
            // So long that checkpoints are made in its middle.
            slowed_down(&run[life.victim], moment * 3);
        } else {
            std::thread::sleep(moment);
        }
        let victim = run.take(life.victim).kill();
        ends.add(life, &victim, run);
        if !victim.was_killed() {
            whole = whole.mul_f64(0.8);
        }
        job.look();
        if number % 5 == 4 {
            job.grow(LINES);
            let processes = job.random.random_range(1..=3);
            whole = time_of(|| live_on(&job, processes, life.workers));
            job.assert_items();
        }
    }
    let processes = job.random.random_range(1..=3);
    live_on(&job, processes, 1);
    job.assert_items();
    job.assert_no_letter_is_missing();
    eprintln!("{ends:?}, {} changes seen", job.watch.changes());
    assert_eq!(ends.killed(), kills, "most moments must be within a life: {ends:?}");
    ends
}

/// A life to its good end.
fn live_on(job: &Job, processes: usize, workers: usize) {
    if processes == 1 {
        job.start_with(workers, patience(job), &[]).end().exits(0);
    } else {
        start(job, processes, workers, patience(job)).end_well();
    }
    job.look();
}

/// Kills one process when it comes to a step of a checkpoint for this time. Says whether it came there.
fn killed_at(step: Step, time: u32, victim: usize) -> bool {
    let mut job = Job::sqlite(seed(u64::from(time)));
    let fail = format!("{step}:kill:{time}");
    job.grow(2_000);
    finish(&job, 2, 1);
    job.grow(LINES);
    let life = Life { processes: 3, workers: 1, victim };
    let mut run = Processes::start(&job.place, life.processes, |index, which| {
        let environment = [(VARIABLE, fail.as_str())];
        job.start_with(life.workers, which, if index == victim { &environment } else { &[] })
    });
    let victim = run.take(victim).end_within(Duration::from_secs(60));
    let mut ends = Ends::default();
    ends.add(life, &victim, run);
    job.look();
    job.grow(1_000);
    finish(&job, 2, 2);
    ends.killed() > 0
}

#[test]
fn a_run_of_which_a_process_is_killed_counts_as_if_nothing_had_happened() {
    killed(Job::sqlite(seed(610)), 6);
}

#[test]
#[ignore = "takes minutes"]
fn sixty_kills_count_as_if_nothing_had_happened_which_takes_minutes() {
    let mut all = Ends::default();
    for round in 0..6 {
        all += killed(Job::sqlite(seed(1_000 + round)), 10);
    }
    assert!(all.begun + all.checkpointed >= 15 && all.checkpointed >= 3, "too few kills have hit a life: {all:?}");
}

#[test]
#[ignore = "takes minutes"]
fn so_do_those_of_runs_into_dynamodb_which_takes_minutes() {
    for fence in [false, true] {
        killed(Job::dynamodb(seed(1_100), fence), 10);
    }
}

#[test]
fn a_process_that_is_killed_at_a_step_of_a_checkpoint_costs_nothing() {
    let steps = [(Step::BeforeManifest, 0), (Step::SegmentWritten, 1), (Step::AfterSync, 2)];
    let killed = steps.map(|(step, victim)| (step.as_str(), victim, killed_at(step, 1, victim)));
    assert!(killed.iter().all(|(.., killed)| *killed), "not all were killed: {killed:?}");
}

#[test]
#[ignore = "takes minutes"]
fn nor_does_one_at_any_step_of_any_checkpoint_which_takes_minutes() {
    let mut killed = Vec::new();
    for time in [1, 2, 3] {
        for step in Step::ALL {
            for victim in 0..3 {
                killed.push((step.as_str(), time, victim, killed_at(step, time, victim)));
            }
        }
    }
    let count = killed.iter().filter(|(.., killed)| *killed).count();
    assert!(count >= 30, "too few processes were killed: {killed:?}");
}

#[test]
fn a_process_of_which_a_thread_panics_ends_the_run() {
    let mut job = Job::sqlite(seed(611));
    job.add_log(LINES);
    let mut run = Processes::start(&job.place, 2, |index, which| {
        let fail = format!("{}:panic", Step::BeforeSync);
        let environment = [(VARIABLE, fail.as_str())];
        job.start_with(1, which, if index == 1 { &environment } else { &[] })
    });
    run.take(1).end().exits(70).says(&["panicked", "This is a bug in counter-machine"]);
    run.lose(1);
    job.look();
    finish(&job, 2, 2);
}
