//! The state of a run: opened, its rows brought back, and given to the threads that keep it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::input::RunEpochs;
use super::{RunArgs, open};
use crate::checkpoint::{
    self, Changes, CheckpointError, CheckpointErrorKind, DeadLetterFile, Location, Manifest, ManifestNumber, StateLock,
};
use crate::cli::CliError;
use crate::cluster::RestoreFacts;
use crate::dataflow::{Failure, KeptRun};
use crate::epoch::{Epoch, Generation, Versions, Window};
use crate::lease::{Lease, Leave};
use crate::peers::Peers;
use crate::pipeline::{self, KafkaConfig, Pipeline, SinkTarget};
use crate::recovery::{
    Coordinator, CoordinatorParts, JournalWriter, Journaled, LeaseKeeper, Messages, Opened, Others, Recovery,
    RecoveryParts, StateOptions, described_beginnings,
};
use crate::sink::{self, LetterMark, LetterMarker};
use crate::source::kafka::GroupOffsets;
use crate::source::{Cuts, Resume, SourcePositions};
use crate::state::{DecayCounters, Publishing};
use crate::sums::HashSeed;
use crate::telemetry::Metrics;

/// A state that is this run's.
pub struct OpenState {
    opened: Opened,
    /// What is published into, as the state names it.
    sink: String,
    /// The sink does not hold what the state has published.
    sink_is_behind: bool,
    seed: HashSeed,
    /// Since then no other run of this state can begin to send anything; it may be a moment to come.
    since: Instant,
    keeper: Option<LeaseKeeper>,
}

/// Holds the state for this run, until it has ended.
pub struct Hold {
    _lock: StateLock,
    keeper: Option<LeaseKeeper>,
}

impl Hold {
    /// The run has begun: `status` says how it is getting on, and it must fail where another run has taken the state.
    pub fn begins(&self, status: Arc<dyn Fn() -> Value + Send + Sync>, failure: &Failure) {
        let failure = failure.clone();
        if let Some(keeper) = &self.keeper {
            keeper.begins(status, Arc::new(move |error| failure.checkpoint(error)));
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.give_back();
        }
    }
}

/// Its rows, in the states of the workers.
pub struct RestoredState {
    opened: OpenState,
    counters: Vec<DecayCounters>,
    began_at: i64,
    versions: Versions,
    /// The epoch before the first that is read.
    before: Epoch,
}

/// What a state is needed for at the start of the threads.
pub struct Start<'a> {
    pub pipeline: &'a Arc<Pipeline>,
    pub cuts: Arc<Cuts>,
    pub dead_letters: Box<dyn FnMut() -> Option<DeadLetterFile> + Send>,
    pub signalled: Arc<AtomicBool>,
    pub failure: &'a Failure,
    pub metrics: &'a Arc<Metrics>,
    pub peers: Peers,
    /// The other processes, and the way from them.
    pub others: Arc<dyn Others>,
    pub messages: Messages,
    pub journaled: Journaled,
}

impl OpenState {
    /// Opens the state that a run is to be kept in, if it is. A `stop` ends the wait for services.
    pub fn open(
        args: &RunArgs,
        pipeline: &Pipeline,
        target: &SinkTarget,
        stop: &AtomicBool,
        metrics: &Arc<Metrics>,
        lease: &mut Lease,
    ) -> Result<Option<OpenState>, CliError> {
        let Some(location) = args.state(pipeline)? else { return Ok(None) };
        if args.every_window || !target.is_table() {
            return Err(CliError::usage(format!(
                "a state goes with a table, and {} gets every change: publish into sqlite:PATH or dynamodb, or count without a \
                 state (--no-state)",
                if args.every_window { "with --every-window a sink".to_owned() } else { format!("the sink {target}") }
            )));
        }
        let what = format!("the state in {location}, and {target}");
        let (is_fresh, is_emptied) = (args.fresh, args.replace);
        let (pipeline, target, metrics) = (pipeline.clone(), target.clone(), Arc::clone(metrics));
        // A folder's lock gives leave by itself.
        let valid_for = args.peer_timeout;
        let leave = matches!(location, Location::Bucket { .. }).then(|| lease.from_another(valid_for));
        let processes = args.processes.unwrap_or(1);
        let take = move || {
            let opened = OpenState::take(&location, is_fresh, is_emptied, &pipeline, &target, &metrics)?;
            opened.keep_lease(processes, valid_for, leave)
        };
        Ok(Some(open::or_stop(&what, stop, take)??))
    }

