//! Runs that go on where an earlier one has stopped: together they hand over each message once.

use std::sync::Arc;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::*;
use crate::event::EventSchema;
use crate::source::{Cuts, KafkaPositions, OffsetRange, Resume, SourcePositions};

/// With windows that follow the messages' times: there are many epochs, however fast they are read.
fn event_clock() -> KafkaClock {
    let schema = EventSchema::of_seconds("n", "t");
    KafkaClock::Event(EventStamper::new(&schema, Duration::from_secs(5), 20, true, Epoch(1)).into())
}

fn events(seconds: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    seconds.map(|second| format!("{{\"n\":\"like\",\"t\":{second}}}"))
}

type Messages = Vec<(i32, i64, String)>;

/// Reads to the end with two readers: what they handed over in which epoch, and what they noted.
fn read(source: KafkaSource) -> (Vec<(Epoch, Messages)>, Arc<Cuts>) {
    let (cuts, progress) = (source.cuts(2), source.progress());
    let (clock, metrics, stop) = (event_clock(), Metrics::default(), AtomicBool::new(false));
    let caught_up = CaughtUp::new(Some(2));
    let (readers, watcher) = source.into_readers(2).expect("readers");
    let arrivals = arrivals();
    let blocks = std::thread::scope(|scope| {
        scope.spawn(|| watcher.run());
        let mut reading = Vec::new();
        for (index, reader) in readers.into_iter().enumerate() {
            let (sender, feed) = feed(Epoch(1));
            let sender = sender.noting(cuts.noter(index));
            let (clock, arrivals, metrics, caught_up, stop) = (&clock, &arrivals, &metrics, &caught_up, &stop);
            scope.spawn(move || reader.run(sender, clock, arrivals, metrics, caught_up, stop).expect("read"));
            let taken = move || feed.blocks.iter().map(|block| (block.epoch, messages_of(&block))).collect::<Vec<_>>();
            reading.push(scope.spawn(taken));
        }
        reading.into_iter().flat_map(|blocks| blocks.join().expect("no panic")).collect()
    });
    assert!(cuts.have_ended());
    assert_eq!(cuts.positions(cuts.last_epoch()), Some(SourcePositions::Kafka(progress.positions())));
    (blocks, cuts)
}

fn kafka(positions: SourcePositions) -> KafkaPositions {
    let SourcePositions::Kafka(kafka) = positions else { panic!("of a topic") };
    kafka
}

fn from(counted: KafkaPositions, published: Vec<SourcePositions>) -> Resume {
    Resume { counted: SourcePositions::Kafka(counted), published, skip_lost: false }
}

#[test]
fn a_cut_has_what_has_earlier_epochs_and_the_next_run_reads_the_rest() {
    let cluster = cluster(3);
    for partition in 0..2 {
        produce(&cluster, partition, events(1_000..1_400));
    }
    // The first run begins behind what is there; where that is, is known before it has read anything.
    let latest = KafkaConfig { start: StartOffset::Latest, ..config(cluster.bootstrap_servers()) };
    let (config, never) = (config(cluster.bootstrap_servers()), AtomicBool::new(false));
    let source = KafkaSource::connect(&latest, until_end(), &never).expect("connected");
    let first = kafka(source.cuts(2).first());
    assert_eq!(first.partitions[&0], OffsetRange { from: 400, to: 400 });
    for partition in 0..2 {
        produce(&cluster, partition, events(1_400..2_000));
    }
    let source = KafkaSource::connect_from(&config, until_end(), &never, &from(first, Vec::new())).expect("connected");
    let (blocks, cuts) = read(source);
    let last = cuts.last_epoch();
    assert!(last.0 > 20, "{last:?}");
    for epoch in (2..=last.0).map(Epoch) {
        let cut = kafka(cuts.positions(epoch).expect("known"));
        let before = blocks.iter().filter(|(of, _)| *of <= epoch).flat_map(|(_, messages)| messages);
        let mut read: Vec<_> = before.map(|(partition, offset, _)| (*partition, *offset)).collect();
        read.sort_unstable();
        let expected = |(id, range): (&i32, &OffsetRange)| (range.from..range.to).map(|offset| (*id, offset)).collect();
        let expected: Vec<(i32, i64)> = cut.partitions.iter().flat_map::<Vec<_>, _>(expected).collect();
        assert_eq!(read, expected, "{epoch:?}");
    }
    // What was noted later may have been published.
    let [counted, published] = [last.0 / 3, last.0 / 2].map(|epoch| cuts.positions(Epoch(epoch)).expect("known"));
    let resume = from(kafka(counted.clone()), vec![published.clone(), counted.clone()]);
    let source = KafkaSource::connect_from(&config, until_end(), &never, &resume).expect("connected");
    assert_eq!(source.cuts(2).first(), counted);
    let (rest, again) = read(source);
    let mut rest: Vec<_> = rest.into_iter().flat_map(|(_, messages)| messages).collect();
    rest.sort();
    let counted = kafka(counted);
    let offsets = |(id, range): (&i32, &OffsetRange)| (range.to..1_000).map(|offset| (*id, offset)).collect::<Vec<_>>();
    let expected: Vec<_> = counted.partitions.iter().filter(|(id, _)| **id < 2).flat_map(offsets).collect();
    assert_eq!(rest.into_iter().map(|(id, offset, _)| (id, offset)).collect::<Vec<_>>(), expected);
    assert_eq!(
        kafka(again.positions(again.last_epoch()).expect("known")).partitions[&0],
        OffsetRange { from: 400, to: 1_000 }
    );
    let passed = kafka(again.positions(again.passed().expect("passed")).expect("known"));
    assert!(kafka(published).partitions.iter().all(|(id, range)| passed.partitions[id].to >= range.to));
}

