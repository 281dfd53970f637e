//! Starts the workers and the writer threads of a run.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use timely::communication::Config as Communication;
use timely::worker::{Config as WorkerConfig, Worker};

use super::count_block::BlockCounter;
use super::failure::Failure;
use super::graph::{self, Parts};
use super::in_flight::InFlight;
use super::operators::Delivery;
use super::writer::{GivenUp, ItemWriter, KeepWriting, keep_writing, spawn_writer};
use crate::epoch::Versions;
use crate::findings::Observations;
use crate::peers::Peers;
use crate::pipeline::{GroupId, Pipeline};
use crate::sink::{DeadLetterBatch, DeadLetterFile, ItemBatch, Sink, Writers};
use crate::source::Feed;
use crate::state::DecayCounters;
use crate::sums::HashSeed;
use crate::telemetry::Metrics;

/// How long a worker sleeps, at most, when nothing wakes it.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// What a run is made of.
pub struct Run {
    /// What to count.
    pub pipeline: Arc<Pipeline>,
    /// The processes that share the work.
    pub peers: Peers,
    /// One per worker of this process; workers may share one.
    pub feeds: Vec<Feed>,
    /// Where items go.
    pub sink: Box<dyn Sink>,
    /// How many writers the sink wants.
    pub writers: Writers,
    /// Where dead letters go.
    pub dead_letters: DeadLetterFile,
    /// Seeds the identities of keys.
    pub seed: HashSeed,
    /// The versions of what it publishes.
    pub versions: Versions,
    /// Serialise what workers exchange, as if they were in different processes.
    pub serialise: bool,
    /// What is counted of the run.
    pub metrics: Arc<Metrics>,
    /// What is noted of the events.
    pub observations: Arc<Observations>,
    /// Where errors go.
    pub failure: Failure,
}

/// How long giving up waits for what is just being written.
const GIVING_UP_PATIENCE: Duration = Duration::from_secs(5);

/// A run that is under way.
pub struct Execution {
    done: Receiver<()>,
    writers_ended: Receiver<()>,
    keep_writing: KeepWriting,
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
    /// Becomes ready (by disconnecting) once everything that was read is durable in the sink, the sink is closed,
    /// and every thread of the run has ended. An error of closing has been reported by then.
    pub fn done(&self) -> &Receiver<()> {
        &self.done
    }

    /// Ends writing after an error that keeps the workers from ending: what is just being written is finished, and
    /// what was written to is closed. Does not wait for long, since a service may be away.
    pub fn give_up(self) {
        drop(self.keep_writing);
        let _ = self.writers_ended.recv_timeout(GIVING_UP_PATIENCE);
    }

    /// Some row that was published; none before the first was.
    pub fn sample(&self) -> &Arc<OnceLock<Sample>> {
        &self.sample
    }
}

/// What one writer thread and the workers share.
struct Outboxes {
    items: Sender<Delivery<ItemBatch>>,
    dead_letters: Sender<Delivery<DeadLetterBatch>>,
}

/// Starts a run: one worker thread per feed, a writer thread for items and one for dead letters.
pub fn start(run: Run) -> std::io::Result<Execution> {
    let (done_sender, done) = bounded(0);
    let peers = run.peers;
    let in_flight = InFlight::default();
    let sample = Arc::new(OnceLock::new());
    let (keep_writing, given_up) = keep_writing();
    let items = ItemWriter { sink: run.sink, metrics: Arc::clone(&run.metrics), sample: Arc::clone(&sample) };
    let (outboxes, writers) = spawn_writers(items, run.dead_letters, &given_up, &run.failure)?;
    // Each worker takes its own part out; a worker is built only once.
    let parts: Vec<Mutex<Option<Parts>>> = run
        .feeds
        .into_iter()
        .map(|feed| Parts {
            feed,
            counter: BlockCounter::new(
                Arc::clone(&run.pipeline),
                run.seed,
                peers.workers(),
                Arc::clone(&run.metrics),
                Arc::clone(&run.observations),
            ),
            counters: DecayCounters::new(Arc::clone(&run.pipeline), run.versions, peers, Arc::clone(&run.metrics)),
            items: outboxes.items.clone(),
            writers: run.writers,
            dead_letters: outboxes.dead_letters.clone(),
            in_flight: in_flight.clone(),
            failure: run.failure.clone(),
        })
        .map(|parts| Mutex::new(Some(parts)))
        .collect();
    drop(outboxes);
    let (failure, worker_failure) = (run.failure.clone(), run.failure);
    let guards = timely::execute(timely_config(peers, run.serialise), move |worker| {
        let here = peers.worker_indices_here().position(|index| index.0 as usize == worker.index());
        let parts = here.and_then(|here| parts.get(here)?.lock().ok()?.take());
        match parts {
            Some(parts) => work(worker, parts),
            None => worker_failure.bug("a worker was started twice"),
        }
    })
    .map_err(std::io::Error::other)?;
    let (writers_ended_sender, writers_ended) = bounded(0);
    std::thread::Builder::new().name("join".to_owned()).spawn(move || {
        // In this order: writers end once the workers have nothing more for them, or alone when writing is given up.
        if writers.into_iter().any(|writer| writer.join().is_err()) {
            failure.bug("a writer has panicked");
        }
        drop(writers_ended_sender);
        drop(guards);
        drop(done_sender);
    })?;
    Ok(Execution { done, writers_ended, keep_writing, sample })
}

/// Starts the writers; they end with the outboxes, or when writing is given up.
fn spawn_writers(
    items: ItemWriter,
    dead_letters: DeadLetterFile,
    given_up: &GivenUp,
    failure: &Failure,
) -> std::io::Result<(Outboxes, [JoinHandle<()>; 2])> {
    let (item_outbox, item_inbox) = unbounded();
    let (dead_letter_outbox, dead_letter_inbox) = unbounded();
    let writers = [
        spawn_writer("sink", item_inbox, given_up.clone(), items, failure.clone())?,
        spawn_writer("dead letters", dead_letter_inbox, given_up.clone(), dead_letters, failure.clone())?,
    ];
    Ok((Outboxes { items: item_outbox, dead_letters: dead_letter_outbox }, writers))
}

fn timely_config(peers: Peers, serialise: bool) -> timely::Config {
    let communication = match (peers.workers_here() as usize, serialise) {
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
