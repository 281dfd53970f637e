//! Writes events to a topic, and keeps count of them: the independent recount.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const WAIT: Duration = Duration::from_secs(60);

/// How many events there were of each key and feature.
pub type Counts = BTreeMap<(String, String), u64>;

/// The different keys.
const USERS: u32 = 40;

/// Where events are sent to.
pub struct Sender {
    brokers: String,
    topic: String,
    producer: BaseProducer,
    random: StdRng,
    partitions: i32,
    pub counts: Counts,
}

impl Sender {
    pub fn new(brokers: &str, topic: &str, partitions: i32, seed: u64) -> Sender {
        Sender {
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
            producer: producer(brokers, &[]),
            random: StdRng::seed_from_u64(seed),
            partitions,
            counts: Counts::new(),
        }
    }

    /// The topic has so many partitions by now. (A producer that has heard of fewer refuses the others.)
    pub fn knows(&mut self, partitions: i32) {
        self.partitions = partitions;
        self.producer = producer(&self.brokers, &[]);
    }

    /// Sends so many events, to any partition; some have no key.
    pub fn send(&mut self, events: u32) {
        for _ in 0..events {
            let partition = self.random.random_range(0..self.partitions);
            self.send_one(partition);
        }
        self.flush();
    }

    /// The same to one partition.
    pub fn send_to(&mut self, partition: i32, events: u32) {
        for _ in 0..events {
            self.send_one(partition);
        }
        self.flush();
    }

    fn send_one(&mut self, partition: i32) {
        let (payload, of) = event(&mut self.random);
        let key = of.0.clone();
        let record = BaseRecord::<str, str>::to(&self.topic).partition(partition).payload(&payload);
        let record = if self.random.random_range(0..5) == 0 { record } else { record.key(&key) };
        self.producer.send(record).expect("room in the queue");
        *self.counts.entry(of).or_default() += 1;
    }

    fn flush(&self) {
        self.producer.flush(WAIT).expect("delivered");
    }

    /// Sends a message without a payload.
    pub fn send_tombstone(&self, partition: i32) {
        let record = BaseRecord::<str, ()>::to(&self.topic).partition(partition).key("gone");
        self.producer.send(record).expect("room in the queue");
        self.flush();
    }

    /// Begins a transaction with so many events. They count once it is committed.
    pub fn begin(&mut self, partition: i32, events: u32) -> Transaction {
        let id = format!("{}-{}", self.topic, self.random.random_range(0..u32::MAX));
        let producer = producer(&self.brokers, &[("transactional.id", &id)]);
        producer.init_transactions(WAIT).expect("transactions");
        producer.begin_transaction().expect("a transaction");
        let mut counts = Counts::new();
        for _ in 0..events {
            let (payload, of) = event(&mut self.random);
            let record = BaseRecord::<(), str>::to(&self.topic).partition(partition).payload(&payload);
            producer.send(record).expect("room in the queue");
            *counts.entry(of).or_default() += 1;
        }
        producer.flush(WAIT).expect("delivered");
        Transaction { producer, counts }
    }

    pub fn commit(&mut self, transaction: Transaction) {
        transaction.producer.commit_transaction(WAIT).expect("committed");
        for (of, count) in transaction.counts {
            *self.counts.entry(of).or_default() += count;
        }
    }

    /// The offset behind the last message of a partition.
    pub fn end_of(&self, partition: i32) -> i64 {
        self.producer.client().fetch_watermarks(&self.topic, partition, WAIT).expect("offsets").1
    }

    /// How many events have been sent.
    pub fn sent(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// Events that nobody may count yet.
pub struct Transaction {
    producer: BaseProducer,
    counts: Counts,
}

impl Transaction {
    pub fn abort(self) {
        self.producer.abort_transaction(WAIT).expect("aborted");
    }
}

fn producer(brokers: &str, settings: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    // A producer that tries again must not write twice: what is counted twice would be its fault.
    config.set("bootstrap.servers", brokers).set("linger.ms", "2").set("enable.idempotence", "true");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create().expect("a producer")
}

/// An event, and of which key and feature it is.
fn event(random: &mut StdRng) -> (String, (String, String)) {
    let user = format!("u{}", random.random_range(0..USERS));
    let name = ["like", "view"][random.random_range(0..2)];
    let time = 1_000_000_000 + random.random_range(0..1_000);
    (format!("{{\"n\":\"{name}\",\"t\":{time},\"u\":\"{user}\"}}"), (user, name.to_owned()))
}
