//! Fault K1: brokers go and come back while lives do. Fault K2: brokers answer with errors, or lead no more.
//!
//! Most of it is with brokers that librdkafka plays in this process; a real one that is killed takes longer. Not covered: several real
//! brokers, of which one takes over from another that had less.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::own_broker::OwnBroker;
use super::{Job, PLAYED_TOPIC as TOPIC, Seed, Sender, Watch, cluster, while_sending};

/// Clients come back soon, as the outages are short.
const OPTIONS: &str = ", options = { \"reconnect.backoff.max.ms\" = \"200\" }";

#[test]
fn brokers_that_go_and_come_back_cost_nothing_also_over_a_restart() {
    let told = Seed(21);
    let mut random = StdRng::seed_from_u64(told.0);
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    let mut sender = Sender::new(&brokers, TOPIC, 3, told.0);
    let job = Job::with_kafka(&brokers, TOPIC, OPTIONS, "");
    let watch = Watch::begin(&job.table());
    sender.send(50);
    let mut run = job.start("2", &[]);
    watch.comes_to(50);
    let mut moment = |longest| std::thread::sleep(Duration::from_millis(random.random_range(100..longest)));
    while_sending(&mut sender, || {
        for workers in ["1", "2"] {
            cluster.broker_down(1).expect("down");
            moment(1_000);
            cluster.broker_up(1).expect("up");
            moment(1_500);
            cluster.broker_down(1).expect("down");
            moment(500);
            // It dies without a broker, and the next begins without one.
            run.dies();
            run = job.start(workers, &[]);
            moment(1_500);
            cluster.broker_up(1).expect("up");
            moment(1_500);
        }
    });
    watch.comes_to(sender.sent());
    run.signal("TERM");
    run.end().exits(0);
    job.ends_well(&sender.counts);
    watch.end();
}

#[test]
fn a_stop_without_a_broker_takes_no_longer() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    let mut sender = Sender::new(&brokers, TOPIC, 3, 24);
    let job = Job::with_kafka(&brokers, TOPIC, OPTIONS, "");
    let watch = Watch::begin(&job.table());
    sender.send(50);
    let run = job.start("2", &[]);
    watch.comes_to(50);
    // There is a checkpoint before the broker goes, whose offsets are committed, and one behind it, whose are not.
    std::thread::sleep(Duration::from_millis(1_500));
    cluster.broker_down(1).expect("down");
    std::thread::sleep(Duration::from_millis(2_500));
    run.signal("TERM");
    run.end_within(Duration::from_secs(10)).exits(0);
    cluster.broker_up(1).expect("up");
    sender.send(50);
    job.ends_well(&sender.counts);
    watch.end();
}

#[test]
fn errors_of_brokers_and_other_leaders_cost_nothing() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH as FENCED, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR as STORAGE,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE as NO_LEADER, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION as NOT_LEADER,
        RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE as NO_OFFSET, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT as TIMED_OUT,
        RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH as UNKNOWN_EPOCH,
    };
    let told = Seed(22);
    let mut random = StdRng::seed_from_u64(told.0);
    let cluster = cluster(3);
    let brokers = cluster.bootstrap_servers();
    let mut sender = Sender::new(&brokers, TOPIC, 3, told.0);
    let job = Job::with_kafka(&brokers, TOPIC, OPTIONS, "");
    let watch = Watch::begin(&job.table());
    sender.send(50);
    let mut run = job.start("1", &[]);
    watch.comes_to(50);
    while_sending(&mut sender, || {
        for error in [NOT_LEADER, NO_LEADER, TIMED_OUT, STORAGE, FENCED, UNKNOWN_EPOCH, NO_OFFSET] {
            cluster.request_errors(RDKafkaApiKey::Fetch, &[error; 3]);
            let partition = random.random_range(0..3);
            cluster.partition_leader(TOPIC, partition, Some(random.random_range(1..4))).expect("a leader");
            std::thread::sleep(Duration::from_millis(random.random_range(100..700)));
            if random.random_range(0..2) == 0 {
                run.dies();
                cluster.request_errors(RDKafkaApiKey::ListOffsets, &[NOT_LEADER, NO_OFFSET]);
                cluster.request_errors(RDKafkaApiKey::Metadata, &[NO_LEADER]);
                run = job.start(["1", "2"][random.random_range(0..2)], &[]);
            }
        }
    });
    watch.comes_to(sender.sent());
    run.signal("TERM");
    run.end().exits(0);
    job.ends_well(&sender.counts);
    watch.end();
}

#[test]
#[ignore = "needs Kafka"]
fn a_broker_that_is_stopped_and_killed_costs_nothing_takes_minutes() {
    let told = Seed(23);
    let mut random = StdRng::seed_from_u64(told.0);
    // Beside those of other tests, and below those that the system gives away.
    let mut broker = OwnBroker::start(27_192);
    let job = Job::with_kafka(&broker.address(), TOPIC, OPTIONS, "");
    job.makes_topic(3);
    let mut sender = Sender::new(&broker.address(), TOPIC, 3, told.0);
    let watch = Watch::begin(&job.table());
    sender.send(50);
    let mut run = job.start("2", &[]);
    watch.comes_to(50);
    let mut moment = |longest| std::thread::sleep(Duration::from_millis(random.random_range(200..longest)));
    while_sending(&mut sender, || {
        for workers in ["1", "2", "1", "2"] {
            broker.signal("STOP");
            moment(3_000);
            run.dies();
            run = job.start(workers, &[]);
            moment(3_000);
            broker.signal("CONT");
            moment(2_000);
            let line = broker.kill();
            moment(1_000);
            run.dies();
            run = job.start(workers, &[]);
            broker.start_again(&line);
            moment(3_000);
        }
    });
    watch.comes_to(sender.sent());
    run.signal("TERM");
    run.end().exits(0);
    job.ends_well(&sender.counts);
    watch.end();
}
