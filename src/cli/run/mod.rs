//! `counter-machine run`: from the source to the sink, and then says what it did.

mod args;
mod cluster;
mod collision;
mod delivery;
mod end;
mod findings;
mod input;
mod member;
mod open;
mod part;
mod positions;
mod running;
mod signals;
mod state;
mod status;
mod summary;
mod supervise;
mod which_state;

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime};

use jiff::Timestamp;

pub use args::RunArgs;
pub(super) use args::check_workers;
pub(super) use running::{KafkaInput, Notes, RunningInput, start_kafka};

use self::cluster::{Cluster, Forming};
use self::input::{Input, RunEpochs};
use self::positions::WhichRun;
use self::signals::Signals;
use self::state::{OpenState, RestoredState};
use self::summary::Summary;
use super::CliError;
use super::load::load_pipeline;
use super::time::parse_time;
use crate::checkpoint::CheckpointErrorKind;
use crate::clock::ArrivalClock;
use crate::cluster::{LeaderParts, PeerError, RestoreFacts, StartFacts};
use crate::counter::EventTime;
use crate::dataflow::{self, Failure, ItemsTo, Run};
use crate::epoch::{Generation, Versions};
use crate::findings::Observations;
use crate::lease::Lease;
use crate::peers::Peers;
use crate::pipeline::{Pipeline, StartOffset};
use crate::recovery::{Journaled, Messages, NoOthers, Others};
use crate::sink::{self, DeadLetterFile, RunRecord, Sink, SinkError, SinkOptions, SinkTarget};
use crate::source::PositionsFile;
use crate::sums::HashSeed;
use crate::telemetry::{LogFormat, Metrics, Progress, Stopwatch};

/// Dead letters go here when neither the command line nor the pipeline file says where.
const DEAD_LETTERS: &str = "dead_letters.jsonl";

