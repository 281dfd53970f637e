//! Fault T1 over Kafka, where windows go by the machine's clock: it is wrong in some lives, and jumps.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Job, PLAYED_TOPIC, Seed, Sender, Watch, cluster, while_sending};
use crate::wrong_clock::WrongClock;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

#[test]
fn a_clock_that_is_wrong_and_jumps_costs_nothing() {
    let told = Seed(41);
    let mut random = StdRng::seed_from_u64(told.0);
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    let mut sender = Sender::new(&brokers, PLAYED_TOPIC, 3, told.0);
    let job = Job::new(&brokers, PLAYED_TOPIC, "");
    let clock = WrongClock::new(&job.place);
    let watch = Watch::begin(&job.table());
    sender.send(50);
    for (ahead, then) in [(0, HOUR), (-HOUR, DAY), (DAY, -DAY), (-DAY, 0), (0, 0)] {
        clock.is_ahead_by(ahead);
        let run = job.start_with(["1", "2"][random.random_range(0..2)], &[], &clock.environment());
        watch.comes_to(sender.sent());
        while_sending(&mut sender, || {
            std::thread::sleep(Duration::from_millis(700));
            clock.is_ahead_by(then);
            std::thread::sleep(Duration::from_millis(700));
        });
        // Windows go on, whatever the clock says.
        watch.comes_to(sender.sent());
        run.signal(if random.random() { "KILL" } else { "TERM" });
        drop(run.end());
        sender.send(50);
    }
    job.ends_well(&sender.counts);
    watch.end();
}
