//! What went wrong, told from any thread to the one that supervises the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::checkpoint::CheckpointError;
use crate::sink::SinkError;
use crate::source::SourceError;
use crate::state::ApplyError;

/// Why a run ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Input could not be read any further.
    #[error(transparent)]
    Source(SourceError),
    /// A worker could not read a block that the source had handed over: what is counted is no prefix of the input.
    #[error(transparent)]
    Block(SourceError),
    /// The sink, or the dead letters, could not be written any further.
    #[error(transparent)]
    Sink(SinkError),
    /// It was asked to stop while so many items still waited for it to catch up.
    #[error(
        "{0} items were not published: with `hold_until_caught_up` nothing is published before everything is counted that there \
         was at the start, and the run was stopped before that; start it again and let it catch up"
    )]
    NotCaughtUp(u64),
    /// The sums of an epoch could not be applied.
    #[error(transparent)]
    State(ApplyError),
    /// Checkpoints, or the journal, cannot be written any more, or another run has the state.
    #[error(transparent)]
    Checkpoint(CheckpointError),
    /// Another process is lost, or this one is for the others.
    #[error("{0}")]
    Peer(String),
    /// Something that cannot happen did.
    #[error("internal error: {0}")]
    Bug(&'static str),
}

/// More errors than this wait for nobody: each of a run's threads says one or two, and the first are the causes.
const MOST_ERRORS: usize = 1_024;

/// Takes the errors of a run and asks the sources to stop. Cheap to clone.
///
/// An error in an operator must travel as data: a worker that returned early would leave its peers
/// waiting for it for ever.
#[derive(Clone, Debug)]
pub struct Failure {
    stop: Arc<AtomicBool>,
    report: Sender<RunError>,
    is_spoilt: Arc<AtomicBool>,
}

impl Failure {
    /// Errors come out at the receiver; `stop` is set by the first one.
    pub fn new(stop: Arc<AtomicBool>) -> (Failure, Receiver<RunError>) {
        // A source that cannot go on is not the end, so the error of a sink must find room behind it.
        let (report, errors) = bounded(MOST_ERRORS);
        (Failure { stop, report, is_spoilt: Arc::default() }, errors)
    }

    /// Reports an error of a sink.
    pub fn sink(&self, error: SinkError) {
        self.tell(RunError::Sink(error));
    }

    /// Reports that so many items wait for a run to catch up that has been stopped.
    pub fn not_caught_up(&self, items: u64) {
        self.tell(RunError::NotCaughtUp(items));
    }

    /// Set when the sources are asked to stop.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Set when what is counted is not what was read, from its beginning on without a gap.
    pub fn is_spoilt(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_spoilt)
    }

    /// Reports that the state cannot be kept any more.
    pub fn checkpoint(&self, error: CheckpointError) {
        self.tell(RunError::Checkpoint(error));
    }

    /// Reports an error of a source.
    pub fn source(&self, error: SourceError) {
        self.tell(RunError::Source(error));
    }

    /// Reports a block that was handed over and could not be read.
    pub(crate) fn block(&self, error: SourceError) {
        self.tell(RunError::Block(error));
    }

    /// Reports that the state of a worker is of no use any more.
    pub(crate) fn state(&self, error: ApplyError) {
        self.tell(RunError::State(error));
    }

    /// Reports that another process is lost.
    pub fn peer(&self, culprit: String) {
        self.tell(RunError::Peer(culprit));
    }

    /// Reports what cannot happen.
    pub fn bug(&self, what: &'static str) {
        self.tell(RunError::Bug(what));
    }

    fn tell(&self, error: RunError) {
        let spoils = matches!(error, RunError::Block(_) | RunError::State(_) | RunError::Bug(_));
        self.is_spoilt.fetch_or(spoils, Ordering::AcqRel);
        // In this order: whoever sees that the run should stop finds the reason. Full: earlier ones are there already.
        let _ = self.report.try_send(error);
        self.stop.store(true, Ordering::Release);
    }
}
