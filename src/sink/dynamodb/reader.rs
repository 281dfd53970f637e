//! Reads items back.

use std::io;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use tokio::runtime::Runtime;

use super::attributes::{Attributes, identity, item};
use super::connection::Service;
use super::failed_request::FailedRequest;
use super::retry::Patience;
use crate::pipeline::DynamoDbConfig;
use crate::sink::{Item, ItemReader, SinkError};
use crate::telemetry::Metrics;

/// Somebody waits for a reader: about ten seconds, if nobody answers.
pub(super) const READER_PATIENCE: Patience = Patience::Attempts(6);

/// Reads items from the table.
#[derive(Debug)]
pub(in crate::sink) struct DynamoDbReader {
    runtime: Runtime,
    service: Service,
}

impl DynamoDbReader {
    /// Items come from this table.
    pub(in crate::sink) fn open(config: &DynamoDbConfig) -> Result<Self, SinkError> {
        let (runtime, service) = Service::connect(config, READER_PATIENCE, Arc::new(Metrics::default()))?;
        runtime.block_on(service.require_credentials())?;
        Ok(DynamoDbReader { runtime, service })
    }

    fn error(&self, failure: FailedRequest) -> SinkError {
        self.service.error("read items", failure)
    }
}

impl ItemReader for DynamoDbReader {
    fn get(&mut self, key: &str, feature_name: Option<&str>) -> Result<Vec<Item>, SinkError> {
        let found = self.runtime.block_on(async {
            match feature_name {
                Some(feature_name) => get_one(&self.service, key, feature_name).await,
                None => get_all(&self.service, key).await,
            }
        });
        found.map_err(|failure| self.error(failure))?.iter().map(item).collect()
    }

    /// A scan has no order: every item is held in memory before the first is passed on.
    fn each(&mut self, visit: &mut dyn FnMut(Item) -> io::Result<()>) -> Result<(), SinkError> {
        let found = self.runtime.block_on(scan(&self.service)).map_err(|failure| self.error(failure))?;
        let mut items = found.iter().map(item).collect::<Result<Vec<_>, _>>()?;
        items.sort_unstable_by(|a, b| (&a.key, &a.feature_name).cmp(&(&b.key, &b.feature_name)));
        for item in items {
            visit(item).map_err(|error| SinkError::stdout("cannot write items to stdout", error))?;
        }
        Ok(())
    }
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

async fn scan(service: &Service) -> Result<Vec<Attributes>, FailedRequest> {
    let (mut found, mut start) = (Vec::new(), None);
    loop {
        let request = |client: &aws_sdk_dynamodb::Client| {
            let scan = client.scan().table_name(&service.table.name).consistent_read(true);
            scan.set_exclusive_start_key(start.clone()).send()
        };
        let page = service.call(request).await?;
        found.extend(page.items.unwrap_or_default());
        start = page.last_evaluated_key;
        if start.is_none() {
            return Ok(found);
        }
    }
}
