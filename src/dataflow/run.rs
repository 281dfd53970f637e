//! Starts the workers and the writer threads of a run.

use std::any::Any;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use timely::communication::Config as Communication;
use timely::communication::allocator::AllocatorBuilder;
use timely::worker::Config as WorkerConfig;

use super::count_block::BlockCounter;
use super::failure::Failure;
use super::gate::Gate;
use super::graph::Changelog;
use super::in_flight::InFlight;
use super::work::{ItemOutbox, Outboxes, WorkerParts, work};
use super::writer::{ChangelogWriter, GivenUp, KeepWriting, keep_writing, spawn_table_writer, spawn_writer};
use crate::epoch::{Epoch, Versions};
use crate::findings::Observations;
use crate::peers::Peers;
use crate::pipeline::Pipeline;
use crate::publish::{Handed, RunClock};
use crate::recovery::Recovery;
use crate::sink::{DeadLetterFile, Destination, Intake, Sample, Sink, Writers};
use crate::source::{CaughtUp, Feed};
use crate::state::{DecayCounters, Publishing};
use crate::sums::HashSeed;
use crate::telemetry::Metrics;

/// What a run is made of.
pub struct Run {
    /// What to count.
    pub pipeline: Arc<Pipeline>,
    /// The processes that share the work.
    pub peers: Peers,
    /// One per worker of this process; workers may share one.
    pub feeds: Vec<Feed>,
    /// The connections to the other processes, where there are any.
    pub mesh: Option<Mesh>,
    /// Where items go.
    pub sink: ItemsTo,
    /// How they get there.
    pub delivery: ItemDelivery,
    /// Set by the first signal to stop.
    pub signalled: Arc<AtomicBool>,
    /// Nothing is published into a table before that.
    pub hold_until: Option<Arc<CaughtUp>>,
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
    /// With what a run with a state goes on.
    pub kept: Option<KeptRun>,
}

/// What timely reaches the other processes through.
pub struct Mesh {
    /// One for each worker of this process.
    pub workers: Vec<AllocatorBuilder>,
    /// What ends with them.
    pub guard: Box<dyn Any + Send>,
}

/// Who writes the items of this process.
pub enum ItemsTo {
    /// It does.
    Here(Box<dyn Sink>),
    /// It does, and what other processes hand on, too: they are given the way to the writer before the run begins.
    HereForAll(Box<dyn Sink>, TakeWriter),
    /// Another process, which is handed what a table is to get. (A changelog goes through the dataflow.)
    Elsewhere(HandOn, Arc<str>),
}

/// Is given the way to the writer of a table.
pub struct TakeWriter(pub(crate) Box<dyn FnOnce(WriterForAll) + Send>);

/// Hands on what is to be written, until nothing more comes, or it is given up.
pub struct HandOn(pub(crate) Box<dyn FnOnce(Receiver<Handed>, GivenUp) + Send>);

/// The way to the writer of a table, for what other processes hand on: it waits for these as long as this lives.
#[derive(Clone)]
pub(crate) struct WriterForAll {
    pub handed: Sender<Handed>,
    _keep_writing: KeepWriting,
}

/// A run whose state is kept.
pub struct KeptRun {
    /// The states of the workers of this process, with the rows of the last checkpoint.
    pub(crate) counters: Vec<DecayCounters>,
    /// The epoch at whose end they were like this.
    pub(crate) epoch: Epoch,
    /// Who writes checkpoints and the journal.
    pub(crate) recovery: Recovery,
}

/// How items get to the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemDelivery {
    /// Every change of every window, in order, to so many writers.
    Changelog(Writers),
    /// The newest state of what has changed, whenever the sink has room.
    Pull {
        /// How it wants them.
        intake: Intake,
        /// How many writers it wants.
        writers: Writers,
        /// Event logs are read to their end: nobody waits for the table.
        is_replay: bool,
    },
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

