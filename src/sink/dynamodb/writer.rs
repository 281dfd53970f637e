//! Writes items, 25 to a request and several requests at once.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{JoinError, JoinSet};

use super::attributes::{Attributes, FEATURE_NAME, KEY, attributes, version};
use super::connection::Service;
use super::expiry::Expiry;
use super::failed_request::{Cause, FailedRequest};
use super::retry::{FailedAttempts, Patience};
use super::stopping::{STOP_WITHIN, Stopping};
use super::table::{deletes_expired_items, require_table};
use crate::epoch::{Generation, Version};
use crate::pipeline::Pipeline;
use crate::sink::newest::{Origin, newest_by_origin};
use crate::sink::{ItemBatch, ItemRef, Outcome, Part, Sink, SinkError, SinkErrorKind, SinkOptions};
use crate::telemetry::Metrics;

/// The most items that BatchWriteItem takes. Also the largest items that DynamoDB allows (400 KB)
/// fit into its 16 MB that many times.
const ITEMS_PER_REQUEST: usize = 25;
/// How many requests are in flight at once. One that waits before another attempt counts, so the
/// load falls by itself when the service refuses.
const REQUESTS_IN_FLIGHT: usize = 16;

/// How soon it is told that an item is written whose request is not done.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// How many items are in flight at once, at most.
pub(in crate::sink) const ITEMS_IN_FLIGHT: usize = ITEMS_PER_REQUEST * REQUESTS_IN_FLIGHT;

/// An item that the service leaves out so often in a row is given back: others are not to wait for its partition, and what
/// is newest is tried again with the next round.
const MOST_REFUSALS: u32 = 8;

/// A run that opens the table in silence for longer says what it waits for.
const SILENCE: Duration = Duration::from_secs(1);

/// How many items are looked at to see what the table holds: about as many as one read unit reads.
const ITEMS_LOOKED_AT: i32 = 16;

/// Writes items to the table.
#[derive(Debug)]
pub(in crate::sink) struct DynamoDbSink {
    runtime: Runtime,
    service: Service,
    pipeline: Arc<Pipeline>,
    generation: Generation,
    stopping: Stopping,
    expiry: Expiry,
}

impl DynamoDbSink {
    /// Items go to the table that the pipeline names. Waits for the service until the run is asked to
    /// stop.
    pub(in crate::sink) fn open(
        pipeline: Arc<Pipeline>,
        options: &SinkOptions,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SinkError> {
        let (runtime, service) = connect(&pipeline, options, metrics)?;
        let (generation, expiry) = runtime.block_on(unless_stopped(&service, options, prepare(&service, options)))?;
        let stopping = Stopping::new(Arc::clone(&options.stop), STOP_WITHIN);
        Ok(DynamoDbSink { runtime, service, pipeline, generation, stopping, expiry })
    }

    /// Whether there is a table to write to. Waits for the service until the run is asked to stop.
    pub(in crate::sink) fn look(
        pipeline: &Pipeline,
        options: &SinkOptions,
        metrics: Arc<Metrics>,
    ) -> Result<(), SinkError> {
        let (runtime, service) = connect(pipeline, options, metrics)?;
        runtime.block_on(unless_stopped(&service, options, find_table(&service)))
    }
}

fn connect(pipeline: &Pipeline, options: &SinkOptions, metrics: Arc<Metrics>) -> Result<(Runtime, Service), SinkError> {
    if options.replace {
        return Err(SinkError::usage(format!(
            "--replace does not empty a DynamoDB table: delete the table {} and create it again with `counter-machine \
             table PIPELINE`",
            pipeline.dynamodb.table
        )));
    }
    Service::connect(&pipeline.dynamodb, Patience::Endless, metrics)
}

async fn unless_stopped<T>(
    service: &Service,
    options: &SinkOptions,
    opening: impl Future<Output = Result<T, SinkError>>,
) -> Result<T, SinkError> {
    let notice = tokio::spawn(say_what_is_waited_for(service.clone()));
    let mut stopping = Stopping::new(Arc::clone(&options.stop), Duration::ZERO);
    let opened = stopping.unless_time_is_up(opening).await;
    notice.abort();
    opened.unwrap_or_else(|| Err(stopped(service)))
}

impl Sink for DynamoDbSink {
    fn write(&mut self, batches: &[ItemBatch], answer: &mut dyn FnMut(Part)) -> Result<(), SinkError> {
        let (items, older) = newest_by_origin(batches, &self.pipeline);
        let left = Cell::new(items.len());
        let mut tell = |Origin { batch, index }: Origin, outcome| {
            left.update(|left| left.saturating_sub(1));
            answer(Part { batch, items: index..index + 1, outcome });
        };
        let writing = self.stopping.unless_time_is_up(write_all(&self.service, &items, &mut tell));
        let ended = self.runtime.block_on(writing);
        ended.unwrap_or_else(|| Err(given_up(&self.service, left.get())))?;
        older.into_iter().for_each(|origin| tell(origin, Outcome::Written));
        self.expiry.look_at(items.iter().map(|(_, item)| item.expires_at), &self.service.table);
        Ok(())
    }

