//! A run that has begun: from the first block that is read to the last word about how it ended.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Receiver;

use super::cluster::{Company, Led};
use super::http::Known;
use super::opening::Opened;
use super::positions::{Reached, WhichRun};
use super::state::{self, Hold, RestoredState};
use super::summary::Summary;
use super::{Around, Notes, RunArgs, RunningInput, delivery, findings, positions, status, supervise};
use crate::cli::{CliError, ErrorCode};
use crate::cluster::{LeaderParts, StartFacts, StopRelay, ToldMoment};
use crate::counter::EventTime;
use crate::dataflow::{self, Execution, Failure, ItemsTo, Run, RunError};
use crate::epoch::Versions;
use crate::findings::Observations;
use crate::pipeline::Pipeline;
use crate::recovery::{Journaled, Messages, NoOthers, Others};
use crate::sink::SinkTarget;
use crate::source::{Cuts, PositionsFile};
use crate::telemetry::{LogFormat, Progress};

/// What is known of a run while it goes on.
pub struct Begun {
    pub pipeline: Arc<Pipeline>,
    pub target: SinkTarget,
    pub run_start: EventTime,
    pub versions: Versions,
    pub observations: Arc<Observations>,
    pub dead_letter_path: PathBuf,
    /// Where its positions are to be written, and what knows them.
    pub positions: Option<(PositionsFile, Reached)>,
    pub reading_began: Instant,
    pub execution: Execution,
    pub errors: Receiver<RunError>,
    pub input: RunningInput,
    pub is_kept: bool,
    /// Held until the run has ended.
    pub _hold: Option<Hold>,
    pub company: Company,
}

impl Opened {
    /// Begins to read, to count and to publish; of several processes, when all are there.
    pub fn begin(mut self, args: &RunArgs, around: &Around) -> Result<Begun, CliError> {
        let Around { stop, signalled, metrics, .. } = around;
        let observations = Arc::new(Observations::new(&self.pipeline, self.run_start));
        let (failure, errors) = Failure::new(Arc::clone(stop));
        let reading_began = Instant::now();
        let caught_up = Arc::new(self.input.caught_up(self.peers.workers() as usize));
        let cuts = self.cuts();
        if self.forming.is_some() {
            metrics.stage.opens("waits for the other processes");
        }
        let mut led = self.forming.take().map(|forming| forming.join()).transpose()?;
        let (journaled, messages) = (Journaled::default(), Messages::new());
        if let Some(led) = &led {
            let parts = LeaderParts {
                cuts: cuts.clone(),
                topic: self.input.topic(),
                caught_up: Arc::clone(&caught_up),
                coordinator: self.restored.is_some().then(|| messages.sender()),
                journaled: self.restored.is_some().then(|| journaled.clone()),
                stop: StopRelay::new(Arc::clone(stop), Arc::clone(signalled)),
            };
            self.start_others(led, parts, &failure)?;
        }
        let holds = self.holds();
        let Opened { pipeline, target, peers, run_start, input, dead_letters, sink, versions, seed, .. } = self;
        let kept = match (self.restored, &cuts) {
            (Some(restored), Some(cuts)) => Some(restored.start(state::Start {
                pipeline: &pipeline,
                cuts: Arc::clone(cuts),
                dead_letters: state::marks_of(dead_letters.marker()),
                signalled: Arc::clone(signalled),
                failure: &failure,
                metrics,
                peers,
                others: led.as_ref().map_or_else(|| Arc::new(NoOthers) as Arc<dyn Others>, |led| led.leader.others()),
                messages,
                journaled,
            })?),
            _ => None,
        };
        let is_kept = kept.is_some();
        let generation = is_kept.then(|| versions.parts().0);
        let (kept, hold) = kept.unzip();
        let (is_replay, is_topic, reached) = (input.is_replay(), input.is_topic(), input.reached());
        let known = cuts.as_ref().map(|cuts| cuts.known());
        let (feeds, input) = input.start(peers, around, &caught_up, &failure, &Notes::of(cuts))?;
        if let Some(hold) = &hold {
            hold.begins(status::of(metrics, peers, input.reading()), &failure);
        }
        let (mesh, sink) = match &mut led {
            Some(led) => (Some(led.begin(peers, &feeds, known, is_topic, &failure)?), led.items_to(sink, &target)),
            None => (None, ItemsTo::Here(sink)),
        };
        let dead_letter_path = dead_letters.path().to_owned();
        let execution = dataflow::start(Run {
            pipeline: Arc::clone(&pipeline),
            peers,
            feeds,
            mesh,
            sink,
            delivery: delivery::of(args, &target, is_replay),
            signalled: Arc::clone(signalled),
            hold_until: holds.then(|| Arc::clone(&caught_up)),
            dead_letters,
            seed,
            versions,
            serialise: args.serialise,
            metrics: Arc::clone(metrics),
            observations: Arc::clone(&observations),
            failure,
            kept,
        });
        around.shown.knows(|| Known {
            reading: input.reading(),
            caught_up: is_topic.then_some(caught_up),
            observations: Arc::clone(&observations),
            generation,
        });
        metrics.stage.works();
        Ok(Begun {
            pipeline,
            target,
            run_start,
            versions,
            observations,
            dead_letter_path,
            positions: self.positions_file.map(|file| (file, reached)),
            reading_began,
            execution: execution.map_err(not_started)?,
            errors,
            input,
            is_kept,
            _hold: hold,
            company: led.map_or(Company::None, Company::Led),
        })
    }

