//! The other processes of a run, as the recovery of process 0 tells them.

use super::message::Verdict;
use crate::epoch::Epoch;

/// Is told what all processes need to know. Must not wait for what they do.
pub(crate) trait Others: Send + Sync {
    /// What became of the checkpoint whose parts they have handed over.
    fn decided(&self, verdict: Verdict);

    /// The journal covers all epochs up to this one.
    fn covered(&self, epoch: Epoch);

    /// Nothing of the state is to be written any more.
    fn finished(&self);
}

/// A run of one process.
pub(crate) struct NoOthers;

impl Others for NoOthers {
    fn decided(&self, _verdict: Verdict) {}

    fn covered(&self, _epoch: Epoch) {}

    fn finished(&self) {}
}
