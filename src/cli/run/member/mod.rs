//! A process that is not process 0: it restores its keys, reads its partitions or what is handed on to it, and counts.

mod input;
mod state;

use std::sync::Arc;
use std::time::Instant;

use self::input::{MemberInput, Told};
use self::state::MemberState;
use super::begun::{Begun, not_started};
use super::cluster::{Cluster, Company, Followed};
use super::http::Known;
use super::opening::open_sink;
use super::{Around, RunArgs, dead_letter_file, delivery};
use crate::checkpoint::{CheckpointError, CheckpointErrorKind};
use crate::cli::CliError;
use crate::clock::ArrivalClock;
use crate::cluster::{MemberOfRun, MemberRun, RestoreFacts, StartFacts, StopRelay, ToldMoment};
use crate::dataflow::{self, Failure, ItemsTo, Run};
use crate::epoch::Versions;
use crate::findings::Observations;
use crate::lease::Lease;
use crate::peers::Peers;
use crate::pipeline::Pipeline;
use crate::sink::{SinkOptions, SinkTarget, Writers};
use crate::source::{CaughtUp, KnownCuts};

/// Runs this process's share until the run of all ends.
pub fn run(args: &RunArgs, pipeline: Pipeline, cluster: Cluster, around: &Around) -> Result<(), CliError> {
    let target = SinkTarget::choose(args.sink.as_ref(), &pipeline, "--sink")?;
    delivery::refuse_contradictions(args, &pipeline, &target)?;
    let peers = cluster.peers();
    let mut lease = Lease::default();
    let leave = lease.from_another(args.peer_timeout);
    around.metrics.stage.opens("waits for process 0 and all others");
    let mut followed = cluster.follow(&around.metrics, &around.stop, leave)?;
    let begun = begin(args, pipeline, target, peers, lease, &mut followed, around).inspect_err(|error| {
        // All others end with this reason, and not only with the word that this process is gone.
        followed.member.fail(&error.to_string());
    })?;
    Begun { company: Company::Followed(followed), ..begun }.end(args, around)
}

