//! Writing: takes batches while requests are under way, and has the next request begin when one ends.
//!
//! What is decided is decided elsewhere: which writes go next by the [`Schedule`], how many requests are under way by
//! [`Concurrency`], and what a failure means by [`FailedRequest`].

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinSet};

use super::call::Call;
use super::concurrency::{Begun, Concurrency};
use super::connection::Service;
use super::expiry::Expiry;
use super::failed_request::{Cause, Certainty, FailedRequest};
use super::first_write::FirstWrite;
use super::request::{Answer, ITEMS_PER_REQUEST, id, put_all, put_if_newer};
use super::retry::{FailedAttempts, pause};
use super::schedule::{End, Verdict, Write};
use super::size::write_units as units_of;
use super::unsettled::{ItemId, Unsettled};
use crate::epoch::{Generation, Version};
use crate::lease::Lease;
use crate::pipeline::{Layout, Pipeline};
use crate::sink::newest::{Origin, older_items};
use crate::sink::{Desk, ItemBatch, ItemRef, Outcome, Part, RefusedItem, SinkError, SinkErrorKind};
use crate::telemetry::Metrics;

/// How many requests are under way at first, and at most; and the same of those that write a single item.
const REQUESTS: (usize, usize) = (16, 32);
const SINGLE_REQUESTS: (usize, usize) = (64, 256);
/// More batches are taken when less than this waits: enough for the requests that end until then.
const WAITING_WRITES: usize = ITEMS_PER_REQUEST * REQUESTS.1;
/// How often it is looked for more batches, and whether the run still waits.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// After so many failures in a row the service counts as away: nothing is sent for a while, and then one request.
const IS_AWAY: u32 = 3;
/// A service that refuses so many items before it has taken any does not refuse them for what they are.
const MOST_REFUSED_AT_FIRST: u64 = 100;

/// What writes to the table, and what it knows from one call to the next.
#[derive(Debug)]
pub(super) struct Flow {
    service: Service,
    pipeline: Arc<Pipeline>,
    metrics: Arc<Metrics>,
    generation: Generation,
    concurrency: Concurrency,
    unsettled: Unsettled,
    failures: Failures,
    expiry: Expiry,
    first_write: FirstWrite,
    lease: Lease,
}

/// Failures since a request was answered last.
#[derive(Debug, Default)]
struct Failures {
    attempts: FailedAttempts,
    in_a_row: u32,
    /// When the last one came that counts: those that were under way with it do not.
    last: Option<Instant>,
    /// No request begins before.
    resumes: Option<Instant>,
}

/// A request that has ended.
struct Ended {
    writes: Vec<Write>,
    begun: Begun,
    answer: Result<Answer, FailedRequest>,
}

impl Flow {
    /// Nothing of this run is under way.
    pub(super) fn new(
        service: Service,
        pipeline: Arc<Pipeline>,
        metrics: Arc<Metrics>,
        generation: Generation,
        expiry: Expiry,
        first_write: FirstWrite,
        lease: Lease,
    ) -> Flow {
        let (first, most) = if pipeline.dynamodb.fence { SINGLE_REQUESTS } else { REQUESTS };
        let concurrency = Concurrency::new(first, most, ITEMS_PER_REQUEST);
        // A condition keeps what comes late from doing harm.
        let settle = if pipeline.dynamodb.fence { Duration::ZERO } else { pipeline.dynamodb.settle };
        let (unsettled, failures) = (Unsettled::new(settle), Failures::default());
        Flow { service, pipeline, metrics, generation, concurrency, unsettled, failures, expiry, first_write, lease }
    }

    /// The table, to be shown.
    pub(super) fn table(&self) -> String {
        self.service.table.to_string()
    }

