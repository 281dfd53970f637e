//! Writes items, 25 to a request and several requests at once.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{JoinError, JoinSet};

use super::attributes::{Attributes, FEATURE_NAME, KEY, KEY_FIELDS, attributes, version};
use super::connection::Service;
use super::expiry::Expiry;
use super::failed_request::{Cause, FailedRequest};
use super::put::{Put, puts};
use super::retry::{FailedAttempts, Patience};
use super::stopping::{STOP_WITHIN, Stopping};
use super::table::{deletes_expired_items, require_table};
use crate::epoch::{Generation, Version};
use crate::pipeline::{Layout, Pipeline};
use crate::sink::newest::{Origin, newest_by_origin};
use crate::sink::{ItemBatch, Outcome, Part, Sink, SinkError, SinkErrorKind, SinkOptions};
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
        let (generation, expiry) =
            runtime.block_on(unless_stopped(&service, options, prepare(&service, pipeline.publish.layout, options)))?;
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
        runtime.block_on(unless_stopped(&service, options, find_table(&service, pipeline.publish.layout)))
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
        match self.pipeline.publish.layout {
            Layout::Feature => self.write_features(batches, answer),
            Layout::Key(_) => self.write_keys(batches, answer),
        }
    }

    fn generation(&self) -> Option<Generation> {
        Some(self.generation)
    }
}

impl DynamoDbSink {
    /// Each item by itself, in its newest state.
    fn write_features(&mut self, batches: &[ItemBatch], answer: &mut dyn FnMut(Part)) -> Result<(), SinkError> {
        let pipeline = Arc::clone(&self.pipeline);
        let (items, older) = newest_by_origin(batches, &pipeline);
        let of = |Origin { batch, index }: Origin| Answers { batch, items: index..index + 1 };
        let requests = items
            .chunks(ITEMS_PER_REQUEST)
            .map(|some| vec![some.iter().map(|(origin, item)| (of(*origin), attributes(item))).collect()]);
        self.write_all(items.len(), requests, answer)?;
        older.into_iter().map(of).for_each(|answers| answers.tell(Outcome::Written, answer));
        self.expiry.look_at(items.iter().map(|(_, item)| item.expires_at), &self.service.table);
        Ok(())
    }

    /// All features of a key as one item, or its parts one after the other. A key is in one batch of a call.
    fn write_keys(&mut self, batches: &[ItemBatch], answer: &mut dyn FnMut(Part)) -> Result<(), SinkError> {
        let pipeline = Arc::clone(&self.pipeline);
        let all: Vec<(usize, Put)> = batches
            .iter()
            .enumerate()
            .flat_map(|(batch, items)| puts(items, &pipeline).into_iter().map(move |put| (batch, put)))
            .collect();
        let (whole, split): (Vec<_>, Vec<_>) = all.iter().partition(|(_, put)| put.parts.len() == 1);
        let send = |(batch, put): &(usize, Put)| -> Vec<Sent> {
            let last = put.parts.len() - 1;
            let sent = |(index, part)| {
                // The last part answers for the key.
                let items = if index == last { put.items.clone() } else { put.items.end..put.items.end };
                let attributes = put.attributes(part, &batches[*batch], &pipeline).unwrap_or_default();
                (Answers { batch: *batch, items }, attributes)
            };
            put.parts.iter().copied().enumerate().map(sent).collect()
        };
        let of_whole =
            whole.chunks(ITEMS_PER_REQUEST).map(|some| vec![some.iter().flat_map(|put| send(put)).collect()]);
        let of_split = split.iter().map(|put| send(put).into_iter().map(|part| vec![part]).collect());
        let items = batches.iter().map(ItemBatch::len).sum();
        self.write_all(items, of_whole.chain(of_split), answer)?;
        self.expiry.look_at(all.iter().map(|(_, put)| put.expires_at), &self.service.table);
        Ok(())
    }

    /// Sends these requests, each a few that follow one another, for so many items.
    fn write_all(
        &mut self,
        items: usize,
        requests: impl Iterator<Item = Vec<Vec<Sent>>>,
        answer: &mut dyn FnMut(Part),
    ) -> Result<(), SinkError> {
        let left = Cell::new(items);
        let mut tell = |answers: Answers, outcome| {
            left.update(|left| left.saturating_sub(answers.items.len()));
            answers.tell(outcome, answer);
        };
        let writing = self.stopping.unless_time_is_up(write_all(&self.service, requests, &mut tell));
        let ended = self.runtime.block_on(writing);
        ended.unwrap_or_else(|| Err(given_up(&self.service, left.get())))
    }
}

