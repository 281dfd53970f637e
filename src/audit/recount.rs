//! The recount itself: the additions of all events as one collection of differential dataflow, on several workers, and then each row
//! beside its item.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use differential_dataflow::input::InputSession;
use differential_dataflow::trace::TraceReader;
use differential_dataflow::trace::cursor::{Cursor, cursor_list};
use timely::communication::WorkerGuards;
use timely::dataflow::operators::Probe;
use timely::progress::Antichain;
use timely::worker::Worker;

use super::blocks::{BlockReader, KeyTexts};
use super::closer_look::closer_look;
use super::items::Items;
use super::judge::Judge;
use super::row::{Addition, Counted, Features, Identities, RowId, Sample};
use super::tally::{Example, Tally};
use crate::epoch::Version;
use crate::pipeline::{Pipeline, TimeShift};
use crate::sink::{ItemReader, SinkError};
use crate::source::log::LogSource;
use crate::source::{Feed, SourceError};
use crate::telemetry::Metrics;

/// How long a worker waits for a block before it looks after the dataflow again.
const PATIENCE: Duration = Duration::from_millis(2);

/// A comparison that is to be made.
pub struct Audit {
    /// What the run counted.
    pub pipeline: Arc<Pipeline>,
    /// The events, one feed per worker; workers may share one.
    pub feeds: Vec<Feed>,
    /// The same events, where they can be read again: the order in which a row's events came tells rows that began anew from wrong
    /// ones. Else only their times do.
    pub again: Option<Arc<LogSource>>,
    /// What is compared.
    pub items: Box<dyn ItemReader>,
    /// Items with a later version are newer than what is recounted.
    pub last_version: Option<Version>,
    /// Which keys.
    pub sample: Sample,
    /// What rows are judged by.
    pub judged_by: JudgedBy,
    /// Counts events, bytes and rows, for whoever shows how far it has come.
    pub metrics: Arc<Metrics>,
}

/// What rows are judged by.
#[derive(Clone, Copy, Debug)]
pub struct JudgedBy {
    /// How the run has moved the times of what it published.
    pub shift: Option<TimeShift>,
    /// The largest relative difference that is none.
    pub tolerance: f64,
    /// So many examples are kept of each kind of finding.
    pub examples: usize,
    /// What the table may have deleted itself by now.
    pub deleted: Deleted,
}

/// Which rows may rightly have no item.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deleted {
    /// The table deletes what has expired by this second since 1970.
    pub expired_by: Option<i64>,
    /// An item holds a whole key, without the rows that the run has forgotten.
    pub forgotten_of_keys: bool,
}

