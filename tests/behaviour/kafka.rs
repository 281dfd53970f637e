//! The Kafka source against a real broker, which `KAFKA_BROKERS` names (`scripts/test` starts one).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use counter_machine::clock::{ArrivalClock, WallClock};
use counter_machine::counter::EventTime;
use counter_machine::epoch::Epoch;
use counter_machine::event::TimeUnit;
use counter_machine::pipeline::{KafkaConfig, StartOffset};
use counter_machine::source::kafka::{
    KafkaClock, KafkaOptions, KafkaReader, KafkaSource, RecordArrivals, TopicProducer, TopicWatcher,
};
use counter_machine::source::{
    Block, CaughtUp, Feed, KafkaPositions, OffsetRange, Payload, SourceError, SourceErrorKind, feed,
};
use counter_machine::telemetry::Metrics;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const WAIT: Duration = Duration::from_secs(30);

fn brokers() -> String {
    std::env::var("KAFKA_BROKERS").expect("KAFKA_BROKERS names a broker; scripts/test sets it")
}

/// A topic of the test's own.
pub struct Topic {
    pub name: String,
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
}

impl Topic {
    pub fn new(purpose: &str, partitions: i32) -> Topic {
        Topic::with_settings(purpose, partitions, &[])
    }

    fn with_settings(purpose: &str, partitions: i32, settings: &[(&str, &str)]) -> Topic {
        let topic = Topic::not_created(purpose);
        topic.create(partitions, settings);
        topic
    }

    /// Makes the topic, again where it was deleted.
    pub fn create(&self, partitions: i32, settings: &[(&str, &str)]) {
        let mut new_topic = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(1));
        new_topic.config = settings.to_vec();
        let options = AdminOptions::new().operation_timeout(Some(WAIT));
        let created = self.runtime.block_on(self.admin.create_topics([&new_topic], &options)).expect("an answer");
        created[0].as_ref().expect("a topic");
    }

    fn not_created(purpose: &str) -> Topic {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        Topic {
            name: format!("{purpose}-{}-{}", std::process::id(), since_1970.as_nanos()),
            admin: ClientConfig::new().set("bootstrap.servers", brokers()).create().expect("an admin client"),
            runtime: tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
        }
    }

    pub fn add_partitions(&self, count: usize) {
        let options = AdminOptions::new().operation_timeout(Some(WAIT));
        let wanted = NewPartitions::new(&self.name, count);
        let done = self.runtime.block_on(self.admin.create_partitions([&wanted], &options)).expect("an answer");
        done[0].as_ref().expect("more partitions");
        // The broker learns it from its controller; until then a producer's messages for them fail.
        let known = || self.admin.inner().fetch_metadata(Some(&self.name), WAIT).expect("metadata");
        while known().topics()[0].partitions().len() < count {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Deletes everything before `offset`, as retention does.
    pub fn delete_records_before(&self, partition: i32, offset: i64) {
        let mut offsets = rdkafka::TopicPartitionList::new();
        offsets.add_partition_offset(&self.name, partition, rdkafka::Offset::Offset(offset)).expect("a partition");
        let options = AdminOptions::new().operation_timeout(Some(WAIT));
        self.runtime.block_on(self.admin.delete_records(&offsets, &options)).expect("deleted");
    }

    pub fn delete(&self) {
        let options = AdminOptions::new().operation_timeout(Some(WAIT));
        self.runtime.block_on(self.admin.delete_topics(&[&self.name], &options)).expect("deleted");
    }

    fn config(&self) -> KafkaConfig {
        KafkaConfig {
            brokers: brokers(),
            topic: self.name.clone(),
            start: StartOffset::Earliest,
            group: None,
            options: BTreeMap::new(),
        }
    }

    pub fn producer(&self, settings: &[(&str, &str)]) -> BaseProducer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers()).set("linger.ms", "5");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config.create().expect("a producer")
    }

    /// Sends so many messages, each with its partition and number as payload.
    fn fill(&self, partition: i32, numbers: std::ops::Range<u32>) {
        let producer = self.producer(&[]);
        self.send(&producer, partition, numbers);
        producer.flush(WAIT).expect("delivered");
    }

    fn send(&self, producer: &BaseProducer, partition: i32, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let payload = format!("{partition}/{number}");
            let record = BaseRecord::<(), str>::to(&self.name).partition(partition).payload(&payload);
            producer.send(record).expect("room in the queue");
        }
    }

    fn send_tombstone(&self, partition: i32, key: &str) {
        let producer = self.producer(&[]);
        producer.send(BaseRecord::<str, ()>::to(&self.name).partition(partition).key(key)).expect("room");
        producer.flush(WAIT).expect("delivered");
    }
}

