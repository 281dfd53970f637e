//! The source against librdkafka's own mock cluster: what brokers do wrong, without a broker.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;
use crate::clock::{ArrivalClock, WallClock};
use crate::counter::EventTime;
use crate::epoch::Epoch;
use crate::event::TimeUnit;
use crate::source::CaughtUp;
use crate::source::{Block, Feed, Payload, SourceErrorKind, feed};
use crate::telemetry::Metrics;

mod go_on;
mod ranges;

const TOPIC: &str = "events";

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster(partitions: i32) -> Cluster {
    let cluster = MockCluster::new(1).expect("a cluster");
    cluster.create_topic(TOPIC, partitions, 1).expect("a topic");
    cluster
}

fn config(brokers: String) -> KafkaConfig {
    KafkaConfig {
        brokers,
        topic: TOPIC.to_owned(),
        start: StartOffset::Earliest,
        group: None,
        // Brokers that come back are found again at once.
        options: BTreeMap::from([("reconnect.backoff.max.ms".to_owned(), "100".to_owned())]),
    }
}

fn until_end() -> KafkaOptions {
    KafkaOptions { until_end: true, ..KafkaOptions::default() }
}

fn impatient() -> KafkaOptions {
    KafkaOptions { connect_within: Duration::from_millis(1500), ..KafkaOptions::default() }
}

fn produce(cluster: &Cluster, partition: i32, payloads: impl IntoIterator<Item = String>) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().expect("a producer");
    for payload in payloads {
        producer.send(BaseRecord::<(), str>::to(TOPIC).partition(partition).payload(&payload)).expect("room");
    }
    producer.flush(Duration::from_secs(30)).expect("delivered");
}

fn numbered(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    range.map(|number| number.to_string())
}

fn arrivals() -> RecordArrivals {
    RecordArrivals::new(ArrivalClock::of_this_machine(TimeUnit::Seconds))
}

fn wall_clock() -> KafkaClock {
    KafkaClock::Wall(WallClock::new(Duration::from_millis(100), Epoch(0)).into())
}

/// The payloads of a block, with partition and offset.
fn messages_of(block: &Block) -> Vec<(i32, i64, String)> {
    let Payload::Messages { bytes, messages, .. } = &block.payload else { panic!("not messages: {block:?}") };
    messages
        .iter()
        .map(|message| {
            let payload = &bytes[message.start..message.start + message.length];
            (message.partition, message.offset, String::from_utf8(payload.to_vec()).expect("UTF-8"))
        })
        .collect()
}

/// Takes blocks until so many messages have come.
fn take_messages(feed: &Feed, count: usize) -> Vec<String> {
    let mut payloads = Vec::new();
    while payloads.len() < count {
        let block = feed.blocks.recv().expect("the reader goes on");
        payloads.extend(messages_of(&block).into_iter().map(|(_, _, payload)| payload));
    }
    payloads
}

/// Runs the only reader of a live source beside `act`, stops it, and returns how it ended.
fn live(config: &KafkaConfig, act: impl FnOnce(&Feed, &KafkaProgress)) -> Result<(), SourceError> {
    let options = KafkaOptions { look_every: Duration::from_millis(50), ..KafkaOptions::default() };
    let source = KafkaSource::connect(config, options, &AtomicBool::new(false))?;
    let progress = source.progress();
    let (mut readers, watcher) = source.into_readers(1)?;
    let reader = readers.pop().expect("a reader");
    let (sender, feed) = feed(Epoch(0));
    let (stop, metrics, clock) = (AtomicBool::new(false), Metrics::default(), wall_clock());
    std::thread::scope(|scope| {
        let running = scope.spawn(|| reader.run(sender, &clock, &arrivals(), &metrics, &CaughtUp::new(None), &stop));
        let watching = scope.spawn(|| watcher.run());
        let stop_at_the_end = StopGuard(&stop);
        act(&feed, &progress);
        drop(stop_at_the_end);
        running.join().expect("no panic").and(watching.join().expect("no panic"))
    })
}

