//! When the next row may expire, and how many rows are to be looked at until then.

use crate::counter::EventTime;

/// For every epoch so many rows are looked at, at least,
const LOOK_AT_LEAST: usize = 1024;
/// and this part of all rows: so what has expired is gone after so many epochs, however much it is,
const LOOK_ONE_IN: usize = 256;
/// and so many for each row that was added: looking faster than rows are added bounds the share of dead ones.
const LOOK_PER_NEW_ROW: usize = 4;
/// That happens in slices of so many rows, so that nobody waits for it,
pub(super) const SLICE: usize = 1 << 14;
/// or of this part of what is to be looked at, if that is more: so it never falls behind.
pub(super) const SLICE_ONE_IN: usize = 8;

/// Memory is held by rows that only wait to be published when they are more than this part of all.
const HELD_BACK_ONE_IN: usize = 8;

/// Whether as many rows were looked at as the last epoch wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swept {
    /// They were.
    Enough,
    /// Not yet.
    MoreToDo,
}

/// What is still to be looked at, and when the first row may expire.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    /// How many rows were added since the last epoch's end.
    added: usize,
    /// How many rows are still to be looked at.
    pub to_look_at: usize,
    /// How many rows there were when the last round began.
    round_rows: usize,
    /// No row expires before this; `None`: none ever does.
    pub first: Option<EventTime>,
    /// How many rows of this round were looked at that stay only because they are not published yet.
    held_back: usize,
    /// And how many of the round before.
    held_back_before: usize,
    /// When the first of those expires that were seen since the round began, or that were added.
    first_seen: Option<EventTime>,
}

impl Expiry {
    /// Takes notice of a row that was added.
    #[inline]
    pub fn note(&mut self, kept_for: Option<i64>, last_update: EventTime) {
        self.added += 1;
        if let Some(expires) = expires(kept_for, last_update) {
            self.first = Some(self.first.map_or(expires, |first| first.min(expires)));
            self.see(expires);
        }
    }

    /// Takes notice of a row that was looked at and stays.
    #[inline]
    pub fn see(&mut self, expires: EventTime) {
        self.first_seen = Some(self.first_seen.map_or(expires, |first| first.min(expires)));
    }

    /// Takes notice of a row whose time has passed, but whose last state is not in the table yet.
    pub fn hold_back(&mut self, expires: EventTime) {
        self.held_back += 1;
        self.see(expires);
    }

    /// Whether so many rows are held back, of so many in all, that they should be published soon: said once, until as many
    /// are found again.
    pub fn wants_publishing(&mut self, rows: usize) -> bool {
        let many = self.held_back.max(self.held_back_before) > rows / HELD_BACK_ONE_IN;
        if many {
            (self.held_back, self.held_back_before) = (0, 0);
        }
        many
    }

    /// Takes notice of a new round over so many rows.
    pub fn begin_round(&mut self, rows: usize) {
        self.round_rows = rows;
        self.held_back_before = std::mem::take(&mut self.held_back);
        self.first = self.first_seen.take();
    }

    /// Takes notice of an epoch's end: there are some more rows to look at.
    pub fn end_epoch(&mut self, rows: usize) {
        let share = LOOK_AT_LEAST.max(rows.max(self.round_rows) / LOOK_ONE_IN);
        let wanted = self.to_look_at + share + LOOK_PER_NEW_ROW * std::mem::take(&mut self.added);
        self.to_look_at = wanted.min(rows);
    }
}

/// When a row with this last update may be forgotten: at every later time. `None`: never.
#[inline]
pub(super) fn expires(kept_for: Option<i64>, last_update: EventTime) -> Option<EventTime> {
    Some(EventTime(last_update.0.checked_add(kept_for?)?))
}
