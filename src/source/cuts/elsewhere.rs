//! A reader of another process than process 0: it notes there.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Ground, Noting};
use crate::epoch::Epoch;
use crate::source::{Followed, OffsetRange};

/// What process 0 is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReaderNote {
    /// Its number among those of all processes.
    pub reader: usize,
    pub what: Noted,
    /// What it has handed over by then of all that it reads.
    pub handed_over: Vec<(usize, OffsetRange)>,
}

/// When it notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Noted {
    /// It begins in this epoch.
    Begins(Epoch),
    /// It is about to announce this one.
    Announces(Epoch),
    /// It has ended.
    Ends,
}

/// Tells process 0. Notes arrive in their order.
pub(crate) type TellNote = Arc<dyn Fn(ReaderNote) + Send + Sync>;

/// Through which a reader of this process notes.
pub(crate) struct NoterElsewhere {
    pub reader: usize,
    pub ground: Arc<dyn Ground>,
    pub tell: TellNote,
    pub followed: Arc<Followed>,
}

impl NoterElsewhere {
    fn note(&self, what: Noted) {
        (self.tell)(ReaderNote { reader: self.reader, what, handed_over: self.ground.changed(self.reader) });
    }
}

impl fmt::Debug for NoterElsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoterElsewhere").field("reader", &self.reader).finish_non_exhaustive()
    }
}

impl Noting for NoterElsewhere {
    fn begins(&self, epoch: Epoch) {
        self.note(Noted::Begins(epoch));
    }

    fn announces(&self, next: Epoch) {
        self.note(Noted::Announces(next));
    }

    fn waits(&self) -> bool {
        true
    }

    /// The workers of this process must not run ahead of what they hear of cuts, so epochs are announced until no process reads any more.
    fn ends(&self, follow: &dyn Fn(Epoch)) {
        self.note(Noted::Ends);
        let mut epoch = self.followed.epoch();
        follow(epoch);
        while let Some(next) = self.followed.next_behind(epoch) {
            follow(next);
            epoch = next;
        }
    }
}
