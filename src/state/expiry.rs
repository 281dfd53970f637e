//! Rows are forgotten once the stream's time has passed their ttl, a few at a time.

use super::block::Row;
use super::blocks::BlockAddress;
use super::counters::DecayCounters;
use super::due::{SLICE, SLICE_ONE_IN, Swept, expires};
use super::release::release_row;
use crate::counter::EventTime;

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
                self.expiry.begin_round(self.keys.rows());
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
        self.note_expired_of(key, now);
        let DecayCounters { keys, features, uniques, expiry, in_flight, .. } = self;
        // What was read of it may have to be read again.
        let key_stays = in_flight.contains(keys.block(key).id());
        let (rows, mut gone) = (keys.block(key).rows(), 0);
        keys.remove_rows(key, |row| {
            let feature = features.get(row.feature());
            let expires = expires(feature.kept_for, row.last_update())?;
            if expires >= now {
                expiry.see(expires);
                return None;
            }
            if key_stays || row.is_marked() {
                expiry.hold_back(expires);
                return None;
            }
            let words = feature.all_words(row.is_single());
            gone += 1;
            if gone == rows {
                features.remove_key(row.feature());
            }
            release_row(row, uniques, features);
            Some(words)
        });
    }

    /// Takes notice for checkpoints that some rows of a key, or all, are about to leave.
    fn note_expired_of(&mut self, key: BlockAddress, now: EventTime) {
        if self.snapshots.is_none() || self.in_flight.contains(self.keys.block(key).id()) {
            return;
        }
        let block = self.keys.block(key);
        let leaves = |row: &Row<'_>| {
            let kept_for = self.features.get(row.feature()).kept_for;
            !row.is_marked() && expires(kept_for, row.last_update()).is_some_and(|expires| expires < now)
        };
        let (leaving, rows) = (block.each_row().filter(leaves).count(), block.rows());
        if leaving == rows {
            self.note_leaving(key);
        } else if leaving > 0 {
            self.touch(key);
        }
    }
}
