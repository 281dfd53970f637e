//! The table itself: what it must look like, and how it is made.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableDescription, TableStatus,
    TimeToLiveSpecification, TimeToLiveStatus,
};
use aws_sdk_dynamodb::{Client, error::BuildError};

use super::attributes::{EXPIRES_AT, FEATURE_NAME, KEY, KEY_FIELDS};
use super::connection::Service;
use super::failed_request::{Cause, FailedRequest};
use super::reader::READER_PATIENCE;
use crate::pipeline::{Encoding, Layout, Pipeline};
use crate::sink::SinkError;
use crate::telemetry::Metrics;

/// How often a table that is being created is looked at, and how many times.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
const LOOKS: u32 = 600;

/// The table's RANGE key.
fn range_key(layout: Layout) -> &'static str {
    match layout {
        Layout::Feature => FEATURE_NAME,
        Layout::Key(_) => KEY_FIELDS,
    }
}

/// The table's key: attribute and part of the key; both are text.
fn key_attributes(layout: Layout) -> [(&'static str, KeyType); 2] {
    [(KEY, KeyType::Hash), (range_key(layout), KeyType::Range)]
}

/// The layout of which a table has the key, if it is another one than this.
fn other_layout(table: &TableDescription, layout: Layout) -> Option<Layout> {
    let other = if layout == Layout::Feature { Layout::Key(Encoding::default()) } else { Layout::Feature };
    has_key_schema(table, other).then_some(other)
}

/// What became of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableReport {
    /// The table, its region and its endpoint, to be shown.
    pub table: String,
    /// It was not there before.
    pub created: bool,
    /// Whether it forgets expired items.
    pub ttl: TtlState,
}

/// Whether a table forgets items whose `expiresAt` has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtlState {
    /// Nobody asked: left as it is.
    Untouched,
    /// It did already.
    AlreadyOn,
    /// From now on.
    TurnedOn,
}

/// Creates the pipeline's table and waits until it can be used; if it is there, looks whether it is
/// right. With `enable_ttl` it is also told to forget expired items.
pub fn ensure_table(pipeline: &Pipeline, enable_ttl: bool) -> Result<TableReport, SinkError> {
    let (runtime, service) = Service::connect(&pipeline.dynamodb, READER_PATIENCE, Arc::new(Metrics::default()))?;
    runtime.block_on(async {
        service.require_credentials().await?;
        let created = match describe(&service).await {
            Ok(_) => false,
            Err(failure) if failure.cause == Cause::NoTable => create(&service, pipeline.publish.layout).await?,
            Err(failure) => return Err(service.error("look at the table", failure)),
        };
        wait_until_active(&service).await?;
        require_table(&service, pipeline.publish.layout).await?;
        let ttl = if enable_ttl { turn_ttl_on(&service).await? } else { TtlState::Untouched };
        Ok(TableReport { table: service.table.to_string(), created, ttl })
    })
}

/// An error unless the table is there and its key is the right one.
pub(super) async fn require_table(service: &Service, layout: Layout) -> Result<(), SinkError> {
    let table = describe(service).await.map_err(|failure| service.error("find the table", failure))?;
    if has_key_schema(&table, layout) {
        return Ok(());
    }
    let range = range_key(layout);
    Err(SinkError::new(match other_layout(&table, layout) {
        Some(other) => format!(
            "DynamoDB: {} is a table for layout = \"{}\" (its RANGE key is `{}`, not `{range}`), and the pipeline has layout = \
             \"{}\": name another table in [dynamodb], and create it with `counter-machine table PIPELINE`, or change [publish]",
            service.table,
            other.name(),
            range_key(other),
            layout.name(),
        ),
        None => format!(
            "DynamoDB: {} has another key than HASH `{KEY}` (S) and RANGE `{range}` (S): name another table in [dynamodb], and \
             create it with `counter-machine table PIPELINE`",
            service.table
        ),
    }))
}

async fn describe(service: &Service) -> Result<TableDescription, FailedRequest> {
    let answer = service.call(|client| client.describe_table().table_name(&service.table.name).send()).await?;
    answer.table.ok_or_else(|| FailedRequest { cause: Cause::Other, text: "an answer without a table".to_owned() })
}