/// Runs a pipeline until its input ends or it is asked to stop.
pub fn run(args: &RunArgs, log_format: LogFormat) -> Result<(), CliError> {
    args.check()?;
    let cluster = Cluster::of(args)?;
    if let Some(cluster) = cluster.as_ref().filter(|cluster| !cluster.leads()) {
        return member::run(args, cluster.clone(), log_format);
    }
    let stopwatch = Stopwatch::start();
    let mut pipeline = pipeline_of(args)?;
    let target = SinkTarget::choose(args.sink.as_ref(), &pipeline, "--sink")?;
    delivery::refuse_contradictions(args, &pipeline, &target)?;
    let generation = generation_now()?;
    let Signals { stop, signalled } = Signals::listen()?;
    let metrics = Arc::new(Metrics::default());
    let now = ArrivalClock::of_this_machine(pipeline.event.time_unit);
    let run_start = now.now();
    let shift_to = shift_to(args, &pipeline)?;
    let peers = cluster.as_ref().map_or_else(|| Peers::alone(args.workers as u32), Cluster::peers);
    let mut lease = Lease::default();
    let opened = OpenState::open(args, &pipeline, &target, &stop, &metrics, &mut lease)?;
    let epochs = RunEpochs::of(args, &pipeline, opened.as_ref().map(OpenState::next_epoch));
    let fresh_seed = HashSeed::random();
    let forming = match cluster {
        Some(cluster) => {
            let facts = opened
                .as_ref()
                .map_or_else(|| facts_without_state(generation, fresh_seed, epochs), |opened| opened.facts(epochs));
            Some(cluster.lead(facts, &metrics, &stop, lease.from_another(args.peer_timeout))?)
        }
        None => None,
    };
    let restored = match opened {
        Some(opened) => {
            delivery::settle(&mut pipeline, args, &target, !args.events.is_empty());
            Some(opened.restore(&Arc::new(pipeline.clone()), peers, epochs, &metrics)?)
        }
        None => None,
    };
    let resume = restored.as_ref().map(|restored| restored.resume(args.skip_lost)).transpose()?.flatten();
    let mut input =
        Input::open(args, &pipeline, epochs, restored.is_some().then_some(resume.as_ref()), run_start, now, &stop)?;
    if shift_to.is_some() {
        input.refuse_shift()?;
    }
    let dead_letters = dead_letter_file(args, &pipeline, &metrics);
    let dead_letter_path = dead_letters.path().to_owned();
    collision::refuse(&args.pipeline, &input.logs(), &target, &dead_letter_path, args.positions.as_deref())?;
    // Before the sink, which is emptied when it is opened.
    let mut dead_letters = open::or_stop("whoever reads dead letters", &stop, move || try_out(dead_letters))??;
    if let Some(restored) = &restored {
        restored.pass_known_letters(&mut dead_letters)?;
    }
    let positions_file = args.positions.as_deref().map(PositionsFile::try_out).transpose()?;
    let alone_since = restored.as_ref().map(|restored| alone_since(restored.alone_since(), args, peers));
    let run_id = new_run_id();
    let options = SinkOptions {
        replace: args.replace,
        goes_on: restored.as_ref().is_some_and(RestoredState::goes_on),
        run_id: run_id.clone(),
        generation: restored.as_ref().map_or(generation, RestoredState::generation),
        record: None,
        starts_at_the_end: starts_at_the_end(args, &pipeline),
        alone_since,
        lease,
        stop: Arc::clone(&signalled),
    };
    if let Some(to) = shift_to {
        // The whole log is read for it: what the sink refuses should be told before.
        look_at_sink(&target, &pipeline, options.clone(), &stop, &metrics)?;
        (input, pipeline.shift) = input.shift_to(to, pipeline.event.time_unit, &stop)?;
    }
    let is_replay = input.is_replay();
    delivery::settle(&mut pipeline, args, &target, is_replay);
    let pipeline = Arc::new(pipeline);
    let observations = Arc::new(Observations::new(&pipeline, run_start));
    let record = RunRecord { run_start, arrival: input.arrival(), shift: pipeline.shift };
    let options = SinkOptions { record: Some(record), ..options };
    let sink = open_sink(&target, &pipeline, options, &stop, &metrics)?;
    positions_file.as_ref().map(PositionsFile::clear).transpose()?;
    let versions = match &restored {
        Some(restored) => restored.versions(),
        None => Versions::new(sink.generation().unwrap_or(generation), epochs.first_window()),
    };
    let (failure, errors) = Failure::new(Arc::clone(&stop));
    let reading_began = Instant::now();
    let caught_up = Arc::new(input.caught_up(peers.workers() as usize));
    let reached = input.reached();
    let holds =
        pipeline.publish.hold_until_caught_up || restored.as_ref().is_some_and(RestoredState::holds_until_caught_up);
    let seed = restored.as_ref().map_or(fresh_seed, RestoredState::seed);
    let is_noted = restored.is_some() || peers.is_cluster() && input.is_topic();
    let cuts = is_noted.then(|| input.cuts(peers.workers() as usize));
    if let Some(left) = cuts.as_ref().map(|cuts| cuts.left_to_read_again()).filter(|left| *left > 0) {
        tracing::info!("reads again {}, from the checkpoint to where an earlier run has published", input.shown(left));
    }
    let mut led = forming.map(Forming::join).transpose()?;
    let (journaled, messages) = (Journaled::default(), Messages::new());
    if let Some(led) = &led {
        let (generation, first_window) = versions.parts();
        let topic = input.topic();
        let facts = StartFacts {
            run_start,
            first_epoch: epochs.first(),
            generation,
            first_window,
            seed,
            topic: topic.as_ref().map(|(starts, ..)| starts.clone()),
            is_replay,
            shift: pipeline.shift,
            run_id,
            alone_in_ms: alone_since.map(milliseconds_until),
            holds,
        };
        let parts = LeaderParts {
            cuts: cuts.clone(),
            topic: topic.map(|(_, progress, clock)| (progress, clock)),
            caught_up: Arc::clone(&caught_up),
            coordinator: restored.is_some().then(|| messages.sender()),
            journaled: restored.is_some().then(|| journaled.clone()),
            stop: Arc::clone(&stop),
            signalled: Arc::clone(&signalled),
        };
        if let Err(error) = led.leader.start(parts, &facts, &failure) {
            return Err(refused_by_others(error, restored.as_ref()));
        }
    }
    let kept = match (restored, &cuts) {
        (Some(restored), Some(cuts)) => Some(restored.start(state::Start {
            pipeline: &pipeline,
            cuts: Arc::clone(cuts),
            dead_letters: state::marks_of(dead_letters.marker()),
            signalled: Arc::clone(&signalled),
            failure: &failure,
            metrics: &metrics,
            peers,
            others: led.as_ref().map_or_else(|| Arc::new(NoOthers) as Arc<dyn Others>, |led| led.leader.others()),
            messages,
            journaled,
        })?),
        _ => None,
    };
    let is_kept = kept.is_some();
    // Locked until the run has ended.
    let (kept, hold) = kept.unzip();

    let (known, is_topic) = (cuts.as_ref().map(|cuts| cuts.known()), input.is_topic());
    let (feeds, input) = input.start(peers, &stop, &metrics, &caught_up, &failure, &Notes::of(cuts))?;
    if let Some(hold) = &hold {
        hold.show(status::of(&metrics, peers, input.reading()));
    }
    let (mesh, sink) = match &mut led {
        Some(led) => (Some(led.begin(peers, &feeds, known, is_topic, &failure)?), led.items_to(sink, &target)),
        None => (None, ItemsTo::Here(sink)),
    };
    let asked = Arc::clone(&signalled);
    let execution = dataflow::start(Run {
        pipeline: Arc::clone(&pipeline),
        peers,
        feeds,
        mesh,
        sink,
        delivery: delivery::of(args, &target, is_replay),
        signalled,
        hold_until: holds.then_some(caught_up),
        dead_letters,
        seed,
        versions,
        serialise: args.serialise,
        metrics: Arc::clone(&metrics),
        observations: Arc::clone(&observations),
        failure,
        kept,
    })
    .map_err(|error| CliError::Failed(format!("cannot start the workers: {error}")))?;
    let sample = Arc::clone(execution.sample());
    let progress =
        Progress::new(log_format == LogFormat::Json || target == SinkTarget::Stdout && io::stdout().is_terminal());
    let end = supervise::wait(execution, &errors, input, &stop, &asked, &metrics, progress);
    let end = if is_kept { end.leaving(metrics.waiting.items()) } else { end };
    let end = match &led {
        Some(led) => led.settle(end, &metrics),
        None => end,
    };
    let observed = observations.observed();
    findings::warn(&pipeline, &args.pipeline, &observations, &observed);
    let end = end.or_nothing_counted(&metrics, &observed, &dead_letter_path);
    let end = match &positions_file {
        Some(file) => {
            let run = WhichRun { pipeline: &pipeline, version: versions.largest() };
            positions::write(file, &reached, &run, end)
        }
        None => end,
    };
    let summary = Summary {
        pipeline: &pipeline,
        run_start,
        pipeline_path: &args.pipeline,
        target: &target,
        target_is_from_flag: args.sink.is_some(),
        dead_letter_path: &dead_letter_path,
        metrics: &metrics,
        observed: &observed,
        doubt_of_times: observations.doubt_of_times(),
        sample: &sample,
        stopwatch,
        reading_took: reading_began.elapsed(),
        end: &end,
    };
    summary.print(log_format);
    end.into_result()
}