#[test]
fn offsets_are_committed_to_a_group_that_nobody_joins() {
    let cluster = cluster(2);
    let config = config(cluster.bootstrap_servers());
    let group = GroupOffsets::new(&config, "watched").expect("a client");
    let partitions = BTreeMap::from([(0, OffsetRange { from: 0, to: 40 }), (1, OffsetRange { from: 3, to: 7 })]);
    let positions =
        KafkaPositions { topic: TOPIC.to_owned(), cluster: None, topic_id: None, partitions, run_start: EventTime(0) };
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "watched");
    let watcher: BaseConsumer = settings.create().expect("a client");
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(TOPIC, 0, 1);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        group.commit(&positions);
        let found = watcher.committed_offsets(asked.clone(), Duration::from_secs(5));
        let found = found.map(|list| list.elements().iter().map(|of| of.offset()).collect::<Vec<_>>());
        if found == Ok(vec![Offset::Offset(40), Offset::Offset(7)]) {
            break;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn partitions_that_no_checkpoint_knows_begin_at_their_beginning() {
    let cluster = cluster(2);
    for partition in 0..2 {
        produce(&cluster, partition, events(0..50));
    }
    let config = KafkaConfig { start: StartOffset::Latest, ..config(cluster.bootstrap_servers()) };
    let source = KafkaSource::connect(&config, until_end(), &AtomicBool::new(false)).expect("connected");
    let mut counted = kafka(source.cuts(2).first());
    counted.partitions.remove(&1);
    let resume = from(counted, Vec::new());
    let source = KafkaSource::connect_from(&config, until_end(), &AtomicBool::new(false), &resume).expect("connected");
    let (blocks, _) = read(source);
    let read: Vec<_> =
        blocks.into_iter().flat_map(|(_, messages)| messages).map(|(id, offset, _)| (id, offset)).collect();
    assert_eq!(read, (0..50).map(|offset| (1, offset)).collect::<Vec<_>>());
}

#[test]
fn a_topic_that_is_shorter_is_an_error_unless_what_is_lost_is_passed_over() {
    let cluster = cluster(1);
    produce(&cluster, 0, events(0..50));
    let config = config(cluster.bootstrap_servers());
    let never = AtomicBool::new(false);
    let source = KafkaSource::connect(&config, until_end(), &never).expect("connected");
    let mut counted = kafka(source.cuts(1).first());
    counted.partitions.insert(0, OffsetRange { from: 0, to: 70 });
    let resume = from(counted, Vec::new());
    let options = KafkaOptions { until_end: true, ..impatient() };
    let error = KafkaSource::connect_from(&config, options, &never, &resume).err().expect("too short").to_string();
    assert!(error.contains("up to offset 70 and ends at 50") && error.contains("--skip-lost"), "{error}");
    let resume = Resume { skip_lost: true, ..resume };
    let source = KafkaSource::connect_from(&config, options, &never, &resume).expect("connected");
    assert_eq!(kafka(source.cuts(1).first()).partitions[&0], OffsetRange { from: 0, to: 0 });
    let other = KafkaConfig { topic: "other".to_owned(), ..config };
    let error = KafkaSource::connect_from(&other, options, &never, &resume).err().expect("another topic").to_string();
    assert!(error.contains("\"events\"") && error.contains("\"other\""), "{error}");
}
