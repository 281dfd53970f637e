//! Faults over Kafka: a run with a state may be killed at any moment, brokers may go, topics may change; the counters come out as if
//! nothing had happened, or the run says why they cannot.
//!
//! [`Job`] is a topic, a pipeline, a state and a sink; [`Sender`] writes events and keeps count of them; [`Watch`] looks at the table
//! all the while, and notes every item that goes back.

mod clocks;
mod dynamodb;
mod job;
mod journal;
mod kills;
mod lost;
mod messages;
mod outages;
mod own_broker;
mod partitions;
mod sender;
mod soak;
mod starts;
mod watch;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

pub use job::{Job, brokers, while_sending};
pub use own_broker::OwnBroker;
pub use sender::Sender;
pub use watch::Watch;

/// The topic of [`cluster`].
pub const PLAYED_TOPIC: &str = "events";

/// So many brokers that librdkafka plays in this process, with a topic of three partitions.
pub fn cluster(brokers: i32) -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(brokers).expect("a cluster");
    cluster.create_topic(PLAYED_TOPIC, 3, brokers).expect("a topic");
    cluster
}

/// The rules of one series of lives: printed when it fails, so that it can be tried again.
pub struct Seed(pub u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the series with seed {} has failed", self.0);
        }
    }
}
