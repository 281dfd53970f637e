//! The rows of a process that is not process 0, and its part in keeping them.

use std::sync::Arc;
use std::time::Instant;

use crate::checkpoint::{Changes, CheckpointError, CheckpointErrorKind, Claim, Location, SegmentIds, Store};
use crate::cli::CliError;
use crate::cli::run::RunArgs;
use crate::cli::run::state::began_at;
use crate::cluster::RestoreFacts;
use crate::dataflow::{Failure, KeptRun};
use crate::epoch::{Epoch, Generation, Versions};
use crate::lease::Lease;
use crate::peers::Peers;
use crate::pipeline::Pipeline;
use crate::recovery::{FromMember, Gatherer, MemberEar, MemberParts, Recovery, restore_as_told};
use crate::source::KnownCuts;
use crate::state::{DecayCounters, Publishing};
use crate::telemetry::Metrics;

/// The rows of a process that is not process 0.
pub struct MemberState {
    store: Store,
    generation: Generation,
    counters: Vec<DecayCounters>,
    epoch: Epoch,
    began_at: i64,
}

impl MemberState {
    /// Where it is kept.
    pub fn location(args: &RunArgs, pipeline: &Pipeline) -> Result<Location, CliError> {
        args.state(pipeline)?.ok_or_else(|| {
            let message = "process 0 keeps a state and this process does not: start all with the same --state, or dir in [checkpoint]";
            CliError::usage(message.to_owned())
        })
    }

    /// Brings back what process 0 says.
    pub fn restore(
        location: &Location,
        pipeline: &Pipeline,
        facts: &RestoreFacts,
        peers: Peers,
        metrics: &Arc<Metrics>,
    ) -> Result<MemberState, CheckpointError> {
        let store = Store::open_existing(location)?;
        if !Claim::is_seen(&store, facts.generation)? {
            let message = format!(
                "{location}: process 0 has written there, and this process does not see it: over several hosts, a state is kept in a bucket, or in a \
                 folder that all of them mount"
            );
            return Err(CheckpointError::new(CheckpointErrorKind::Usage, message));
        }
        let (began_at, began) = (began_at(metrics), Instant::now());
        let versions = Versions::new(facts.generation, facts.first_window);
        let pipeline = Arc::new(pipeline.clone());
        let new = || DecayCounters::new(Arc::clone(&pipeline), versions, peers, Publishing::Pull, Arc::clone(metrics));
        let (counters, epoch) = restore_as_told(&store, facts.manifest, peers, &new, began_at, facts.mark_all)?;
        let epoch = epoch.unwrap_or(facts.before);
        metrics.stage.restored(began.elapsed());
        Ok(MemberState { store, generation: facts.generation, counters, epoch, began_at })
    }

    /// Nothing is written to it while this lease is not held.
    pub fn fence(&self, lease: &Lease) {
        self.store.fence(lease);
    }

    /// What keeps it while the run goes on, and through what that hears process 0.
    pub fn start(
        self,
        cuts: Arc<KnownCuts>,
        failure: &Failure,
        tell: Arc<dyn Fn(FromMember) + Send + Sync>,
        peers: Peers,
    ) -> (KeptRun, MemberEar) {
        let MemberState { store, generation, counters, epoch, began_at } = self;
        let names = SegmentIds::of_process(generation, peers.process());
        let workers = counters.len();
        let gatherer = Gatherer::new(store, names, Changes::MOST_BYTES, workers);
        let (parts, ear) = MemberParts::new(gatherer, workers, cuts, failure.is_spoilt(), tell, began_at);
        (KeptRun { counters, epoch, recovery: Recovery::Follows(Box::new(parts)) }, ear)
    }
}
