//! A checkpoint is damaged where only another process than process 0 sees it.

use std::fs;
use std::path::PathBuf;

use super::{finish, start};
use crate::recovery::job::Job;
use crate::recovery::seed;

/// The newest segment that a process other than 0 has written: its number is that of the process in its upper bits.
fn newest_of_others(job: &Job) -> PathBuf {
    let number = |path: &PathBuf| path.to_str().and_then(|path| path.rsplit_once('-')?.1.parse::<u64>().ok());
    let segments = fs::read_dir(job.place.path("state/segments")).unwrap().map(|entry| entry.unwrap().path());
    let of_others = segments.filter(|path| number(path).is_some_and(|number| number >> 40 > 0));
    of_others.max().expect("each process writes segments")
}

#[test]
fn a_checkpoint_that_another_process_finds_damaged_is_set_aside_and_the_one_before_it_is_taken() {
    let mut job = Job::sqlite(seed(605));
    for _ in 0..2 {
        job.add_log(2_000);
        finish(&job, 2, 1);
    }
    let segment = newest_of_others(&job);
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