/// Stops the reader also when the test fails, which else would hang.
struct StopGuard<'a>(&'a AtomicBool);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn readers_share_all_partitions_and_stop_at_the_ends_found_at_the_start() {
    let cluster = cluster(5);
    for partition in 0..4 {
        produce(&cluster, partition, numbered(0..100));
    }
    let source = KafkaSource::connect(&config(cluster.bootstrap_servers()), until_end(), &AtomicBool::new(false))
        .expect("connected");
    assert_eq!((source.partition_count(), source.progress().lag()), (5, Some(400)));
    let progress = source.progress();
    produce(&cluster, 1, numbered(100..150));

    let (clock, metrics, stop) = (wall_clock(), Metrics::default(), AtomicBool::new(false));
    let caught_up = CaughtUp::new(Some(7));
    let mut read = Vec::new();
    // Seven workers: two of them have nothing to read, and end at once.
    for (index, reader) in source.into_readers(7).expect("readers").0.into_iter().enumerate() {
        let (sender, feed) = feed(Epoch(0));
        std::thread::scope(|scope| {
            assert_eq!(caught_up.epoch(), None, "reader {index} has not begun");
            let running = scope.spawn(|| reader.run(sender, &clock, &arrivals(), &metrics, &caught_up, &stop));
            let mine: Vec<_> = feed.blocks.iter().flat_map(|block| messages_of(&block)).collect();
            running.join().expect("no panic").expect("read to the end");
            assert!(mine.iter().all(|(partition, _, _)| *partition as usize % 7 == index));
            read.extend(mine);
        });
    }
    read.sort();
    let mut expected: Vec<_> =
        (0..4).flat_map(|partition| (0..100).map(move |offset| (partition, offset, offset.to_string()))).collect();
    expected.sort();
    assert_eq!(read, expected);
    assert_eq!(progress.lag(), Some(0));
    assert!(caught_up.epoch().is_some());
}

