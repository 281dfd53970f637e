//! A topic that is read once more up to where a run came.

use super::*;
use crate::source::{KafkaPositions, OffsetRange};

fn positions(ranges: &[(i32, i64, i64)]) -> KafkaPositions {
    let partitions = ranges.iter().map(|(id, from, to)| (*id, OffsetRange { from: *from, to: *to })).collect();
    KafkaPositions { topic: TOPIC.to_owned(), cluster: None, topic_id: None, partitions, run_start: EventTime(0) }
}

/// Everything that so many readers hand over of these ranges, in order of partitions; all must come to their end.
fn read(config: &KafkaConfig, ranges: &[(i32, i64, i64)], workers: usize) -> Vec<(i32, i64, String)> {
    let source =
        KafkaSource::connect_up_to(config, &positions(ranges), KafkaOptions::default(), &AtomicBool::new(false))
            .expect("connected");
    let progress = source.progress();
    let (clock, metrics, stop) = (wall_clock(), Metrics::default(), AtomicBool::new(false));
    let caught_up = CaughtUp::new(Some(workers));
    let (readers, watcher) = source.into_readers(workers).expect("readers");
    let mut read = Vec::new();
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| watcher.run());
        for reader in readers {
            let (sender, feed) = feed(Epoch(0));
            let running = scope.spawn(|| reader.run(sender, &clock, &arrivals(), &metrics, &caught_up, &stop));
            read.extend(feed.blocks.iter().flat_map(|block| messages_of(&block)));
            running.join().expect("no panic").expect("read to the end");
        }
        watching.join().expect("no panic").expect("the same topic");
    });
    let known = progress.ranges();
    assert!(ranges.iter().all(|(id, from, to)| known[id] == OffsetRange { from: *from, to: *to }), "{known:?}");
    assert!(caught_up.epoch().is_some());
    read.sort();
    read
}

#[test]
fn exactly_the_offsets_of_the_ranges_are_handed_over() {
    let cluster = cluster(4);
    for partition in 0..4 {
        produce(&cluster, partition, numbered(0..100));
    }
    // The pipeline may say where a run would begin: that is of no matter here.
    let config = KafkaConfig { start: StartOffset::Latest, ..config(cluster.bootstrap_servers()) };
    // Of the last one the run knew nothing.
    let ranges = [(0, 0, 100), (1, 17, 60), (2, 5, 5)];
    let expected: Vec<_> = ranges
        .iter()
        .flat_map(|(id, from, to)| (*from..*to).map(move |offset| (*id, offset, offset.to_string())))
        .collect();
    for workers in [1, 2, 5] {
        assert_eq!(read(&config, &ranges, workers), expected, "{workers} workers");
    }
}

#[test]
fn what_a_run_says_that_it_has_read_reads_again() {
    let cluster = cluster(2);
    produce(&cluster, 0, numbered(0..100));
    produce(&cluster, 1, numbered(0..7));
    let config = config(cluster.bootstrap_servers());
    let mut taken = Vec::new();
    let ended = live(&config, |feed, progress| {
        taken = take_messages(feed, 107);
        while progress.lag() != Some(0) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let ranges = progress.ranges();
        assert_eq!(ranges[&0], OffsetRange { from: 0, to: 100 });
        produce(&cluster, 0, numbered(100..110));
        let ranges: Vec<_> = ranges.iter().map(|(id, range)| (*id, range.from, range.to)).collect();
        assert_eq!(read(&config, &ranges, 2).len(), 107);
    });
    ended.expect("stopped");
}

#[test]
fn a_topic_that_is_not_the_one_that_was_read_is_refused() {
    let cluster = cluster(2);
    produce(&cluster, 0, numbered(0..10));
    let config = config(cluster.bootstrap_servers());
    let refusal = |positions: &KafkaPositions| {
        let connected =
            KafkaSource::connect_up_to(&config, positions, KafkaOptions::default(), &AtomicBool::new(false));
        connected.err().expect("refused").to_string()
    };
    let error = refusal(&positions(&[(0, 0, 11)]));
    assert!(error.contains("partition 0") && error.contains("ends at 10"), "{error}");
    let error = refusal(&positions(&[(0, 0, 10), (2, 0, 0)]));
    assert!(error.contains("partition 2") && error.contains("there are 2 partitions"), "{error}");
    let error = refusal(&KafkaPositions { topic: "clicks".to_owned(), ..positions(&[]) });
    assert!(error.contains("\"clicks\"") && error.contains("\"events\""), "{error}");
}