/// What came out.
#[derive(Debug)]
pub struct Findings {
    /// By group, with examples.
    pub tally: Tally,
    /// How many items were looked at.
    pub items: u64,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The items cannot be read.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The events cannot be read again.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No threads.
    #[error("cannot start the workers of the recount: {0}")]
    Threads(#[from] io::Error),
    /// A worker has ended without a result.
    #[error("internal error: a worker of the recount is gone: {0}")]
    Gone(String),
}

/// What the threads of a recount share.
pub(super) struct Shared {
    pub pipeline: Arc<Pipeline>,
    pub identities: Identities,
    pub sample: Sample,
    pub features: Arc<Features>,
    pub metrics: Arc<Metrics>,
    pub judged_by: JudgedBy,
    pub can_read_again: bool,
    /// How far the stream has come.
    pub stream_end: AtomicI64,
    /// `None` inside: they cannot be read.
    items: OnceLock<Option<Found>>,
}

/// The items, and of which of them there is a row.
pub(super) struct Found {
    pub items: Items,
    pub has_row: Vec<AtomicBool>,
}

impl Found {
    fn new(items: Items) -> Found {
        let has_row = std::iter::repeat_with(AtomicBool::default).take(items.len()).collect();
        Found { items, has_row }
    }
}

/// What one worker found.
pub(super) struct WorkerFindings {
    pub tally: Tally,
    /// Rows without an item, to be shown once their keys' texts are known.
    pub missing: Vec<(RowId, Example)>,
    /// The items that may count from some event on.
    pub suspects: Vec<usize>,
    key_texts: KeyTexts,
}

/// Recounts and compares.
pub fn audit(mut audit: Audit) -> Result<Findings, AuditError> {
    let shared = Arc::new(Shared {
        pipeline: Arc::clone(&audit.pipeline),
        identities: Identities::random(),
        sample: audit.sample,
        features: Arc::default(),
        metrics: Arc::clone(&audit.metrics),
        judged_by: audit.judged_by,
        can_read_again: audit.again.is_some(),
        stream_end: AtomicI64::new(i64::MIN),
        items: OnceLock::new(),
    });
    let workers = start_workers(audit.feeds, &shared)?;
    let read =
        Items::read(audit.items.as_mut(), audit.judged_by.shift, audit.last_version, shared.identities, shared.sample);
    let (found, error) = match read {
        Ok(items) => (Some(Found::new(items)), None),
        Err(error) => (None, Some(error)),
    };
    let _ = shared.items.set(found);
    let workers: Result<Vec<_>, String> = workers.join().into_iter().collect();
    let workers = workers.map_err(AuditError::Gone)?.into_iter().flatten().collect();
    match (shared.items.get(), error) {
        (Some(Some(found)), _) => conclude(&shared, found, workers, audit.again.as_deref()),
        (_, Some(error)) => Err(error.into()),
        _ => Err(AuditError::Gone("no items".to_owned())),
    }
}

/// Puts together what the workers found, and looks closer at what they could not decide.
fn conclude(
    shared: &Shared,
    found: &Found,
    workers: Vec<WorkerFindings>,
    again: Option<&LogSource>,
) -> Result<Findings, AuditError> {
    let judge = Judge::new(shared, found);
    let mut tally = Tally::new(shared.pipeline.groups.len(), shared.judged_by.examples);
    let (mut suspects, mut missing, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for worker in workers {
        tally.merge(worker.tally);
        suspects.extend(worker.suspects);
        missing.extend(worker.missing);
        texts.push(worker.key_texts);
    }
    if let Some(source) = again.filter(|_| !suspects.is_empty()) {
        tracing::info!("{} items may count from a later event on: reading the log once more for them", suspects.len());
        let rows = suspects.iter().map(|item| found.items.get(*item).row).collect();
        let mut events = closer_look(shared, source, rows)?;
        for item in suspects {
            let events = events.remove(&found.items.get(item).row).unwrap_or_default();
            judge.closer(item, &events, &mut tally);
        }
    }
    judge.items_without_rows(&mut tally);
    for (row, mut example) in missing {
        let text = texts.iter().find_map(|texts| texts.get(&row.key));
        example.key = text.map_or_else(String::new, |text| String::from_utf8_lossy(text).into_owned());
        tally.example(example.finding, || example);
    }
    Ok(Findings { tally, items: found.items.len() as u64 })
}

fn start_workers(feeds: Vec<Feed>, shared: &Arc<Shared>) -> Result<WorkerGuards<Option<WorkerFindings>>, AuditError> {
    let config = timely::Config::process(feeds.len());
    let feeds: Mutex<Vec<Feed>> = Mutex::new(feeds);
    let shared = Arc::clone(shared);
    let start = move |worker: &mut Worker| {
        let feed = feeds.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        recount(worker, &feed, &shared)
    };
    timely::execute(config, start).map_err(|error| AuditError::Threads(io::Error::other(error)))
}

/// One worker: reads blocks until there are no more, and then judges the rows that it holds.
fn recount(worker: &mut Worker, feed: &Feed, shared: &Shared) -> Option<WorkerFindings> {
    let mut input = InputSession::<u64, (RowId, Addition), isize>::new();
    let (mut rows, gathered) = worker.dataflow::<u64, _, _>(|scope| {
        let arranged = input.to_collection(scope).arrange_by_key();
        let (gathered, _) = arranged.stream.probe();
        (arranged.trace, gathered)
    });
    let mut reader = BlockReader::new(shared, &shared.metrics);
    loop {
        match feed.blocks.recv_timeout(PATIENCE) {
            Ok(block) => reader.read(&block.payload, &mut |row, addition, _| input.update((row, addition), 1)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        // There is nothing to compare with.
        if shared.items.get().is_some_and(Option::is_none) {
            return None;
        }
        worker.step();
    }
    let (stream_end, key_texts) = reader.finish();
    if let Some(end) = stream_end {
        shared.stream_end.fetch_max(end, Ordering::Relaxed);
    }
    input.close();
    while !gathered.done() {
        worker.step_or_park(None);
    }
    let items = shared.items.wait().as_ref()?;
    let judge = Judge::new(shared, items);
    let mut findings = WorkerFindings {
        tally: Tally::new(shared.pipeline.groups.len(), shared.judged_by.examples),
        missing: Vec::new(),
        suspects: Vec::new(),
        key_texts,
    };
    let (mut cursor, storage) = cursor_list(rows.batches_through(Antichain::new().borrow()).unwrap_or_default());
    let mut additions: Vec<Counted> = Vec::new();
    while cursor.key_valid(&storage) {
        let row = *cursor.key(&storage);
        additions.clear();
        while cursor.val_valid(&storage) {
            let (addition, mut events) = (*cursor.val(&storage), 0);
            cursor.map_times(&storage, |_, count| events += *count as i64);
            additions.push(Counted { addition, events });
            cursor.step_val(&storage);
        }
        judge.row(row, &additions, &mut findings);
        cursor.step_key(&storage);
    }
    Some(findings)
}