    fn take(
        location: &Location,
        is_fresh: bool,
        sink_is_emptied: bool,
        pipeline: &Pipeline,
        target: &SinkTarget,
        metrics: &Arc<Metrics>,
    ) -> Result<OpenState, CliError> {
        let recorded = sink::recorded(target, pipeline, metrics)?;
        let sink = target.identity(pipeline);
        if is_fresh && let Some(aside) = checkpoint::set_aside(location, SystemTime::now())? {
            tracing::info!("the state in {location} was set aside as {}", aside.display());
        }
        let accept = |manifest: &Manifest| accept(manifest, pipeline, location);
        let opened = Opened::open(&StateOptions {
            location,
            pipeline: &pipeline.name,
            sink: &sink,
            recorded: recorded.generation,
            now: SystemTime::now(),
            accept: &accept,
        })?;
        let is_of_another = |last| matches!(target, SinkTarget::Sqlite(_)) && !opened.is_of(last);
        let lacks_items = sink_is_emptied || recorded.generation.map_or(recorded.is_empty, is_of_another);
        let sink_is_behind = opened.manifest().is_some() && *target != SinkTarget::None && lacks_items;
        let seed = opened.seed().unwrap_or_else(HashSeed::random);
        Ok(OpenState { opened, sink, sink_is_behind, seed, since: Instant::now(), keeper: None })
    }

    /// Says from now on that this run has the state.
    fn keep_lease(mut self, processes: u32, valid_for: Duration, leave: Option<Leave>) -> Result<OpenState, CliError> {
        if let Some(free) = self.opened.take_lease() {
            self.since += free.others_write_for();
            let lease = free.take(self.opened.generation(), processes, valid_for);
            self.keeper = Some(LeaseKeeper::start(&self.opened.store, lease, leave)?);
        }
        Ok(self)
    }

    /// Nothing is written to it while this lease is not held.
    pub fn fence(&self, lease: &Lease) {
        self.opened.store.fence(lease);
    }

    /// The first epoch that the run may have.
    pub fn next_epoch(&self) -> Epoch {
        self.opened.next_epoch()
    }

    /// With what the other processes go on.
    pub fn facts(&self, epochs: RunEpochs) -> RestoreFacts {
        RestoreFacts {
            is_kept: true,
            manifest: self.opened.manifest().map(|manifest| manifest.number),
            seed: self.seed,
            generation: self.opened.generation(),
            first_window: Window(epochs.before().0),
            mark_all: self.sink_is_behind,
            before: epochs.before(),
        }
    }

    /// Brings the rows back.
    pub fn restore(
        mut self,
        pipeline: &Arc<Pipeline>,
        peers: Peers,
        epochs: RunEpochs,
        metrics: &Arc<Metrics>,
    ) -> Result<RestoredState, CliError> {
        let (began_at, began) = (began_at(metrics), Instant::now());
        // What the state has waiting is published before the first window, and below its version.
        let versions = Versions::new(self.opened.generation(), Window(epochs.before().0));
        if self.sink_is_behind {
            tracing::warn!("{} does not hold what this state has published: all rows are published again", self.sink);
        }
        let new = || DecayCounters::new(Arc::clone(pipeline), versions, peers, Publishing::Pull, Arc::clone(metrics));
        let counters = self.opened.restore(peers, &new, began_at, self.sink_is_behind)?;
        metrics.stage.restored(began.elapsed());
        Ok(RestoredState { opened: self, counters, began_at, versions, before: epochs.before() })
    }
}

impl RestoredState {
    /// The versions of what the run publishes.
    pub fn versions(&self) -> Versions {
        self.versions
    }

    /// The run's generation.
    pub fn generation(&self) -> Generation {
        self.opened.opened.generation()
    }

    /// What keys are hashed with.
    pub fn seed(&self) -> HashSeed {
        self.opened.seed
    }

    /// Since when no earlier run of this state sends anything any more.
    pub fn alone_since(&self) -> Instant {
        self.opened.since
    }

    /// The checkpoint whose rows these are; `None`: there is none yet.
    pub fn manifest(&self) -> Option<ManifestNumber> {
        self.opened.opened.manifest().map(|manifest| manifest.number)
    }

    /// Another process has found the checkpoint damaged that this one goes on from: nobody tries it again.
    pub fn set_aside(&self) -> Result<(), CheckpointError> {
        let opened = &self.opened.opened;
        let Some(manifest) = opened.manifest() else { return Ok(()) };
        tracing::warn!("checkpoint {} is set aside: the next start takes the one before it", manifest.number);
        Manifest::set_aside(&opened.store, manifest.number)
    }

    /// Whether an earlier run of this state has filled the sink.
    pub fn goes_on(&self) -> bool {
        self.opened.opened.manifest().is_some()
    }

    /// Nothing may be published before all is counted that there is at the start: it is not known what was published.
    pub fn holds_until_caught_up(&self) -> bool {
        self.opened.opened.journal_is_damaged
    }