    /// Where readers note up to where they have read, where anybody asks.
    fn cuts(&self) -> Option<Arc<Cuts>> {
        let is_noted = self.restored.is_some() || self.peers.is_cluster() && self.input.is_topic();
        let cuts = is_noted.then(|| self.input.cuts(self.peers.workers() as usize));
        if let Some(left) = cuts.as_ref().map(|cuts| cuts.left_to_read_again()).filter(|left| *left > 0) {
            let left = self.input.shown(left);
            tracing::info!("reads again {left}, from the checkpoint to where an earlier run has published");
        }
        cuts
    }

    /// Whether nothing is published before all is counted that there was at the start.
    fn holds(&self) -> bool {
        let is_unknown = self.restored.as_ref().is_some_and(|restored| restored.holds_until_caught_up());
        self.pipeline.publish.hold_until_caught_up || is_unknown
    }

    /// Has the other processes begin. A checkpoint that one of them finds damaged is set aside.
    fn start_others(&self, led: &Led, parts: LeaderParts, failure: &Failure) -> Result<(), CliError> {
        let (generation, first_window) = self.versions.parts();
        let facts = StartFacts {
            manifest: self.restored.as_ref().and_then(RestoredState::manifest),
            run_start: self.run_start,
            first_epoch: self.epochs.first(),
            generation,
            first_window,
            seed: self.seed,
            topic: self.input.topic_starts(),
            is_replay: self.input.is_replay(),
            shift: self.pipeline.shift,
            run_id: self.run_id.clone(),
            alone_since: self.alone_since.map(ToldMoment::tell),
            holds: self.holds(),
        };
        led.start(parts, &facts, failure, || self.restored.as_ref().map(|restored| restored.set_aside()).transpose())
    }
}

impl Begun {
    /// Waits for the end, and says how that was.
    pub fn end(self, args: &RunArgs, around: &Around) -> Result<(), CliError> {
        let Around { stop, signalled, metrics, stopwatch, log_format, .. } = around;
        let Begun { pipeline, target, observations, execution, company, dead_letter_path, .. } = self;
        let sample = Arc::clone(execution.sample());
        let progress = match &company {
            // Process 0 says how the run of all gets on.
            Company::Followed(_) => Progress::silent(),
            _ => Progress::new(
                *log_format == LogFormat::Json || target == SinkTarget::Stdout && io::stdout().is_terminal(),
            ),
        };
        let end = supervise::wait(execution, &self.errors, self.input, stop, signalled, metrics, progress);
        let end = if self.is_kept { end.leaving(metrics.waiting.items()) } else { end };
        let end = company.settle(end, metrics);
        let observed = observations.observed();
        findings::warn(&pipeline, &args.pipeline, &observations, &observed);
        let end = match &company {
            // What counts is what all have counted.
            Company::Followed(_) => end,
            _ => end.or_nothing_counted(metrics, &observed, &dead_letter_path),
        };
        let end = match &self.positions {
            Some((file, reached)) => {
                let which = WhichRun { pipeline: &pipeline, version: self.versions.largest() };
                positions::write(file, reached, &which, end)
            }
            None => end,
        };
        let summary = Summary {
            pipeline: &pipeline,
            run_start: self.run_start,
            pipeline_path: &args.pipeline,
            target: &target,
            target_is_from_flag: args.sink.is_some(),
            dead_letter_path: &dead_letter_path,
            metrics,
            observed: &observed,
            doubt_of_times: observations.doubt_of_times(),
            sample: &sample,
            stopwatch: *stopwatch,
            reading_took: self.reading_began.elapsed(),
            end: &end,
        };
        summary.print(*log_format);
        end.into_result()
    }
}

/// The system refuses a thread.
pub fn not_started(error: io::Error) -> CliError {
    CliError::new(ErrorCode::SystemRefuses, format!("cannot start the workers: {error}"))
}