fn has_key_schema(table: &TableDescription, layout: Layout) -> bool {
    let expected = key_attributes(layout);
    let is_text = |name: &str| {
        let mut definitions = table.attribute_definitions().iter();
        definitions.any(|attribute| {
            attribute.attribute_name() == name && *attribute.attribute_type() == ScalarAttributeType::S
        })
    };
    let schema = table.key_schema();
    schema.len() == expected.len()
        && expected.iter().all(|(name, part)| {
            let stands_in_key =
                |element: &KeySchemaElement| element.attribute_name() == *name && element.key_type() == part;
            schema.iter().any(stands_in_key) && is_text(name)
        })
}

/// Whether it was this call that created the table, and not somebody else's at the same time.
async fn create(service: &Service, layout: Layout) -> Result<bool, SinkError> {
    let (schema, definitions) = key_schema(layout)
        .map_err(|error| SinkError::caused_by("cannot describe the table that is to be created", error))?;
    let request = |client: &Client| {
        client
            .create_table()
            .table_name(&service.table.name)
            .set_key_schema(Some(schema.clone()))
            .set_attribute_definitions(Some(definitions.clone()))
            .billing_mode(BillingMode::PayPerRequest)
            .send()
    };
    match service.call(request).await {
        Ok(_) => Ok(true),
        Err(failure) if failure.cause == Cause::InUse => Ok(false),
        Err(failure) => Err(service.error("create the table", failure)),
    }
}

fn key_schema(layout: Layout) -> Result<(Vec<KeySchemaElement>, Vec<AttributeDefinition>), BuildError> {
    let mut schema = Vec::new();
    let mut definitions = Vec::new();
    for (name, part) in key_attributes(layout) {
        schema.push(KeySchemaElement::builder().attribute_name(name).key_type(part).build()?);
        let definition = AttributeDefinition::builder().attribute_name(name);
        definitions.push(definition.attribute_type(ScalarAttributeType::S).build()?);
    }
    Ok((schema, definitions))
}

async fn wait_until_active(service: &Service) -> Result<(), SinkError> {
    for _ in 0..LOOKS {
        match describe(service).await {
            Ok(table) => match table.table_status() {
                Some(TableStatus::Active | TableStatus::Updating) => return Ok(()),
                Some(TableStatus::Creating) | None => {}
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
    Err(SinkError::new(format!("DynamoDB: {} is still being created; start again later", service.table)))
}

/// Whether the table deletes items whose `expiresAt` has passed; `false` where that may not be asked.
pub(super) async fn deletes_expired_items(service: &Service) -> bool {
    match ttl_attribute(service).await {
        Ok(attribute) => attribute.as_deref() == Some(EXPIRES_AT),
        Err(failure) => {
            tracing::debug!("DynamoDB: it is not known whether {} has TTL: {}", service.table, failure.text);
            false
        }
    }
}

/// The attribute by which the table forgets items; `None` where TTL is off.
async fn ttl_attribute(service: &Service) -> Result<Option<String>, FailedRequest> {
    let request = |client: &Client| client.describe_time_to_live().table_name(&service.table.name).send();
    let ttl = service.call(request).await?.time_to_live_description;
    let is_on = |status: &TimeToLiveStatus| matches!(status, TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling);
    Ok(ttl.filter(|ttl| ttl.time_to_live_status().is_some_and(is_on)).and_then(|ttl| ttl.attribute_name))
}

async fn turn_ttl_on(service: &Service) -> Result<TtlState, SinkError> {
    match ttl_attribute(service).await.map_err(|failure| service.error("look at the table's TTL", failure))? {
        None => {}
        Some(attribute) if attribute == EXPIRES_AT => return Ok(TtlState::AlreadyOn),
        Some(other) => {
            return Err(SinkError::new(format!(
                "DynamoDB: {} forgets items by the attribute `{other}`, not by `{EXPIRES_AT}`: turn that off first",
                service.table
            )));
        }
    }
    let specification = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES_AT).build();
    let specification =
        specification.map_err(|error| SinkError::caused_by("cannot describe the table's TTL", error))?;
    let request = |client: &Client| {
        let specification = specification.clone();
        client.update_time_to_live().table_name(&service.table.name).time_to_live_specification(specification).send()
    };
    service.call(request).await.map_err(|failure| service.error("turn the table's TTL on", failure))?;
    Ok(TtlState::TurnedOn)
}
