//! The first signal ends whatever a run waits for at its start.

use std::process::Command;

use crate::commands::reference;
use crate::program::Workplace;

const RUN: [&str; 3] = ["run", "p.toml", "--events"];

fn make_pipe(place: &Workplace) {
    assert!(Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
}

/// Starts this run, which waits for something, and sends a signal once it listens to signals.
fn interrupt(place: &Workplace, arguments: &[&str], signal: &str) -> crate::program::Ended {
    let run = place.start(&[&RUN, arguments].concat());
    run.catches_signals();
    run.signal(signal);
    run.end()
}

#[test]
fn a_signal_ends_the_wait_for_whoever_writes_to_a_pipe() {
    for signal in ["INT", "TERM"] {
        let place = reference();
        make_pipe(&place);
        let ended = interrupt(&place, &["pipe", "--sink", "sqlite:items.db"], signal).exits(130);
        ended.says(&["error: interrupted"]);
    }
}

#[test]
fn a_signal_ends_the_wait_for_whoever_reads_from_a_pipe() {
    for workers in ["1", "2"] {
        let place = reference();
        make_pipe(&place);
        let ended = interrupt(&place, &["sample.jsonl", "--sink", "jsonl:pipe", "-w", workers], "INT").exits(130);
        ended.says(&["interrupted while waiting for the sink jsonl:pipe"]);
    }
}

#[test]
fn a_signal_ends_the_wait_for_whoever_reads_dead_letters() {
    let place = reference();
    make_pipe(&place);
    place.write("bad.jsonl", "nonsense\n");
    let arguments = ["sample.jsonl", "bad.jsonl", "--sink", "none", "--dead-letters", "pipe"];
    interrupt(&place, &arguments, "TERM")
        .exits(130)
        .says(&["interrupted while waiting for whoever reads dead letters"]);
}

#[test]
fn a_signal_ends_the_wait_for_a_lock() {
    let place = reference();
    place.run(&[&RUN[..], &["sample.jsonl", "--sink", "sqlite:items.db"]].concat()).exits(0);
    let database = rusqlite::Connection::open(place.path("items.db")).unwrap();
    database.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let ended = interrupt(&place, &["sample.jsonl", "--sink", "sqlite:items.db", "--replace"], "TERM").exits(130);
    ended.says(&["interrupted while waiting for the sink sqlite:items.db"]);
}