    /// Returns when every item of these batches, and of those that the desk had besides, is answered for; or when the run no
    /// longer waits.
    pub(super) async fn write(&mut self, batches: &[ItemBatch], desk: &mut dyn Desk) -> Result<(), SinkError> {
        let pipeline = Arc::clone(&self.pipeline);
        let mut call = Call::new(desk);
        // A key that is one item is in one batch of a call.
        let older: HashSet<Origin> = match pipeline.publish.layout {
            Layout::Feature => older_items(batches, &pipeline).into_iter().collect(),
            Layout::Key(_) => HashSet::new(),
        };
        for batch in batches {
            self.add(&mut call, Cow::Borrowed(batch), &older)?;
        }
        let mut requests = JoinSet::new();
        loop {
            while call.schedule.ready() < WAITING_WRITES
                && let Some(batch) = call.desk.more()
            {
                self.add(&mut call, Cow::Owned(batch), &HashSet::new())?;
            }
            let now = Instant::now();
            self.unsettled.forget_settled(now);
            for verdict in call.schedule.wake(now) {
                self.tell(&mut call, verdict)?;
            }
            let next = self.begin_requests(&mut call, &mut requests, now);
            if requests.is_empty() && call.schedule.is_empty() {
                break;
            }
            if call.desk.gives_up() {
                return Ok(());
            }
            let wait = next.map_or(LOOK_EVERY, |next| next.saturating_duration_since(now).min(LOOK_EVERY));
            let mut ended = tokio::time::timeout(wait, join_next(&mut requests)).await.ok();
            while let Some(one) = ended {
                self.end(&mut call, passed_on(one)?).await?;
                ended = requests.try_join_next();
            }
        }
        for Origin { batch, index } in older {
            call.desk.answer(Part { batch, items: index..index + 1, outcome: Outcome::Written });
        }
        Ok(())
    }
}

