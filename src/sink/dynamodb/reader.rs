//! Reads items back.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use tokio::runtime::Runtime;

use super::attributes::{Attributes, Stored, identity, stored};
use super::connection::Service;
use super::failed_request::{Cause, FailedRequest};
use super::retry::Patience;
use super::table::require_table;
use crate::pipeline::{Layout, Pipeline};
use crate::reading::{KeyPart, whole_key};
use crate::sink::{Item, ItemReader, SinkError};
use crate::telemetry::Metrics;

/// Somebody waits for a reader: about ten seconds, if nobody answers.
pub(super) const READER_PATIENCE: Patience = Patience::Attempts(6);

/// Reads items from the table.
#[derive(Debug)]
pub(in crate::sink) struct DynamoDbReader {
    runtime: Runtime,
    service: Service,
    layout: Layout,
}

impl DynamoDbReader {
    /// Items come from the table that the pipeline names. What stands there says itself of which layout it is; only who asks for
    /// one feature by its key has to know.
    pub(in crate::sink) fn open(pipeline: &Pipeline) -> Result<Self, SinkError> {
        let (runtime, service) = Service::connect(&pipeline.dynamodb, READER_PATIENCE, Arc::new(Metrics::default()))?;
        runtime.block_on(service.require_credentials())?;
        Ok(DynamoDbReader { runtime, service, layout: pipeline.publish.layout })
    }

    fn error(&self, failure: FailedRequest) -> SinkError {
        // Asked for by the key of the other layout.
        if failure.cause == Cause::Invalid
            && let Err(error) = self.runtime.block_on(require_table(&self.service, self.layout))
        {
            return error;
        }
        self.service.error("read items", failure)
    }
}

impl ItemReader for DynamoDbReader {
    fn get(&mut self, key: &str, feature_name: Option<&str>) -> Result<Vec<Item>, SinkError> {
        let found = self.runtime.block_on(async {
            match (feature_name, self.layout) {
                (Some(feature_name), Layout::Feature) => get_one(&self.service, key, feature_name).await,
                _ => get_all(&self.service, key).await,
            }
        });
        let mut items = items(&found.map_err(|failure| self.error(failure))?)?;
        items.retain(|item| feature_name.is_none_or(|name| item.feature_name == name));
        Ok(items)
    }

    /// A scan has no order: every item is held in memory before the first is passed on.
    fn each_of(
        &mut self,
        wanted: &dyn Fn(&str) -> bool,
        visit: &mut dyn FnMut(Item) -> io::Result<()>,
    ) -> Result<(), SinkError> {
        let found = self.runtime.block_on(scan(&self.service, wanted)).map_err(|failure| self.error(failure))?;
        for item in items(&found)? {
            visit(item).map_err(|error| SinkError::stdout("cannot write items to stdout", error))?;
        }
        Ok(())
    }
}

/// What was found, in the order of (key, feature name): the parts of a key read as one.
fn items(found: &[Attributes]) -> Result<Vec<Item>, SinkError> {
    let mut items = Vec::new();
    let mut keys: BTreeMap<(String, String), Vec<KeyPart>> = BTreeMap::new();
    for attributes in found {
        match stored(attributes)? {
            Stored::Feature(item) => items.push(item),
            Stored::Part { key, fields, part } => keys.entry((key, fields)).or_default().push(part),
        }
    }
    items.extend(keys.into_values().flat_map(whole_key));
    items.sort_by(|a, b| (&a.key, &a.feature_name).cmp(&(&b.key, &b.feature_name)));
    Ok(items)
}

async fn get_one(service: &Service, key: &str, feature_name: &str) -> Result<Vec<Attributes>, FailedRequest> {
    let request = |client: &aws_sdk_dynamodb::Client| {
        let identity = Some(identity(key, feature_name));
        client.get_item().table_name(&service.table.name).set_key(identity).consistent_read(true).send()
    };
    Ok(service.call(request).await?.item.into_iter().collect())
}

async fn get_all(service: &Service, key: &str) -> Result<Vec<Attributes>, FailedRequest> {
    let (mut found, mut start) = (Vec::new(), None);
    loop {
        let request = |client: &aws_sdk_dynamodb::Client| {
            client
                .query()
                .table_name(&service.table.name)
                // `key` is a reserved word.
                .key_condition_expression("#key = :key")
                .expression_attribute_names("#key", super::attributes::KEY)
                .expression_attribute_values(":key", AttributeValue::S(key.to_owned()))
                .consistent_read(true)
                .set_exclusive_start_key(start.clone())
                .send()
        };
        let page = service.call(request).await?;
        found.extend(page.items.unwrap_or_default());
        start = page.last_evaluated_key;
        if start.is_none() {
            return Ok(found);
        }
    }
}

/// Every item whose key is wanted; what has no key, too, for whoever takes it apart to say so.
async fn scan(service: &Service, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Attributes>, FailedRequest> {
    let is_wanted = |attributes: &Attributes| {
        attributes.get(super::attributes::KEY).and_then(|key| key.as_s().ok()).is_none_or(|key| wanted(key))
    };
    let (mut found, mut start) = (Vec::new(), None);
    loop {
        let request = |client: &aws_sdk_dynamodb::Client| {
            let scan = client.scan().table_name(&service.table.name).consistent_read(true);
            scan.set_exclusive_start_key(start.clone()).send()
        };
        let page = service.call(request).await?;
        found.extend(page.items.unwrap_or_default().into_iter().filter(is_wanted));
        start = page.last_evaluated_key;
        if start.is_none() {
            return Ok(found);
        }
    }
}
