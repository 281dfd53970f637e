//! How many requests are under way at once: as many as the table lets.
//!
//! Additive increase, multiplicative decrease (Chiu and Jain, 1989): a request whose items are all taken raises the limit a little,
//! one whose items are throttled lowers it, in proportion to how many are. Below one request the limit says how much of the time a
//! request is under way, so that also a table of a few write units a second is not hammered.

use std::time::{Duration, Instant};

/// The limit rises by one request for so many that were taken in full; below eight requests, by its own 64th for each,
const TAKEN_FOR_ONE_MORE: f64 = 8.0;
/// and below one by this share of itself: there, requests are few.
const STEP_UP_BELOW_ONE: f64 = 0.1;
/// A request that is throttled in full takes this share of the limit.
const STEP_DOWN: f64 = 0.5;
/// Below this share of a request it takes less: a few items here and there are the trouble of their partitions.
const MANY: f64 = 0.1;
/// No pause between two requests is longer; the limit never falls below what that asks for.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// None takes less: with none at all no pause would ever grow.
const SHORTEST_REQUEST: Duration = Duration::from_micros(10);

/// The limit, and what it is judged by.
#[derive(Debug)]
pub(super) struct Concurrency {
    limit: f64,
    most: f64,
    /// So many items are a whole request.
    full_request: usize,
    decreases: u64,
    /// Below one request: no other before this.
    next_at: Option<Instant>,
}

/// What a request was begun under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    decreases: u64,
    at: Instant,
}

impl Begun {
    /// When.
    pub(super) fn at(self) -> Instant {
        self.at
    }
}

impl Concurrency {
    /// Begins with so many requests, and never has more than `most`.
    pub(super) fn new(first: usize, most: usize, full_request: usize) -> Concurrency {
        Concurrency { limit: first as f64, most: most as f64, full_request, decreases: 0, next_at: None }
    }

    /// How many requests may be under way.
    pub(super) fn requests(&self) -> usize {
        (self.limit as usize).max(1)
    }

    /// When another request may begin, with so many under way; `None`: when one of them has ended.
    pub(super) fn next(&self, in_flight: usize, now: Instant) -> Option<Instant> {
        if in_flight >= self.requests() {
            return None;
        }
        Some(self.next_at.map_or(now, |next| next.max(now)))
    }

    /// A request begins.
    pub(super) fn begin(&self, now: Instant) -> Begun {
        Begun { decreases: self.decreases, at: now }
    }

    /// A request has ended; so many of its items were taken, and so many throttled that were not before.
    pub(super) fn ended(&mut self, begun: Begun, taken: usize, throttled: usize, now: Instant) {
        let share = |items: usize| items as f64 / self.full_request as f64;
        if throttled == 0 {
            let step = match self.limit < 1.0 {
                true => self.limit * STEP_UP_BELOW_ONE,
                false => (self.limit / TAKEN_FOR_ONE_MORE).min(1.0) / TAKEN_FOR_ONE_MORE,
            };
            self.limit = (self.limit + step * share(taken)).min(self.most);
        } else if begun.decreases == self.decreases {
            // Those that were under way together are throttled together: it counts once.
            let share = share(throttled).min(1.0);
            self.limit *= 1.0 - STEP_DOWN * share * (share / MANY).min(1.0);
            self.decreases += 1;
        }
        let took = now.saturating_duration_since(begun.at).max(SHORTEST_REQUEST);
        // Not a share: what a table takes is as many requests a second, however fast each is answered.
        self.limit = self.limit.max(took.div_duration_f64(took + LONGEST_PAUSE));
        self.next_at = (self.limit < 1.0).then(|| now + took.mul_f64(1.0 / self.limit - 1.0));
    }

