//! Items that a table deletes again because their time has passed before they are written.

use std::time::{SystemTime, UNIX_EPOCH};

use super::attributes::EXPIRES_AT;
use super::table_address::TableAddress;

/// Warns once of a table that deletes what this run writes.
#[derive(Debug)]
pub(super) struct Expiry {
    /// Whether the table deletes expired items, and nothing was said of it yet.
    to_be_watched: bool,
    items_before: usize,
}

impl Expiry {
    pub(super) fn new(deletes_expired_items: bool) -> Expiry {
        Expiry { to_be_watched: deletes_expired_items, items_before: 0 }
    }

    /// Takes notice of what is to be written: when each of the items expires.
    pub(super) fn look_at(&mut self, expiries: impl Iterator<Item = Option<i64>>, table: &TableAddress) {
        if !self.to_be_watched {
            return;
        }
        let items_before = &mut self.items_before;
        let expired = count_expired(expiries.inspect(|_| *items_before += 1), SystemTime::now());
        if expired > 0 {
            self.to_be_watched = false;
            tracing::warn!(
                "DynamoDB: {table} deletes expired items (TTL on {EXPIRES_AT}): {expired} of the first {} items that this \
                 run writes have expired already, and it will delete them; for a replay of old events turn the table's TTL \
                 off, or give the pipeline ttl = \"none\"",
                self.items_before
            );
        }
    }
}

/// How many of these times, in seconds since 1970, have passed.
fn count_expired(times: impl Iterator<Item = Option<i64>>, now: SystemTime) -> usize {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    times.flatten().filter(|expires_at| *expires_at < now).count()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_has_passed_is_counted_and_what_never_will_is_not() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        assert_eq!(count_expired([Some(999), Some(-5), Some(1_000), Some(1_001), None].into_iter(), now), 2);
    }
}
