//! What readers read: partitions of a topic, and up to where each was handed over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::counter::EventTime;
use crate::source::{Ground, KafkaPositions, OffsetRange, SourcePositions};

/// The partitions that a run reads, each by the reader with its number modulo that of readers.
#[derive(Debug)]
pub(super) struct Partitions {
    readers: usize,
    published: Vec<i64>,
    handed_over: Mutex<Vec<i64>>,
}

impl Partitions {
    pub fn new(readers: usize, from: &[i64], published: &[i64]) -> Partitions {
        Partitions { readers, published: published.to_vec(), handed_over: Mutex::new(from.to_vec()) }
    }

    pub fn handed_over(&self) -> MutexGuard<'_, Vec<i64>> {
        self.handed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of a reader.
    pub fn of(&self, reader: usize) -> Vec<usize> {
        (reader..self.published.len()).step_by(self.readers).collect()
    }
}

/// As a run's cuts have them.
#[derive(Debug)]
pub(super) struct SharedPartitions(pub Arc<Partitions>);

impl Ground for SharedPartitions {
    fn all_of(&self, reader: usize) -> Vec<(usize, OffsetRange)> {
        let handed_over = self.0.handed_over();
        self.0.of(reader).into_iter().map(|number| (number, OffsetRange { from: 0, to: handed_over[number] })).collect()
    }

    fn published(&self, number: usize) -> i64 {
        self.0.published[number]
    }

    fn positions(&self, handed_over: &BTreeMap<usize, OffsetRange>) -> SourcePositions {
        let partitions = handed_over.iter().map(|(number, range)| (*number as i32, *range)).collect();
        SourcePositions::Kafka(KafkaPositions {
            topic: "t".to_owned(),
            cluster: None,
            topic_id: None,
            partitions,
            run_start: EventTime(0),
        })
    }
}

/// The offsets of so many partitions, which begin where nothing is said of them.
pub(super) fn offsets(positions: &SourcePositions, partitions: usize) -> Vec<i64> {
    let SourcePositions::Kafka(kafka) = positions else { panic!("positions of a topic") };
    (0..partitions as i32).map(|id| kafka.partitions.get(&id).map_or(0, |range| range.to)).collect()
}

/// The same of positions as they are stored, of all partitions.
pub(super) fn offsets_of(positions: &Value) -> Vec<i64> {
    let positions: SourcePositions = serde_json::from_value(positions.clone()).expect("positions");
    let SourcePositions::Kafka(kafka) = &positions else { panic!("positions of a topic") };
    let partitions = kafka.partitions.keys().max().map_or(0, |last| *last as usize + 1);
    offsets(&positions, partitions)
}
