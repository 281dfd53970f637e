//! One run after the other, each with another number of processes.

use serde_json::Value;

use super::{Processes, patience, start};
use crate::program::Workplace;
use crate::recovery::job::{Job, assert_same};
use crate::recovery::lines::Lines;
use crate::recovery::seed;
use crate::recovery::table::{Items, shown};

/// Lives of a job with so many processes and workers, one after the other; none of them is killed.
fn series(mut job: Job, lives: &[(usize, usize)]) {
    let mut before = Items::new();
    for &(processes, workers) in lives {
        job.grow(5_000);
        if processes == 1 {
            job.start_with(workers, patience(&job), &[]).end().exits(0);
        } else {
            start(&job, processes, workers, patience(&job)).end_well();
        }
        job.look();
        // No event was read twice, so no bad line has two letters.
        job.assert_counted();
        let now = job.table.items();
        let fallen: Vec<_> = before.iter().filter(|(name, item)| now[name].version < item.version).collect();
        assert!(fallen.is_empty(), "{processes} processes have taken items back: {fallen:?}");
        let risen = before.iter().filter(|(name, item)| now[*name].version > item.version).count();
        assert!(before.is_empty() || risen > 0, "{processes} processes have written nothing");
        before = now;
    }
}

#[test]
fn each_life_may_have_another_number_of_processes_and_workers() {
    series(Job::sqlite(seed(600)), &[(1, 1), (2, 1), (3, 2), (1, 2), (2, 2)]);
}

#[test]
fn so_may_each_into_dynamodb_where_every_process_writes() {
    series(Job::dynamodb(seed(602), false), &[(2, 1), (1, 1), (3, 2)]);
    series(Job::dynamodb(seed(603), true), &[(1, 1), (3, 1), (2, 2)]);
}

#[test]
fn a_run_of_two_processes_without_a_state_counts_into_a_changelog() {
    let place = Workplace::new();
    let job = Job::sqlite(seed(601));
    place.write("p.toml", job.place.read("p.toml"));
    let mut lines = Lines::new(601, 200);
    for log in 0..3 {
        place.write(&format!("logs/{log}.jsonl"), lines.next(3_000));
    }
    let run = ["run", "p.toml", "--events", "logs", "--no-state", "--sink", "jsonl:items.jsonl", "-w", "2"];
    Processes::start(&place, 2, |_, which| {
        let mut running = place.start(&[run.as_slice(), which].concat());
        running.close_stdin();
        running
    })
    .end_well();
    assert_same(&newest(&place.read("items.jsonl")), &lines);
    place.run(&["verify", "p.toml", "--events", "logs", "--from", "jsonl:items.jsonl"]).exits(0);
}

/// What a changelog says last of each item; its versions must rise.
fn newest(changelog: &str) -> Items {
    let mut items = Items::new();
    for line in changelog.lines() {
        let item: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| item[name].as_str().unwrap().to_owned();
        let (name, now) = shown(text("key"), text("featureName"), item["version"].as_u64().unwrap(), &item["counts"]);
        let before = items.insert(name, now);
        assert!(before.is_none_or(|before| before.version < now.version), "{before:?}, and then {line}");
    }
    items
}

/// Whoever has heard first that the run is over is gone before others have heard it: that is no loss.
fn all_end_well(runs: u32) {
    let place = Workplace::new();
    place.write("p.toml", Job::sqlite(seed(604)).place.read("p.toml"));
    place.write("logs/0.jsonl", Lines::new(604, 200).next(1_000));
    let run = ["run", "p.toml", "--events", "logs", "--no-state", "--sink", "none"];
    for _ in 0..runs {
        Processes::start(&place, 8, |_, which| {
            let mut running = place.start(&[run.as_slice(), which].concat());
            running.close_stdin();
            running
        })
        .end_well();
    }
}

#[test]
fn all_processes_of_a_run_that_ends_well_end_well() {
    all_end_well(4);
}

#[test]
#[ignore = "takes minutes"]
fn so_do_those_of_a_thousand_runs_which_takes_minutes() {
    all_end_well(1_000);
}
