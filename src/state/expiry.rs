//! Rows are forgotten once the stream's time has passed their ttl, a few at a time.

use super::blocks::BlockAddress;
use super::counters::DecayCounters;
use crate::counter::EventTime;
use crate::pipeline::RowShape;

/// For every epoch so many rows are looked at, at least,
const LOOK_AT_LEAST: usize = 1024;
/// and this part of all rows: so what has expired is gone after so many epochs, however much it is,
const LOOK_ONE_IN: usize = 256;
/// and so many for each row that was added: looking faster than rows are added bounds the share of dead ones.
const LOOK_PER_NEW_ROW: usize = 4;
/// That happens in slices of so many rows, so that nobody waits for it,
const SLICE: usize = 1 << 14;
/// or of this part of what is to be looked at, if that is more: so it never falls behind.
const SLICE_ONE_IN: usize = 8;

/// Whether as many rows were looked at as the last epoch wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swept {
    /// They were.
    Enough,
    /// Not yet.
    MoreToDo,
}

/// What is still to be looked at, and when the first row may expire.
#[derive(Debug)]
pub(super) struct Expiry {
    /// How many rows were added since the last epoch's end.
    added: usize,
    /// How many rows are still to be looked at.
    to_look_at: usize,
    /// How many rows there were when the last round began.
    round_rows: usize,
    /// No row expires before this; `None`: none ever does.
    first: Option<EventTime>,
    /// When the first of those expires that were seen since the round began, or that were added.
    first_seen: Option<EventTime>,
}

impl Default for Expiry {
    fn default() -> Expiry {
        Expiry { added: 0, to_look_at: 0, round_rows: 0, first: None, first_seen: None }
    }
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

    fn see(&mut self, expires: EventTime) {
        self.first_seen = Some(self.first_seen.map_or(expires, |first| first.min(expires)));
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
fn expires(kept_for: Option<i64>, last_update: EventTime) -> Option<EventTime> {
    Some(EventTime(last_update.0.checked_add(kept_for?)?))
}

impl DecayCounters {
    /// Looks at some of the rows and forgets those whose time has passed by the stream's own time. To be called
    /// between other work, until it says that there is nothing more to do: each call takes little time, and together they
    /// look at a share of all rows for every epoch. Costs nothing while no row is that old.
    pub fn forget_expired(&mut self) -> Swept {
        let due = self.stream.now().filter(|now| self.expiry.first.is_some_and(|first| first < *now));
        let Some(now) = due else {
            self.expiry.to_look_at = 0;
            return Swept::Enough;
        };
        let mut slice = self.expiry.to_look_at.min(SLICE.max(self.expiry.to_look_at / SLICE_ONE_IN));
        self.expiry.to_look_at -= slice;
        let before = self.keys.rows();
        while slice > 0 {
            let Some((key, new_round)) = self.keys.next_in_round() else { break };
            if new_round {
                self.expiry.round_rows = self.keys.rows();
                self.expiry.first = self.expiry.first_seen.take();
            }
            slice = slice.saturating_sub(self.keys.block(key).rows());
            self.forget_expired_of(key, now);
        }
        let forgotten = (before - self.keys.rows()) as u64;
        if forgotten > 0 {
            self.features.give_back();
        }
        self.metrics.rows_expired.add(forgotten);
        self.metrics.rows.subtract(forgotten);
        if self.expiry.to_look_at > 0 { Swept::MoreToDo } else { Swept::Enough }
    }

    /// Forgets those rows of a key whose time has passed, and the key with its last one.
    fn forget_expired_of(&mut self, key: BlockAddress, now: EventTime) {
        let DecayCounters { keys, features, uniques, expiry, .. } = self;
        keys.remove_rows(key, |row| {
            let (number, single) = (row.feature(), row.is_single());
            let feature = features.get(number);
            let expires = expires(feature.kept_for, row.last_update())?;
            if expires >= now {
                expiry.see(expires);
                return None;
            }
            let words = feature.words(single);
            if feature.shape == RowShape::Uniques && !single {
                uniques.remove(row.word());
            }
            features.remove_row(number);
            Some(words)
        });
    }
}