    fn generation(&self) -> Option<Generation> {
        Some(self.generation)
    }
}

async fn say_what_is_waited_for(service: Service) {
    tokio::time::sleep(SILENCE).await;
    if service.retries.is_empty() {
        tracing::warn!("DynamoDB: waiting for an answer of {}", service.table);
    }
}

/// Looks whether the table can be written to, and what that will mean for what is in it.
async fn prepare(service: &Service, options: &SinkOptions) -> Result<(Generation, Expiry), SinkError> {
    find_table(service).await?;
    let held = newest_version_held(service).await?;
    if held.is_some() {
        tracing::warn!("{}", not_empty(service, options.starts_at_the_end));
    }
    let recorded = held.unwrap_or_default().generation();
    let generation = options.generation.above(recorded).ok_or_else(|| {
        SinkError::new(format!("DynamoDB: {} holds a `version` above which there is none", service.table))
    })?;
    Ok((generation, Expiry::new(deletes_expired_items(service).await)))
}

async fn find_table(service: &Service) -> Result<(), SinkError> {
    service.require_credentials().await?;
    require_table(service).await
}

/// The newest version among a few items; `None` where the table is empty.
async fn newest_version_held(service: &Service) -> Result<Option<Version>, SinkError> {
    let scan = service.call(|client| client.scan().table_name(&service.table.name).limit(ITEMS_LOOKED_AT).send()).await;
    let scan = scan.map_err(|failure| service.error("look into the table", failure))?;
    // What is no item of ours has none.
    let versions = scan.items().iter().map(|attributes| version(attributes).unwrap_or_default());
    Ok(versions.max())
}

fn not_empty(service: &Service, starts_at_the_end: bool) -> String {
    let until = if starts_at_the_end {
        "for good, because the run begins with what is still to come (start = \"latest\")"
    } else {
        "until it has caught up"
    };
    format!(
        "DynamoDB: {} is not empty, and this run does not continue what is in it: it counts from nothing, so values of \
         items that this run counts again will go down {until}; all other items stay as they are",
        service.table
    )
}

fn stopped(service: &Service) -> SinkError {
    let message = format!("DynamoDB: asked to stop while waiting for {}; nothing was read or written", service.table);
    SinkError::new(message).of_kind(SinkErrorKind::ServiceLost)
}

fn given_up(service: &Service, items: usize) -> SinkError {
    let seconds = STOP_WITHIN.as_secs();
    let message = format!(
        "DynamoDB: {items} items could not be written to {} within {seconds} seconds of the signal to stop, nor what \
         changed after them: see that the service can be reached, and start again",
        service.table
    );
    SinkError::new(message).of_kind(SinkErrorKind::ServiceLost)
}

/// Returns when all these items are in the table, or given back; tells of each when it is.
async fn write_all(
    service: &Service,
    items: &[(Origin, ItemRef<'_>)],
    tell: &mut impl FnMut(Origin, Outcome),
) -> Result<(), SinkError> {
    let (sender, mut told) = unbounded_channel::<Told>();
    let mut in_flight = JoinSet::new();
    let mut requests = items.chunks(ITEMS_PER_REQUEST);
    loop {
        while in_flight.len() < REQUESTS_IN_FLIGHT
            && let Some(some) = requests.next()
        {
            let items = some.iter().map(|(origin, item)| (*origin, attributes(item))).collect();
            in_flight.spawn(deliver(service.clone(), items, sender.clone()));
        }
        let ended = tokio::time::timeout(TELL_EVERY, in_flight.join_next()).await;
        // What is written is told though other items of its request are still being tried.
        while let Ok((origins, outcome)) = told.try_recv() {
            origins.into_iter().for_each(|origin| tell(origin, outcome));
        }
        match ended {
            Ok(Some(ended)) => outcome(ended)?,
            Ok(None) => return Ok(()),
            Err(_) => {}
        }
    }
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

/// An item on its way, with where it came from.
type Sent = (Origin, Attributes);
/// What became of some items.
type Told = (Vec<Origin>, Outcome);

/// Returns when all these items are in the table, or given back, and tells of both. An item is in one request at a time: it is sent
/// again only after the request that it was in has ended.
async fn deliver(service: Service, items: Vec<Sent>, told: UnboundedSender<Told>) -> Result<(), SinkError> {
    let mut waiting = vec![items];
    let mut failed = FailedAttempts::default();
    while let Some(mut items) = waiting.pop() {
        match put(&service, &items).await {
            Ok(unprocessed) => {
                let sent = items.len();
                let (again, taken): (Vec<Sent>, Vec<Sent>) =
                    items.into_iter().partition(|(_, item)| unprocessed.iter().any(|other| is_same(item, other)));
                if !taken.is_empty() {
                    // Some progress is enough to begin anew with short pauses.
                    failed = FailedAttempts::default();
                    // An error means that nobody waits for it any more.
                    let _ = told.send((origins(taken), Outcome::Written));
                }
                if failed.count() >= MOST_REFUSALS {
                    let _ = told.send((origins(again), Outcome::NotWritten));
                } else if !again.is_empty() {
                    failed.add_one(Cause::Passing);
                    let text = format!("{} of {sent} items were not taken, too much at once", again.len());
                    service.retries.pause(&failed, &FailedRequest { cause: Cause::Passing, text }).await;
                    waiting.push(again);
                }
            }
            Err(failure) if failure.cause == Cause::Invalid && items.len() > 1 => {
                // One of them is at fault, and nothing of the request was written: look closer.
                let second_half = items.split_off(items.len() / 2);
                waiting.extend([second_half, items]);
            }
            Err(failure) if failure.cause == Cause::Invalid => return Err(invalid(&service, &items, failure)),
            Err(failure) => {
                let waited = service.wait_out(failure, &mut failed).await;
                waited.map_err(|failure| service.error("write items", failure))?;
                waiting.push(items);
            }
        }
    }
    Ok(())
}

fn origins(items: Vec<Sent>) -> Vec<Origin> {
    items.into_iter().map(|(origin, _)| origin).collect()
}

fn is_same(item: &Attributes, other: &Attributes) -> bool {
    [KEY, FEATURE_NAME].into_iter().all(|attribute| item.get(attribute) == other.get(attribute))
}

/// Sends one request, once; returns what the service did not take.
async fn put(service: &Service, items: &[Sent]) -> Result<Vec<Attributes>, FailedRequest> {
    let request = |client: &Client| {
        let requests = items.iter().map(|(_, item)| {
            // Built without an error: an item is all that a put needs.
            let put = PutRequest::builder().set_item(Some(item.clone())).build().ok();
            WriteRequest::builder().set_put_request(put).build()
        });
        client.batch_write_item().request_items(&service.table.name, requests.collect()).send()
    };
    let unprocessed = service.attempt(request).await?.unprocessed_items.unwrap_or_default();
    let requests = unprocessed.into_values().flatten();
    Ok(requests.filter_map(|request| request.put_request).map(|put| put.item).collect())
}

fn invalid(service: &Service, items: &[Sent], failure: FailedRequest) -> SinkError {
    let name = |attribute: &str| items.first().and_then(|(_, item)| item.get(attribute)?.as_s().ok()).cloned();
    let (key, feature_name) = (name(KEY).unwrap_or_default(), name(FEATURE_NAME).unwrap_or_default());
    service.error(&format!("write the item with key `{key}` and feature `{feature_name}`"), failure)
}