    /// Has letters passed that a run before has written behind the last checkpoint: their events will be read again.
    pub fn pass_known_letters(&self, file: &mut sink::DeadLetterFile) -> Result<(), CliError> {
        if !self.goes_on() {
            return Ok(());
        }
        let mark = self.opened.opened.dead_letters().map(|mark| LetterMark {
            path: mark.path.clone(),
            length: mark.length,
            head: mark.head_hash.into(),
        });
        file.go_on(mark.as_ref())?;
        Ok(())
    }

    /// Where to go on; `None`: from the beginning.
    pub fn resume(&self, skip_lost: bool) -> Result<Option<Resume>, CliError> {
        let opened = &self.opened.opened;
        let Some(counted) = opened.counted()? else { return Ok(None) };
        Ok(Some(Resume { counted, published: opened.published.clone(), skip_lost }))
    }

    /// What keeps it while the run goes on. Makes the first checkpoint of a new state, with where reading begins. The state is to be held until the
    /// run has ended.
    pub fn start(self, start: Start<'_>) -> Result<(KeptRun, Hold), CliError> {
        let Start { pipeline, cuts, mut dead_letters, signalled, failure, metrics, peers, others, messages, journaled } =
            start;
        let RestoredState { opened: OpenState { opened, sink, seed, keeper, .. }, counters, began_at, before, .. } =
            self;
        let kept = opened.into_kept();
        let hold = Hold { _lock: kept.lock, keeper };
        let mut description = Manifest::new(pipeline.name.clone(), seed, SystemTime::now());
        description.sink = sink;
        description.groups = pipeline.meaning();
        description.since = described_beginnings(&counters)?;
        let workers = counters.len();
        let mut coordinator = Coordinator::new(CoordinatorParts {
            store: kept.store,
            commits: kept.commits,
            description,
            cuts: Arc::clone(&cuts),
            workers,
            processes: peers.processes() as usize,
            is_spoilt: failure.is_spoilt(),
            most_bytes: Changes::MOST_BYTES,
        });
        let epoch = match kept.epoch {
            Some(epoch) => epoch,
            None => {
                coordinator.make_first(before, dead_letters())?;
                before
            }
        };
        let fail = failure.clone();
        let recovery = RecoveryParts {
            coordinator,
            messages,
            journal: JournalWriter::new(kept.journal, journaled.clone(), Arc::clone(&cuts), Arc::clone(&others)),
            others,
            journaled,
            cuts,
            every: pipeline.checkpoint.every,
            dead_letters,
            made: offsets_of(pipeline)?,
            signalled,
            fail: Arc::new(move |error| fail.checkpoint(error)),
            metrics: Arc::clone(metrics),
            began_at,
            workers,
            all_workers: peers.workers() as usize,
        };
        Ok((KeptRun { counters, epoch, recovery: Recovery::Leads(Box::new(recovery)) }, hold))
    }
}

/// Says how long the file of dead letters is. Where that cannot be told, how long it was before: what stands behind it is looked at.
pub fn marks_of(marker: LetterMarker) -> Box<dyn FnMut() -> Option<DeadLetterFile> + Send> {
    let mut last = None;
    Box::new(move || {
        match marker.mark() {
            Ok(mark) => {
                last = mark.map(|LetterMark { path, length, head }| DeadLetterFile {
                    path,
                    length,
                    head_hash: head.into(),
                });
            }
            Err(error) => tracing::warn!("cannot tell how long the file of dead letters is: {error}"),
        }
        last.clone()
    })
}

/// Hears the positions of each checkpoint.
type HearPositions = Box<dyn FnMut(&SourcePositions) + Send>;

/// What commits the offsets of checkpoints to a consumer group, for those who watch its lag.
fn offsets_of(pipeline: &Pipeline) -> Result<HearPositions, CliError> {
    let group = |kafka: &KafkaConfig| GroupOffsets::new(kafka, kafka.group_or(&pipeline.name));
    Ok(match pipeline.kafka.as_ref().map(group).transpose()? {
        Some(group) => Box::new(move |positions| {
            if let SourcePositions::Kafka(positions) = positions {
                group.commit(positions);
            }
        }),
        None => Box::new(|_| ()),
    })
}

/// An error where rows of the checkpoint would mean something else today.
fn accept(manifest: &Manifest, pipeline: &Pipeline, location: &Location) -> Result<(), CheckpointError> {
    let Some(refusal) = pipeline::Changes::between(&manifest.groups, pipeline).refusal() else { return Ok(()) };
    Err(CheckpointError::new(CheckpointErrorKind::PipelineChanged, format!("{location}: {refusal}")))
}

/// Milliseconds since 1970 at the moment 0 of a run, by the wall clock as it is now.
pub(super) fn began_at(metrics: &Metrics) -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
    let elapsed = i64::try_from(metrics.waiting.started().elapsed().as_millis()).unwrap_or(i64::MAX);
    now.saturating_sub(elapsed)
}
