//! Where a first life begins, and what others see of where it is.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{Job, Sender, Watch, brokers};
use crate::kafka::Topic;

#[test]
#[ignore = "needs Kafka"]
fn what_comes_while_a_run_from_latest_is_down_is_counted() {
    let topic = Topic::new("from-latest", 2);
    Sender::new(&brokers(), &topic.name, 2, 1).send(50);
    let job = Job::with_kafka(&brokers(), &topic.name, ", start = \"latest\"", "");
    let watch = Watch::begin(&job.table());
    let mut sender = Sender::new(&brokers(), &topic.name, 2, 2);
    // It is killed as soon as it has begun, before it has read anything.
    let run = job.start("2", &[]);
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_whole = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "json"))
    };
    let has_begun = || std::fs::read_dir(job.place.path("state/manifests")).is_ok_and(|mut found| found.any(is_whole));
    while !has_begun() {
        assert!(Instant::now() < deadline, "no checkpoint is made");
        std::thread::sleep(Duration::from_millis(5));
    }
    run.signal("KILL");
    drop(run);
    sender.send(30);
    let run = job.start("1", &[]);
    watch.comes_to(30);
    run.signal("KILL");
    drop(run);
    sender.send(20);
    job.ends_well(&sender.counts);
    watch.end();
}

#[test]
#[ignore = "needs Kafka"]
fn a_consumer_group_shows_where_the_last_checkpoint_is() {
    let topic = Topic::new("group", 2);
    let mut sender = Sender::new(&brokers(), &topic.name, 2, 1);
    for (kafka, group) in
        [(String::new(), "p".to_owned()), (format!(", group = \"of-{}\"", topic.name), format!("of-{}", topic.name))]
    {
        let job = Job::with_kafka(&brokers(), &topic.name, &kafka, "");
        sender.send_to(0, 30);
        sender.send_to(1, 20);
        let run = job.start("2", &[]);
        shows(&topic.name, &group, [0, 1].map(|id| sender.end_of(id)));
        // And where the last checkpoint of a run is.
        run.signal("TERM");
        run.end().exits(0);
        sender.send_to(0, 5);
        job.catch_up("1", &[]).exits(0);
        shows(&topic.name, &group, [0, 1].map(|id| sender.end_of(id)));
    }
}

/// Waits until these offsets are committed.
fn shows(topic: &str, group: &str, offsets: [i64; 2]) {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers()).set("group.id", group).create().expect("a consumer");
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(topic, 0, 1);
    let wanted = offsets.map(Offset::Offset);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = consumer.committed_offsets(asked.clone(), Duration::from_secs(10));
        let found = found.map(|found| found.elements().iter().map(|element| element.offset()).collect::<Vec<_>>());
        if found.as_deref().ok() == Some(&wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "group {group} has {found:?}, and not {wanted:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