async fn say_what_is_waited_for(service: Service) {
    tokio::time::sleep(SILENCE).await;
    if service.retries.is_empty() {
        tracing::warn!("DynamoDB: waiting for an answer of {}", service.table);
    }
}

/// Looks whether the table can be written to, and what that will mean for what is in it.
async fn prepare(service: &Service, layout: Layout, options: &SinkOptions) -> Result<(Generation, Expiry), SinkError> {
    find_table(service, layout).await?;
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

async fn find_table(service: &Service, layout: Layout) -> Result<(), SinkError> {
    service.require_credentials().await?;
    require_table(service, layout).await
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
    mut requests: impl Iterator<Item = Vec<Vec<Sent>>>,
    tell: &mut impl FnMut(Answers, Outcome),
) -> Result<(), SinkError> {
    let (sender, mut told) = unbounded_channel::<Told>();
    let mut in_flight = JoinSet::new();
    loop {
        while in_flight.len() < REQUESTS_IN_FLIGHT
            && let Some(some) = requests.next()
        {
            in_flight.spawn(deliver_in_order(service.clone(), some, sender.clone()));
        }
        let ended = tokio::time::timeout(TELL_EVERY, in_flight.join_next()).await;
        // What is written is told though other items of its request are still being tried.
        while let Ok((answers, outcome)) = told.try_recv() {
            answers.into_iter().for_each(|answers| tell(answers, outcome));
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

/// What is answered for with something that is sent: some items of a batch, or none.
#[derive(Clone, Debug)]
struct Answers {
    batch: usize,
    items: Range<u32>,
}

impl Answers {
    fn tell(self, outcome: Outcome, answer: &mut dyn FnMut(Part)) {
        let Answers { batch, items } = self;
        if !items.is_empty() {
            answer(Part { batch, items, outcome });
        }
    }
}

/// An item on its way, with what it answers for.
type Sent = (Answers, Attributes);
/// What became of some items.
type Told = (Vec<Answers>, Outcome);

/// Delivers one after the other, and none after one that was given back.
async fn deliver_in_order(
    service: Service,
    requests: Vec<Vec<Sent>>,
    told: UnboundedSender<Told>,
) -> Result<(), SinkError> {
    let mut all_written = true;
    for items in requests {
        if all_written {
            all_written = deliver(&service, items, &told).await?;
        } else {
            let _ = told.send((answers(items), Outcome::NotWritten));
        }
    }
    Ok(())
}

/// Returns when all these items are in the table, or given back, and tells of both. An item is in one request at a time: it is sent
/// again only after the request that it was in has ended. Says whether all are in the table.
async fn deliver(service: &Service, items: Vec<Sent>, told: &UnboundedSender<Told>) -> Result<bool, SinkError> {
    let mut waiting = vec![items];
    let mut all_written = true;
    let mut failed = FailedAttempts::default();
    while let Some(mut items) = waiting.pop() {
        match put(service, &items).await {
            Ok(unprocessed) => {
                let sent = items.len();
                let (again, taken): (Vec<Sent>, Vec<Sent>) =
                    items.into_iter().partition(|(_, item)| unprocessed.iter().any(|other| is_same(item, other)));
                if !taken.is_empty() {
                    // Some progress is enough to begin anew with short pauses.
                    failed = FailedAttempts::default();
                    // An error means that nobody waits for it any more.
                    let _ = told.send((answers(taken), Outcome::Written));
                }
                if failed.count() >= MOST_REFUSALS {
                    all_written = false;
                    let _ = told.send((answers(again), Outcome::NotWritten));
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
            Err(failure) if failure.cause == Cause::Invalid => return Err(invalid(service, &items, failure)),
            Err(failure) => {
                let waited = service.wait_out(failure, &mut failed).await;
                waited.map_err(|failure| service.error("write items", failure))?;
                waiting.push(items);
            }
        }
    }
    Ok(all_written)
}

fn answers(items: Vec<Sent>) -> Vec<Answers> {
    items.into_iter().map(|(answers, _)| answers).collect()
}

fn is_same(item: &Attributes, other: &Attributes) -> bool {
    [KEY, FEATURE_NAME, KEY_FIELDS].into_iter().all(|attribute| item.get(attribute) == other.get(attribute))
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
    let key = name(KEY).unwrap_or_default();
    let what = match name(FEATURE_NAME) {
        Some(feature_name) => format!("feature `{feature_name}`"),
        None => format!("{KEY_FIELDS} `{}`", name(KEY_FIELDS).unwrap_or_default()),
    };
    service.error(&format!("write the item with key `{key}` and {what}"), failure)
}
