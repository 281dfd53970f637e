//! What a run opens before it begins: its state, its input, its dead letters and its sink. What is refused is refused here.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime};

use jiff::Timestamp;

use super::cluster::{Cluster, Forming};
use super::input::{Input, RunEpochs};
use super::state::{OpenState, RestoredState};
use super::{Around, RunArgs, collision, dead_letter_file, delivery, open};
use crate::cli::time::parse_time;
use crate::cli::{CliError, ErrorCode};
use crate::clock::ArrivalClock;
use crate::cluster::RestoreFacts;
use crate::counter::EventTime;
use crate::epoch::{Generation, Versions};
use crate::lease::Lease;
use crate::peers::Peers;
use crate::pipeline::{Pipeline, StartOffset};
use crate::sink::{self, DeadLetterFile, RunRecord, Sink, SinkError, SinkOptions, SinkTarget};
use crate::source::PositionsFile;
use crate::sums::HashSeed;
use crate::telemetry::Metrics;

/// A run whose parts are all there, and that has counted nothing yet.
pub struct Opened {
    pub pipeline: Arc<Pipeline>,
    pub target: SinkTarget,
    pub peers: Peers,
    pub epochs: RunEpochs,
    /// What `max_ahead` is measured from, where nothing else gives an arrival.
    pub run_start: EventTime,
    pub input: Input,
    pub restored: Option<RestoredState>,
    pub dead_letters: DeadLetterFile,
    pub positions_file: Option<PositionsFile>,
    pub sink: Box<dyn Sink>,
    pub versions: Versions,
    pub seed: HashSeed,
    pub run_id: String,
    /// Since when no other run of the state can begin to send anything; it may be a moment to come.
    pub alone_since: Option<Instant>,
    /// The other processes, who may still be waited for.
    pub forming: Option<Forming>,
}

impl Opened {
    /// Opens all of it, the state first: it says where the input goes on.
    pub fn open(
        args: &RunArgs,
        mut pipeline: Pipeline,
        cluster: Option<Cluster>,
        around: &Around,
    ) -> Result<Opened, CliError> {
        let Around { stop, signalled, metrics, .. } = around;
        let target = SinkTarget::choose(args.sink.as_ref(), &pipeline, "--sink")?;
        delivery::refuse_contradictions(args, &pipeline, &target)?;
        let generation = generation_now()?;
        let now = ArrivalClock::of_this_machine(pipeline.event.time_unit);
        let run_start = now.now();
        let shift_to = shift_to(args, &pipeline)?;
        let peers = cluster.as_ref().map_or_else(|| Peers::alone(args.workers as u32), Cluster::peers);
        let mut lease = Lease::default();
        metrics.stage.opens("opens its state");
        let opened = OpenState::open(args, &pipeline, &target, stop, metrics, &mut lease)?;
        let epochs = RunEpochs::of(args, &pipeline, opened.as_ref().map(OpenState::next_epoch));
        let fresh_seed = HashSeed::random();
        let forming = match cluster {
            Some(cluster) => {
                let facts = opened
                    .as_ref()
                    .map_or_else(|| facts_without_state(generation, fresh_seed, epochs), |opened| opened.facts(epochs));
                Some(cluster.lead(facts, metrics, stop, lease.from_another(args.peer_timeout))?)
            }
            None => None,
        };
        let restored = match opened {
            Some(opened) => {
                opened.fence(&lease);
                delivery::settle(&mut pipeline, args, &target, !args.events.is_empty());
                metrics.stage.opens("restores its state");
                Some(opened.restore(&Arc::new(pipeline.clone()), peers, epochs, metrics)?)
            }
            None => None,
        };
        let resume = restored.as_ref().map(|restored| restored.resume(args.skip_lost)).transpose()?.flatten();
        metrics.stage.opens(if args.events.is_empty() { "waits for Kafka" } else { "opens its event logs" });
        let mut input =
            Input::open(args, &pipeline, epochs, restored.is_some().then_some(resume.as_ref()), run_start, now, stop)?;
        if shift_to.is_some() {
            input.refuse_shift()?;
        }
        let dead_letters = dead_letter_file(args, &pipeline, metrics).under(&lease);
        let dead_letter_path = dead_letters.path().to_owned();
        collision::refuse(&args.pipeline, &input.logs(), &target, &dead_letter_path, args.positions.as_deref())?;
        // Before the sink, which is emptied when it is opened.
        let mut dead_letters = open::or_stop("whoever reads dead letters", stop, move || try_out(dead_letters))??;
        if let Some(restored) = &restored {
            restored.pass_known_letters(&mut dead_letters)?;
        }
        let positions_file = args.positions.as_deref().map(PositionsFile::try_out).transpose()?;
        let alone_since = restored.as_ref().map(RestoredState::alone_since);
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
            stop: Arc::clone(signalled),
        };
        if let Some(to) = shift_to {
            // The whole log is read for it: what the sink refuses should be told before.
            look_at_sink(&target, &pipeline, options.clone(), stop, metrics)?;
            (input, pipeline.shift) = input.shift_to(to, pipeline.event.time_unit, stop)?;
        }
        let is_replay = input.is_replay();
        delivery::settle(&mut pipeline, args, &target, is_replay);
        let pipeline = Arc::new(pipeline);
        let record = RunRecord { run_start, arrival: input.arrival(), shift: pipeline.shift };
        let options = SinkOptions { record: Some(record), ..options };
        let sink = open_sink(&target, &pipeline, options, stop, metrics)?;
        positions_file.as_ref().map(PositionsFile::clear).transpose()?;
        let versions = match &restored {
            Some(restored) => restored.versions(),
            None => Versions::new(sink.generation().unwrap_or(generation), epochs.first_window()),
        };
        let seed = restored.as_ref().map_or(fresh_seed, RestoredState::seed);
        Ok(Opened {
            pipeline,
            target,
            peers,
            epochs,
            run_start,
            input,
            restored,
            dead_letters,
            positions_file,
            sink,
            versions,
            seed,
            run_id,
            alone_since,
            forming,
        })
    }
}

