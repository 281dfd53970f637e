//! Writes items, 25 to a request and several requests at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use tokio::runtime::Runtime;
use tokio::task::{JoinError, JoinSet};

use super::attributes::{Attributes, FEATURE_NAME, KEY, attributes};
use super::connection::Service;
use super::failure::{Cause, Failure};
use super::retry::Patience;
use super::table::require_table;
use crate::pipeline::Pipeline;
use crate::sink::newest::newest;
use crate::sink::{ItemBatch, OpenOptions, Sink, SinkError, SinkErrorKind};
use crate::telemetry::Metrics;

/// The most items that BatchWriteItem takes. Also the largest items that DynamoDB allows (400 KB)
/// fit into its 16 MB that many times.
const ITEMS_PER_REQUEST: usize = 25;
/// How many requests are in flight at once. One that waits before another attempt counts, so the
/// load falls by itself when the service refuses.
const REQUESTS_IN_FLIGHT: usize = 16;

/// How often opening looks whether the run is asked to stop.
const LOOK_FOR_STOP_EVERY: Duration = Duration::from_millis(100);

/// Writes items to the table.
#[derive(Debug)]
pub(in crate::sink) struct DynamoDbSink {
    runtime: Runtime,
    service: Service,
    pipeline: Arc<Pipeline>,
}

impl DynamoDbSink {
    /// Items go to the table that the pipeline names. Waits for the service until the run is asked to
    /// stop.
    pub(in crate::sink) fn open(
        pipeline: Arc<Pipeline>,
        options: &OpenOptions,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SinkError> {
        if options.replace {
            return Err(SinkError::usage(format!(
                "--replace does not empty a DynamoDB table: delete the table {} and create it again with \
                 `counter-machine table PIPELINE`",
                pipeline.dynamodb.table
            )));
        }
        let (runtime, service) = Service::connect(&pipeline.dynamodb, Patience::Endless, metrics)?;
        runtime.block_on(async {
            let mut ready = std::pin::pin!(async {
                require_table(&service).await?;
                warn_if_not_empty(&service).await
            });
            loop {
                match tokio::time::timeout(LOOK_FOR_STOP_EVERY, ready.as_mut()).await {
                    Ok(outcome) => return outcome,
                    Err(_) if options.stop.load(Ordering::Acquire) => return Err(stopped(&service)),
                    Err(_) => {}
                }
            }
        })?;
        Ok(DynamoDbSink { runtime, service, pipeline })
    }
}

impl Sink for DynamoDbSink {
    fn write(&mut self, batches: &[ItemBatch]) -> Result<u64, SinkError> {
        let items = newest(batches, &self.pipeline);
        self.runtime.block_on(async {
            let mut in_flight = JoinSet::new();
            for some in items.chunks(ITEMS_PER_REQUEST) {
                if in_flight.len() >= REQUESTS_IN_FLIGHT
                    && let Some(ended) = in_flight.join_next().await
                {
                    outcome(ended)?;
                }
                let items = some.iter().map(attributes).collect();
                in_flight.spawn(deliver(self.service.clone(), items));
            }
            while let Some(ended) = in_flight.join_next().await {
                outcome(ended)?;
            }
            Ok(items.len() as u64)
        })
    }
}

fn stopped(service: &Service) -> SinkError {
    let message = format!("DynamoDB: asked to stop while waiting for {}; nothing was read or written", service.place);
    SinkError::new(message).of_kind(SinkErrorKind::ServiceLost)
}

async fn warn_if_not_empty(service: &Service) -> Result<(), SinkError> {
    let scan = service.call(|client| client.scan().table_name(&service.place.table).limit(1).send()).await;
    if scan.map_err(|failure| service.error("look into the table", failure))?.count() > 0 {
        tracing::warn!(
            "DynamoDB: {} is not empty: this run does not continue what is in it, and replaces only the items that it \
             counts itself",
            service.place
        );
    }
    Ok(())
}

/// Passes a panic on to the writer's thread.
fn outcome(ended: Result<Result<(), SinkError>, JoinError>) -> Result<(), SinkError> {
    match ended {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(SinkError::caused_by("a request to DynamoDB was given up", error)),
        },
    }
}

/// Returns when all these items are in the table. An item is in one request at a time: it is sent
/// again only after the request that it was in has ended.
async fn deliver(service: Service, items: Vec<Attributes>) -> Result<(), SinkError> {
    let mut waiting = vec![items];
    let mut failed = 0;
    while let Some(mut items) = waiting.pop() {
        match put(&service, &items).await {
            Ok(unprocessed) if unprocessed.is_empty() => failed = 0,
            Ok(unprocessed) => {
                // Some progress is enough to begin anew with short pauses.
                failed = if unprocessed.len() < items.len() { 1 } else { failed + 1 };
                let why = format!("{} of {} items were not taken, too much at once", unprocessed.len(), items.len());
                service.retries.pause(failed, &why).await;
                waiting.push(unprocessed);
            }
            Err(failure) if failure.cause == Cause::Invalid && items.len() > 1 => {
                // One of them is at fault, and nothing of the request was written: look closer.
                let second_half = items.split_off(items.len() / 2);
                waiting.extend([second_half, items]);
            }
            Err(failure) if failure.cause == Cause::Invalid => return Err(invalid(&service, &items, failure)),
            Err(failure) => {
                failed += 1;
                let waited = service.wait_out(failure, failed).await;
                waited.map_err(|failure| service.error("write items", failure))?;
                waiting.push(items);
            }
        }
    }
    Ok(())
}

/// Sends one request, once; returns what the service did not take.
async fn put(service: &Service, items: &[Attributes]) -> Result<Vec<Attributes>, Failure> {
    let requests = items.iter().map(|item| {
        // Built without an error: an item is all that a put needs.
        let put = PutRequest::builder().set_item(Some(item.clone())).build().ok();
        WriteRequest::builder().set_put_request(put).build()
    });
    let answer = service.client.batch_write_item().request_items(&service.place.table, requests.collect()).send().await;
    let unprocessed = answer.map_err(|error| Failure::of(&error))?.unprocessed_items.unwrap_or_default();
    let requests = unprocessed.into_values().flatten();
    Ok(requests.filter_map(|request| request.put_request).map(|put| put.item).collect())
}

fn invalid(service: &Service, items: &[Attributes], failure: Failure) -> SinkError {
    let name = |attribute: &str| items.first().and_then(|item| item.get(attribute)?.as_s().ok()).cloned();
    let (key, feature_name) = (name(KEY).unwrap_or_default(), name(FEATURE_NAME).unwrap_or_default());
    service.error(&format!("write the item with key `{key}` and feature `{feature_name}`"), failure)
}