fn payload(partition: i32, number: u32) -> String {
    format!("{partition}/{number}")
}

fn until_end() -> KafkaOptions {
    KafkaOptions { until_end: true, ..KafkaOptions::default() }
}

fn payloads_of(block: Block) -> Vec<String> {
    let Payload::Messages { bytes, messages, .. } = block.payload else { panic!("not messages") };
    let text = |start: usize, length: usize| String::from_utf8_lossy(&bytes[start..start + length]).into_owned();
    messages.iter().map(|message| text(message.start, message.length)).collect()
}

/// Takes blocks until so many messages have come.
fn take(feed: &Feed, count: usize) -> Vec<String> {
    let mut payloads = Vec::new();
    while payloads.len() < count {
        payloads.extend(payloads_of(feed.blocks.recv_timeout(WAIT).expect("more messages")));
    }
    payloads
}

/// What all workers together read, in the order of each.
struct Run {
    read: Vec<Vec<String>>,
    /// How the readers ended, and behind them the watcher.
    ended: Vec<Result<(), SourceError>>,
    metrics: Metrics,
    /// Whether everything was handed over that there was at the start.
    caught_up: bool,
}

/// Runs the readers, each with a feed of its own, and `act` beside them, which may stop them.
fn run((readers, watcher): (Vec<KafkaReader>, TopicWatcher), act: impl FnOnce(&[Feed], &AtomicBool)) -> Run {
    let clock = KafkaClock::Wall(WallClock::new(Duration::from_millis(200), Epoch(0)).into());
    let arrivals = RecordArrivals::new(ArrivalClock::of_this_machine(TimeUnit::Seconds));
    let (metrics, stop) = (Metrics::default(), AtomicBool::new(false));
    let caught_up = CaughtUp::new(Some(readers.len()));
    let (senders, feeds): (Vec<_>, Vec<_>) = readers.iter().map(|_| feed(Epoch(0))).unzip();
    let (read, ended) = std::thread::scope(|scope| {
        let (clock, arrivals, metrics, caught_up, stop) = (&clock, &arrivals, &metrics, &caught_up, &stop);
        let running: Vec<_> = readers
            .into_iter()
            .zip(senders)
            .map(|(reader, sender)| scope.spawn(move || reader.run(sender, clock, arrivals, metrics, caught_up, stop)))
            .collect();
        let watching = scope.spawn(move || watcher.run().inspect_err(|_| stop.store(true, Ordering::Relaxed)));
        let _stop_on_panic = StopOnPanic(stop);
        act(&feeds, stop);
        let taking: Vec<_> = feeds
            .into_iter()
            .map(|feed| scope.spawn(move || feed.blocks.iter().flat_map(payloads_of).collect::<Vec<_>>()))
            .collect();
        (
            taking.into_iter().map(|taken| taken.join().expect("no panic")).collect(),
            running.into_iter().chain([watching]).map(|ended| ended.join().expect("no panic")).collect(),
        )
    });
    Run { read, ended, metrics, caught_up: caught_up.epoch().is_some() }
}

/// Stops the readers when the test fails, which else would hang.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

