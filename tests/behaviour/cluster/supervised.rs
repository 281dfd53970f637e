//! The command that starts the processes, watches over them, and starts all again when one is lost.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use counter_machine::checkpoint::failpoint::{Step, VARIABLE};

use crate::program::{Ended, Running, Workplace};
use crate::recovery::job::{Job, MANY};
use crate::recovery::seed;

/// What is waited for has happened by then.
const SOON: Duration = Duration::from_secs(40);

/// Each checkpoint takes so long, so that a run is not over when everything is counted.
fn slow_checkpoints() -> [String; 2] {
    [VARIABLE.to_owned(), format!("{}:wait:2000", Step::BeforeManifest)]
}

/// The same job, in so many processes.
fn supervised(job: &Job, processes: &str, more: &[&str], environment: &[(&str, &str)]) -> Running {
    let arguments = job.arguments(1);
    let mut line = vec!["cluster"];
    line.extend(arguments.iter().skip(1).map(String::as_str));
    line.extend(["-n", processes, "--peer-timeout", "3s"]);
    line.extend(more);
    let mut running = job.place.start_with(&line, environment);
    running.close_stdin();
    running
}

/// The processes that this one has started, in the order of their numbers.
fn children(of: &Running) -> Vec<u32> {
    let listed = Command::new("pgrep").args(["-P", &of.process().to_string()]).output().unwrap();
    String::from_utf8(listed.stdout).unwrap().lines().map(|process| process.parse().unwrap()).collect()
}

fn signal(process: u32, signal: &str) {
    assert!(Command::new("kill").args([&format!("-{signal}"), &process.to_string()]).status().unwrap().success());
}

/// It has ended as one that was asked to stop, before the end of the log or right behind it.
#[track_caller]
fn has_stopped(run: Running) -> Ended {
    let ended = run.end_within(SOON);
    assert!(matches!(ended.code(), Some(0 | 130)), "{ended:?}");
    ended
}

/// Waits until this holds.
#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < SOON, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn processes_that_are_killed_or_stopped_are_started_again_and_everything_counts_once() {
    let mut job = Job::sqlite(seed(660));
    job.add_log(MANY);
    let [variable, slowly] = slow_checkpoints();
    let run = job.until_it_counts(|| supervised(&job, "2", &[], &[(&variable, &slowly)]));
    let first = children(&run);
    assert_eq!(first.len(), 2);
    signal(first[1], "KILL");
    run.says("process 1 was ended by signal 9: all processes are started again");
    wait_until("both are started again", || children(&run).len() == 2 && children(&run)[0] != first[0]);
    let second = children(&run);
    let goes_on = || {
        let told = job.place.run(&["status", "p.toml", "--state", "state", "--json"]).stdout;
        let told: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
        told["process"] == second[0] && told["says"]["events"].as_u64() > Some(0)
    };
    wait_until("they count again", goes_on);
    // It keeps its locks, so it must be gone before anybody goes on.
    signal(second[0], "STOP");
    wait_until("the one that is stopped is ended", || !children(&run).contains(&second[0]));
    run.end_within(SOON * 2).exits(0).says(&["p0 | ", "p1 | ", "recovered: done"]);
    job.look();
    job.assert_items();
}

#[test]
fn a_signal_stops_all_in_order_and_the_next_run_goes_on() {
    let mut job = Job::sqlite(seed(661));
    job.add_log(MANY * 2);
    let run = job.until_it_counts(|| supervised(&job, "3", &[], &[]));
    run.signal("INT");
    has_stopped(run).says(&["stopping all processes"]);
    job.look();
    job.assert_verified();
    supervised(&job, "1", &[], &[]).end_within(SOON).exits(0);
    job.look();
    job.assert_counted();
}

#[test]
fn processes_whose_supervisor_is_gone_stop_by_themselves() {
    let mut job = Job::sqlite(seed(662));
    job.add_log(MANY * 2);
    let run = job.until_it_counts(|| supervised(&job, "2", &[], &[]));
    let orphans = children(&run);
    run.kill();
    for orphan in orphans {
        wait_until("an orphan ends", || !std::path::Path::new(&format!("/proc/{orphan}")).exists());
    }
    job.look();
    job.finish(1);
}

#[test]
fn what_starting_again_does_not_mend_ends_it() {
    let job = Job::sqlite(seed(663));
    let place: &Workplace = &job.place;
    place.write("logs/one.jsonl", "");
    let run = |more: &[&str]| supervised(&job, "2", more, &[]).end_within(SOON);
    run(&["--clock", "wall", "--every-window"])
        .exits(2)
        .says(&["p0 | error: ", "process 0 has ended with exit code 2"]);
    place.run(&["cluster", "p.toml"]).exits(2).says(&["-n PROCESSES"]);
    place.run(&["cluster", "p.toml", "-n", "2", "-p", "0"]).exits(2).says(&["leave them out"]);
}

#[test]
fn systemd_hears_that_it_is_ready_that_it_gets_on_and_that_it_stops() {
    let mut job = Job::sqlite(seed(664));
    job.add_log(MANY * 2);
    let path = job.place.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let listener = path.to_str().unwrap().to_owned();
    let environment = [("NOTIFY_SOCKET", listener.as_str()), ("WATCHDOG_USEC", "400000")];
    let run = job.until_it_counts(|| supervised(&job, "2", &[], &environment));
    let hear = |word: &str| {
        let mut message = [0; 4_096];
        loop {
            let length = socket.recv(&mut message).expect("it says so");
            if String::from_utf8_lossy(&message[..length]).lines().any(|line| line == word) {
                return;
            }
        }
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    run.signal("TERM");
    hear("STOPPING=1");
    has_stopped(run);
}

#[test]
fn status_tells_how_a_run_is_getting_on() {
    let mut job = Job::sqlite(seed(665));
    let status = |more: &[&str]| job.place.run(&[&["status", "p.toml", "--state", "state"], more].concat());
    status(&[]).exits(2).says(&["there is no state in state"]);
    job.add_log(20_000);
    let status = |more: &[&str]| job.place.run(&[&["status", "p.toml", "--state", "state"], more].concat());
    let [variable, slowly] = slow_checkpoints();
    let run = job.until_it_counts(|| supervised(&job, "2", &[], &[(&variable, &slowly)]));
    wait_until("it has heard of both", || status(&[]).stdout.contains("(by process: "));
    let told = status(&[]).exits(0).stdout;
    for text in
        ["state          state\n", "is using it, and said so", "2, with 2 workers", "(by process: ", "checkpoint "]
    {
        assert!(told.contains(text), "`{text}` is not in:\n{told}");
    }
    let json: serde_json::Value = serde_json::from_str(&status(&["--json"]).exits(0).stdout).unwrap();
    assert_eq!((&json["run"], &json["says"]["processes"]), (&"running".into(), &2.into()), "{json}");
    assert_eq!(json["says"]["rows"].as_array().map(Vec::len), Some(2), "{json}");
    run.end_within(SOON).exits(0);
    status(&[]).exits(1).says(&["no run is using state now"]).prints(&["has ended"]);
    job.place.run(&["status", "p.toml"]).exits(2).says(&["--state DIR|URL"]);
}
