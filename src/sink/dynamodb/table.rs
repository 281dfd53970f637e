//! The table itself: what its key must be, whether it is there, and whether it deletes items.

use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{KeyType, ScalarAttributeType, TableDescription, TableStatus, TimeToLiveStatus};

use super::attributes::{EXPIRES_AT, FEATURE_NAME, KEY, KEY_FIELDS};
use super::connection::Service;
use super::failed_request::{Cause, Certainty, FailedRequest};
use crate::pipeline::{Layout, Pipeline};
use crate::sink::{SinkError, SinkErrorKind};

/// How often a table that is being created or changed is looked at, and how many times.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(500);
pub(super) const LOOKS: u32 = 600;

/// A table's key: its two attributes, both of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeySchema {
    hash: &'static str,
    range: &'static str,
}

/// One item for each key and feature.
const PER_FEATURE: KeySchema = KeySchema { hash: KEY, range: FEATURE_NAME };
/// One item for each key.
const PER_KEY: KeySchema = KeySchema { hash: KEY, range: KEY_FIELDS };

/// The key of the table that a pipeline publishes to.
pub(super) fn key_schema(pipeline: &Pipeline) -> KeySchema {
    KeySchema::of_layout(pipeline.publish.layout)
}

impl KeySchema {
    pub(super) fn of_layout(layout: Layout) -> KeySchema {
        match layout {
            Layout::Feature => PER_FEATURE,
            Layout::Key(_) => PER_KEY,
        }
    }

    /// What `layout` says in a pipeline whose tables have this key.
    fn layout(self) -> &'static str {
        if self == PER_FEATURE { "feature" } else { "key" }
    }

    pub(super) fn parts(self) -> [(&'static str, KeyType); 2] {
        [(self.hash, KeyType::Hash), (self.range, KeyType::Range)]
    }

    fn is_of(self, table: &TableDescription) -> bool {
        let schema = table.key_schema();
        let stands_in_key = |(name, part): &(&str, KeyType)| {
            schema.iter().any(|element| element.attribute_name() == *name && element.key_type() == part)
                && attribute_type(table, name) == Some(&ScalarAttributeType::S)
        };
        schema.len() == self.parts().len() && self.parts().iter().all(stands_in_key)
    }
}

impl fmt::Display for KeySchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HASH `{}` (S) and RANGE `{}` (S)", self.hash, self.range)
    }
}

fn attribute_type<'a>(table: &'a TableDescription, name: &str) -> Option<&'a ScalarAttributeType> {
    let definition = table.attribute_definitions().iter().find(|definition| definition.attribute_name() == name)?;
    Some(definition.attribute_type())
}

/// The key that a table has, in the words of [`KeySchema`].
fn key_of(table: &TableDescription) -> String {
    let part = |element: &aws_sdk_dynamodb::types::KeySchemaElement| {
        let name = element.attribute_name();
        let kind = attribute_type(table, name).map_or("?", ScalarAttributeType::as_str);
        format!("{} `{name}` ({kind})", element.key_type().as_str())
    };
    table.key_schema().iter().map(part).collect::<Vec<_>>().join(" and ")
}

/// An error unless the table is there and has the key of this layout.
pub(super) async fn require_table(service: &Service, layout: Layout) -> Result<(), SinkError> {
    let table = describe(service).await.map_err(|failure| service.error("find the table", failure))?;
    require_key(service, KeySchema::of_layout(layout), &table)
}

/// An error unless this is the table's key.
pub(super) fn require_key(service: &Service, schema: KeySchema, table: &TableDescription) -> Result<(), SinkError> {
    if schema.is_of(table) {
        return Ok(());
    }
    if let Some(other) = [PER_FEATURE, PER_KEY].into_iter().find(|other| other.is_of(table)) {
        return Err(SinkError::new(format!(
            "DynamoDB: {} is a table for layout = \"{}\" (its RANGE key is `{}`, not `{}`), and the pipeline has layout = \
             \"{}\": name another table in [dynamodb], and create it with `counter-machine table PIPELINE`, or change [publish]",
            service.table,
            other.layout(),
            other.range,
            schema.range,
            schema.layout(),
        ))
        .of_kind(SinkErrorKind::WrongKey));
    }
    Err(SinkError::new(format!(
        "DynamoDB: {} has another key than {schema}: it has {}, and a table's key cannot be changed; name another table in \
         [dynamodb], and create it with `counter-machine table PIPELINE`",
        service.table,
        key_of(table)
    ))
    .of_kind(SinkErrorKind::WrongKey))
}

pub(super) async fn describe(service: &Service) -> Result<TableDescription, FailedRequest> {
    let answer = service.call(|client| client.describe_table().table_name(&service.table.name).send()).await?;
    answer.table.ok_or_else(|| FailedRequest {
        cause: Cause::Other,
        certainty: Certainty::NotDone,
        text: "an answer without a table".to_owned(),
    })
}

/// How far a table must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Its items can be read and written.
    Usable,
    /// Its settings can be changed, too.
    Changeable,
}

/// Waits until the table is so far; the table as it is then.
pub(super) async fn wait_until(service: &Service, wanted: Readiness) -> Result<TableDescription, SinkError> {
    for _ in 0..LOOKS {
        match describe(service).await {
            Ok(table) => match table.table_status() {
                Some(TableStatus::Active) => return Ok(table),
                Some(TableStatus::Updating) if wanted == Readiness::Usable => return Ok(table),
                Some(TableStatus::Updating | TableStatus::Creating) | None => {}
                Some(TableStatus::Deleting) => {
                    return Err(SinkError::new(format!(
                        "DynamoDB: {} is being deleted; start again when it is gone",
                        service.table
                    )));
                }
                Some(other) => {
                    let status = other.as_str();
                    return Err(SinkError::new(format!("DynamoDB: {} cannot be used, it is {status}", service.table)));
                }
            },
            // Right after its creation a table may not be seen everywhere.
            Err(failure) if failure.cause == Cause::NoTable => {}
            Err(failure) => return Err(service.error("look at the table", failure)),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Err(SinkError::new(format!("DynamoDB: {} is still being created or changed; start again later", service.table)))
}

/// Whether a table forgets items, and by which attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ttl {
    Off,
    TurningOff,
    TurningOn(String),
    On(String),
}

pub(super) async fn ttl(service: &Service) -> Result<Ttl, FailedRequest> {
    let request = |client: &Client| client.describe_time_to_live().table_name(&service.table.name).send();
    let ttl = service.call(request).await?.time_to_live_description;
    let attribute = ttl.as_ref().and_then(|ttl| ttl.attribute_name.clone()).unwrap_or_default();
    Ok(match ttl.and_then(|ttl| ttl.time_to_live_status) {
        Some(TimeToLiveStatus::Enabled) => Ttl::On(attribute),
        Some(TimeToLiveStatus::Enabling) => Ttl::TurningOn(attribute),
        Some(TimeToLiveStatus::Disabling) => Ttl::TurningOff,
        _ => Ttl::Off,
    })
}

/// Whether the table deletes items whose `expiresAt` has passed; `false` where that may not be asked.
pub(super) async fn deletes_expired_items(service: &Service) -> bool {
    match ttl(service).await {
        Ok(Ttl::On(attribute) | Ttl::TurningOn(attribute)) => attribute == EXPIRES_AT,
        Ok(Ttl::Off | Ttl::TurningOff) => false,
        Err(failure) => {
            tracing::debug!("DynamoDB: it is not known whether {} has TTL: {}", service.table, failure.text);
            false
        }
    }
}