/// Starts a run: one worker thread per feed, a writer thread for items and one for dead letters.
pub fn start(run: Run) -> std::io::Result<Execution> {
    let (done_sender, done) = bounded(0);
    let peers = run.peers;
    let in_flight = InFlight::new(peers.is_cluster());
    let (keep_writing, given_up) = keep_writing();
    let another = run.dead_letters.another();
    let destination = |sink| Destination::new(sink, another, Arc::clone(&run.metrics));
    let (to, sample, sink_name) = match run.sink {
        ItemsTo::Here(sink) => ItemWriter::here(destination(sink), None),
        ItemsTo::HereForAll(sink, take_writer) => ItemWriter::here(destination(sink), Some(take_writer)),
        ItemsTo::Elsewhere(hand_on, name) => (ItemWriter::Elsewhere(hand_on), Arc::default(), name),
    };
    let publishing = match run.delivery {
        ItemDelivery::Changelog(_) => Publishing::Changelog,
        ItemDelivery::Pull { .. } => Publishing::Pull,
    };
    let (outboxes, writers) =
        spawn_writers(to, run.delivery, run.dead_letters, &run.signalled, &run.metrics, &given_up, &run.failure)?;
    let clock = RunClock::since(run.metrics.waiting.started());
    // Those that share the room of a table's writer.
    let workers = match run.delivery {
        ItemDelivery::Pull { writers: Writers::OnePerCluster, .. } => peers.workers() as usize,
        _ => run.feeds.len(),
    };
    let mut published = None;
    let (mut restored, mut kept, mut epoch, mut threads) =
        (Vec::new().into_iter(), Vec::new().into_iter(), Epoch(0), None);
    if let Some(KeptRun { counters, epoch: at, recovery }) = run.kept {
        published = Some(recovery.cuts());
        let (started, workers) = recovery.start()?;
        (restored, kept, epoch, threads) = (counters.into_iter(), workers.into_iter(), at, Some(started));
    }
    // Each worker takes its own part out; a worker is built only once.
    let parts: Vec<Mutex<Option<WorkerParts>>> = run
        .feeds
        .into_iter()
        .enumerate()
        .map(|(index, feed)| WorkerParts {
            feed,
            counter: BlockCounter::new(
                Arc::clone(&run.pipeline),
                run.seed,
                peers.workers(),
                Arc::clone(&run.metrics),
                Arc::clone(&run.observations),
            ),
            counters: restored.next().unwrap_or_else(|| {
                DecayCounters::new(Arc::clone(&run.pipeline), run.versions, peers, publishing, Arc::clone(&run.metrics))
            }),
            outboxes: outboxes.clone(),
            clock,
            index,
            workers,
            in_flight: in_flight.clone(),
            metrics: Arc::clone(&run.metrics),
            pipeline: Arc::clone(&run.pipeline),
            signalled: Arc::clone(&run.signalled),
            kept: kept.next(),
            applied: epoch,
            sink_name: Arc::clone(&sink_name),
            gate: Gate::new(run.hold_until.clone(), published.clone(), run.failure.stop(), index == 0),
            failure: run.failure.clone(),
        })
        .map(|parts| Mutex::new(Some(parts)))
        .collect();
    drop(outboxes);
    let (failure, worker_failure) = (run.failure.clone(), run.failure);
    let (builders, others) = match run.mesh {
        Some(Mesh { workers, guard }) => (workers, guard),
        None => timely_config(peers, run.serialise).try_build().map_err(std::io::Error::other)?,
    };
    let guards = timely::execute::execute_from(builders, others, WorkerConfig::default(), move |worker| {
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
        if threads.is_some_and(|threads| !threads.join()) {
            failure.bug("a thread that keeps the state has panicked");
        }
        drop(done_sender);
    })?;
    Ok(Execution { done, writers_ended, keep_writing, sample })
}

/// Starts the writers; they end with the outboxes, or when writing is given up.
fn spawn_writers(
    to: ItemWriter,
    delivery: ItemDelivery,
    dead_letters: DeadLetterFile,
    signalled: &Arc<AtomicBool>,
    metrics: &Arc<Metrics>,
    given_up: &GivenUp,
    failure: &Failure,
) -> std::io::Result<(Outboxes, Vec<JoinHandle<()>>)> {
    let (items, item_writer) = match delivery {
        ItemDelivery::Changelog(writers) => {
            let (outbox, inbox) = unbounded();
            let writer = match to {
                ItemWriter::Here(sink, _) => {
                    let (signalled, metrics) = (Arc::clone(signalled), Arc::clone(metrics));
                    let writer = ChangelogWriter { sink, signalled, metrics };
                    Some(spawn_writer("sink", inbox, given_up.clone(), writer, failure.clone())?)
                }
                // Nothing comes out of the dataflow here.
                ItemWriter::Elsewhere(_) => None,
            };
            (ItemOutbox::Changelog(Changelog { items: outbox, writers }), writer)
        }
        ItemDelivery::Pull { intake, is_replay, .. } => {
            let (handed, inbox) = unbounded();
            let (keep_writing, given_up_by_workers) = keep_writing();
            let by_the_run = given_up.clone();
            let given_up = [given_up.clone(), given_up_by_workers];
            let writer = match to {
                ItemWriter::Here(sink, take_writer) => {
                    if let Some(TakeWriter(take_writer)) = take_writer {
                        take_writer(WriterForAll { handed: handed.clone(), _keep_writing: keep_writing.clone() });
                    }
                    spawn_table_writer(inbox, given_up, sink, intake.items_at_once, failure.clone())?
                }
                ItemWriter::Elsewhere(HandOn(hand_on)) => {
                    std::thread::Builder::new().name("sink".to_owned()).spawn(move || hand_on(inbox, by_the_run))?
                }
            };
            (ItemOutbox::Table { handed, keep_writing, intake, is_replay }, Some(writer))
        }
    };
    let (dead_letter_outbox, inbox) = unbounded();
    let dead_letter_writer = spawn_writer("dead letters", inbox, given_up.clone(), dead_letters, failure.clone())?;
    let writers = item_writer.into_iter().chain([dead_letter_writer]).collect();
    Ok((Outboxes { items, dead_letters: dead_letter_outbox }, writers))
}

/// Who writes items, ready to.
enum ItemWriter {
    Here(Destination, Option<TakeWriter>),
    Elsewhere(HandOn),
}

impl ItemWriter {
    /// And some row that it has written, once there is one, and its name.
    fn here(
        destination: Destination,
        take_writer: Option<TakeWriter>,
    ) -> (ItemWriter, Arc<OnceLock<Sample>>, Arc<str>) {
        let (sample, name) = (Arc::clone(destination.sample()), Arc::from(destination.name()));
        (ItemWriter::Here(destination, take_writer), sample, name)
    }
}

/// What timely runs the workers of a single process with.
fn timely_config(peers: Peers, serialise: bool) -> Communication {
    match (peers.workers_here() as usize, serialise) {
        (workers, true) => Communication::ProcessBinary(workers),
        (1, false) => Communication::Thread,
        (workers, false) => Communication::Process(workers),
    }
}