/// Why the others cannot begin. A checkpoint that one of them finds damaged is set aside.
fn refused_by_others(error: PeerError, restored: Option<&RestoredState>) -> CliError {
    match (&error, restored) {
        (PeerError::State(damage), Some(restored)) if damage.kind() == CheckpointErrorKind::Damaged => {
            match restored.set_aside() {
                Ok(()) => CliError::Lost(damage.to_string()),
                Err(other) => other.into(),
            }
        }
        _ => error.into(),
    }
}

/// Since when no other run of the state can begin to send anything: of several processes, those that are cut off end only when they notice.
fn alone_since(locked: Instant, args: &RunArgs, peers: Peers) -> Instant {
    if peers.is_cluster() { locked + args.peer_timeout } else { locked }
}

/// Negative: it was before.
fn milliseconds_until(moment: Instant) -> i64 {
    let until = |to: Instant, from: Instant| to.saturating_duration_since(from).as_millis() as i64;
    let now = Instant::now();
    until(moment, now) - until(now, moment)
}

/// With what the other processes of a run without a state begin.
fn facts_without_state(generation: Generation, seed: HashSeed, epochs: RunEpochs) -> RestoreFacts {
    let (first_window, before) = (epochs.first_window(), epochs.before());
    RestoreFacts { is_kept: false, manifest: None, seed, generation, first_window, mark_all: false, before }
}

