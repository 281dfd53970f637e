//! `counter-machine produce`: sends event logs to the pipeline's Kafka topic.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::CliError;
use super::load::load_pipeline;
use super::output::print;
use crate::counter::EventTime;
use crate::event::{Arrival, DeclaredField, Decoder, EventSchema, FieldId, FieldPath, Utf8};
use crate::source::SourceError;
use crate::source::kafka::TopicProducer;
use crate::source::log::for_each_line;
use crate::telemetry::Printable;

/// Send event logs to the pipeline's Kafka topic, a message per line.
///
/// Lines are sent as they stand, also those that are no events; blank ones are left out.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  counter-machine produce pipelines/user_counters.toml pipelines/sample.jsonl \\
      --key userId --create-partitions 8")]
pub struct ProduceArgs {
    /// The pipeline file; its `[kafka]` names the brokers and the topic.
    pub pipeline: PathBuf,

    /// Event logs: files (plain, .gz or .zst), directories, or `-` for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// The field that is the message's key, by its path (`user.id` inside an object): events with the same value go to the same partition.
    /// Without it, or where an event has no such field, messages have no key and go anywhere.
    #[arg(long, value_name = "FIELD")]
    pub key: Option<FieldPath>,

    /// How messages are compressed.
    #[arg(long, value_enum, default_value_t = Compression::Lz4)]
    pub compression: Compression,

    /// Create the topic with so many partitions if it is missing.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub create_partitions: Option<u16>,
}

/// The codecs of Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// Not at all.
    None,
    /// Fast.
    Lz4,
    /// Understood by the oldest brokers and clients.
    Gzip,
    /// Fast.
    Snappy,
    /// Small.
    Zstd,
}

impl Compression {
    fn codec(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Zstd => "zstd",
        }
    }
}

/// Sends the logs, waits until all of it is delivered, and says what was done.
pub fn run(args: &ProduceArgs) -> Result<(), CliError> {
    let pipeline = load_pipeline(&args.pipeline)?;
    let Some(kafka) = &pipeline.kafka else {
        let pipeline = Printable(args.pipeline.display());
        return Err(CliError::usage(format!("{pipeline} has no [kafka]: add it, with `brokers` and `topic`")));
    };
    // Before a topic is made for them.
    if let Some(missing) = args.paths.iter().find(|path| **path != Path::new("-") && !path.exists()) {
        return Err(CliError::usage(format!(
            "cannot read the event log {}: there is no such file",
            Printable(missing.display())
        )));
    }
    let started = Instant::now();
    let mut producer = TopicProducer::connect(kafka, args.compression.codec(), args.create_partitions)?;
    let partitions = describe_partitions(&producer);
    let mut keys = args.key.clone().map(|field| KeyOf::new(&pipeline.event, field));
    let totals = send_lines(args, pipeline.event.max_bytes, &mut producer, &mut keys);
    // What was sent before something failed is delivered all the same.
    let delivered = producer.finish();
    let totals = totals?;
    let summary = totals.describe(delivered?, started.elapsed());
    print(&mut io::stdout(), &format!("{summary} to topic \"{}\" at {} ({partitions})\n", kafka.topic, kafka.brokers))?;
    if let (Some(field), 1..) = (&args.key, totals.without_key) {
        print(
            &mut io::stdout(),
            &format!("{} of them have no \"{field}\", and were sent without a key\n", totals.without_key),
        )?;
    }
    Ok(())
}

fn send_lines(
    args: &ProduceArgs,
    max_line_bytes: usize,
    producer: &mut TopicProducer,
    keys: &mut Option<KeyOf>,
) -> Result<Totals, SourceError> {
    let mut totals = Totals::default();
    for_each_line(&args.paths, max_line_bytes, &mut |line| {
        let key = keys.as_mut().and_then(|keys| keys.of(line.bytes));
        totals.bytes += line.bytes.len() as u64;
        totals.without_key += u64::from(key.is_none());
        producer.send(key, line.bytes).map_err(|error| {
            SourceError::caused_by(format!("stopped at byte {} of {}", line.offset, line.log.display()), error)
        })
    })?;
    Ok(totals)
}

/// Finds the key of a line.
struct KeyOf {
    decoder: Decoder,
}

impl KeyOf {
    const FIELD: FieldId = FieldId(0);

    /// The key is the value of this field, as the text that a counter group would make of it.
    fn new(schema: &EventSchema, field: FieldPath) -> KeyOf {
        let field = DeclaredField { as_key: true, ..DeclaredField::unused(field) };
        let schema = EventSchema { fields: vec![field], ..schema.at_any_time() };
        KeyOf { decoder: Decoder::new(Arc::new(schema)) }
    }