fn run_to_end(topic: &Topic, workers: usize) -> Run {
    let source = KafkaSource::connect(&topic.config(), until_end(), &AtomicBool::new(false)).expect("connected");
    let run = run(source.into_readers(workers).expect("readers"), |_, _| {});
    assert!(run.ended.iter().all(Result::is_ok), "{:?}", run.ended);
    run
}

#[test]
#[ignore = "needs Kafka"]
fn two_readers_read_eight_partitions_exactly_once() {
    let topic = Topic::new("exactly-once", 8);
    for partition in 0..8 {
        topic.fill(partition, 0..5_000);
    }
    let source = KafkaSource::connect(&topic.config(), until_end(), &AtomicBool::new(false)).expect("connected");
    assert_eq!(source.progress().lag(), Some(40_000));
    let progress = source.progress();
    let readers = source.into_readers(2).expect("readers");
    // What is written after the start is not part of the run.
    topic.fill(3, 5_000..5_100);
    let run = run(readers, |_, _| {});
    assert!(run.ended.iter().all(Result::is_ok), "{:?}", run.ended);
    assert_eq!((progress.lag(), run.caught_up), (Some(0), true));

    for (worker, read) in run.read.iter().enumerate() {
        let expected: BTreeSet<_> = (0..8)
            .filter(|partition| partition % 2 == worker as i32)
            .flat_map(|partition| (0..5_000).map(move |number| payload(partition, number)))
            .collect();
        assert_eq!(read.len(), expected.len());
        assert_eq!(read.iter().cloned().collect::<BTreeSet<_>>(), expected);
    }
    let of_partition_2: Vec<_> = run.read[0].iter().filter(|text| text.starts_with("2/")).cloned().collect();
    let in_order: Vec<_> = (0..5_000).map(|number| payload(2, number)).collect();
    assert_eq!(of_partition_2, in_order);
}

/// The first so many partitions of a topic, each read to its range.
fn positions(topic: &Topic, ranges: &[(i64, i64)]) -> KafkaPositions {
    let ranges = ranges.iter().map(|(from, to)| OffsetRange { from: *from, to: *to });
    KafkaPositions {
        topic: topic.name.clone(),
        cluster: None,
        topic_id: None,
        partitions: (0..).zip(ranges).collect(),
        run_start: EventTime(0),
    }
}

#[test]
#[ignore = "needs Kafka"]
fn a_topic_is_read_again_exactly_as_far_as_a_run_came() {
    let topic = Topic::new("again", 3);
    for partition in 0..3 {
        topic.fill(partition, 0..3_000);
    }
    // A transaction that was aborted leaves offsets without messages, and so does the mark of one that was committed.
    let producer = topic.producer(&[("transactional.id", &topic.name)]);
    producer.init_transactions(WAIT).expect("transactions");
    for commits in [false, true] {
        producer.begin_transaction().expect("a transaction");
        topic.send(&producer, 2, 3_000..3_010);
        producer.flush(WAIT).expect("delivered");
        if commits { producer.commit_transaction(WAIT) } else { producer.abort_transaction(WAIT) }.expect("ended");
    }
    let whole = run_to_end(&topic, 2);
    assert_eq!(whole.read.iter().map(Vec::len).sum::<usize>(), 9_010);
    topic.delete_records_before(1, 1_000);
    let connect = |ranges: &[(i64, i64)]| {
        let positions = positions(&topic, ranges);
        KafkaSource::connect_up_to(&topic.config(), &positions, KafkaOptions::default(), &AtomicBool::new(false))
    };
    // 3,000 messages, then ten that were aborted and the mark of that, ten and the mark of these.
    for (ranges, count) in [
        ([(0, 3_000), (1_000, 2_500), (0, 3_022)], 3_000 + 1_500 + 3_010),
        ([(10, 20), (2_999, 3_000), (3_000, 3_011)], 10 + 1),
        ([(0, 0), (1_000, 1_000), (3_011, 3_015)], 4),
        ([(0, 0), (1_000, 1_000), (0, 0)], 0),
    ] {
        for workers in [1, 2] {
            let source = connect(&ranges).expect("connected");
            let progress = source.progress();
            let run = run(source.into_readers(workers).expect("readers"), |_, _| {});
            assert!(run.ended.iter().all(Result::is_ok), "{:?}", run.ended);
            assert_eq!(run.read.iter().map(Vec::len).sum::<usize>(), count, "{ranges:?} with {workers}");
            let of_0: Vec<_> = run.read.iter().flatten().filter(|text| text.starts_with("0/")).cloned().collect();
            let expected: Vec<_> = (ranges[0].0..ranges[0].1).map(|number| payload(0, number as u32)).collect();
            assert_eq!(of_0, expected);
            assert_eq!((progress.ranges(), progress.lag()), (positions(&topic, &ranges).partitions, Some(0)));
        }
    }
    let error = connect(&[(0, 9), (400, 2_000)]).err().expect("refused").to_string();
    assert!(error.contains("600 are gone") && error.contains("400 to 2000 were read, 1000 is the first"), "{error}");
}

