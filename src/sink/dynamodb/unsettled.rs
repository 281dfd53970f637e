//! Items of which an earlier write may still be carried out.
//!
//! A request that timed out, or whose connection broke after it was sent, may have been carried out, or not, or may be later:
//! after a newer write of the same item, which it would take back. So nothing newer of its items is sent until it
//! is certain to be over: [`settle`](crate::pipeline::DynamoDbConfig::settle) after it was given up.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Which item of the table: a hash of its key and its range key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ItemId(u128);

/// More are not kept: then nothing is written until the oldest is settled.
const MOST: usize = 100_000;

impl ItemId {
    pub(super) fn of(key: &[u8], range: &[u8]) -> ItemId {
        let mut hash = xxhash_rust::xxh3::Xxh3Default::new();
        hash.update(&(key.len() as u64).to_le_bytes());
        hash.update(key);
        hash.update(range);
        ItemId(hash.digest128())
    }
}

/// The items, and until when each.
#[derive(Debug)]
pub(super) struct Unsettled {
    settle: Duration,
    until: HashMap<ItemId, Instant>,
    /// Ascending.
    order: VecDeque<(Instant, ItemId)>,
}

impl Unsettled {
    pub(super) fn new(settle: Duration) -> Unsettled {
        Unsettled { settle, until: HashMap::new(), order: VecDeque::new() }
    }

    /// When a request is certain to be over that is given up now.
    pub(super) fn settles(&self, now: Instant) -> Instant {
        now + self.settle
    }

    /// Nothing newer of the item may be sent before this.
    pub(super) fn hold(&mut self, item: ItemId, until: Instant) {
        self.until.insert(item, until);
        // Nearly always at the end: all wait equally long.
        let later = self.order.iter().rev().take_while(|(other, _)| *other > until).count();
        self.order.insert(self.order.len() - later, (until, item));
    }

    /// Until when nothing newer of this item may be sent.
    pub(super) fn until(&self, item: ItemId, now: Instant) -> Option<Instant> {
        self.until.get(&item).copied().filter(|until| *until > now)
    }

    /// Forgets what is settled by now.
    pub(super) fn forget_settled(&mut self, now: Instant) {
        while let Some((_, item)) = self.order.pop_front_if(|(until, _)| *until <= now) {
            // It may have been held again since.
            if self.until.get(&item).is_some_and(|until| *until <= now) {
                self.until.remove(&item);
            }
        }
    }

    /// When there is room for more, where there is none now.
    pub(super) fn has_room_at(&self) -> Option<Instant> {
        self.order.front().filter(|_| self.order.len() >= MOST).map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_held_until_the_last_of_its_lost_requests_is_over() {
        let (mut unsettled, now) = (Unsettled::new(Duration::from_secs(10)), Instant::now());
        let (one, other) = (ItemId::of(b"1", b"like"), ItemId::of(b"1l", b"ike"));
        assert_ne!(one, other);
        let (sooner, later) = (unsettled.settles(now), unsettled.settles(now + Duration::from_secs(3)));
        unsettled.hold(one, sooner);
        unsettled.hold(other, later);
        unsettled.hold(one, later);
        unsettled.forget_settled(sooner);
        assert_eq!((unsettled.until(one, sooner), unsettled.until(other, sooner)), (Some(later), Some(later)));
        unsettled.forget_settled(later);
        assert_eq!((unsettled.until(one, later), unsettled.until.len(), unsettled.order.len()), (None, 0, 0));
    }

    #[test]
    fn there_is_a_most() {
        let (mut unsettled, now) = (Unsettled::new(Duration::from_secs(10)), Instant::now());
        for item in 0..MOST as u64 {
            assert_eq!(unsettled.has_room_at(), None);
            unsettled.hold(ItemId::of(&item.to_le_bytes(), b""), unsettled.settles(now));
        }
        assert_eq!(unsettled.has_room_at(), Some(now + Duration::from_secs(10)));
    }
}