    /// `None` where the line is no event, or has no such field.
    fn of<'a>(&'a mut self, line: &'a [u8]) -> Option<&'a [u8]> {
        self.decoder.decode(line, Arrival::before(EventTime(0)), Utf8::Unchecked).ok()??.key(KeyOf::FIELD)
    }
}

/// What was read.
#[derive(Debug, Default)]
struct Totals {
    bytes: u64,
    without_key: u64,
}

impl Totals {
    fn describe(&self, delivered: u64, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64();
        let megabytes = self.bytes as f64 / 1e6;
        let rate = delivered as f64 / seconds.max(1e-3);
        format!("sent {delivered} messages ({megabytes:.1} MB) in {seconds:.1} s, {rate:.0} per second,")
    }
}

fn describe_partitions(producer: &TopicProducer) -> String {
    let count = producer.partition_count();
    let plural = if count == 1 { "" } else { "s" };
    let created = if producer.created_topic() { ", created" } else { "" };
    format!("{count} partition{plural}{created}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::message::Message as _;
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::cli::ErrorCode;

    fn keys(field: &str) -> KeyOf {
        let schema = EventSchema::of_seconds("eventName", "eventTs");
        KeyOf::new(&schema, FieldPath::top_level(field))
    }

    #[test]
    fn the_key_is_the_text_of_the_field() {
        let mut keys = keys("userId");
        let line =
            |user: &str| format!("{{\"eventName\":\"like\",\"userId\":{user},\"eventTs\":1707605599}}").into_bytes();
        assert_eq!(keys.of(&line("\"1234\"")), Some(b"1234".as_slice()));
        assert_eq!(keys.of(&line("1234")), Some(b"1234".as_slice()));
        assert_eq!(keys.of(&line("null")), None);
        assert_eq!(keys.of(b"no event"), None);
    }

    #[test]
    fn the_fields_that_every_event_has_may_be_keys_too() {
        let line = br#"{"eventName":"like","eventTs":1707605599}"#;
        assert_eq!(keys("eventName").of(line), Some(b"like".as_slice()));
        assert_eq!(keys("eventTs").of(line), Some(b"1707605599".as_slice()));
    }

    /// Writes a pipeline and a log into a directory of the test's own, and sends the log.
    fn produce(kafka: &str, log: &str, key: Option<&str>) -> Result<(), CliError> {
        let directory = tempfile::tempdir().expect("a directory");
        let (pipeline, log_file) = (directory.path().join("p.toml"), directory.path().join("log.jsonl"));
        let text = format!(
            r#"
            name = "p"
            event = {{ name = "eventName", time = "eventTs" }}
            {kafka}
            counters = [{{ name = "user", key = ["u"], events = "*", decays = ["5s"] }}]"#
        );
        std::fs::write(&pipeline, text).expect("written");
        std::fs::write(&log_file, log).expect("written");
        let key = key.map(|path| path.parse().expect("a path"));
        run(&ProduceArgs {
            pipeline,
            paths: vec![log_file],
            key,
            compression: Compression::Lz4,
            create_partitions: None,
        })
    }

    #[test]
    fn a_pipeline_without_kafka_is_told_so() {
        let error = produce("", "", None).expect_err("no [kafka]");
        assert!(error.code() == ErrorCode::Usage && error.to_string().contains("has no [kafka]"), "{error}");
    }

    #[test]
    fn every_line_is_sent_once_and_one_key_goes_to_one_partition() {
        let cluster = MockCluster::new(1).expect("a cluster");
        cluster.create_topic("events", 4, 1).expect("a topic");
        let brokers = cluster.bootstrap_servers();
        let lines: Vec<_> = (0..500)
            .map(|number| match number {
                7 => "no event".to_owned(),
                _ => format!("{{\"eventName\":\"like\",\"u\":{},\"n\":{number},\"eventTs\":1}}", number % 10),
            })
            .collect();
        let kafka = format!("kafka = {{ brokers = \"{brokers}\", topic = \"events\" }}");
        produce(&kafka, &lines.join("\r\n\n"), Some("u")).expect("sent");

        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("group.id", "test")
            .set("auto.offset.reset", "earliest")
            .create()
            .expect("a consumer");
        consumer.subscribe(&["events"]).expect("subscribed");
        let (mut sent, mut partition_of) = (Vec::new(), HashMap::new());
        while sent.len() < lines.len() {
            let message = consumer.poll(None).expect("a message").expect("no error");
            sent.push(String::from_utf8(message.payload().expect("a payload").to_vec()).expect("UTF-8"));
            if let Some(key) = message.key() {
                let partition = *partition_of.entry(key.to_vec()).or_insert(message.partition());
                assert_eq!(message.partition(), partition);
            }
        }
        assert!(consumer.poll(Duration::from_millis(200)).is_none());
        let mut expected = lines;
        expected.sort();
        sent.sort();
        assert_eq!(sent, expected);
        assert_eq!(partition_of.len(), 10);
    }
}
