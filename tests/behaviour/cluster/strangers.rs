//! Whoever else connects to the processes of a run, or should not be one of them.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::processes::arguments;
use super::{Addresses, Processes, finish};
use crate::recovery::job::Job;
use crate::recovery::seed;

/// So many connect to each process while it waits for the others.
const STRANGERS: u64 = 500;

/// What a stranger does when it is connected: nothing, speak nonsense, or go.
fn connect(number: u64, to: SocketAddr, silent: &mut Vec<TcpStream>) -> bool {
    let Ok(mut stream) = TcpStream::connect(to) else { return false };
    match number % 3 {
        0 => silent.push(stream),
        1 => {
            // It may be thrown out before it has said all.
            let _ = stream.write_all(&[0xa5; 4_096]);
            silent.push(stream);
        }
        _ => {}
    }
    true
}

#[test]
fn strangers_that_connect_keep_no_process_from_finding_the_others_nor_from_counting() {
    let mut job = Job::sqlite(seed(630));
    job.add_log(20_000);
    let addresses = Addresses::new(3);
    let begin = |index: usize| {
        let which = arguments(&job.place, index, &addresses);
        job.start_with(1, &which.each_ref().map(String::as_str), &[])
    };
    let (is_over, met) = (AtomicBool::new(false), [0, 1].map(|_| AtomicU64::new(0)));
    std::thread::scope(|scope| {
        // Nobody calls the last one.
        for (index, met) in met.iter().enumerate() {
            let (to, is_over) = (addresses.0[index], &is_over);
            scope.spawn(move || {
                let mut silent = Vec::new();
                while !is_over.load(Ordering::Acquire) {
                    if connect(met.load(Ordering::Relaxed), to, &mut silent) {
                        met.fetch_add(1, Ordering::Release);
                    } else {
                        // It does not listen yet, or not any more.
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
        let over = Over(&is_over);
        let first = [begin(0), begin(1)];
        while met.iter().any(|met| met.load(Ordering::Acquire) < STRANGERS) {
            std::thread::sleep(Duration::from_millis(1));
        }
        // They have all come before the cluster can form, and more come.
        let last = begin(2);
        for running in first.into_iter().chain([last]) {
            running.end().exits(0);
        }
        drop(over);
    });
    job.look();
    job.assert_counted();
}

/// Ends the strangers also where the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn processes_with_two_secrets_say_so_and_do_not_go_on() {
    let mut job = Job::sqlite(seed(631));
    job.add_log(100);
    let run = Processes::start(&job.place, 2, |index, which| {
        job.start_with(1, which, &[("COUNTER_MACHINE_SECRET", ["one secret", "another"][index])])
    });
    run[0].says("somebody says that it is this process, and does not know the secret");
    run[1].says("it closed the connection (early eof): have both the same COUNTER_MACHINE_SECRET?");
    for index in [0, 1] {
        assert!(!run[index].has_said("all processes are there"));
        assert!(!run[index].has_said("one secret") && !run[index].has_said("another"), "a secret is told to nobody");
        run[index].signal("TERM");
    }
    run.all_exit(130);
    assert!(!job.place.path("items.db").exists() || job.table.items().is_empty());
    // With one secret they find each other.
    Processes::start(&job.place, 2, |_, which| job.start_with(1, which, &[("COUNTER_MACHINE_SECRET", "one secret")]))
        .end_well();
    job.assert_counted();
}

#[test]
fn a_process_with_another_pipeline_or_other_workers_is_refused() {
    let mut job = Job::sqlite(seed(632));
    job.add_log(100);
    job.place.write("other.toml", job.place.read("p.toml").replace("\"1m\"", "\"2m\""));
    let run = Processes::start(&job.place, 2, |index, which| match index {
        0 => job.start_with(1, which, &[]),
        _ => {
            let run = ["run", "other.toml", "--events", "logs", "--state", "state", "--sink", "sqlite:items.db"];
            job.place.start(&[run.as_slice(), which].concat())
        }
    });
    refuses_the_second(run, "the two run different pipelines, numbers of workers, or versions");
    let run = Processes::start(&job.place, 2, |index, which| job.start_with(1 + index, which, &[]));
    refuses_the_second(run, "the two run different pipelines, numbers of workers, or versions");
    let addresses = Addresses::new(3);
    let two = Addresses(addresses.0[..2].to_vec());
    let known = [addresses, two];
    let run = Processes::start_at(&job.place, &known, |_, which| job.start_with(1, which, &[]));
    refuses_the_second(run, "the two were started for different numbers of processes (-n)");
    finish(&job, 2, 1);
}

/// Process 1 ends with wrong usage, and process 0 knows why it waits.
fn refuses_the_second(mut run: Processes, why: &str) {
    run.take(1).end().exits(2).says(&["error: process 0 (", why]);
    run[0].says(&format!("it was refused because {why}"));
    run[0].signal("TERM");
    run.all_exit(130);
}

#[test]
fn processes_that_were_started_again_before_all_were_there_are_waited_for() {
    let mut job = Job::sqlite(seed(633));
    job.add_log(1_000);
    let addresses = Addresses::new(3);
    let begin = |index: usize| {
        let which = arguments(&job.place, index, &addresses);
        job.start_with(1, &which.each_ref().map(String::as_str), &[])
    };
    let mut run = [begin(0), begin(1)];
    run.iter().for_each(|running| running.says("waiting for process 2 ("));
    for index in [1, 0] {
        run[index].dies();
        run[index] = begin(index);
    }
    for running in run.into_iter().chain([begin(2)]) {
        running.end().exits(0);
    }
    job.assert_counted();
}
