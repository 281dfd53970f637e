//! A checkpoint is damaged where only another process than process 0 sees it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{finish, start};
use crate::recovery::job::Job;
use crate::recovery::seed;

/// The segments that this checkpoint names.
fn segments(manifest: &Path) -> Vec<String> {
    let text = fs::read_to_string(manifest).unwrap();
    let manifest: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    manifest["segments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|segment| segment["name"].as_str().unwrap().to_owned())
        .collect()
}

/// A segment of the newest checkpoint, and of no other, that process 0 has written, or another one: its number has that of the process in its upper
/// bits. `None`: there is none.
fn segment_of(job: &Job, is_process_0: bool) -> Option<PathBuf> {
    let manifests = fs::read_dir(job.place.path("state/manifests")).unwrap().map(|entry| entry.unwrap().path());
    let mut manifests: Vec<PathBuf> = manifests.collect();
    manifests.sort_unstable();
    let (newest, older) = manifests.split_last().unwrap();
    let older: Vec<String> = older.iter().flat_map(|manifest| segments(manifest)).collect();
    let is_wanted = |name: &String| {
        let process = name.split_once('-').unwrap().1.parse::<u64>().unwrap() >> 40;
        (process == 0) == is_process_0 && !older.contains(name)
    };
    Some(job.place.path(format!("state/segments/{}", segments(newest).into_iter().rfind(is_wanted)?)))
}

/// A job whose newest checkpoint is damaged where this process has written it.
fn damaged(own_seed: u64, is_process_0: bool) -> Job {
    let mut job = Job::sqlite(seed(own_seed));
    let segment = loop {
        job.add_log(2_000);
        // Until nothing more is published: the last checkpoint is about what was.
        finish(&job, 2, 1);
        if let Some(segment) = segment_of(&job, is_process_0) {
            break segment;
        }
    };
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&segment, bytes).unwrap();
    job
}

#[test]
fn a_checkpoint_that_process_0_finds_damaged_is_passed_over_by_all() {
    let mut job = damaged(606, true);
    job.add_log(100);
    for ended in start(&job, 2, 1, &[]).end_well() {
        ended.says(&["the one before it"]);
    }
    job.look();
    job.assert_items();
}

#[test]
fn a_checkpoint_that_another_process_finds_damaged_is_set_aside_and_the_one_before_it_is_taken() {
    let mut job = damaged(605, false);
    // The run that finds it ends of it, and no later one.
    for ended in start(&job, 2, 1, &[]).end_in_time() {
        ended.exits(75).says(&["is damaged"]);
    }
    job.add_log(100);
    finish(&job, 2, 1);
}
