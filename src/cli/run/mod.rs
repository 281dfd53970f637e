//! `counter-machine run`: from the source to the sink, and then says what it did.
//!
//! A run *opens* what it needs (`opening`): what is refused is refused there, and nothing is counted yet. Then it *begins*, waits for its end, and
//! says how that was (`begun`). A process that is not process 0 of several does the same as it is told (`member`).

mod args;
mod begun;
mod cluster;
mod collision;
mod delivery;
mod end;
mod findings;
mod input;
mod member;
mod open;
mod opening;
mod part;
mod positions;
mod running;
mod signals;
mod state;
mod status;
mod summary;
mod supervise;
mod which_state;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use args::RunArgs;
pub(super) use args::check_workers;
pub(super) use running::{KafkaInput, Notes, RunningInput, start_kafka};

use self::cluster::Cluster;
use self::opening::Opened;
use self::signals::Signals;
use super::CliError;
use super::load::load_pipeline;
use crate::pipeline::Pipeline;
use crate::sink::DeadLetterFile;
use crate::telemetry::{LogFormat, Metrics, Stopwatch};

/// Dead letters go here when neither the command line nor the pipeline file says where.
const DEAD_LETTERS: &str = "dead_letters.jsonl";

/// What everything in a run has to do with.
struct Around {
    /// Sources stop reading.
    stop: Arc<AtomicBool>,
    /// Whoever waits for a service gives up after a while.
    signalled: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    stopwatch: Stopwatch,
    log_format: LogFormat,
}

/// Runs a pipeline until its input ends or it is asked to stop.
pub fn run(args: &RunArgs, log_format: LogFormat) -> Result<(), CliError> {
    args.check()?;
    let stopwatch = Stopwatch::start();
    let cluster = Cluster::of(args)?;
    let pipeline = pipeline_of(args)?;
    let Signals { stop, signalled } = Signals::listen()?;
    let around = Around { stop, signalled, metrics: Arc::default(), stopwatch, log_format };
    match cluster {
        Some(cluster) if !cluster.leads() => member::run(args, pipeline, cluster, &around),
        cluster => Opened::open(args, pipeline, cluster, &around)?.begin(args, &around)?.end(args, &around),
    }
}

/// Whether a run with these arguments goes on where it was, when it is started again; an error where it cannot be started.
pub(super) fn keeps_state(args: &RunArgs) -> Result<bool, CliError> {
    args.check()?;
    Ok(args.state(&load_pipeline(&args.pipeline)?)?.is_some())
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

fn dead_letter_file(args: &RunArgs, pipeline: &Pipeline, metrics: &Arc<Metrics>) -> DeadLetterFile {
    let path = args.dead_letters.clone().or_else(|| pipeline.dead_letters.path.clone());
    let max = args.max_dead_letters.or(pipeline.dead_letters.max);
    DeadLetterFile::new(path.unwrap_or_else(|| DEAD_LETTERS.into()), max, Arc::clone(metrics))
}
