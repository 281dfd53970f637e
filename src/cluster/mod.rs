//! One run over several processes: what they tell each other beside the data of the dataflow, which is timely's.
//!
//! ```text
//!                     control: notes of readers, parts of checkpoints, what was counted
//!            ------------------------------------------------------------------------------>
//!  process n                                                                                  process 0
//!            <------------------------------------------------------------------------------
//!                 control: facts to begin with, epochs and cuts, verdicts, answers, the end
//!
//!                     bulk: items for a table with one writer ->   <- blocks of event logs
//! ```
//!
//! [`crate::mesh`] has made the connections. Process 0 is the one that decides: it has the state, announces epochs, says which cut is a checkpoint,
//! keeps the journal and commits. The others do their share of everything that is shared out by partition or by key.
//!
//! One process that is lost ends the run for all ([`watch`]): each ends with the same word about who it was, and all are started again from the last
//! checkpoint. Nobody goes on alone.
//!
//! Bounds: so many control messages wait for a connection ([`link`]), two blocks or batches of items for each bulk connection, and
//! whoever has more waits. A process that does not take them is lost within the time that is allowed.

mod blocks;
mod fate;
mod frame;
mod heard;
mod items;
mod leader;
mod link;
mod member;
mod message;
mod stop;
mod watch;

use crate::checkpoint::CheckpointError;

pub(crate) use leader::{Leader, LeaderParts};
pub(crate) use member::{MemberOfRun, MemberRun};
pub(crate) use message::{HowItEnded, RestoreFacts, StartFacts, ToldMoment};
pub(crate) use stop::StopRelay;
pub use watch::note_lost_connection;

/// Why a run of several processes does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// A process is gone, or does not answer.
    #[error("{0}")]
    Lost(String),
    /// Another process cannot bring its rows back.
    #[error(transparent)]
    State(CheckpointError),
    /// It was asked to stop before it had begun.
    #[error("interrupted while waiting for the other processes; nothing was read")]
    Stopped,
    /// The system refuses a thread.
    #[error("cannot talk to the other processes: {0}")]
    System(#[from] std::io::Error),
}
