//! Fault K4: partitions are added, between two lives and in one.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{Job, Seed, Sender, Watch, brokers, while_sending};
use crate::kafka::Topic;

#[test]
#[ignore = "needs Kafka"]
fn partitions_that_are_added_are_read_from_their_beginning() {
    let topic = Topic::new("more", 1);
    let mut sender = Sender::new(&brokers(), &topic.name, 1, 5);
    let job = Job::new(&brokers(), &topic.name, "");
    let watch = Watch::begin(&job.table());
    sender.send(50);
    job.catch_up("1", &[]).exits(0);
    // Between two lives.
    topic.add_partitions(2);
    sender.knows(2);
    sender.send_to(1, 30);
    let run = job.start("2", &[]);
    watch.comes_to(80);
    // In one, which is killed before a checkpoint may know of it, or after.
    topic.add_partitions(4);
    sender.knows(4);
    sender.send_to(2, 20);
    sender.send_to(3, 20);
    watch.comes_to(120);
    run.signal("KILL");
    drop(run);
    sender.send(40);
    job.ends_well(&sender.counts);
    watch.end();
}

#[test]
#[ignore = "needs Kafka"]
fn partitions_are_added_while_lives_are_killed_takes_minutes() {
    for seed in [11, 12] {
        let told = Seed(seed);
        let mut random = StdRng::seed_from_u64(told.0);
        let topic = Topic::new("growing", 1);
        let mut sender = Sender::new(&brokers(), &topic.name, 1, seed);
        let job = Job::new(&brokers(), &topic.name, "");
        let watch = Watch::begin(&job.table());
        for partitions in 2..10 {
            while_sending(&mut sender, || {
                // The sender writes to the new partition from the next life on, whether a run has found it or not.
                job.is_killed(&mut random, || topic.add_partitions(partitions as usize));
            });
            sender.knows(partitions);
            sender.send_to(partitions - 1, 25);
        }
        job.ends_well(&sender.counts);
        watch.end();
    }
}
