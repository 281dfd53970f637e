//! A small pipeline and batches of its items, for the tests of every sink.

use std::time::Duration;

use crate::counter::{DecayInterval, Decays, EventTime};
use crate::epoch::Version;
use crate::event::{Ahead, DeclaredField, EventSchema, FieldId, FieldPath, TimeUnit};
use crate::pipeline::{
    CheckpointConfig, DeadLetterConfig, DynamoDbConfig, EventMap, EventSelector, FeatureKey, FeatureSelection,
    FeatureTemplate, Group, GroupId, HttpConfig, Limits, Measure, MeasureId, OtherShapes, OwnPublish, Pipeline,
    PublishConfig, WindowConfig,
};
use crate::sink::{ItemBatch, Outcome, Part, Sink, SinkError};

/// Writes as a run does that waits for every answer.
pub(crate) trait WriteAll {
    /// How many items were written.
    fn write_all(&mut self, batches: &[ItemBatch]) -> Result<u64, SinkError>;
}

impl<S: Sink> WriteAll for S {
    fn write_all(&mut self, batches: &[ItemBatch]) -> Result<u64, SinkError> {
        let mut answers: Vec<Part> = Vec::new();
        self.write(batches, &mut |part: Part| answers.push(part))?;
        let mut answered: Vec<Vec<u32>> = batches.iter().map(|batch| vec![0; batch.len()]).collect();
        let mut written = 0;
        for Part { batch, items, outcome } in answers {
            written += if outcome == Outcome::Written { items.len() as u64 } else { 0 };
            items.for_each(|item| answered[batch][item as usize] += 1);
        }
        assert!(answered.iter().flatten().all(|answers| *answers == 1), "each item is answered for once");
        Ok(written)
    }
}

/// The reference pipeline: one group, keyed by `userId`, intervals of 5, 10 and 15 seconds.
pub(crate) fn pipeline() -> Pipeline {
    Pipeline {
        name: "user_counters".to_owned(),
        sink: None,
        event: EventSchema {
            name_field: FieldPath::top_level("eventName"),
            time_field: FieldPath::top_level("eventTs"),
            time_unit: TimeUnit::Seconds,
            max_ahead: None,
            ahead: Ahead::DeadLetter,
            arrival_field: None,
            max_bytes: 1 << 20,
            fields: vec![field("userId"), field("creatorId")],
        },
        event_map: EventMap::default(),
        window: WindowConfig { length: Duration::from_secs(5), clock: None, replay_batch: 50_000 },
        publish: PublishConfig::by_windows(Duration::from_secs(5)),
        kafka: None,
        dynamodb: DynamoDbConfig::of_table("UserCounters"),
        checkpoint: CheckpointConfig::default(),
        dead_letters: DeadLetterConfig::default(),
        limits: Limits::default(),
        http: HttpConfig::default(),
        shift: None,
        groups: vec![group("user", &[0], "{event}")],
        features: FeatureSelection::default(),
        ratios: Vec::new(),
        dropped_ratios: Vec::new(),
    }
}

fn field(name: &str) -> DeclaredField {
    DeclaredField { as_key: true, ..DeclaredField::unused(FieldPath::top_level(name)) }
}

/// A group that counts every event, keyed by these fields, with a ttl of a week.
pub(crate) fn group(name: &str, key: &[u16], feature: &str) -> Group {
    let intervals = [5, 10, 15].map(|units| DecayInterval::new(units).unwrap());
    let decays = Decays::new(intervals.to_vec());
    Group {
        name: name.to_owned(),
        key: key.iter().map(|field| FieldId(*field)).collect(),
        explode: Vec::new(),
        events: EventSelector::All,
        conditions: Vec::new(),
        weight: None,
        measures: vec![Measure { name: "count".to_owned(), weight: None, members: None }],
        other_shapes: OtherShapes::new(&decays, 256).unwrap(),
        decays,
        feature: FeatureTemplate(feature.to_owned()),
        publish: OwnPublish::default(),
        ttl: Some(7 * 86_400),
    }
}

/// One row of a batch; its three values are `value`, 2 `value` and 3 `value`.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    key: String,
    feature: String,
    value: f64,
    version: u64,
    since: Option<i64>,
}

impl Row {
    pub(crate) fn new(key: &str, feature: &str) -> Row {
        Row { key: key.to_owned(), feature: feature.to_owned(), value: 1.0, version: 1, since: None }
    }

    pub(crate) fn value(self, value: f64) -> Row {
        Row { value, ..self }
    }

    pub(crate) fn version(self, version: u64) -> Row {
        Row { version, ..self }
    }

    pub(crate) fn since(self, since: i64) -> Row {
        Row { since: Some(since), ..self }
    }
}

/// The last update of every row.
pub(crate) const LAST_UPDATE: EventTime = EventTime(1_707_605_599);

/// A batch of these rows, all of the first group.
pub(crate) fn batch(rows: &[Row]) -> ItemBatch {
    let mut batch = ItemBatch::default();
    for row in rows {
        let name = row.feature.clone();
        let feature = batch.push_feature(FeatureKey { group: GroupId(0), measure: MeasureId(0), name }, None);
        let values = [row.value, 2.0 * row.value, 3.0 * row.value];
        batch.begin_key(row.key.as_bytes());
        batch.push(feature, LAST_UPDATE, &values, Version(row.version));
        row.since.into_iter().for_each(|since| batch.mark_last(EventTime(since)));
    }
    batch
}
