//! Fault: a disk that is full, slow or read-only, or a thread that fails.

use std::process::{Command, Stdio};

use counter_machine::checkpoint::failpoint::VARIABLE;

use super::job::Job;
use super::seed;
use crate::program::binary;

#[test]
fn checkpoints_that_fail_are_told_and_the_run_goes_on() {
    for step in ["segment_begun", "segment_written", "before_manifest", "manifest_partly_written"] {
        let mut job = Job::sqlite(seed(60));
        job.add_log(1_000);
        job.finish(1);
        job.add_log(1_000);
        let ended = job.live(2, &[(VARIABLE, &format!("{step}:error:3"))]).exits(0);
        ended.says(&["no checkpoint (3 failed in a row)", "after a restart is counted again"]);
        job.assert_counted();
        job.add_log(500);
        job.finish(1);
    }
}

#[test]
fn after_many_that_failed_in_a_row_the_run_stops_and_the_next_one_goes_on() {
    let mut job = Job::sqlite(seed(61));
    job.add_log(1_000);
    job.finish(1);
    for step in ["segment_begun", "before_manifest"] {
        job.add_log(1_000);
        let ended = job.live(2, &[(VARIABLE, &format!("{step}:error"))]).exits(75);
        ended.says(&["no checkpoint (5 failed in a row)", step]);
        job.finish(1);
    }
}

#[test]
fn a_slow_disk_loses_nothing() {
    let mut job = Job::sqlite(seed(62));
    job.add_log(2_000);
    job.live(1, &[(VARIABLE, "before_sync:wait:200")]).exits(0);
    job.assert_counted();
    for wait in [500, 1_500] {
        job.add_log(2_000);
        let killed = job.start(2, &[(VARIABLE, "before_sync:wait:200")]);
        std::thread::sleep(std::time::Duration::from_millis(wait));
        drop(killed.kill());
        job.look();
    }
    job.finish(1);
}

/// Runs a shell script in a namespace of its own, in which it may mount; `None`: this machine lets nobody do that.
fn with_mounts(job: &Job, script: &str) -> Option<std::process::Output> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-Ur", "--mount", "sh", "-ec", script]).arg(binary()).current_dir(job.place.path(""));
        command.env("RUST_LOG", "counter_machine=debug").stdin(Stdio::null());
        command
    };
    let tried = unshare("mount -t tmpfs none logs").output().ok()?;
    if !tried.status.success() {
        eprintln!("left out: nothing may be mounted here");
        return None;
    }
    Some(unshare(script).output().unwrap())
}

/// How the script above starts the program.
const RUN: &str = "\"$0\" run p.toml --events logs --state state --sink sqlite:items.db --positions positions.json \
                   --dead-letters letters.jsonl -w 2";

#[test]
fn a_disk_that_is_full_during_a_checkpoint_holds_nothing_up_for_ever() {
    let mut job = Job::sqlite(seed(63));
    job.add_log(3_000);
    job.finish(1);
    job.add_log(3_000);
    let script = format!(
        "mkdir kept; mv state/* kept; mount -t tmpfs -o size=16m none state; cp -a kept/. state/; \
         head -c 100m /dev/zero > state/filler || true; \
         truncate -s -12288 state/filler; (sleep 2.5; rm state/filler) & \
         code=0; {RUN} || code=$?; wait; rm -rf kept; mkdir kept; cp -a state/. kept/; umount state; mv kept/* state/; exit $code"
    );
    let Some(output) = with_mounts(&job, &script) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    eprintln!("{said}");
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("no checkpoint (1 failed in a row)") || said.contains("nothing is published while"),
        "{said}"
    );
    job.look();
    job.assert_counted();
    job.add_log(1_000);
    job.finish(2);
}

#[test]
fn a_state_that_cannot_be_written_to_is_told_before_anything_is_read() {
    let mut job = Job::sqlite(seed(64));
    job.add_log(1_000);
    job.finish(1);
    job.add_log(1_000);
    let before = job.table.items();
    let script = format!("mount --bind state state; mount -o remount,ro,bind state; {RUN}");
    let Some(output) = with_mounts(&job, &script) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("state") && said.contains("ead-only"), "{said}");
    assert_eq!(job.table.items(), before);
    job.finish(1);
}

#[test]
fn a_run_that_a_thread_of_it_has_ended_is_gone_on_with() {
    let mut job = Job::sqlite(seed(65));
    job.add_log(1_000);
    job.finish(1);
    for workers in [1, 2] {
        job.add_log(2_000);
        // Dead letters that cannot be written.
        let workers = workers.to_string();
        let run =
            ["run", "p.toml", "--events", "logs", "--state", "state", "--sink", "sqlite:items.db", "-w", &workers];
        let ended = job.place.run(&[&run[..], &["--dead-letters", "/dev/full"]].concat()).exits(1);
        ended.says(&["/dev/full"]);
        job.finish(2);
    }
}
