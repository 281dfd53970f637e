//! Fault K3: what is to be read next is not there any more. Nothing is skipped that nobody has agreed to, and what is skipped is told.

use super::{Job, Sender, Watch, brokers};
use crate::kafka::Topic;

const SKIP: &str = "--skip-lost";

/// A topic of one partition, of which a run has counted a hundred events.
fn counted(purpose: &str) -> (Topic, Sender, Job, Watch) {
    let topic = Topic::new(purpose, 1);
    let mut sender = Sender::new(&brokers(), &topic.name, 1, 3);
    let job = Job::new(&brokers(), &topic.name, "");
    let watch = Watch::begin(&job.table());
    sender.send(100);
    job.catch_up("1", &[]).exits(0);
    assert_eq!(watch.counted(), 100);
    (topic, sender, job, watch)
}

#[test]
#[ignore = "needs Kafka"]
fn what_retention_took_before_it_was_read_is_told_and_skipped_only_when_asked_for() {
    let (topic, mut sender, job, watch) = counted("retention");
    sender.send(50);
    // Exactly what was counted may go.
    topic.delete_records_before(0, 100);
    job.catch_up("2", &[]).exits(0);
    assert_eq!(watch.counted(), 150);
    sender.send(50);
    topic.delete_records_before(0, 180);
    for workers in ["1", "2"] {
        job.catch_up(workers, &[]).exits(1).says(&["30 offsets that were to be read next are gone", SKIP]);
    }
    assert_eq!(watch.counted(), 150, "nothing was read");
    job.catch_up("1", &[SKIP]).exits(0).says(&["30 offsets that were to be read next are gone", "passed over"]);
    assert_eq!(watch.counted(), 170);
    // It is needed once.
    sender.send(10);
    job.catch_up("2", &[]).exits(0);
    assert_eq!(watch.counted(), 180);
    watch.end();
}

#[test]
#[ignore = "needs Kafka"]
fn what_retention_takes_while_a_run_with_a_state_reads_ends_it() {
    let (topic, mut sender, job, watch) = counted("retention-live");
    let run = job.start("2", &[]);
    sender.send(20);
    watch.comes_to(120);
    run.signal("STOP");
    // What the broker has promised to send within 100 ms has left it.
    std::thread::sleep(std::time::Duration::from_millis(500));
    sender.send(20);
    topic.delete_records_before(0, 135);
    run.signal("CONT");
    run.end().exits(1).says(&["partition 0: offset 120 is asked for, 135 to 140 are there"]);
    assert_eq!(watch.counted(), 120);
    job.catch_up("1", &[]).exits(1).says(&["15 offsets", SKIP]);
    job.catch_up("1", &[SKIP]).exits(0);
    assert_eq!(watch.counted(), 125);
    watch.end();
}

/// The topic is made anew, with so many events, between two lives.
fn made_anew_with(events: u32) {
    let (topic, _, job, watch) = counted("anew");
    topic.delete();
    topic.create(1, &[]);
    let mut sender = Sender::new(&brokers(), &topic.name, 1, 4);
    sender.send(events);
    job.catch_up("1", &[]).exits(1).says(&["it is not the topic that was counted", SKIP]);
    assert_eq!(watch.counted(), 100, "{events} events: nothing was read");
    job.catch_up("2", &[SKIP]).exits(0).says(&["it is not the topic that was counted", "passed over"]);
    assert_eq!(watch.counted(), 100 + u64::from(events), "{events} events: all of the new topic");
    sender.send(10);
    job.catch_up("1", &[]).exits(0);
    assert_eq!(watch.counted(), 110 + u64::from(events), "{events} events: and it goes on");
    watch.end();
}

#[test]
#[ignore = "needs Kafka"]
fn a_topic_that_is_shorter_than_what_was_read_is_another_one() {
    made_anew_with(30);
}

#[test]
#[ignore = "needs Kafka"]
fn a_topic_that_was_made_anew_and_is_as_long_or_longer_is_another_one() {
    made_anew_with(100);
    made_anew_with(130);
}

#[test]
#[ignore = "needs Kafka"]
fn a_topic_that_is_gone_is_named() {
    let (topic, _, job, watch) = counted("gone");
    topic.delete();
    job.catch_up("1", &[]).exits(1).says(&["has no topic", &topic.name]);
    assert_eq!(watch.counted(), 100);
    watch.end();
}
