//! What the other processes of a run are told of cuts, in this order.

use serde::{Deserialize, Serialize};

use super::Cut;
use crate::epoch::Epoch;

/// One piece of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CutNews {
    /// This cut is to be a checkpoint. Always before a later epoch is announced.
    Cut(Cut),
    /// Readers may announce this epoch.
    Announced(Epoch),
    /// From the end of this epoch on all is read again that may have been published before.
    Passed(Epoch),
    /// All readers of all processes have ended.
    AllEnded,
}

/// Hears them. It is called while nobody else can note anything, so it must not wait for a reader.
pub(crate) type HearCuts = Box<dyn Fn(CutNews) + Send + Sync>;
