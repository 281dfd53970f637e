//! Starts the workers and the writer threads of a run.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use timely::communication::Config as Communication;
use timely::worker::{Config as WorkerConfig, Worker};

use super::count_block::BlockCounter;
use super::decay_counters::DecayCounters;
use super::failure::Failure;
use super::graph::{self, Parts};
use super::identity::HashSeed;
use super::operators::Delivery;
use super::writer::spawn_writer;
use crate::epoch::Generation;
use crate::pipeline::{GroupId, Pipeline};
use crate::sink::{DeadLetter, DeadLetterFile, ItemBatch, Sink, Writers};
use crate::source::Feed;
use crate::telemetry::Metrics;

/// How long a worker sleeps, at most, when nothing wakes it.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// What a run is made of.
pub struct Run {
    /// What to count.
    pub pipeline: Arc<Pipeline>,
    /// One per worker; workers may share one.
    pub feeds: Vec<Feed>,
    /// Where items go.
    pub sink: Box<dyn Sink>,
    /// How many writers the sink wants.
    pub writers: Writers,
    /// Where dead letters go.
    pub dead_letters: DeadLetterFile,
    /// Seeds the identities of rows.
    pub seed: HashSeed,
    /// Counts the runs that share a state.
    pub generation: Generation,
    /// Serialise what workers exchange, as if they were in different processes.
    pub serialise: bool,
    /// What is counted of the run.
    pub metrics: Arc<Metrics>,
    /// Where errors go.
    pub failure: Failure,
}

/// A run that is under way.
pub struct Execution {
    done: Receiver<()>,
    sample: Arc<OnceLock<Sample>>,
}

/// Some row that was published: an example of what can be read from the sink.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its group.
    pub group: GroupId,
    /// Its key's text.
    pub key: String,
}

impl Execution {
    /// Becomes ready (by disconnecting) once everything that was read is durable in the sink.
    pub fn done(&self) -> &Receiver<()> {
        &self.done
    }

    /// Some row that was published; none before the first was.
    pub fn sample(&self) -> &OnceLock<Sample> {
        &self.sample
    }
}

/// What one writer thread and the workers share.
struct Outboxes {
    items: Sender<Delivery<ItemBatch>>,
    dead_letters: Sender<Delivery<Vec<DeadLetter>>>,
}

/// Starts a run: one worker thread per feed, a writer thread for items and one for dead letters.
pub fn start(run: Run) -> std::io::Result<Execution> {
    let (done_sender, done) = bounded(0);
    let workers = run.feeds.len();
    let sample = Arc::new(OnceLock::new());
    let outboxes = spawn_writers(run.sink, run.dead_letters, &run.metrics, &sample, &run.failure)?;
    // Each worker takes its own part out; a worker is built only once.
    let parts: Vec<Mutex<Option<Parts>>> = run
        .feeds
        .into_iter()
        .map(|feed| Parts {
            feed,
            counter: BlockCounter::new(Arc::clone(&run.pipeline), run.seed, workers, Arc::clone(&run.metrics)),
            counters: DecayCounters::new(Arc::clone(&run.pipeline), run.generation, workers, Arc::clone(&run.metrics)),
            items: outboxes.items.clone(),
            writers: run.writers,
            dead_letters: outboxes.dead_letters.clone(),
            failure: run.failure.clone(),
        })
        .map(|parts| Mutex::new(Some(parts)))
        .collect();
    drop(outboxes);
    let failure = run.failure;
    let guards = timely::execute(timely_config(workers, run.serialise), move |worker| {
        let parts = parts.get(worker.index()).and_then(|parts| parts.lock().ok()?.take());
        match parts {
            Some(parts) => work(worker, parts),
            None => failure.bug("a worker was started twice"),
        }
    })
    .map_err(std::io::Error::other)?;
    std::thread::Builder::new().name("join".to_owned()).spawn(move || {
        drop(guards);
        drop(done_sender);
    })?;
    Ok(Execution { done, sample })
}

fn spawn_writers(
    mut sink: Box<dyn Sink>,
    mut dead_letters: DeadLetterFile,
    metrics: &Arc<Metrics>,
    sample: &Arc<OnceLock<Sample>>,
    failure: &Failure,
) -> std::io::Result<Outboxes> {
    let (items, item_inbox) = unbounded();
    let (metrics, sample) = (Arc::clone(metrics), Arc::clone(sample));
    let write_items = move |batches: &[ItemBatch]| {
        metrics.items_written.add(sink.write(batches)?);
        if sample.get().is_none()
            && let Some((group, key)) = batches.iter().find_map(ItemBatch::first_key)
        {
            let _ = sample.set(Sample { group, key: String::from_utf8_lossy(key).into_owned() });
        }
        Ok(())
    };
    spawn_writer("sink", item_inbox, write_items, failure.clone())?;
    let (dead_letter_outbox, dead_letter_inbox) = unbounded();
    let write_dead_letters =
        move |batches: &[Vec<DeadLetter>]| batches.iter().try_for_each(|batch| dead_letters.write(batch));
    spawn_writer("dead letters", dead_letter_inbox, write_dead_letters, failure.clone())?;
    Ok(Outboxes { items, dead_letters: dead_letter_outbox })
}

fn timely_config(workers: usize, serialise: bool) -> timely::Config {
    let communication = match (workers, serialise) {
        (workers, true) => Communication::ProcessBinary(workers),
        (1, false) => Communication::Thread,
        (workers, false) => Communication::Process(workers),
    };
    timely::Config { communication, worker: WorkerConfig::default() }
}

/// One worker, from the beginning to the end of the stream.
fn work(worker: &mut Worker, parts: Parts) {
    let (durable, source) = graph::build(worker, parts);
    while !durable.done() {
        worker.step_or_park(Some(LONGEST_SLEEP));
        source.wake_if_acknowledged();
    }
}
