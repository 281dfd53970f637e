//! Fault: logs that grow, are torn, renamed, cut, compressed, shortened or gone between the lives of a run.

use std::io::Write as _;

use rand::RngExt;

use super::job::{Job, MANY};
use super::seed;

fn append(job: &Job, log: &str, bytes: &[u8]) {
    let mut file = std::fs::File::options().append(true).create(true).open(job.place.path(log)).unwrap();
    file.write_all(bytes).unwrap();
}

fn gzip(content: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(content.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn logs_that_have_grown_are_read_on_where_they_were() {
    let mut job = Job::sqlite(seed(40));
    for life in 0..6 {
        match life % 3 {
            0 => job.add_log(700),
            1 => job.lengthen_log(700),
            _ => {}
        }
        job.finish(1 + life % 2);
    }
}

#[test]
fn a_last_line_that_is_torn_counts_once_it_is_whole() {
    for workers in [1, 2] {
        let mut job = Job::sqlite(seed(41));
        job.add_log(50);
        for _ in 0..6 {
            let text = job.lines.next(30);
            let torn = job.random.random_range(text.len() - 60..text.len());
            append(&job, "logs/0000.jsonl", &text.as_bytes()[..torn]);
            job.live(workers, &[]).exits(0);
            append(&job, "logs/0000.jsonl", &text.as_bytes()[torn..]);
            job.finish(workers);
        }
    }
}

#[test]
fn logs_that_are_rotated_are_known_again_and_new_ones_are_new_wherever_they_sort() {
    let mut job = Job::sqlite(seed(42));
    job.add_log(800);
    for life in 0..4 {
        job.finish(1 + life % 2);
        // As logrotate does, with some more lines for the old one before.
        let more = job.lines.next(100);
        append(&job, "logs/0000.jsonl", more.as_bytes());
        for number in (0..=life).rev() {
            let (from, to) = (format!("logs/{number:04}.jsonl"), format!("logs/{:04}.jsonl", number + 1));
            std::fs::rename(job.place.path(from), job.place.path(to)).unwrap();
        }
        let fresh = job.lines.next(500);
        job.place.write("logs/0000.jsonl", fresh);
    }
    job.finish(2);
    let earlier = job.lines.next(300);
    job.place.write("logs/!first.jsonl", earlier);
    job.finish(1);
}

#[test]
fn a_compressed_log_that_was_cut_counts_the_rest_once_it_is_whole() {
    let mut job = Job::sqlite(seed(43));
    job.add_log(200);
    let text = job.lines.next(5_000);
    let whole = gzip(&text);
    for part in [3, 2] {
        job.place.write("logs/more.jsonl.gz", &whole[..whole.len() / part]);
        let ended = job.live(2, &[]);
        ended.exits(1).says(&["more.jsonl.gz", "damaged"]);
    }
    job.place.write("logs/more.jsonl.gz", &whole);
    job.finish(1);
    job.finish(2);
}

/// As `logrotate` does with `compress`.
fn compress(job: &Job, log: &str) {
    let content = job.place.read(log);
    job.place.write(&format!("{log}.gz"), gzip(&content));
    std::fs::remove_file(job.place.path(log)).unwrap();
}

#[test]
fn logs_that_were_compressed_since_are_known_again() {
    for workers in [1, 2] {
        let mut job = Job::sqlite(seed(48));
        job.add_log(300);
        job.add_log(300);
        job.finish(workers);
        compress(&job, "logs/0000.jsonl");
        job.finish(3 - workers);
        // One that has grown before.
        job.lengthen_log(200);
        compress(&job, "logs/0001.jsonl");
        job.add_log(100);
        job.finish(workers);
        job.finish(workers);
    }
}

#[test]
fn a_log_that_became_shorter_is_refused_and_one_that_is_gone_stays_counted() {
    let mut job = Job::sqlite(seed(44));
    job.add_log(500);
    job.add_log(500);
    job.finish(1);
    let content = job.place.read("logs/0001.jsonl");
    job.place.write("logs/0001.jsonl", &content[..content.len() / 2]);
    let refused = job.live(1, &[]);
    assert!(refused.is_refused(), "{refused:?}");
    refused.says(&["0001.jsonl", "became shorter"]);
    job.place.write("logs/0001.jsonl", &content);
    job.add_log(100);
    job.finish(2);
    std::fs::rename(job.place.path("logs/0000.jsonl"), job.place.path("away")).unwrap();
    job.add_log(100);
    job.live(1, &[]).exits(0).says(&["not here any more", "0000.jsonl"]);
    // It comes back, with more.
    let more = job.lines.next(100);
    append(&job, "away", more.as_bytes());
    std::fs::rename(job.place.path("away"), job.place.path("logs/back.jsonl")).unwrap();
    job.finish(2);
}

#[test]
fn a_log_that_is_cut_while_it_is_read_ends_the_run_and_the_next_one_goes_on() {
    for workers in [1, 2] {
        let mut job = Job::sqlite(seed(47));
        job.add_log(1_000);
        job.finish(workers);
        job.add_log(MANY);
        let log = job.place.path("logs/0001.jsonl");
        let whole = std::fs::read(&log).unwrap();
        let running = job.start_and_count(workers);
        running.signal("STOP");
        std::fs::File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
        running.signal("CONT");
        // What it was, and not what became of checkpoints then: what is counted by now has a gap.
        let ended = running.end().exits(1).says(&["0001.jsonl"]);
        assert!(!ended.stderr.contains("no checkpoint ("), "{}", ended.stderr);
        std::fs::write(&log, whole).unwrap();
        job.finish(3 - workers);
    }
}
