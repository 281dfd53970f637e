//! Sends messages to the topic that a pipeline reads.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::context::{Context, Report};
use super::probe::{Probe, Wait};
use super::problem::{OutageLog, describe};
use super::settings::client_settings;
use super::topic_address::TopicAddress;
use crate::pipeline::KafkaConfig;
use crate::source::SourceError;

/// How long to wait for a broker's answer at the start.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// How long to wait for room in the queue, or for deliveries, before looking what is wrong.
const PATIENCE: Duration = Duration::from_millis(100);

/// Deliveries are looked after once for so many messages.
const LOOK_AFTER_EVERY: u64 = 1_000;

/// A topic made here keeps as many copies as the brokers' default says.
const DEFAULT_REPLICATION: i32 = -1;

/// Settings of ours, which `[kafka.options]` may replace.
const DEFAULTS: [(&str, &str); 8] = [
    ("client.id", "counter-machine"),
    ("acks", "all"),
    // Tries again without doubling a message or changing the order of a partition.
    ("enable.idempotence", "true"),
    ("linger.ms", "20"),
    ("queue.buffering.max.messages", "200000"),
    ("queue.buffering.max.kbytes", "65536"),
    // Keys come to the same partitions as from Kafka's own Java client.
    ("partitioner", "murmur2_random"),
    // What was delivered need not be told one by one.
    ("delivery.report.only.error", "true"),
];

/// Sends messages to one topic. A message counts as sent once all replicas that are in step have
/// it, which only [`TopicProducer::finish`] makes certain.
pub struct TopicProducer {
    producer: BaseProducer<Context>,
    topic: TopicAddress,
    outages: OutageLog,
    partition_count: usize,
    created: bool,
    queued: u64,
}

impl TopicProducer {
    /// Finds the topic, or makes it with `create_partitions` partitions where it is missing and that
    /// is given. `compression` is one of librdkafka's codecs.
    pub fn connect(
        config: &KafkaConfig,
        compression: &str,
        create_partitions: Option<u16>,
    ) -> Result<TopicProducer, SourceError> {
        let never = AtomicBool::new(false);
        let wait = Wait { deadline: Instant::now() + CONNECT_WITHIN, stop: &never };
        let topic = TopicAddress::of(config);
        let settings = client_settings(config)?;
        let probe = Probe::new(settings.clone(), topic.clone())?;
        let found = match create_partitions {
            None => Some(probe.partition_count(wait)?),
            Some(_) => probe.find_partition_count(wait)?,
        };
        if let (None, Some(partitions)) = (found, create_partitions) {
            create_topic(&settings, &topic, partitions)?;
        }
        let partition_count = found.map_or_else(|| probe.partition_count(wait), Ok)?;
        let producer = new_producer(settings, compression)
            .map_err(|error| SourceError::caused_by(format!("{topic}: cannot write"), error))?;
        let outages = OutageLog::default();
        Ok(TopicProducer { producer, topic, outages, partition_count, created: found.is_none(), queued: 0 })
    }

    /// How many partitions the topic has.
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// Whether the topic was made here.
    pub fn created_topic(&self) -> bool {
        self.created
    }

    /// Queues a message; waits while the queue is full. Messages with one key go to one partition.
    /// Fails where an earlier message could not be delivered.
    pub fn send(&mut self, key: Option<&[u8]>, payload: &[u8]) -> Result<(), SourceError> {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic.name).payload(payload);
        record.key = key;
        while let Err((error, rejected)) = self.producer.send(record) {
            match error {
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => self.look_after_deliveries(PATIENCE)?,
                KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge) => {
                    return Err(self.too_large(payload.len()));
                }
                error => return Err(SourceError::caused_by(format!("{}: cannot write", self.topic), error)),
            }
            record = rejected;
        }
        self.queued += 1;
        if self.queued.is_multiple_of(LOOK_AFTER_EVERY) {
            self.look_after_deliveries(Duration::ZERO)?;
        }
        Ok(())
    }

    /// Waits until everything is delivered, and says how many messages that were.
    pub fn finish(self) -> Result<u64, SourceError> {
        while self.producer.in_flight_count() > 0 {
            // Running out of patience is no failure: a message that cannot be delivered is told of.
            let _ = self.producer.flush(PATIENCE);
            self.look_after_deliveries(Duration::ZERO)?;
        }
        self.look_after_deliveries(Duration::ZERO)?;
        Ok(self.queued)
    }

    fn look_after_deliveries(&self, patience: Duration) -> Result<(), SourceError> {
        self.producer.poll(patience);
        let context = self.producer.context();
        if let Some(error) = context.failed_delivery() {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            let text = format!("a message could not be delivered: {code}");
            return Err(describe(&self.topic, &Report { code, text }));
        }
        if let Some(report) = context.take_report() {
            self.outages.lost(&self.topic, &report);
        }
        Ok(())
    }

    fn too_large(&self, length: usize) -> SourceError {
        SourceError::new(format!(
            "{}: a message of {length} bytes is larger than may be sent; if the topic takes larger ones, say so with \
             `message.max.bytes` in [kafka.options]",
            self.topic
        ))
    }
}

fn new_producer(mut settings: ClientConfig, compression: &str) -> KafkaResult<BaseProducer<Context>> {
    for (name, value) in DEFAULTS {
        if settings.get(name).is_none() {
            settings.set(name, value);
        }
    }
    settings.set("compression.type", compression);
    settings.create_with_context(Context::default())
}

fn create_topic(settings: &ClientConfig, topic: &TopicAddress, partitions: u16) -> Result<(), SourceError> {
    let failed = |error: KafkaError| SourceError::caused_by(format!("{topic}: cannot create the topic"), error);
    let admin: AdminClient<DefaultClientContext> = settings.create().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| SourceError::caused_by("cannot start the runtime for Kafka's administration", error))?;
    let new_topic = NewTopic::new(&topic.name, i32::from(partitions), TopicReplication::Fixed(DEFAULT_REPLICATION));
    let options = AdminOptions::new().operation_timeout(Some(CONNECT_WITHIN)).request_timeout(Some(CONNECT_WITHIN));
    let results = runtime.block_on(admin.create_topics([&new_topic], &options)).map_err(failed)?;
    for result in results {
        match result {
            // Somebody else made it at the same time.
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(failed(KafkaError::AdminOp(code))),
        }
    }
    Ok(())
}