#[test]
#[ignore = "needs Kafka"]
fn a_partition_that_is_added_is_read_from_its_beginning() {
    let topic = Topic::new("added", 2);
    topic.fill(0, 0..10);
    let look_every = Duration::from_millis(100);
    let options = KafkaOptions { look_every, ..KafkaOptions::default() };
    let source = KafkaSource::connect(&topic.config(), options, &AtomicBool::new(false)).expect("connected");
    let run = run(source.into_readers(2).expect("readers"), |feeds, stop| {
        assert_eq!(take(&feeds[0], 10).len(), 10);
        topic.add_partitions(4);
        topic.fill(2, 0..20);
        topic.fill(3, 0..30);
        topic.fill(1, 0..5);
        let expected: Vec<_> = (0..20).map(|number| payload(2, number)).collect();
        assert_eq!(take(&feeds[0], 20), expected);
        assert_eq!(take(&feeds[1], 35).len(), 35);
        stop.store(true, Ordering::Relaxed);
    });
    assert!(run.ended.iter().all(Result::is_ok), "{:?}", run.ended);
}

#[test]
#[ignore = "needs Kafka"]
fn messages_without_a_payload_are_counted_and_skipped() {
    let topic = Topic::new("tombstones", 1);
    topic.fill(0, 0..3);
    topic.send_tombstone(0, "a");
    topic.fill(0, 3..5);
    topic.send_tombstone(0, "b");
    let run = run_to_end(&topic, 1);
    assert_eq!(run.read[0], (0..5).map(|number| payload(0, number)).collect::<Vec<_>>());
    assert_eq!(run.metrics.tombstones.get(), 2);
}

#[test]
#[ignore = "needs Kafka"]
fn transactions_that_were_aborted_are_not_read_and_their_marks_hold_nothing_up() {
    let topic = Topic::new("transactions", 2);
    let producer = topic.producer(&[("transactional.id", &topic.name)]);
    producer.init_transactions(WAIT).expect("transactions");
    producer.begin_transaction().expect("a transaction");
    topic.send(&producer, 0, 0..50);
    producer.commit_transaction(WAIT).expect("committed");
    producer.begin_transaction().expect("a transaction");
    topic.send(&producer, 0, 50..80);
    topic.send(&producer, 1, 0..10);
    producer.flush(WAIT).expect("delivered");
    producer.abort_transaction(WAIT).expect("aborted");
    // The last offset of both partitions is the mark of the abort, and partition 1 holds no message.
    let run = run_to_end(&topic, 2);
    assert_eq!(run.read[0], (0..50).map(|number| payload(0, number)).collect::<Vec<_>>());
    assert!(run.read[1].is_empty() && run.caught_up);
}

