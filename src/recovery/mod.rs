//! What makes a run one that may be killed at any moment: checkpoints while it counts, and its start from the last of them.
//!
//! ```text
//!  readers --- positions of every cut ---> Cuts <------ which cut is next ------ Coordinator ---> manifest
//!                                           |  \                                   ^    |
//!                                           |   \--- before an epoch is applied    |    | durable, or lost
//!                                           |        Snapshotter (each worker) ----/<---/
//!                                           |                        pieces of the snapshot
//!                                           \--- newest cut ---> JournalWriter ---> journal
//!                                                                  ^    | covers
//!                                                                  |    v
//!                                                  Publisher (each worker): what it has read waits for that
//! ```
//!
//! - [`Coordinator`] asks for a checkpoint now and then, gathers what the workers write of their state, and commits it.
//! - [`Snapshotter`] is a worker's side: it cuts the state where the run says so, and hands it over in slices between other work.
//! - [`JournalWriter`] makes durable up to where was read before anything of that is published, and [`Journaled`] says up to where it has.
//! - [`Opened`] is a state that a run has made its own, [`Kept`] what a run goes on with; `restore` brings the rows back.
//!
//! The decisions are in plain structs that are moved step by step, so that a simulator can do it; `threads` moves them in a run.
//! What is stored, and how, is [`crate::checkpoint`].

mod coordinator;
mod gather;
mod journal;
mod lease;
mod member;
mod message;
mod open;
mod others;
mod restore;
#[cfg(test)]
mod simulator;
mod sleepers;
mod snapshotter;
mod threads;

pub(crate) use coordinator::{Coordinator, CoordinatorParts};
pub(crate) use gather::Gatherer;
pub(crate) use journal::{JournalWriter, Journaled};
pub(crate) use lease::LeaseKeeper;
pub(crate) use member::{FromMember, MemberEar, MemberParts};
pub(crate) use message::{ToCoordinator, Verdict};
pub(crate) use open::{Opened, StateOptions, restore_as_told};
pub(crate) use others::{NoOthers, Others};
pub(crate) use restore::{beginnings_of, described_beginnings};
pub(crate) use snapshotter::{Snapshotter, Writing};
pub(crate) use threads::{Messages, Recovery, RecoveryParts, WorkerRecovery};
