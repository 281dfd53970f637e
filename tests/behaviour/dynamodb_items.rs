//! Pipelines, sinks and items for the tests of the `dynamodb` sink.

use std::sync::Arc;

use counter_machine::counter::EventTime;
use counter_machine::epoch::Version;
use counter_machine::pipeline::{FeatureKey, GroupId, MeasureId, Pipeline};
use counter_machine::sink::{self, ItemBatch, Outcome, Part, Sink, SinkError, SinkOptions, SinkTarget};
use counter_machine::telemetry::Metrics;

/// The reference pipeline, with its table at this endpoint.
pub fn pipeline_text(endpoint: &str, table: &str) -> String {
    format!(
        r#"
        name = "user_counters"
        sink = "dynamodb"
        [event]
        name = "eventName"
        time = "eventTs"
        [dynamodb]
        table = "{table}"
        endpoint = "{endpoint}"
        settle = "200ms"
        [[counters]]
        name = "user"
        key = ["userId"]
        events = "*"
        measures = ["count"]
        decays = ["5s", "10s", "15s"]
        feature = "{{event}}"
        ttl = "7d"
        "#
    )
}

pub fn pipeline(endpoint: &str, table: &str) -> Arc<Pipeline> {
    let text = pipeline_text(endpoint, table);
    Arc::new(Pipeline::parse(&text, "test.toml", &|_| None).expect("a valid pipeline"))
}

pub fn open(pipeline: &Arc<Pipeline>, metrics: &Arc<Metrics>) -> Result<Box<dyn Sink>, SinkError> {
    let options = SinkOptions { replace: false, run_id: "test".to_owned(), ..SinkOptions::default() };
    sink::open(&SinkTarget::DynamoDb, pipeline, &options, metrics)
}

/// One row; its values are `value`, 2 `value` and 3 `value`.
#[derive(Clone, Debug)]
pub struct Row {
    pub key: String,
    pub feature: String,
    pub value: f64,
    pub version: u64,
}

pub const LAST_UPDATE: i64 = 1_707_605_599;

pub fn batch(rows: &[Row]) -> ItemBatch {
    let mut batch = ItemBatch::default();
    for row in rows {
        let name = row.feature.clone();
        let feature = batch.push_feature(FeatureKey { group: GroupId(0), measure: MeasureId(0), name }, None);
        let values = [row.value, 2.0 * row.value, 3.0 * row.value];
        batch.begin_key(row.key.as_bytes());
        batch.push(feature, EventTime(LAST_UPDATE), &values, Version(row.version));
    }
    batch
}

/// Writes as a run does that waits for every answer.
pub trait WriteAll {
    /// How many items are written; each must be answered for once in a call. What is given back is given again.
    fn write_all(&mut self, batches: &[ItemBatch]) -> Result<u64, SinkError>;
}

impl WriteAll for Box<dyn Sink> {
    fn write_all(&mut self, batches: &[ItemBatch]) -> Result<u64, SinkError> {
        loop {
            let mut answers: Vec<Vec<u32>> = batches.iter().map(|batch| vec![0; batch.len()]).collect();
            let (mut written, mut given_back) = (0, false);
            self.write(batches, &mut |part: Part| {
                written += if part.outcome == Outcome::Written { part.items.len() as u64 } else { 0 };
                given_back |= part.outcome == Outcome::NotWritten;
                part.items.for_each(|item| answers[part.batch][item as usize] += 1);
            })?;
            assert!(answers.iter().flatten().all(|answers| *answers == 1), "each item is answered for once");
            if !given_back {
                return Ok(written);
            }
        }
    }
}