#[test]
#[ignore = "needs Kafka"]
fn a_stop_ends_a_reader_whose_feed_is_full() {
    let topic = Topic::new("stop", 1);
    let producer = topic.producer(&[]);
    let payload = "x".repeat(500_000);
    for _ in 0..40 {
        producer.send(BaseRecord::<(), str>::to(&topic.name).payload(&payload)).expect("room");
    }
    producer.flush(WAIT).expect("delivered");
    let source =
        KafkaSource::connect(&topic.config(), KafkaOptions::default(), &AtomicBool::new(false)).expect("connected");
    let run = run(source.into_readers(1).expect("a reader"), |feeds, stop| {
        while !feeds[0].blocks.is_full() {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(run.ended[0].is_ok(), "{:?}", run.ended);
    assert!(run.read[0].len() < 40 && !run.caught_up, "it stopped midway");
}

#[test]
#[ignore = "needs Kafka"]
fn from_latest_only_what_comes_after_the_start_is_read() {
    let topic = Topic::new("latest", 1);
    topic.fill(0, 0..100);
    let config = KafkaConfig { start: StartOffset::Latest, ..topic.config() };
    let source = KafkaSource::connect(&config, KafkaOptions::default(), &AtomicBool::new(false)).expect("connected");
    let run = run(source.into_readers(1).expect("a reader"), |feeds, stop| {
        topic.fill(0, 100..110);
        let expected: Vec<_> = (100..110).map(|number| payload(0, number)).collect();
        assert_eq!(take(&feeds[0], 10), expected);
        stop.store(true, Ordering::Relaxed);
    });
    assert!(run.ended[0].is_ok(), "{:?}", run.ended);
}

#[test]
#[ignore = "needs Kafka"]
fn a_missing_topic_is_named_and_not_created() {
    let config = KafkaConfig {
        brokers: brokers(),
        topic: "no-such-topic".to_owned(),
        start: StartOffset::Earliest,
        group: None,
        options: BTreeMap::new(),
    };
    for _ in 0..2 {
        let text = KafkaSource::connect(&config, KafkaOptions::default(), &AtomicBool::new(false))
            .err()
            .expect("no topic")
            .to_string();
        assert!(text.contains("no topic \"no-such-topic\""), "{text}");
    }
}

#[test]
#[ignore = "needs Kafka"]
fn from_earliest_what_retention_takes_before_the_first_message_is_read_is_not_missing() {
    let topic = Topic::new("deleted", 2);
    topic.fill(0, 0..50);
    topic.fill(1, 0..100);
    let source = KafkaSource::connect(&topic.config(), until_end(), &AtomicBool::new(false)).expect("connected");
    // As when the table is waited for, and retention goes on.
    topic.delete_records_before(0, 50);
    topic.delete_records_before(1, 60);
    let run = run(source.into_readers(1).expect("a reader"), |_, _| {});
    assert!(run.ended.iter().all(Result::is_ok), "{:?}", run.ended);
    assert_eq!(run.read[0], (60..100).map(|number| payload(1, number)).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs Kafka"]
fn from_latest_messages_that_are_deleted_before_they_are_read_end_the_run() {
    let topic = Topic::new("deleted-latest", 2);
    topic.fill(1, 0..10);
    let config = KafkaConfig { start: StartOffset::Latest, ..topic.config() };
    let source = KafkaSource::connect(&config, KafkaOptions::default(), &AtomicBool::new(false)).expect("connected");
    topic.fill(1, 10..100);
    topic.delete_records_before(1, 60);
    let run = run(source.into_readers(1).expect("a reader"), |_, _| {});
    let text = run.ended[0].as_ref().expect_err("lost messages").to_string();
    assert!(text.contains("partition 1: offset 10 is asked for, 60 to 100 are there"), "{text}");
    assert!(run.read[0].is_empty(), "nothing is skipped silently");
}

/// A topic with ten messages and then twenty of a transaction that is open.
fn with_open_transaction(purpose: &str) -> (Topic, BaseProducer) {
    let topic = Topic::new(purpose, 1);
    topic.fill(0, 0..10);
    let producer = topic.producer(&[("transactional.id", &topic.name)]);
    producer.init_transactions(WAIT).expect("transactions");
    producer.begin_transaction().expect("a transaction");
    topic.send(&producer, 0, 10..30);
    producer.flush(WAIT).expect("delivered");
    (topic, producer)
}

#[test]
#[ignore = "needs Kafka"]
fn an_open_transaction_is_waited_for_at_the_end_and_then_named() {
    let (topic, producer) = with_open_transaction("open-at-end");
    let options = KafkaOptions { transactions_within: Duration::ZERO, ..until_end() };
    let source = KafkaSource::connect(&topic.config(), options, &AtomicBool::new(false)).expect("connected");
    let ended = run(source.into_readers(1).expect("a reader"), |_, _| {});
    assert_eq!(ended.read[0].len(), 10);
    let error = ended.ended[0].as_ref().expect_err("not all was read");
    assert!(error.to_string().contains("an open transaction holds back offsets 10 to 30"), "{error}");
    assert_eq!(error.kind(), SourceErrorKind::ServiceLost, "starting again helps");

    let source = KafkaSource::connect(&topic.config(), until_end(), &AtomicBool::new(false)).expect("connected");
    let ended = run(source.into_readers(1).expect("a reader"), |feeds, _| {
        assert_eq!(take(&feeds[0], 10).len(), 10);
        producer.commit_transaction(WAIT).expect("committed");
    });
    assert!(ended.ended.iter().all(Result::is_ok), "{:?}", ended.ended);
    assert_eq!(ended.read[0].len(), 20);
}

#[test]
#[ignore = "needs Kafka"]
fn messages_of_an_open_transaction_are_lag_and_its_mark_is_not() {
    let (topic, producer) = with_open_transaction("open-live");
    let options = KafkaOptions { look_every: Duration::from_millis(50), ..KafkaOptions::default() };
    let source = KafkaSource::connect(&topic.config(), options, &AtomicBool::new(false)).expect("connected");
    let progress = source.progress();
    let lag_becomes = |lag: u64| {
        let deadline = Instant::now() + WAIT;
        while progress.lag() != Some(lag) {
            assert!(Instant::now() < deadline, "the lag is {:?} and not {lag}", progress.lag());
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let run = run(source.into_readers(1).expect("a reader"), |feeds, stop| {
        assert_eq!(take(&feeds[0], 10).len(), 10);
        lag_becomes(20);
        producer.commit_transaction(WAIT).expect("committed");
        assert_eq!(take(&feeds[0], 20).len(), 20);
        // Behind the last message stands the mark.
        lag_becomes(0);
        producer.begin_transaction().expect("a transaction");
        topic.send(&producer, 0, 30..35);
        producer.flush(WAIT).expect("delivered");
        lag_becomes(5);
        producer.abort_transaction(WAIT).expect("aborted");
        lag_becomes(0);
        stop.store(true, Ordering::Relaxed);
    });
    assert!(run.ended.iter().all(Result::is_ok), "{:?}", run.ended);
}

/// Reads ten messages, has the topic made anew with so many, and returns how the run ended.
fn made_anew_with(messages: u32) -> String {
    let topic = Topic::new("anew", 1);
    topic.fill(0, 0..10);
    let options = KafkaOptions { look_every: Duration::from_millis(200), ..KafkaOptions::default() };
    let source = KafkaSource::connect(&topic.config(), options, &AtomicBool::new(false)).expect("connected");
    let run = run(source.into_readers(1).expect("a reader"), |feeds, stop| {
        assert_eq!(take(&feeds[0], 10).len(), 10);
        topic.delete();
        topic.create(1, &[]);
        topic.fill(0, 0..messages);
        assert!(feeds[0].blocks.recv_timeout(WAIT).is_err(), "none of the new messages is read");
        stop.store(true, Ordering::Relaxed);
    });
    let error = run.ended.into_iter().find_map(Result::err).expect("another topic");
    // Whichever is noticed first.
    let kinds = [SourceErrorKind::MadeAnew, SourceErrorKind::NoTopic];
    assert!(kinds.contains(&error.kind()), "{:?}: {error}", error.kind());
    error.to_string()
}

#[test]
#[ignore = "needs Kafka"]
fn a_topic_that_is_made_anew_ends_the_run_whatever_its_offsets() {
    for messages in [0, 3, 10, 30] {
        let text = made_anew_with(messages);
        assert!(text.contains("made anew") || text.contains("no such topic"), "{text}");
    }
}

#[test]
#[ignore = "needs Kafka"]
fn a_topic_that_is_deleted_while_it_is_read_ends_the_run() {
    let topic = Topic::new("removed", 1);
    topic.fill(0, 0..10);
    let mut config = topic.config();
    // How long a topic that is not there is taken for one that is not there yet.
    config.options.insert("topic.metadata.propagation.max.ms".to_owned(), "500".to_owned());
    let source = KafkaSource::connect(&config, KafkaOptions::default(), &AtomicBool::new(false)).expect("connected");
    let run = run(source.into_readers(1).expect("a reader"), |feeds, _| {
        assert_eq!(take(&feeds[0], 10).len(), 10);
        topic.delete();
    });
    let text = run.ended.into_iter().find_map(Result::err).expect("no topic any more").to_string();
    assert!(text.contains(&topic.name), "{text}");
}

#[test]
#[ignore = "needs Kafka"]
fn compaction_leaves_gaps_that_hold_nothing_up() {
    let settings = [("cleanup.policy", "compact"), ("segment.bytes", "1048576"), ("min.cleanable.dirty.ratio", "0.01")];
    let topic = Topic::with_settings("compacted", 1, &settings);
    let producer = topic.producer(&[]);
    let padding = "x".repeat(10_000);
    for number in 0..400 {
        let (key, value) = (format!("{}", number % 3), format!("{number} {padding}"));
        producer.send(BaseRecord::to(&topic.name).key(&key).payload(&value)).expect("room");
    }
    producer.flush(WAIT).expect("delivered");
    let mut read = Vec::new();
    // The broker compacts within seconds of its own choice.
    for _ in 0..60 {
        read = run_to_end(&topic, 1).read.remove(0);
        if read.len() < 400 {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(read.len() < 400, "the broker has compacted the topic");
    assert!(read.last().is_some_and(|last| last.starts_with("399 ")));
}

#[test]
#[ignore = "needs Kafka"]
fn a_producer_creates_a_missing_topic_and_leaves_one_that_is_there() {
    let topic = Topic::not_created("written");
    let config = topic.config();
    let text = TopicProducer::connect(&config, "lz4", None).err().expect("no topic").to_string();
    assert!(text.contains("no topic") && text.contains("--create-partitions"), "{text}");

    let mut producer = TopicProducer::connect(&config, "zstd", Some(5)).expect("created");
    assert!(producer.created_topic() && producer.partition_count() == 5);
    for number in 0..10_000 {
        producer.send(Some(format!("{}", number % 100).as_bytes()), number.to_string().as_bytes()).expect("queued");
    }
    assert_eq!(producer.finish().expect("delivered"), 10_000);
    let producer = TopicProducer::connect(&config, "lz4", Some(8)).expect("connected");
    assert!(!producer.created_topic() && producer.partition_count() == 5);

    let run = run_to_end(&topic, 2);
    let read: BTreeSet<_> = run.read.iter().flatten().cloned().collect();
    assert_eq!(run.read.iter().map(Vec::len).sum::<usize>(), 10_000);
    assert_eq!(read.len(), 10_000);
}

#[test]
#[ignore = "needs Kafka"]
fn a_message_that_is_too_large_is_refused_with_what_to_do() {
    let topic = Topic::new("too-large", 1);
    let mut producer = TopicProducer::connect(&topic.config(), "none", None).expect("connected");
    let text = producer.send(None, &vec![b'x'; 2_000_000]).expect_err("too large").to_string();
    assert!(text.contains("message.max.bytes"), "{text}");
    assert_eq!(producer.finish().expect("nothing to deliver"), 0);
}