/// Whether a run with these arguments goes on where it was, when it is started again; an error where it cannot be started.
pub(super) fn keeps_state(args: &RunArgs) -> Result<bool, CliError> {
    args.check()?;
    Ok(args.state(&load_pipeline(&args.pipeline)?)?.is_some())
}

fn try_out(mut dead_letters: DeadLetterFile) -> Result<DeadLetterFile, SinkError> {
    dead_letters.try_out()?;
    Ok(dead_letters)
}

/// Fails where the sink would be refused, unless the run is asked to stop before that is known.
fn look_at_sink(
    target: &SinkTarget,
    pipeline: &Pipeline,
    options: SinkOptions,
    stop: &AtomicBool,
    metrics: &Arc<Metrics>,
) -> Result<(), CliError> {
    let (looked_at, pipeline, metrics) = (target.clone(), pipeline.clone(), Arc::clone(metrics));
    let look = move || sink::look(&looked_at, &pipeline, &options, &metrics);
    Ok(open::or_stop(&format!("the sink {target}"), stop, look)??)
}

/// Opens the sink, unless the run is asked to stop before that is done: it may wait for a lock, for the reader of a
/// named pipe, or for a service.
fn open_sink(
    target: &SinkTarget,
    pipeline: &Arc<Pipeline>,
    options: SinkOptions,
    stop: &AtomicBool,
    metrics: &Arc<Metrics>,
) -> Result<Box<dyn Sink>, CliError> {
    let (to_open, pipeline, metrics) = (target.clone(), Arc::clone(pipeline), Arc::clone(metrics));
    let open = move || sink::open(&to_open, &pipeline, &options, &metrics);
    Ok(open::or_stop(&format!("the sink {target}"), stop, open)??)
}

fn pipeline_of(args: &RunArgs) -> Result<Pipeline, CliError> {
    let mut pipeline = load_pipeline(&args.pipeline)?;
    if let Some(replay_batch) = args.replay_batch {
        pipeline.window.replay_batch = replay_batch;
    }
    for warning in pipeline.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(pipeline)
}

/// The time of `--shift-to`.
fn shift_to(args: &RunArgs, pipeline: &Pipeline) -> Result<Option<EventTime>, CliError> {
    let parse = |text: &String| parse_time(text, pipeline.event.time_unit, Timestamp::now());
    Ok(args.shift_to.as_ref().map(parse).transpose()?.map(EventTime))
}

fn dead_letter_file(args: &RunArgs, pipeline: &Pipeline, metrics: &Arc<Metrics>) -> DeadLetterFile {
    let path = args.dead_letters.clone().or_else(|| pipeline.dead_letters.path.clone());
    let max = args.max_dead_letters.or(pipeline.dead_letters.max);
    DeadLetterFile::new(path.unwrap_or_else(|| DEAD_LETTERS.into()), max, Arc::clone(metrics))
}

fn starts_at_the_end(args: &RunArgs, pipeline: &Pipeline) -> bool {
    let start = pipeline.kafka.as_ref().map(|kafka| kafka.start);
    args.events.is_empty() && start == Some(StartOffset::Latest)
}

/// The generation of a run without a state. A clock that cannot be right would refuse nearly every event, as one that is too far ahead of it.
fn generation_now() -> Result<Generation, CliError> {
    let now = SystemTime::now();
    match Generation::at(now) {
        (generation, true) => Ok(generation),
        (_, false) => Err(CliError::Lost(format!(
            "this machine's clock says {}, which cannot be right (it is before 2020 or after 2105), and times of events are judged by \
             it: set it, and start again; nothing was read",
            Timestamp::try_from(now)
                .map_or_else(|_| "a year that there is not".to_owned(), |now| now.strftime("%F").to_string())
        ))),
    }
}

fn new_run_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
