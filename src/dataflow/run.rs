//! Starts the workers and the writer threads of a run.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded, unbounded};
use timely::communication::Config as Communication;
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
use crate::publish::RunClock;
use crate::recovery::{RecoveryParts, RecoveryThreads};
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
    /// Where items go.
    pub sink: Box<dyn Sink>,
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

/// A run whose state is kept.
pub struct KeptRun {
    /// The states of the workers of this process, with the rows of the last checkpoint.
    pub(crate) counters: Vec<DecayCounters>,
    /// The epoch at whose end they were like this.
    pub(crate) epoch: Epoch,
    /// Who writes checkpoints and the journal.
    pub(crate) recovery: RecoveryParts,
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
    let in_flight = InFlight::default();
    let (keep_writing, given_up) = keep_writing();
    let destination = Destination::new(run.sink, run.dead_letters.another(), Arc::clone(&run.metrics));
    let (sample, sink_name) = (Arc::clone(destination.sample()), Arc::<str>::from(destination.name()));
    let publishing = match run.delivery {
        ItemDelivery::Changelog(_) => Publishing::Changelog,
        ItemDelivery::Pull { .. } => Publishing::Pull,
    };
    let (outboxes, writers) = spawn_writers(
        destination,
        run.delivery,
        run.dead_letters,
        &run.signalled,
        &run.metrics,
        &given_up,
        &run.failure,
    )?;
    let clock = RunClock::since(run.metrics.waiting.started());
    let workers = run.feeds.len();
    let mut published = None;
    let (mut restored, mut kept, mut epoch, mut threads) =
        (Vec::new().into_iter(), Vec::new().into_iter(), Epoch(0), None);
    if let Some(KeptRun { counters, epoch: at, recovery }) = run.kept {
        published = Some(Arc::clone(&recovery.cuts));
        let (started, workers) = RecoveryThreads::start(recovery)?;
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
        if threads.is_some_and(|threads| !threads.join()) {
            failure.bug("a thread that keeps the state has panicked");
        }
        drop(done_sender);
    })?;
    Ok(Execution { done, writers_ended, keep_writing, sample })
}

/// Starts the writers; they end with the outboxes, or when writing is given up.
fn spawn_writers(
    sink: Destination,
    delivery: ItemDelivery,
    dead_letters: DeadLetterFile,
    signalled: &Arc<AtomicBool>,
    metrics: &Arc<Metrics>,
    given_up: &GivenUp,
    failure: &Failure,
) -> std::io::Result<(Outboxes, [JoinHandle<()>; 2])> {
    let (items, item_writer) = match delivery {
        ItemDelivery::Changelog(writers) => {
            let (outbox, inbox) = unbounded();
            let writer = ChangelogWriter { sink, signalled: Arc::clone(signalled), metrics: Arc::clone(metrics) };
            let writer = spawn_writer("sink", inbox, given_up.clone(), writer, failure.clone())?;
            (ItemOutbox::Changelog(Changelog { items: outbox, writers }), writer)
        }
        ItemDelivery::Pull { intake, is_replay } => {
            let (handed, inbox) = unbounded();
            let (keep_writing, given_up_by_workers) = keep_writing();
            let given_up = [given_up.clone(), given_up_by_workers];
            let writer = spawn_table_writer(inbox, given_up, sink, intake.items_at_once, failure.clone())?;
            (ItemOutbox::Table { handed, keep_writing, intake, is_replay }, writer)
        }
    };
    let (dead_letter_outbox, inbox) = unbounded();
    let dead_letter_writer = spawn_writer("dead letters", inbox, given_up.clone(), dead_letters, failure.clone())?;
    Ok((Outboxes { items, dead_letters: dead_letter_outbox }, [item_writer, dead_letter_writer]))
}

fn timely_config(peers: Peers, serialise: bool) -> timely::Config {
    let communication = match (peers.workers_here() as usize, serialise) {
        (workers, true) => Communication::ProcessBinary(workers),
        (1, false) => Communication::Thread,
        (workers, false) => Communication::Process(workers),
    };
    timely::Config { communication, worker: WorkerConfig::default() }
}
