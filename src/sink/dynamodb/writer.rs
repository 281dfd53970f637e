//! The sink: how a run opens its table, and what it hands to the [`Flow`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::attributes::version;
use super::connection::Service;
use super::expiry::Expiry;
use super::first_write::FirstWrite;
use super::flow::Flow;
use super::retry::Patience;
use super::stopping::unless_asked_to_stop;
use super::table::{deletes_expired_items, require_table};
use crate::epoch::{Generation, Version};
use crate::pipeline::{Layout, Pipeline};
use crate::sink::{Desk, ItemBatch, Recorded, Sink, SinkError, SinkErrorKind, SinkOptions};
use crate::telemetry::Metrics;

/// About so many items pay to be handed over at once.
pub(in crate::sink) const ITEMS_AT_ONCE: usize = 400;

/// A run that opens the table in silence for longer says what it waits for.
const SILENCE: Duration = Duration::from_secs(1);

/// How many items are looked at to see what the table holds: about as many as one read unit reads.
const ITEMS_LOOKED_AT: i32 = 16;

/// Writes items to the table.
#[derive(Debug)]
pub(in crate::sink) struct DynamoDbSink {
    runtime: Runtime,
    flow: Flow,
    generation: Generation,
}

impl DynamoDbSink {
    /// Items go to the table that the pipeline names. Waits for the service until the run is asked to
    /// stop.
    pub(in crate::sink) fn open(
        pipeline: Arc<Pipeline>,
        options: &SinkOptions,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SinkError> {
        let (runtime, service) = connect(&pipeline, options, Arc::clone(&metrics))?;
        let opened = Instant::now();
        let preparing = prepare(&service, pipeline.publish.layout, options);
        let prepared = runtime.block_on(unless_stopped(&service, options, preparing))?;
        let Prepared { generation, expiry, is_empty } = prepared;
        let first_write = FirstWrite::new(&pipeline.dynamodb, options, opened, is_empty);
        let flow = Flow::new(service, pipeline, metrics, generation, expiry, first_write, options.lease.clone());
        Ok(DynamoDbSink { runtime, flow, generation })
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

    /// What a few items of the table say of the runs that have filled it. Waits for the service.
    pub(in crate::sink) fn recorded(pipeline: &Pipeline, metrics: Arc<Metrics>) -> Result<Recorded, SinkError> {
        let options = SinkOptions::default();
        let (runtime, service) = connect(pipeline, &options, metrics)?;
        let looking = async {
            find_table(&service, pipeline.publish.layout).await?;
            newest_version_held(&service).await
        };
        let held = runtime.block_on(unless_stopped(&service, &options, looking))?;
        let generation = held.map(Version::generation);
        Ok(Recorded { generation, newest_version: None, is_empty: held.is_none() })
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
    let opened = unless_asked_to_stop(&options.stop, opening).await;
    notice.abort();
    opened.unwrap_or_else(|| Err(stopped(service)))
}

impl Sink for DynamoDbSink {
    fn write(&mut self, batches: &[ItemBatch], desk: &mut dyn Desk) -> Result<(), SinkError> {
        self.runtime.block_on(self.flow.write(batches, desk))
    }

    fn name(&self) -> String {
        self.flow.table()
    }

    fn generation(&self) -> Option<Generation> {
        Some(self.generation)
    }
}

/// What is known of a table that can be written to.
struct Prepared {
    generation: Generation,
    expiry: Expiry,
    is_empty: bool,
}

async fn say_what_is_waited_for(service: Service) {
    tokio::time::sleep(SILENCE).await;
    if service.retries.is_empty() {
        tracing::warn!("DynamoDB: waiting for an answer of {}", service.table);
    }
}

/// Looks whether the table can be written to, and what that will mean for what is in it.
async fn prepare(service: &Service, layout: Layout, options: &SinkOptions) -> Result<Prepared, SinkError> {
    find_table(service, layout).await?;
    let held = newest_version_held(service).await?;
    if held.is_some() && !options.goes_on {
        tracing::warn!("{}", not_empty(service, options.starts_at_the_end));
    }
    let recorded = held.unwrap_or_default().generation();
    let generation = if options.goes_on {
        // One that was claimed is not changed here: what it is claimed in would not know. Another process of the same run may have
        // begun to write.
        Some(options.generation).filter(|claimed| *claimed >= recorded).ok_or_else(|| {
            SinkError::foreign(format!(
                "DynamoDB: {} holds items of generation {}, and this run of the state is generation {}: another run has \
                 written to it since, or it belongs to another state",
                service.table, recorded.0, options.generation.0
            ))
        })?
    } else {
        options.generation.above(recorded).ok_or_else(|| {
            SinkError::new(format!("DynamoDB: {} holds a `version` above which there is none", service.table))
        })?
    };
    let expiry = Expiry::new(deletes_expired_items(service).await);
    Ok(Prepared { generation, expiry, is_empty: held.is_none() })
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