/// With what the other processes of a run without a state begin.
fn facts_without_state(generation: Generation, seed: HashSeed, epochs: RunEpochs) -> RestoreFacts {
    let (first_window, before) = (epochs.first_window(), epochs.before());
    RestoreFacts { is_kept: false, manifest: None, seed, generation, first_window, mark_all: false, before }
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
pub fn open_sink(
    target: &SinkTarget,
    pipeline: &Arc<Pipeline>,
    options: SinkOptions,
    stop: &AtomicBool,
    metrics: &Arc<Metrics>,
) -> Result<Box<dyn Sink>, CliError> {
    metrics.stage.opens(format!("opens the sink {target}"));
    let (to_open, pipeline, in_sink) = (target.clone(), Arc::clone(pipeline), Arc::clone(metrics));
    let open = move || sink::open(&to_open, &pipeline, &options, &in_sink);
    let opened = open::or_stop(&format!("the sink {target}"), stop, open)??;
    // It has answered.
    metrics.sink_trouble.clear();
    Ok(opened)
}

/// The time of `--shift-to`.
fn shift_to(args: &RunArgs, pipeline: &Pipeline) -> Result<Option<EventTime>, CliError> {
    let parse = |text: &String| parse_time(text, pipeline.event.time_unit, Timestamp::now());
    Ok(args.shift_to.as_ref().map(parse).transpose()?.map(EventTime))
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
        (_, false) => Err(CliError::new(
            ErrorCode::ClockWrong,
            format!(
                "this machine's clock says {}, which cannot be right (it is before 2020 or after 2105), and times of events are judged by \
             it: set it, and start again; nothing was read",
                Timestamp::try_from(now)
                    .map_or_else(|_| "a year that there is not".to_owned(), |now| now.strftime("%F").to_string())
            ),
        )),
    }
}

fn new_run_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