#[test]
fn a_live_reader_has_caught_up_when_it_has_handed_over_what_there_was_at_the_start() {
    let cluster = cluster(2);
    produce(&cluster, 1, numbered(0..100));
    let config = config(cluster.bootstrap_servers());
    let source = KafkaSource::connect(&config, KafkaOptions::default(), &AtomicBool::new(false)).expect("connected");
    let (mut readers, watcher) = source.into_readers(1).expect("a reader");
    let reader = readers.pop().expect("a reader");
    let (sender, feed) = feed(Epoch(0));
    let (stop, metrics, clock, caught_up) =
        (AtomicBool::new(false), Metrics::default(), wall_clock(), CaughtUp::new(Some(1)));
    std::thread::scope(|scope| {
        let running = scope.spawn(|| reader.run(sender, &clock, &arrivals(), &metrics, &caught_up, &stop));
        let watching = scope.spawn(|| watcher.run());
        let stop_at_the_end = StopGuard(&stop);
        let (mut taken, mut newest) = (0, Epoch(0));
        while taken < 100 {
            let block = feed.blocks.recv().expect("the reader goes on");
            newest = block.epoch;
            taken += messages_of(&block).len();
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        while caught_up.epoch().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(caught_up.epoch(), Some(newest));
        drop(stop_at_the_end);
        running.join().expect("no panic").and(watching.join().expect("no panic")).expect("read");
    });
}

#[test]
fn epochs_only_rise_and_are_never_announced_above_a_block_to_come() {
    let cluster = cluster(1);
    let ended = live(&config(cluster.bootstrap_servers()), |feed, _| {
        let (mut last, mut released) = (Epoch(0), Epoch(0));
        for _ in 0..5 {
            produce(&cluster, 0, numbered(0..10));
            let mut taken = 0;
            while taken < 10 {
                // As a worker does: what was announced before the feed was found empty is released.
                let announced = feed.announced();
                let Ok(block) = feed.blocks.try_recv() else {
                    released = announced;
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                };
                assert!(block.epoch >= released && block.epoch >= last);
                last = block.epoch;
                taken += messages_of(&block).len();
            }
        }
        // An idle reader goes on telling the time.
        while feed.announced() < Epoch(last.0 + 2) {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    ended.expect("stopped");
}

#[test]
fn a_full_feed_makes_the_reader_wait_and_a_stop_ends_the_wait() {
    let cluster = cluster(1);
    let ended = live(&config(cluster.bootstrap_servers()), |feed, _| {
        let payload = "x".repeat(400_000);
        produce(&cluster, 0, std::iter::repeat_n(payload, 12));
        while !feed.blocks.is_full() {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    ended.expect("stopped");
}

#[test]
fn a_broker_that_is_away_is_waited_for_and_the_lag_is_unknown_meanwhile() {
    let cluster = cluster(1);
    produce(&cluster, 0, numbered(0..50));
    let ended = live(&config(cluster.bootstrap_servers()), |feed, progress| {
        let mut read = take_messages(feed, 50);
        cluster.broker_down(1).expect("down");
        while progress.lag().is_some() {
            std::thread::sleep(Duration::from_millis(5));
        }
        cluster.broker_up(1).expect("up");
        produce(&cluster, 0, numbered(50..100));
        read.extend(take_messages(feed, 50));
        assert_eq!(read, numbered(0..100).collect::<Vec<_>>());
        while progress.lag() != Some(0) {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    ended.expect("stopped");
}

#[test]
fn errors_that_pass_are_waited_out() {
    let cluster = cluster(1);
    produce(&cluster, 0, numbered(0..50));
    let errors = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    ];
    cluster.request_errors(RDKafkaApiKey::Fetch, &errors);
    let ended = live(&config(cluster.bootstrap_servers()), |feed, _| {
        assert_eq!(take_messages(feed, 50), numbered(0..50).collect::<Vec<_>>());
    });
    ended.expect("stopped");
}

#[test]
fn a_denied_topic_ends_the_reader() {
    let cluster = cluster(1);
    let config = config(cluster.bootstrap_servers());
    let ended = live(&config, |feed, _| {
        let denied = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 50];
        cluster.request_errors(RDKafkaApiKey::Fetch, &denied);
        assert!(feed.blocks.recv().is_err(), "the feed ends with the reader");
    });
    let text = ended.expect_err("denied").to_string();
    assert!(text.contains("does not allow") && text.contains(TOPIC), "{text}");
}

#[test]
fn a_missing_topic_is_named_with_what_to_do() {
    let cluster = cluster(1);
    let config = KafkaConfig { topic: "evnets".to_owned(), ..config(cluster.bootstrap_servers()) };
    let text =
        KafkaSource::connect(&config, impatient(), &AtomicBool::new(false)).err().expect("no such topic").to_string();
    assert!(text.contains("no topic \"evnets\"") && text.contains("--create-partitions"), "{text}");
}

#[test]
fn a_missing_broker_is_named_with_what_to_do() {
    let config = config("127.0.0.1:1".to_owned());
    let text =
        KafkaSource::connect(&config, impatient(), &AtomicBool::new(false)).err().expect("no broker").to_string();
    assert!(text.contains("127.0.0.1:1") && text.contains("is it running"), "{text}");
    assert!(text.contains("refused"), "librdkafka's own words are there: {text}");
}

#[test]
fn a_stop_ends_the_wait_for_a_broker() {
    let stop = AtomicBool::new(true);
    let options = KafkaOptions { connect_within: Duration::from_secs(3_600), ..KafkaOptions::default() };
    let error = KafkaSource::connect(&config("127.0.0.1:1".to_owned()), options, &stop).err().expect("stopped");
    assert_eq!(error.kind(), SourceErrorKind::ServiceLost);
}

#[test]
fn from_latest_only_what_comes_after_the_start_is_read() {
    let cluster = cluster(1);
    produce(&cluster, 0, numbered(0..50));
    let config = KafkaConfig { start: StartOffset::Latest, ..config(cluster.bootstrap_servers()) };
    let ended = live(&config, |feed, progress| {
        assert_eq!(progress.lag(), Some(0));
        produce(&cluster, 0, numbered(50..60));
        assert_eq!(take_messages(feed, 10), numbered(50..60).collect::<Vec<_>>());
    });
    ended.expect("stopped");
}