    /// The service is away: one request at a time looks whether it is back.
    pub(super) fn look_with_one(&mut self) {
        self.limit = self.limit.min(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table that takes so many items a second, in a world of its own time: how many it took in a second, and how many it
    /// refused, once the limit has settled.
    fn settled(capacity: f64, latency: Duration) -> (f64, f64) {
        let mut concurrency = Concurrency::new(16, 32, 25);
        let start = Instant::now();
        let (mut now, mut tokens, mut filled) = (start, capacity, start);
        let mut in_flight: Vec<(Instant, Begun)> = Vec::new();
        let (mut taken, mut refused, mut since) = (0.0, 0.0, start);
        while now < start + Duration::from_secs(60) {
            let next = concurrency.next(in_flight.len(), now);
            if next.is_some_and(|next| next <= now) {
                in_flight.push((now + latency, concurrency.begin(now)));
                continue;
            }
            let first_end = in_flight.iter().map(|(end, _)| *end).min();
            now = [next, first_end].into_iter().flatten().min().unwrap();
            let Some(ended) = in_flight.iter().position(|(end, _)| *end <= now) else { continue };
            let (_, begun) = in_flight.swap_remove(ended);
            tokens = (tokens + capacity * (now - filled).as_secs_f64()).min(capacity);
            filled = now;
            let fits = tokens.floor().min(25.0);
            tokens -= fits;
            if since == start && now > start + Duration::from_secs(30) {
                (taken, refused, since) = (0.0, 0.0, now);
            }
            taken += fits;
            refused += 25.0 - fits;
            concurrency.ended(begun, fits as usize, 25 - fits as usize, now);
        }
        let seconds = (now - since).as_secs_f64();
        (taken / seconds, refused / seconds)
    }

    #[test]
    fn it_settles_where_the_table_takes_nearly_all_it_can_and_refuses_little() {
        for (capacity, milliseconds) in [
            (100.0, 5.0),
            (500.0, 5.0),
            (1_000.0, 0.1),
            (1_000.0, 0.3),
            (1_000.0, 2.0),
            (1_000.0, 5.0),
            (5_000.0, 5.0),
            (40_000.0, 10.0),
            (20_000.0, 2.0),
        ] {
            let (taken, refused) = settled(capacity, Duration::from_secs_f64(milliseconds / 1_000.0));
            let told = format!("{taken} taken and {refused} refused of {capacity} with {milliseconds} ms");
            assert!(taken >= 0.9 * capacity && refused <= 0.3 * capacity, "{told}");
        }
    }

    #[test]
    fn a_few_items_that_are_throttled_here_and_there_cost_little() {
        let mut concurrency = Concurrency::new(16, 32, 25);
        let now = Instant::now();
        for request in 0..1_000 {
            let begun = concurrency.begin(now);
            let throttled = usize::from(request % 4 == 0);
            concurrency.ended(begun, 25 - throttled, throttled, now);
        }
        assert!(concurrency.requests() >= 28, "{}", concurrency.requests());
    }

    #[test]
    fn a_table_that_takes_more_again_gets_more_soon() {
        for took in [1, 5, 20].map(Duration::from_millis) {
            let mut concurrency = Concurrency::new(16, 32, 25);
            let mut now = Instant::now();
            let mut one = |throttled: usize| {
                let begun = concurrency.begin(now);
                now += took;
                concurrency.ended(begun, 25 - throttled, throttled, now);
                now = concurrency.next(0, now).unwrap();
                (concurrency.requests(), now)
            };
            let (_, full) = (0..100).map(|_| one(25)).last().unwrap();
            let (_, free) = std::iter::repeat_with(|| one(0)).take(1_000).find(|(requests, _)| *requests > 1).unwrap();
            assert!(free - full <= Duration::from_secs(8), "{:?} with {took:?}", free - full);
        }
    }

    #[test]
    fn what_is_throttled_again_raises_nothing() {
        let mut concurrency = Concurrency::new(4, 32, 25);
        let now = Instant::now();
        (0..1_000).for_each(|_| concurrency.ended(concurrency.begin(now), 0, 0, now));
        assert_eq!(concurrency.requests(), 4);
    }

    #[test]
    fn requests_that_are_throttled_together_count_once_and_there_is_always_one() {
        let mut concurrency = Concurrency::new(16, 32, 25);
        let now = Instant::now();
        let together: Vec<_> = (0..16).map(|_| concurrency.begin(now)).collect();
        together.into_iter().for_each(|begun| concurrency.ended(begun, 0, 25, now));
        assert_eq!(concurrency.requests(), 8);
        for _ in 0..100 {
            let begun = concurrency.begin(now);
            concurrency.ended(begun, 0, 25, now + Duration::from_secs(60));
        }
        let later = now + Duration::from_secs(60);
        assert_eq!(concurrency.next(0, later), Some(later + LONGEST_PAUSE));
        assert_eq!(concurrency.next(1, later), None);
    }
}