/// Begins it, as process 0 says.
fn begin(
    args: &RunArgs,
    mut pipeline: Pipeline,
    target: SinkTarget,
    peers: Peers,
    lease: Lease,
    followed: &mut Followed,
    around: &Around,
) -> Result<Begun, CliError> {
    let Around { stop, signalled, metrics, .. } = around;
    let member = &followed.member;
    let facts: RestoreFacts = member.restore_facts(stop)?;
    delivery::settle(&mut pipeline, args, &target, !args.events.is_empty());
    let (failure, errors) = Failure::new(Arc::clone(stop));
    let cuts = Arc::<KnownCuts>::default();
    if facts.is_kept {
        metrics.stage.opens("restores its state");
    }
    let restored = facts.is_kept.then(|| restore(args, &pipeline, &facts, peers, around, member)).transpose()?;
    // Where the rows are not back, the run is over for all, unless process 0 has found the same.
    metrics.stage.opens("waits for process 0");
    let facts_of_start: StartFacts = member.start_facts(stop)?;
    let kept = match restored {
        Some(_) if facts_of_start.manifest != facts.manifest => {
            tracing::warn!("process 0 has found that checkpoint damaged, and has taken the one before it");
            let facts = RestoreFacts { manifest: facts_of_start.manifest, ..facts };
            Some(restore(args, &pipeline, &facts, peers, around, member)?)
        }
        restored => restored,
    };
    let kept = match kept {
        // Process 0 sets it aside, and says so to all: the next start takes the one before.
        Some(Err(damaged)) => return Err(member.refused(&damaged.to_string()).into()),
        kept => kept.and_then(Result::ok),
    };
    kept.iter().for_each(|kept| kept.fence(&lease));
    let StartFacts { run_start, is_replay, shift, .. } = facts_of_start;
    pipeline.shift = shift;
    delivery::settle(&mut pipeline, args, &target, is_replay);
    let pipeline = Arc::new(pipeline);
    let observations = Arc::new(Observations::new(&pipeline, run_start));
    let now = ArrivalClock::of_this_machine(pipeline.event.time_unit);
    let told = Told { facts: &facts_of_start, tell_note: member.tell_note(), tell_size: member.tell_size() };
    if facts_of_start.topic.is_some() {
        metrics.stage.opens("waits for Kafka");
    }
    let input = MemberInput::open(args, &pipeline, told, now, stop)?;
    let dead_letters = dead_letter_file(args, &pipeline, metrics).under(&lease);
    let dead_letter_path = dead_letters.path().to_owned();
    let sink = match target.writers() {
        Writers::OnePerCluster => ItemsTo::Elsewhere(member.hand_on(), target.to_string().into()),
        Writers::OnePerProcess => {
            let options = SinkOptions {
                goes_on: true,
                run_id: facts_of_start.run_id.clone(),
                generation: facts_of_start.generation,
                // What the service has been sent before, process 0 has waited for.
                alone_since: facts_of_start.alone_since.and_then(ToldMoment::hear),
                lease,
                stop: Arc::clone(signalled),
                ..SinkOptions::default()
            };
            ItemsTo::Here(open_sink(&target, &pipeline, options, stop, metrics)?)
        }
    };
    let versions = Versions::new(facts_of_start.generation, facts_of_start.first_window);
    let caught_up = Arc::new(CaughtUp::new(None));
    let (kept, recovery) = match kept {
        Some(kept) => {
            let (kept, ear) = kept.start(Arc::clone(&cuts), &failure, member.tell_recovery(), peers);
            (Some(kept), Some(ear))
        }
        None => (None, None),
    };
    let is_kept = kept.is_some();
    let followed_epochs = input.followed();
    let topic = input.topic();
    let (is_topic, generation) = (topic.is_some(), is_kept.then_some(facts_of_start.generation));
    let (feed, feeds, input) = input.start(peers, around, &caught_up, &failure)?;
    let run = MemberRun {
        cuts,
        followed: followed_epochs,
        topic,
        feed,
        caught_up: Arc::clone(&caught_up),
        recovery,
        stop: StopRelay::new(Arc::clone(stop), Arc::clone(signalled)),
    };
    member.start(run, &failure);
    let reading_began = Instant::now();
    let mesh = followed.mesh(peers)?;
    let execution = dataflow::start(Run {
        pipeline: Arc::clone(&pipeline),
        peers,
        feeds,
        mesh: Some(mesh),
        sink,
        delivery: delivery::of(args, &target, is_replay),
        signalled: Arc::clone(signalled),
        hold_until: facts_of_start.holds.then(|| Arc::clone(&caught_up)),
        dead_letters,
        seed: facts_of_start.seed,
        versions,
        serialise: false,
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
        positions: None,
        reading_began,
        execution: execution.map_err(not_started)?,
        errors,
        input,
        is_kept,
        _hold: None,
        company: Company::None,
    })
}

/// Brings the rows back that process 0 says, and tells it whether they are. The inner error: they are damaged.
fn restore(
    args: &RunArgs,
    pipeline: &Pipeline,
    facts: &RestoreFacts,
    peers: Peers,
    around: &Around,
    member: &MemberOfRun,
) -> Result<Result<MemberState, CheckpointError>, CliError> {
    let location = MemberState::location(args, pipeline)?;
    let restored = MemberState::restore(&location, pipeline, facts, peers, &around.metrics);
    let told = restored.as_ref().map(drop);
    member.restored(facts.manifest, told.map_err(|error| CheckpointError::new(error.kind(), error.to_string())));
    match restored {
        Err(error) if error.kind() != CheckpointErrorKind::Damaged => {
            member.refused(&error.to_string());
            Err(error.into())
        }
        restored => Ok(restored),
    }
}