impl Flow {
    /// Has a batch written, but for those that are older than others.
    fn add<'b>(
        &mut self,
        call: &mut Call<'b, '_>,
        batch: Cow<'b, ItemBatch>,
        older: &HashSet<Origin>,
    ) -> Result<(), SinkError> {
        let pipeline = Arc::clone(&self.pipeline);
        let (index, puts) = call.open(batch, &pipeline);
        self.expiry.look_at(call.expiries(index), &self.service.table);
        for put in 0..puts {
            let Some(write) = call.write(index, put, &pipeline) else { continue };
            if older.contains(&Origin { batch: index, index: write.items.start }) {
                continue;
            }
            match call.fault(&write, &pipeline) {
                Some(detail) => self.tell(call, Verdict { write, outcome: Outcome::Refused, detail })?,
                None => call.schedule.push(write, &self.unsettled, Instant::now()),
            }
        }
        Ok(())
    }

    /// Begins as many requests as may begin; says when another one may.
    fn begin_requests(
        &mut self,
        call: &mut Call<'_, '_>,
        requests: &mut JoinSet<Ended>,
        now: Instant,
    ) -> Option<Instant> {
        let writes_at_once = if self.pipeline.dynamodb.fence { 1 } else { ITEMS_PER_REQUEST };
        if call.schedule.is_ready()
            && let Some(left) = self.first_write.take_telling(now)
        {
            self.tell_wait(left);
        }
        let gates = [Some(self.first_write.begins()), self.failures.resumes, self.unsettled.has_room_at()];
        if let Some(gate) = gates.into_iter().flatten().max().filter(|gate| *gate > now) {
            return Some(gate);
        }
        while call.schedule.is_ready() {
            let next = self.concurrency.next(requests.len(), now)?;
            if next > now {
                return Some(next);
            }
            if !self.lease.is_held() {
                // This process was stopped or cut off: it ends, or soon hears that it may go on.
                return None;
            }
            let writes = call.schedule.next_request(writes_at_once)?;
            let begun = self.concurrency.begin(now);
            let items: Vec<_> = writes.iter().filter_map(|write| call.attributes(write, &self.pipeline)).collect();
            let (service, fence) = (self.service.clone(), self.pipeline.dynamodb.fence);
            requests.spawn(async move {
                let answer = if fence { put_if_newer(&service, items).await } else { put_all(&service, items).await };
                Ended { writes, begun, answer }
            });
        }
        call.schedule.next_ready()
    }

    /// Says why nothing is written yet.
    fn tell_wait(&self, left: Duration) {
        let seconds = left.as_secs_f64().ceil();
        let until = "until no write of an earlier run can still be carried out";
        tracing::info!("DynamoDB: waiting {seconds} s {until}; before that {} gets nothing", self.service.table);
        self.metrics.sink_trouble.set(format!("it gets nothing {until}"));
    }

    /// Takes the end of a request.
    async fn end(&mut self, call: &mut Call<'_, '_>, ended: Ended) -> Result<(), SinkError> {
        let now = Instant::now();
        let Ended { writes, begun, answer } = ended;
        let end = match answer {
            Ok(answer) => {
                self.failures = Failures::default();
                self.metrics.sink_trouble.clear();
                match answer {
                    Answer::Taken { unprocessed, write_units } => {
                        self.metrics.write_units.add(write_units.ceil() as u64);
                        let throttled = self.indices(call, &writes, &unprocessed);
                        self.share_out(write_units, call, &writes, &throttled);
                        End::Taken { throttled }
                    }
                    Answer::Stands(version) => self.judge_standing(call, &writes, version)?,
                }
            }
            Err(failure) => self.failed(failure, begun, writes.len(), now).await?,
        };
        if let End::Taken { throttled } = &end {
            // One that was throttled before is known to be: its partition's trouble is not the table's.
            let fresh = throttled.iter().filter(|index| !writes[**index].attempts.was_throttled()).count();
            self.concurrency.ended(begun, writes.len() - throttled.len(), fresh, now);
            if !throttled.is_empty() {
                let text = format!("{} of {} items were not taken, too much at once", throttled.len(), writes.len());
                self.service.retries.note(&FailedRequest::throttled(text));
            }
        }
        for verdict in call.schedule.ended(writes, end, &mut self.unsettled, now, pause) {
            self.tell(call, verdict)?;
        }
        Ok(())
    }

    /// Shares out what a request has taken among the groups whose items it wrote: by the size of each write, and within one evenly.
    fn share_out(&self, write_units: f64, call: &Call<'_, '_>, writes: &[Write], throttled: &[usize]) {
        let size = |write: &Write| units_of(write.bytes) as f64;
        let taken = || (0..).zip(writes).filter(|(index, _)| !throttled.contains(index)).map(|(_, write)| write);
        let for_each_unit = write_units / taken().map(size).sum::<f64>().max(1.0);
        self.metrics.group_write_units.add(taken().flat_map(|write| {
            let of_item = for_each_unit * size(write) / write.items.len().max(1) as f64;
            call.items(write, &self.pipeline).map(move |item| (item.group.name.as_str(), of_item))
        }));
    }

    /// Which of these writes the service did not take, by what it gave back of them.
    fn indices(&self, call: &Call<'_, '_>, writes: &[Write], unprocessed: &[ItemId]) -> Vec<usize> {
        if unprocessed.is_empty() {
            return Vec::new();
        }
        let is_left = |write: &Write| {
            let sent = call.attributes(write, &self.pipeline);
            sent.is_some_and(|(attributes, _)| unprocessed.contains(&id(&attributes)))
        };
        (0..writes.len()).filter(|index| is_left(&writes[*index])).collect()
    }

    /// What it means that a write found another version in its place.
    fn judge_standing(&self, call: &Call<'_, '_>, writes: &[Write], standing: Version) -> Result<End, SinkError> {
        let Some((write, version)) = writes.first().and_then(|write| Some((write, call.version(write)?))) else {
            return Ok(End::Superseded);
        };
        if standing.generation() > self.generation
            && let Some(item) = call.items(write, &self.pipeline).next()
        {
            let message = format!(
                "DynamoDB: another run, which started later, writes to {}: generation {} has written the item with key `{}` and \
                 feature `{}`, this run is generation {}; this one stops",
                self.service.table,
                standing.generation().0,
                item.key_text(),
                item.feature_name,
                self.generation.0
            );
            return Err(SinkError::new(message).of_kind(SinkErrorKind::Gone));
        }
        // Our own, from an attempt of which nothing was heard.
        Ok(if standing == version { End::Taken { throttled: Vec::new() } } else { End::Superseded })
    }

    /// What follows from a request that failed; an error when nothing helps.
    async fn failed(
        &mut self,
        failure: FailedRequest,
        begun: Begun,
        writes: usize,
        now: Instant,
    ) -> Result<End, SinkError> {
        match failure.cause {
            Cause::Throttled => return Ok(End::Taken { throttled: (0..writes).collect() }),
            Cause::Invalid => return Ok(End::Invalid(failure.text)),
            _ => {}
        }
        let failures = &mut self.failures;
        failures.attempts.add_one(failure.cause);
        if self.service.gives_up_on(failure.cause, &failures.attempts) {
            return Err(self.service.error("write items", failure));
        }
        if failures.last.is_none_or(|last| begun.at() >= last) {
            failures.in_a_row += 1;
            failures.last = Some(now);
            if failures.in_a_row >= IS_AWAY || failure.cause != Cause::Passing {
                failures.resumes = Some(now + pause(failures.in_a_row));
                self.concurrency.look_with_one();
            }
        }
        self.service.retries.note(&failure);
        self.service.renew_credentials(failure.cause).await;
        Ok(if failure.certainty == Certainty::Unknown { End::Unknown } else { End::Failed })
    }

    /// Answers for a write.
    fn tell(&self, call: &mut Call<'_, '_>, verdict: Verdict) -> Result<(), SinkError> {
        let Verdict { write, outcome, detail } = verdict;
        if outcome == Outcome::Refused {
            let refused = self.refused(call, &write, detail)?;
            if self.metrics.items_refused.get() >= MOST_REFUSED_AT_FIRST && self.metrics.items_written.get() == 0 {
                return Err(SinkError::new(format!(
                    "DynamoDB: {} refuses every item, as the one with key `{}` and feature `{}`: {}; see that the table is the \
                     pipeline's (`counter-machine table PIPELINE`)",
                    refused.table, refused.key, refused.feature_name, refused.detail
                ))
                .of_kind(SinkErrorKind::WrongKey));
            }
            call.desk.refuse(&refused)?;
        }
        call.answer(write, outcome);
        Ok(())
    }

    /// What the dead letters say of a write: of an item of several features, the first and all of them.
    fn refused(&self, call: &Call<'_, '_>, write: &Write, detail: String) -> Result<RefusedItem, SinkError> {
        let json = |item: ItemRef<'_>| serde_json::to_value(item);
        let items: Result<Vec<_>, _> = call.items(write, &self.pipeline).map(json).collect();
        let items = items.map_err(|error| SinkError::caused_by("cannot write an item as JSON", error))?;
        let (mut key, mut feature_name) = (String::new(), String::new());
        if let Some(first) = call.items(write, &self.pipeline).next() {
            (key, feature_name) = (first.key_text().into_owned(), first.feature_name.to_owned());
        }
        let item = match self.pipeline.publish.layout {
            Layout::Feature => items.into_iter().next().unwrap_or_default(),
            Layout::Key(_) => serde_json::Value::Array(items),
        };
        Ok(RefusedItem { table: self.service.table.to_string(), key, feature_name, detail, item })
    }
}

/// The next request that ends; never, where there is none.
async fn join_next(requests: &mut JoinSet<Ended>) -> Result<Ended, JoinError> {
    match requests.join_next().await {
        Some(ended) => ended,
        None => std::future::pending().await,
    }
}

/// Passes a panic on to the writer's thread.
fn passed_on(ended: Result<Ended, JoinError>) -> Result<Ended, SinkError> {
    ended.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => SinkError::caused_by("a request to DynamoDB was given up", error),
    })
}
