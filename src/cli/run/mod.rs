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
mod http;
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
use self::http::Shown;
use self::opening::Opened;
use self::signals::Signals;
use super::CliError;
use super::load::load_pipeline;
use crate::peers::Peers;
use crate::pipeline::{HttpAddress, Pipeline};
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
    /// What is served of the run, until it has ended.
    shown: Shown,
}

/// Runs a pipeline until its input ends or it is asked to stop.
pub fn run(args: &RunArgs, log_format: LogFormat) -> Result<(), CliError> {
    args.check()?;
    let stopwatch = Stopwatch::start();
    let cluster = Cluster::of(args)?;
    let pipeline = pipeline_of(args)?;
    let Signals { stop, signalled } = Signals::listen()?;
    let metrics = Arc::default();
    let peers = cluster.as_ref().map_or_else(|| Peers::alone(args.workers as u32), Cluster::peers);
    let shown = Shown::begin(args, &pipeline, peers, &metrics)?;
    let around = Around { stop, signalled, metrics, stopwatch, log_format, shown };
    match cluster {
        Some(cluster) if !cluster.leads() => member::run(args, pipeline, cluster, &around),
        cluster => Opened::open(args, pipeline, cluster, &around)?.begin(args, &around)?.end(args, &around),
    }
}

/// What whoever starts several processes of a run has to know of it.
pub(super) struct Plan {
    /// It goes on where it was, when it is started again.
    pub keeps_state: bool,
    /// Where process 0 is to serve.
    pub http: Option<HttpAddress>,
}

/// What that is of a run with these arguments; an error where it cannot be started.
pub(super) fn plan(args: &RunArgs) -> Result<Plan, CliError> {
    args.check()?;
    let pipeline = load_pipeline(&args.pipeline)?;
    let http = args.http.clone().or_else(|| pipeline.http.listen.clone());
    Ok(Plan { keeps_state: args.state(&pipeline)?.is_some(), http })
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
