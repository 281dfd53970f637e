//! A topic that several processes read: each has its share of the partitions.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Processes;
use crate::kafka::Topic;
use crate::program::Ended;
use crate::recovery_kafka::{Job, PLAYED_TOPIC, Seed, Sender, Watch, brokers, cluster, while_sending};

/// Begins a life of so many processes, of one worker each.
fn start(job: &Job, processes: usize, more: &[&str]) -> Processes {
    Processes::start(&job.place, processes, |_, which| {
        let mut running = job.start("1", &[which, more].concat());
        running.close_stdin();
        running
    })
}

/// Reads what there is with so many processes, after which the table holds what was sent, by the recount and by `verify`.
fn ends_well(job: &Job, processes: usize, sender: &Sender) -> Vec<Ended> {
    let ends = start(job, processes, &["--until-end", "--positions", "positions.json"]).end_well();
    job.is_right(&sender.counts);
    ends
}

/// One of two processes is killed while they read, and so many go on.
fn killed(brokers: &str, topic: &str, partitions: i32, then: usize, seed: u64) {
    let told = Seed(seed);
    let mut sender = Sender::new(brokers, topic, partitions, told.0);
    let job = Job::new(brokers, topic, "");
    let watch = Watch::begin(&job.table());
    sender.send(200);
    for killed in [1, 0] {
        let mut run = start(&job, 2, &[]);
        watch.comes_to(sender.sent());
        // Some of it behind the last checkpoint.
        sender.send(200);
        watch.comes_to(sender.sent());
        drop(run.take(killed).kill());
        run.lose(killed);
        sender.send(100);
    }
    ends_well(&job, then, &sender);
    watch.end();
}

#[test]
fn a_topic_is_counted_once_over_a_kill_and_another_number_of_processes() {
    let cluster = cluster(1);
    // More than there are partitions.
    killed(&cluster.bootstrap_servers(), PLAYED_TOPIC, 3, 5, 660);
}

#[test]
fn whichever_process_is_asked_to_stop_all_stop_well_and_the_next_run_goes_on() {
    let cluster = cluster(1);
    let mut sender = Sender::new(&cluster.bootstrap_servers(), PLAYED_TOPIC, 3, 661);
    let job = Job::new(&cluster.bootstrap_servers(), PLAYED_TOPIC, "");
    let watch = Watch::begin(&job.table());
    for asked in [0, 1] {
        sender.send(100);
        let run = start(&job, 2, &[]);
        watch.comes_to(sender.sent());
        run[asked].signal("TERM");
        for ended in run.end_well() {
            ended.says(&["stopped by a signal"]);
        }
    }
    sender.send(100);
    ends_well(&job, 2, &sender);
    watch.end();
}

#[test]
#[ignore = "needs Kafka"]
fn a_real_topic_is_counted_once_over_a_kill_and_another_number_of_processes() {
    let topic = Topic::new("processes", 4);
    killed(&brokers(), &topic.name, 4, 3, 663);
}

#[test]
#[ignore = "needs Kafka"]
fn partitions_that_are_added_while_processes_read_are_read() {
    let topic = Topic::new("processes-more", 1);
    let mut sender = Sender::new(&brokers(), &topic.name, 1, 664);
    let job = Job::new(&brokers(), &topic.name, "");
    let watch = Watch::begin(&job.table());
    sender.send(50);
    let mut run = start(&job, 2, &[]);
    watch.comes_to(50);
    topic.add_partitions(4);
    sender.knows(4);
    (1..4).for_each(|partition| sender.send_to(partition, 20));
    watch.comes_to(110);
    // Before a checkpoint may know of them, or after.
    drop(run.take(1).kill());
    run.lose(1);
    sender.send(40);
    ends_well(&job, 3, &sender);
    watch.end();
}

#[test]
#[ignore = "needs Kafka"]
fn processes_are_killed_while_events_come_takes_minutes() {
    for seed in [670, 671] {
        let told = Seed(seed);
        let mut random = StdRng::seed_from_u64(told.0);
        let topic = Topic::new("processes-killed", 4);
        let mut sender = Sender::new(&brokers(), &topic.name, 4, seed);
        let job = Job::new(&brokers(), &topic.name, "");
        let watch = Watch::begin(&job.table());
        sender.send(100);
        ends_well(&job, 2, &sender);
        while_sending(&mut sender, || {
            for _ in 0..10 {
                let processes = random.random_range(2..=3);
                let mut run = start(&job, processes, &[]);
                run.have_formed();
                std::thread::sleep(std::time::Duration::from_millis(random.random_range(0..2_500)));
                let killed = random.random_range(0..processes);
                drop(run.take(killed).kill());
                run.lose(killed);
            }
        });
        ends_well(&job, 3, &sender);
        watch.end();
    }
}
