//! A checkpoint is damaged where only another process than process 0 sees it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::{finish, start};
use crate::recovery::job::Job;
use crate::recovery::seed;

/// A segment of the newest checkpoint that a process other than 0 has written: its number has that of the process in its upper bits. `None`: process 0
/// has merged them all.
fn segment_of_others(job: &Job) -> Option<PathBuf> {
    let manifests = fs::read_dir(job.place.path("state/manifests")).unwrap().map(|entry| entry.unwrap().path());
    let newest = fs::read_to_string(manifests.max().unwrap()).unwrap();
    let newest: Value = serde_json::from_str(newest.lines().next().unwrap()).unwrap();
    let mut names = newest["segments"].as_array().unwrap().iter().map(|segment| segment["name"].as_str().unwrap());
    let is_of_others = |name: &&str| name.split_once('-').unwrap().1.parse::<u64>().unwrap() >> 40 > 0;
    Some(job.place.path(format!("state/segments/{}", names.rfind(is_of_others)?)))
}

#[test]
fn a_checkpoint_that_another_process_finds_damaged_is_set_aside_and_the_one_before_it_is_taken() {
    let mut job = Job::sqlite(seed(605));
    job.add_log(2_000);
    finish(&job, 2, 1);
    let segment = loop {
        job.add_log(2_000);
        finish(&job, 2, 1);
        if let Some(segment) = segment_of_others(&job) {
            break segment;
        }
    };
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&segment, bytes).unwrap();
    // The run that finds it ends of it, and no later one.
    for ended in start(&job, 2, 1, &[]).end_in_time() {
        ended.exits(75).says(&["is damaged"]);
    }
    job.add_log(100);
    finish(&job, 2, 1);
}
